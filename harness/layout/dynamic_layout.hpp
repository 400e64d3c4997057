// What a set of disk images holds of dynamic disk groups, as independent readers tell it.
//
//   auto seen = ObserveDynamic({{"/run/disk0.raw"}, {"/run/disk1.raw"}});
//   if (!seen->dissents.empty()) ...        // the readers disagree: suspect the harness, not the server
//   const DynamicVolume* volume = seen->layout.groups.at(0).FindVolume("Volume1");
//
// The readers share no code with the server: libldm by its program ldmtool, and the harness's own reading
// of the format, ldm_layout.py, which alone knows 4096-octet sectors, states and stale members. The kernel's
// reader is in guest_volumes.hpp, libguestfs's in guestfs_reader.hpp.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace dmrp::harness {

/// A raw image and what its disk's sectors are.
struct DynamicImage {
  std::filesystem::path path;
  std::uint32_t sector_bytes = 512;
};

enum class DynamicVolumeType { kSimple, kSpanned, kStriped, kMirrored, kRaid5 };
/// "simple", "spanned", "striped", "mirrored", "raid5".
std::string_view DynamicVolumeTypeName(DynamicVolumeType type);

/// A subdisk: a run of octets of one disk.
struct DynamicExtent {
  std::string name;                      ///< "Disk1-01"
  std::string disk;                      ///< the member's name in its group, "Disk1"
  std::uint64_t public_start = 0;        ///< octets from the start of the disk's public region
  std::optional<std::uint64_t> start{};  ///< octets from the start of the disk; nothing for a missing disk
  std::uint64_t length = 0;              ///< octets
  std::uint64_t column = 0;              ///< of a striped or RAID-5 plex
  std::optional<std::uint32_t> flags{};  ///< of the record; libldm does not tell

  friend bool operator==(const DynamicExtent&, const DynamicExtent&) = default;
};

/// One copy of a volume's octets.
struct DynamicPlex {
  enum class Layout { kConcat, kStripe, kRaid5 };
  Layout layout = Layout::kConcat;
  std::uint64_t stripe = 0;  ///< octets of a stripe in one column; 0: none
  std::string name{};        ///< libldm does not tell; nor state and flags
  std::string state{};
  std::optional<std::uint32_t> flags{};
  std::vector<DynamicExtent> extents;  ///< in the order of the volume's octets, or of the columns
};

struct DynamicVolume {
  std::string name;
  Guid guid;
  DynamicVolumeType type = DynamicVolumeType::kSimple;
  std::uint64_t size = 0;             ///< octets
  std::optional<std::string> hint{};  ///< the drive letter, "E:"
  std::vector<DynamicPlex> plexes;    ///< one; the legs of a mirror
  // What libldm does not tell:
  std::optional<std::string> state{};
  std::optional<std::uint32_t> flags{};
  std::optional<std::uint8_t> partition_type{};
};

/// A disk of a group.
struct DynamicMember {
  std::string name;
  Guid guid;                    ///< of the disk in its group; no GUID of a GPT
  bool present = false;         ///< one of the images is this disk; the members below have meaning
  std::filesystem::path image;  ///< which one
  std::uint32_t sector_bytes = 512;
  std::uint64_t data_start = 0, data_length = 0;          ///< octets: the public region
  std::uint64_t metadata_start = 0, metadata_length = 0;  ///< octets: the private region
  // What libldm does not tell:
  std::optional<bool> stale{};  ///< its database is older than the group's
  std::optional<std::uint32_t> flags{};
  std::optional<std::uint64_t> record{};  ///< the id of its record in the group's database
};

struct DynamicGroup {
  std::string name;
  Guid guid;
  std::vector<DynamicMember> disks;    ///< in ascending order of their names
  std::vector<DynamicVolume> volumes;  ///< likewise
  // What libldm does not tell:
  std::optional<std::uint64_t> committed{};  ///< transaction id
  std::optional<bool> at_rest{};             ///< no transaction is open

  [[nodiscard]] const DynamicMember* FindDisk(std::string_view name) const&;
  const DynamicMember* FindDisk(std::string_view name) const&& = delete;
  [[nodiscard]] const DynamicVolume* FindVolume(std::string_view name) const&;
  const DynamicVolume* FindVolume(std::string_view name) const&& = delete;
};

/// Everything that one reader finds.
struct DynamicLayout {
  std::string reader;  ///< "libldm" or "ldm_layout"
  std::vector<DynamicGroup> groups;
  std::vector<std::string> problems;  ///< what the reader complains of, in its words

  [[nodiscard]] const DynamicGroup* FindGroup(const Guid& guid) const&;
  const DynamicGroup* FindGroup(const Guid& guid) const&& = delete;
  /// The volume with that GUID in any group; null: none.
  [[nodiscard]] const DynamicVolume* FindVolume(const Guid& guid) const&;
  const DynamicVolume* FindVolume(const Guid& guid) const&& = delete;
};

enum class DynamicReader {
  kLibldm,     ///< ldmtool: 512-octet sectors; refuses groups whose transactions are open
  kLdmLayout,  ///< ldm_layout.py
};

/// Reads the groups on raw images. Disks without a group are left out in silence, unless a reader takes
/// them for damaged dynamic ones. kUnsupported: libldm cannot read a disk of other sectors than 512 octets,
/// or a path with quotes; kMalformed when a program's words are not understood; kSystem, kTimeout as of a
/// program.
Result<DynamicLayout> ReadDynamicLayout(DynamicReader reader, const std::vector<DynamicImage>& images);

/// Every point in which two readers' accounts differ, one sentence each; what one of them cannot tell is left
/// out, as is the order of a mirror's legs. Empty: they agree.
std::vector<std::string> Dissents(const DynamicLayout& one, const DynamicLayout& other);

struct DynamicObservation {
  DynamicLayout layout;                  ///< ldm_layout's account
  std::vector<DynamicLayout> witnesses;  ///< libldm's, where all sectors are of 512 octets
  std::vector<std::string> dissents;
};

/// Reads with both. Complaints of libldm alone (a stale member, an open transaction, an OEM partition in
/// front) are its problems, and its missing of such a group a dissent. Disks with other sectors than libldm's
/// have no witness here: CheckLdmInvariants and the kernel of a guest judge them.
Result<DynamicObservation> ObserveDynamic(const std::vector<DynamicImage>& images);

struct LdmFinding {
  unsigned number = 0;  ///< of the invariant, 1 to 66
  std::string image;    ///< or the group's name, where it is about more than one
  std::string text;

  friend bool operator==(const LdmFinding&, const LdmFinding&) = default;
};

/// Of LdmFinding::number: a transaction is open, so that other findings may come of that.
inline constexpr unsigned kInvariantOfRest = 32;

struct LdmCheckOptions {
  bool degraded = false;  ///< states of failed and missing members are no findings
  bool complete = false;  ///< every disk of a group must have an image
  bool data = true;       ///< compare mirrors and add up RAID-5 rows
};

/// Checks the images against the invariants of the on-disk format (ldm_invariants.py); empty: all hold. Every
/// image must be that of a dynamic disk.
Result<std::vector<LdmFinding>> CheckLdmInvariants(const std::vector<DynamicImage>& images,
                                                   const LdmCheckOptions& options = {});

/// What TestDisk warns of in a partition table of 512-octet sectors, in its words; empty: nothing.
Result<std::vector<std::string>> TestDiskWarnings(const std::filesystem::path& image);

nlohmann::json ToJson(const DynamicLayout& layout);
nlohmann::json ToJson(const DynamicObservation& observation);

}  // namespace dmrp::harness
