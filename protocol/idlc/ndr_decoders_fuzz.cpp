// All generated NDR decoders: two octets choose the type, the rest is the stub. What decodes without a
// complaint must encode again and decode to the same value.
#include "protocol/idlc/message_registry.hpp"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <span>

namespace {

using namespace dmrp;

template <typename T>
void DecodeAndReturn(std::span<const std::byte> stub) {
  ndr::Reader reader(stub);
  T value;
  Decode(reader, value);
  if (!reader.ok() || reader.anomaly_count() != 0) return;
  ndr::Writer writer;
  Encode(writer, value);
  const Result<Bytes> octets = std::move(writer).Take();
  if (!octets) std::abort();
  ndr::Reader again(*octets);
  T copy;
  Decode(again, copy);
  if (!again.ok() || again.remaining() != 0 || copy != value) std::abort();
}

using Decoder = void (*)(std::span<const std::byte>);

std::map<std::uint16_t, Decoder> MakeDecoders() {
  std::map<std::uint16_t, Decoder> decoders;
  testing::ForEachWireType([&]<typename T>(const std::string& name) {
    if (!decoders.emplace(testing::TypeNumber(name), &DecodeAndReturn<T>).second) std::abort();
  });
  return decoders;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::map<std::uint16_t, Decoder> decoders = MakeDecoders();
  if (size < 2) return 0;
  auto decoder = decoders.lower_bound(static_cast<std::uint16_t>(data[0] | data[1] << 8));
  if (decoder == decoders.end()) decoder = decoders.begin();
  decoder->second(std::as_bytes(std::span(data, size)).subspan(2));
  return 0;
}
