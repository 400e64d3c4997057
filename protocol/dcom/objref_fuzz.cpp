// An OBJREF that decodes is written back and read as the same.
#include "protocol/dcom/objref.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::dcom;
  const auto decoded = DecodeObjref(std::as_bytes(std::span(data, size)));
  if (!decoded) return 0;
  const auto again = DecodeObjref(EncodeObjref(*decoded));
  if (!again || *again != *decoded) std::abort();
  return 0;
}
