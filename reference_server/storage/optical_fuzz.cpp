// The places that ISO 9660 and UDF are read from, side by side in the input: it would have to be mostly zeros
// otherwise.
#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/file_system.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::server;
  struct Stretch {
    std::uint64_t offset;
    std::size_t length;
  };
  // Recognition sequence, descriptors, integrity descriptor and anchor, the last three where mkudffs puts
  // them with blocks of 512 octets.
  constexpr std::array kStretches{Stretch{32768, 8192}, Stretch{49152, 8192}, Stretch{65536, 512},
                                  Stretch{131072, 512}};
  MemoryDevice device({.sizeBytes = 1 << 20});
  std::span input = std::as_bytes(std::span(data, size));
  for (const Stretch& stretch : kStretches) {
    const auto part = input.first(std::min(stretch.length, input.size()));
    device.Poke(stretch.offset, part);
    input = input.subspan(part.size());
  }
  if (!DescribeFileSystem(device, 0, device.Geometry().sizeBytes)) std::abort();
  return 0;
}
