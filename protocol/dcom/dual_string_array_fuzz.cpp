// A DUALSTRINGARRAY that decodes is written back and read as the same.
#include "protocol/dcom/dual_string_array.hpp"

#include <cstdlib>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::dcom;
  PackedReader reader(std::as_bytes(std::span(data, size)));
  const auto decoded = DualStringArray::Read(reader);
  if (!decoded) return 0;
  for (const StringBinding& binding : decoded->string_bindings) (void)binding.Split();
  PackedWriter writer;
  decoded->Write(writer);
  const dmrp::Bytes octets = std::move(writer).Take();
  PackedReader second(octets);
  const auto again = DualStringArray::Read(second);
  if (!again || *again != *decoded) std::abort();
  return 0;
}
