// Hostile partition tables: the namer follows chains and counts that the disk states.
#include "harness/layout/image_diff.hpp"

#include <algorithm>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto read = [&bytes](std::uint64_t offset, std::span<std::byte> to) {
    std::ranges::fill(to, std::byte{0});
    if (offset >= bytes.size()) return;
    const auto from = bytes.subspan(offset, std::min(to.size(), bytes.size() - offset));
    std::ranges::copy(from, to.begin());
  };
  for (const std::uint32_t sector_bytes : {512U, 4096U}) {
    const dmrp::harness::StructureNamer namer(read, size, sector_bytes);
    for (std::uint64_t at = 0; at < size;) {
      const auto place = namer.At(at);
      if (place.end <= at || place.name.empty()) std::abort();
      at = place.end;
    }
  }
  return 0;
}
