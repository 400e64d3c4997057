#include "harness/ft/ft_record.hpp"
#include "harness/ft/ft_volume.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::harness;
  const auto record = FtRecord::Decode(std::as_bytes(std::span(data, size)));
  if (!record) return 0;
  static_cast<void>(ToText(*record));
  for (const FtRecordSet& set : record->sets) static_cast<void>(AsVolume(set, {{0x11111111, "a"}}));
  return 0;
}
