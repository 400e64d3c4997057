// What a disk group is made of, as values: edit a copy and hand it to DiskGroup::Commit.
//
//   Database next = group.Current();
//   VolumeRecord& volume = next.volumes.emplace_back();
//   volume.id = next.TakeId();
//   volume.name = next.FreeVolumeName(kVolumePrefix); ...
//   auto committed = group.Commit(next);
#pragma once

#include "reference_server/storage/ldm/records.hpp"

#include <vector>

namespace dmrp::server::ldm {

/// How the two known generations of Windows write what the format leaves open.
enum class Convention : std::uint8_t {
  k2003,  ///< private header 2.11, device names in disk records, copies in the group record, names by kind
  k2008,  ///< private header 2.12, none of these, every volume is called Volume<n>
};

/// Prefixes of volume names under Convention::k2003.
inline constexpr std::string_view kVolumePrefix = "Volume";  ///< simple, spanned, mirrored
inline constexpr std::string_view kStripePrefix = "Stripe";
inline constexpr std::string_view kRaidPrefix = "Raid";

/// The committed state of a disk group.
struct Database {
  DiskGroupRecord group{};
  std::vector<DiskRecord> disks{};
  std::vector<VolumeRecord> volumes{};
  std::vector<PlexRecord> plexes{};
  std::vector<SubdiskRecord> subdisks{};

  std::uint64_t committedTransaction = 0;  ///< of the VMDB; DiskGroup::Commit sets it
  std::uint64_t time = 0;                  ///< FILETIME of the last change; DiskGroup::Commit sets it
  std::uint64_t lastTaken = 0;             ///< the last id that TakeId gave

  /// A group without disks, and its record. Server 2003's convention is the one of this protocol's time.
  static Database ForNewGroup(std::string name, const Guid& guid, Convention convention = Convention::k2003);

  // Lookups; null when there is none. Pointers last until the vector changes.
  [[nodiscard]] const DiskRecord* FindDisk(ObjectId id) const;
  [[nodiscard]] const DiskRecord* FindDisk(const Guid& guid) const;
  [[nodiscard]] const VolumeRecord* FindVolume(ObjectId id) const;
  [[nodiscard]] const VolumeRecord* FindVolume(const Guid& guid) const;
  [[nodiscard]] const PlexRecord* FindPlex(ObjectId id) const;
  [[nodiscard]] const SubdiskRecord* FindSubdisk(ObjectId id) const;
  [[nodiscard]] DiskRecord* FindDisk(ObjectId id);
  [[nodiscard]] VolumeRecord* FindVolume(ObjectId id);
  [[nodiscard]] PlexRecord* FindPlex(ObjectId id);
  [[nodiscard]] SubdiskRecord* FindSubdisk(ObjectId id);

  /// By name.
  [[nodiscard]] std::vector<const PlexRecord*> PlexesOf(ObjectId volume) const;
  /// By column, then by offset.
  [[nodiscard]] std::vector<const SubdiskRecord*> SubdisksOf(ObjectId plex) const;
  /// By start.
  [[nodiscard]] std::vector<const SubdiskRecord*> SubdisksOn(ObjectId disk) const;

  /// Removes the record with this id, of whatever kind but the group; false when there is none.
  bool Erase(ObjectId id);
  /// Removes a volume with its plexes and subdisks, a plex with its subdisks.
  void EraseVolume(ObjectId volume);
  void ErasePlex(ObjectId plex);

  /// A fresh id: above every id and every transaction id, so that neither generation of Windows hands it out
  /// again. Counts in twos, as Server 2003 does.
  ObjectId TakeId();
  /// The id of a transaction that commits this state: above everything there is.
  [[nodiscard]] std::uint64_t NextTransaction() const;

  /// "Disk3", "Volume2", "Volume2-01", "Disk3-02": the lowest free number.
  [[nodiscard]] std::string FreeDiskName() const;
  [[nodiscard]] std::string FreeVolumeName(std::string_view prefix = kVolumePrefix) const;
  [[nodiscard]] std::string FreePlexName(std::string_view volume) const;
  [[nodiscard]] std::string FreeSubdiskName(std::string_view disk) const;
  /// The lowest free volume number, from 5 (2003) or 1 (2008) to 255; nothing when all are taken.
  [[nodiscard]] std::optional<std::uint64_t> FreeVolumeNumber() const;

  /// Told by the group record: Server 2003 notes the number of copies.
  [[nodiscard]] Convention Style() const { return group.copies ? Convention::k2003 : Convention::k2008; }

  /// Sets plexCount and subdiskCount to what there is.
  void UpdateCounts();

  /// What a reader must be able to rely on: ids are not 0, below 2^32 and unique; every parent exists; counts
  /// are right; names, disk GUIDs and volume GUIDs are distinct; no transaction lies after the committed one;
  /// plexes are without holes, have the size of their volume and columns of one length; subdisks of a disk do
  /// not overlap. kMalformed names record and field. Where the public regions end is not known here:
  /// DiskGroup checks that.
  [[nodiscard]] Result<void> Check() const;

  friend bool operator==(const Database&, const Database&) = default;
};

/// FILETIME of now: 100 ns since 1601-01-01 UTC.
[[nodiscard]] std::uint64_t FileTimeNow();

}  // namespace dmrp::server::ldm
