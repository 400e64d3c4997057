// Looks at the disks and describes them in the terms of the protocol.
#pragma once

#include "reference_server/methods/disk_source.hpp"
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
  /// A volume on a disk: a region that can hold a file system.
  struct Volume {
    std::string disk_key;     ///< DiskObject::key
    std::uint64_t start = 0;  ///< octets
    friend auto operator<=>(const Volume&, const Volume&) = default;
  };

  /// `mounts` knows the letters. The volume from which `system_file` is mounted holds the system directory;
  /// empty for none. `log` is told about disks that cannot be read; null for silence.
  DiskInventory(DiskSource& source, MountManager& mounts, std::filesystem::path system_file = {},
                std::function<void(const std::string&)> log = {});

  /// Enumerates all disks, their tables and file systems afresh.
  std::vector<ObservedDisk> ObserveAll();

  /// One disk by its DiskObject::key. kUnavailable when it is not attached any more.
  Result<ObservedDisk> Observe(const std::string& key);

  /// The device behind a key, as the last observation saw it; null when it was not there.
  [[nodiscard]] const DeviceInfo* Device(const std::string& key) const;
  [[nodiscard]] DiskSource& source() { return source_; }
  /// A volume's region as the last observation saw it; null when the volume was not there.
  [[nodiscard]] const Region* RegionOf(const Volume& volume) const;

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
  std::map<UniqueId, char16_t> ReadLetters();
  ObservedDisk Describe(const std::string& key, const Known& known,
                        const std::map<UniqueId, char16_t>& letters);
  // The same without the letter of the drive itself.
  ObservedDisk DescribeContents(const std::string& key, const Known& known,
                                const std::map<UniqueId, char16_t>& letters);
  void Remember(const Volume& volume, const DeviceInfo& device, const DiskLayout& layout,
                const Region& region);
  void Log(const std::string& text) const;

  DiskSource& source_;
  MountManager& mounts_;
  const std::filesystem::path system_file_;
  std::function<void(const std::string&)> log_;
  std::vector<std::string> order_;  // keys, in the order of the last scan
  std::map<std::string, Known> known_;
  std::map<Volume, Seen> volumes_;
  std::map<std::uint64_t, Volume> formatting_;  // by token
  std::uint64_t next_token_ = 1;
};

}  // namespace dmrp::server
