// TOCBLOCK: where the regions of the private region lie. Two current copies, as a pair of slots that takes
// turns with another pair.
#pragma once

#include "protocol/base/text.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dmrp::server::ldm {

inline constexpr std::string_view kConfigRegion = "config";
inline constexpr std::string_view kLogRegion = "log";

/// Bits of TocRegion::flags.
inline constexpr std::uint16_t kRegionNotExist = 0x1;
inline constexpr std::uint16_t kRegionNew = 0x2;
inline constexpr std::uint16_t kRegionDelete = 0x4;
inline constexpr std::uint16_t kRegionDisabled = 0x8;

struct TocRegion {
  std::string name;  ///< at most 8 octets
  std::uint16_t flags = 0;
  std::uint64_t start = 0;  ///< sectors from the start of the private region
  std::uint64_t size = 0;   ///< sectors
  std::uint16_t unknown = 6;
  std::uint16_t copyNumber = 1;

  friend bool operator==(const TocRegion&, const TocRegion&) = default;
};

struct TocBlock {
  std::uint64_t sequence = 0;
  std::vector<TocRegion> regions;

  [[nodiscard]] const TocRegion* Find(std::string_view name) const;

  friend bool operator==(const TocBlock&, const TocBlock&) = default;
};

/// Reads the 512 octets of a copy: magic, checksum, a list of regions. kMalformed names the field.
Result<TocBlock> ParseTocBlock(std::span<const std::byte> sector);
/// 512 octets with the checksum. kLimit for more regions or longer names than fit.
Result<Bytes> SerializeTocBlock(const TocBlock& toc);

/// A pair of slots (relative sectors) that holds a TOC.
using TocPair = std::pair<std::uint64_t, std::uint64_t>;
/// The pair of a fresh disk: (2, size-3); with sectors above 512 octets (1, size-3).
[[nodiscard]] TocPair FirstTocPair(std::uint64_t private_size, std::uint32_t bytes_per_sector);
/// The pair that the TOC goes to next.
[[nodiscard]] TocPair OtherTocPair(const TocPair& current, std::uint64_t private_size,
                                   std::uint32_t bytes_per_sector);

}  // namespace dmrp::server::ldm
