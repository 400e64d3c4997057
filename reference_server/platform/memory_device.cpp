#include "reference_server/platform/memory_device.hpp"

#include <algorithm>

namespace dmrp::server {

void MemoryDevice::Poke(std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const std::uint64_t index = offset / kBlock;
    const std::size_t within = offset % kBlock;
    const std::size_t count = std::min<std::size_t>(kBlock - within, data.size());
    Bytes& block = blocks_[index];
    if (block.empty()) block.resize(kBlock);
    std::copy_n(data.begin(), count, block.begin() + static_cast<std::ptrdiff_t>(within));
    data = data.subspan(count);
    offset += count;
  }
}

Result<void> MemoryDevice::DoRead(std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t index = offset / kBlock;
    const std::size_t within = offset % kBlock;
    const std::size_t count = std::min<std::size_t>(kBlock - within, out.size());
    if (const auto found = blocks_.find(index); found != blocks_.end()) {
      std::copy_n(found->second.begin() + static_cast<std::ptrdiff_t>(within), count, out.begin());
    } else {
      std::fill_n(out.begin(), count, std::byte{0});
    }
    out = out.subspan(count);
    offset += count;
  }
  return {};
}

Result<void> MemoryDevice::DoWrite(std::uint64_t offset, std::span<const std::byte> data) {
  Poke(offset, data);
  return {};
}

}  // namespace dmrp::server
