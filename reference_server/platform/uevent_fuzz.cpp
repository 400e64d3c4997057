#include "reference_server/platform/uevent.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)dmrp::server::ParseUevent(std::as_bytes(std::span(data, size)));
  return 0;
}
