// Writes the database of a group to one member or to all of them, step by step.
#pragma once

#include "reference_server/storage/ldm/disk_group.hpp"

namespace dmrp::server::ldm {

/// Which of the two regions.
enum class RegionKindOfMember : std::uint8_t { kConfig, kLog };

/// Writes the sectors that hold the given 512-octet blocks of a region. `image` is the whole content, zero
/// beyond its end. kLimit when it does not fit the member's region.
Result<void> WriteBlocks(const Member& member, RegionKindOfMember region, std::span<const std::byte> image,
                         std::span<const std::uint32_t> blocks);

/// The octets of a region. kSystem when the device fails.
Result<Bytes> ReadRegion(const Member& member, RegionKindOfMember region);

/// The 512-octet blocks in which two contents differ; the shorter one is taken to end in zeros.
std::vector<std::uint32_t> DifferingBlocks(std::span<const std::byte> a, std::span<const std::byte> b);

/// How the octets on a member become those of a resting database.
enum class RepairWay : std::uint8_t {
  kInPlace,  ///< an unfinished transaction is undone or completed: each step leaves a recoverable copy
  kForward,  ///< as kInPlace, from a copy that does not know yet that the transaction committed
  kWhole,    ///< another copy takes its place: stale until all is written
};

/// Brings a member's regions to `config` and `log`. Writes only what differs.
Result<void> RepairCopy(const Member& member, RepairWay way, std::span<const std::byte> config,
                        std::span<const std::byte> log);

}  // namespace dmrp::server::ldm
