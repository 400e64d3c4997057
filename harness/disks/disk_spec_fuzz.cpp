// Whatever text is accepted describes a valid disk, and its canonical text describes the same.
#include "harness/disks/disk_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::harness;
  const auto spec = ParseDiskSpec({reinterpret_cast<const char*>(data), size});
  if (spec) {
    const auto again = ParseDiskSpec(ToText(*spec));
    if (!Validate(*spec) || !again || *again != *spec) {
      std::abort();
    }
  }
  return 0;
}
