// Looks at the disks and describes them in the terms of the protocol.
#pragma once

#include "reference_server/methods/disk_groups.hpp"
#include "reference_server/methods/disk_source.hpp"
#include "reference_server/methods/ft_volumes.hpp"
#include "reference_server/objects/reconcile.hpp"
#include "reference_server/storage/mount_manager.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::server {

/// The disks as the object list should show them. Remembers the number of each disk ("\device\HarddiskN"),
/// which stays while the disk is attached, and which volumes are being formatted. Used under StorageModel's
/// operation lock only.
class DiskInventory {
 public:
  /// Where a file system can lie: on a region of a disk, or on a volume over several regions.
  struct Volume {
    std::string disk_key{};    ///< DiskObject::key; empty for a volume over several regions
    std::uint64_t start = 0;   ///< of the region, octets
    std::string volume_key{};  ///< VolumeObject::key; empty for a region
    [[nodiscard]] std::string ToString() const;
    friend auto operator<=>(const Volume&, const Volume&) = default;
  };

  /// A volume, open: its octets lie on `device` from `start` on.
  struct OpenVolume {
    std::unique_ptr<BlockDevice> device;
    std::uint64_t start = 0;
    std::uint64_t length = 0;
  };
  /// Opens a volume where it was when the function was made. May be called from any thread.
  using Opener = std::function<Result<OpenVolume>(bool writable)>;

  /// `mounts` knows the letters, `registry` the primary disk group. The volume from which `system_file` is
  /// mounted holds the system directory; empty for none. `log` is told about disks that cannot be read; null
  /// for silence.
  DiskInventory(DiskSource& source, MountManager& mounts, Registry& registry,
                std::filesystem::path system_file = {}, std::function<void(const std::string&)> log = {});

  /// Enumerates all disks, their tables, the volumes on them and the file systems afresh.
  ObservedSystem ObserveAll();

  /// One disk by its DiskObject::key. kUnavailable when it is not attached any more.
  Result<ObservedDisk> Observe(const std::string& key);

  /// The device behind a key, as the last observation saw it; null when it was not there.
  [[nodiscard]] const DeviceInfo* Device(const std::string& key) const;
  [[nodiscard]] DiskSource& source() { return source_; }
  /// The disk groups as the last observation of everything saw them.
  [[nodiscard]] DiskGroups& groups() { return groups_; }
  /// The FT sets, likewise.
  [[nodiscard]] FtVolumes& ft() { return ft_; }
  /// True for a volume over several regions that is there but not online, so that its data cannot be had.
  [[nodiscard]] bool IsOffline(const Volume& volume) const;
  /// Takes the device of a volume over several regions away, with `force` from its users, too. As
  /// VolumeHost::Deactivate.
  Result<void> TakeOffline(const Volume& volume, bool force);
  /// A volume's region as the last observation saw it; null when the volume was not there, or is none of a
  /// single region.
  [[nodiscard]] const Region* RegionOf(const Volume& volume) const;

  // What follows is about a volume as the last observation saw it. One that was not there cannot be opened or
  // taken (kUnavailable), is used by nobody, and has no node. Use and ReleaseByForce go for any region.
  [[nodiscard]] Opener OpenerOf(const Volume& volume);
  /// As DiskSource::Use, ReleaseByForce and VolumeNode.
  [[nodiscard]] Result<PartitionUse> Use(const Volume& volume);
  Result<PartitionUse> ReleaseByForce(const Volume& volume);
  [[nodiscard]] std::filesystem::path NodeOf(const Volume& volume);
  /// What its boot sector calls hidden sectors (storage/format.hpp).
  [[nodiscard]] std::uint32_t HiddenSectorsOf(const Volume& volume) const;

  /// What the mount manager knows a volume by, as the last observation saw it; nothing for volumes that were
  /// not there or that cannot be known again.
  [[nodiscard]] std::optional<UniqueId> IdOf(const Volume& volume) const;
  /// The volume with that id, if one is there.
  [[nodiscard]] std::optional<Volume> FindVolume(const UniqueId& id) const;

  /// From now to EndFormat the volume is shown with REGION_FORMAT_IN_PROGRESS and a file system that is in
  /// the making, whatever lies on it. Several may overlap, when one format takes over from another.
  std::uint64_t BeginFormat(const Volume& volume);
  void EndFormat(std::uint64_t token);
  [[nodiscard]] bool IsFormatting(const Volume& volume) const;

 private:
  /// How often an observation is repeated in which a disk went away.
  static constexpr int kLooksAgain = 2;

  struct Known {
    DeviceInfo device;
    std::uint32_t number = 0;
  };

  struct Seen {
    Region region;
    std::optional<UniqueId> id;
  };

  [[nodiscard]] bool HoldsSystem(const PartitionUse& use) const;
  void Rescan();
  ObservedSystem ObserveOnce();
  /// False when a disk that was read as a member of a group was gone when its table was to be read: volumes
  /// would be online on regions that nobody sees.
  [[nodiscard]] bool ShowsItsGroups(const ObservedSystem& system) const;
  std::map<UniqueId, char16_t> ReadLetters();
  ObservedDisk Describe(const std::string& key, const Known& known,
                        const std::map<UniqueId, char16_t>& letters);
  // The same without the letter of the drive itself.
  ObservedDisk DescribeContents(const std::string& key, const Known& known,
                                const std::map<UniqueId, char16_t>& letters);
  // The disks of the primary group that are not there. Notes what is seen of those that are.
  void DescribeMissing(const FoundGroup& primary, std::vector<ObservedDisk>& disks);
  // The lowest number that no disk has.
  [[nodiscard]] std::uint32_t FreeNumber(bool optical) const;
  // What the host has online, of dynamic volumes and FT sets alike.
  struct HostedVolume {
    std::string name;  // VolumeMap::name
    std::uint64_t length = 0;
    DiskGeometry geometry;
    std::uint64_t first_start = 0;  // on its first disk
    UniqueId id;
    bool online = false;
  };
  [[nodiscard]] std::optional<HostedVolume> FindHosted(const Volume& volume) const;
  // Letter, flags and file system of a dynamic volume or an FT set.
  void Complete(ObservedVolume& observed, const HostedVolume& hosted,
                const std::map<UniqueId, char16_t>& letters);
  // Of a disk it lies on: sector and track sizes.
  [[nodiscard]] DiskGeometry GeometryOf(const GroupVolume& volume) const;
  void Remember(const Volume& volume, const DeviceInfo& device, const DiskLayout& layout,
                const Region& region);
  void Log(const std::string& text) const;

  DiskSource& source_;
  MountManager& mounts_;
  DiskGroups groups_;
  FtVolumes ft_;
  const std::filesystem::path system_file_;
  std::function<void(const std::string&)> log_;
  std::vector<std::string> order_;  // keys, in the order of the last scan
  std::map<std::string, Known> known_;
  std::map<Volume, Seen> volumes_;
  std::map<std::string, DISK_INFO_EX> seen_members_;      // of the primary group, by MissingDiskKey
  std::map<std::string, std::uint32_t> missing_numbers_;  // of disks that are missing, by MissingDiskKey
  std::map<std::uint64_t, Volume> formatting_;            // by token
  std::uint64_t next_token_ = 1;
};

}  // namespace dmrp::server
