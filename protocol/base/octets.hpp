// Octets as a whole.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace dmrp {

/// Whether both are the same octets. For long spans: the library's own comparisons take std::byte one by one,
/// which shows in whole disk databases on an emulated processor.
[[nodiscard]] inline bool SameOctets(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace dmrp
