// Where the octets of a dynamic volume lie on its members, and patterns that show whether they are there.
//
//   auto members = VolumeMembers::Open(group, *group.FindVolume("Volume1"));
//   auto octets = members->Read(0, 4096);                    // as the volume's device would give them
//   VolumePattern pattern{.seed = 7};
//   EXPECT_THAT(*pattern.Check(AccessTo(*members), 0, 2048), IsEmpty());
//
// The arithmetic is the harness's own: concatenation, stripes in rows, and RAID-5 with the parity of row r in
// column n-1 - (r mod n) and the data from the column behind it on (left-symmetric).
#pragma once

#include "harness/layout/dynamic_layout.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace dmrp::harness {

/// A run of a volume's octets that lies in one piece on a column, or leg.
struct MemberRun {
  std::uint64_t column = 0;    ///< of a striped or RAID-5 plex, else 0
  std::uint64_t position = 0;  ///< octets from the start of the column, or of the plex
  std::uint64_t length = 0;    ///< octets
  std::uint64_t parity = 0;    ///< RAID-5: the column that holds the parity of these octets

  friend bool operator==(const MemberRun&, const MemberRun&) = default;
};

/// How a plex maps a range of the volume's octets, in their order.
std::vector<MemberRun> MapRange(const DynamicPlex& plex, std::uint64_t offset, std::uint64_t length);

/// A volume's members, open.
class VolumeMembers {
 public:
  /// Opens the images of the members that are present.
  /// @return kSystem when an image cannot be opened, kUsage for a volume without plexes or stripes.
  static Result<VolumeMembers> Open(const DynamicGroup& group, const DynamicVolume& volume,
                                    bool writable = false);

  [[nodiscard]] const DynamicVolume& volume() const { return volume_; }
  /// Octets of the volume. The first leg all of whose members are present gives them; a missing column of a
  /// RAID-5 volume is computed from the others. kUnavailable when too much is missing, kUsage behind the end.
  [[nodiscard]] Result<Bytes> Read(std::uint64_t offset, std::uint64_t length) const;
  /// The same of one leg, or plex.
  [[nodiscard]] Result<Bytes> ReadLeg(std::size_t leg, std::uint64_t offset, std::uint64_t length) const;
  /// Writes all legs, and the parity. Every member must be present: kUnavailable.
  Result<void> Write(std::uint64_t offset, std::span<const std::byte> octets);

  /// Where legs differ from the first, at most ten sentences; empty for a volume with a single leg. Legs with
  /// missing members are left out.
  [[nodiscard]] Result<std::vector<std::string>> CheckMirrorLegsEqual() const;
  /// Rows whose columns do not add up to zero, at most ten sentences; empty for a volume without parity.
  /// kUnavailable when a column is missing.
  [[nodiscard]] Result<std::vector<std::string>> CheckParity() const;

 private:
  struct File;
  explicit VolumeMembers(DynamicVolume volume) : volume_(std::move(volume)) {}
  [[nodiscard]] Result<Bytes> ReadColumn(const DynamicPlex& plex, std::uint64_t column,
                                         std::uint64_t position, std::uint64_t length) const;
  [[nodiscard]] Result<void> WriteColumn(const DynamicPlex& plex, std::uint64_t column,
                                         std::uint64_t position, std::span<const std::byte> octets) const;
  [[nodiscard]] Result<Bytes> XorOfOthers(const DynamicPlex& plex, std::uint64_t column,
                                          std::uint64_t position, std::uint64_t length) const;

  DynamicVolume volume_;
  std::map<std::string, std::shared_ptr<File>> files_;  ///< by the disk's name; only those present
};

/// The functions of VolumeMembers on a volume that is opened for them alone.
Result<Bytes> ReadThroughMembers(const DynamicGroup& group, const DynamicVolume& volume, std::uint64_t offset,
                                 std::uint64_t length);
Result<std::vector<std::string>> CheckMirrorLegsEqual(const DynamicGroup& group, const DynamicVolume& volume);
Result<std::vector<std::string>> CheckParity(const DynamicGroup& group, const DynamicVolume& volume);

/// Something with octets in it: a volume through its members, an image, a device in a guest.
struct OctetAccess {
  std::function<Result<Bytes>(std::uint64_t offset, std::uint64_t length)> read;
  std::function<Result<void>(std::uint64_t offset, std::span<const std::byte> octets)> write;
};

/// `members` must outlive the result.
OctetAccess AccessTo(VolumeMembers& members);

/// Blocks of 512 octets that tell which block of which pattern they are, so that a misplaced one is named.
struct VolumePattern {
  static constexpr std::uint64_t kBlock = 512;  ///< octets
  std::uint64_t seed = 1;

  /// `count` blocks from that number on.
  [[nodiscard]] Bytes Make(std::uint64_t first_block, std::uint64_t count) const;
  /// Writes blocks to their places.
  Result<void> Write(const OctetAccess& to, std::uint64_t first_block, std::uint64_t count) const;
  /// Blocks that are not as Write left them, at most ten sentences such as "block 9 holds block 8 of seed 1".
  [[nodiscard]] Result<std::vector<std::string>> Check(const OctetAccess& in, std::uint64_t first_block,
                                                       std::uint64_t count) const;
  /// The same for octets that were read already; they start with `first_block`.
  [[nodiscard]] std::vector<std::string> Mismatches(std::uint64_t first_block,
                                                    std::span<const std::byte> octets) const;
};

}  // namespace dmrp::harness
