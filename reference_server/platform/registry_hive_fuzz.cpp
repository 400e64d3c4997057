#include "reference_server/platform/registry_hive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto root = dmrp::server::ParseHive(std::as_bytes(std::span(data, size)));
  // What could be read can be written, and reads the same.
  if (root) {
    if (const auto octets = dmrp::server::SerializeHive(*root)) {
      const auto again = dmrp::server::ParseHive(*octets);
      if (!again || *again != *root) __builtin_trap();
    }
  }
  return 0;
}
