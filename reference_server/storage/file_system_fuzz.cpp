#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/file_system.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::server;
  MemoryDevice device({.sizeBytes = 4 << 20});
  if (size > device.Geometry().sizeBytes) return 0;
  device.Poke(0, std::as_bytes(std::span(data, size)));
  if (!DescribeFileSystem(device, 0, device.Geometry().sizeBytes)) std::abort();
  return 0;
}
