// Activation properties from anybody decode or fail with an HRESULT to answer.
#include "protocol/dcom/activation_properties.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::dcom;
  const auto octets = std::as_bytes(std::span(data, size));
  const auto in = DecodeActivationPropertiesIn(octets);
  if (!in && (in.error().status & 0x80000000U) == 0) std::abort();
  const auto out = DecodeActivationPropertiesOut(octets);
  if (!out && (out.error().status & 0x80000000U) == 0) std::abort();
  return 0;
}
