// Which drive letter and which volume name lead to which volume, as Windows keeps it in
// HKLM\SYSTEM\MountedDevices: REG_BINARY values `\DosDevices\X:`, `\??\Volume{guid}` and `#{guid}` (a volume
// that has no letter on purpose), whose data is the unique id of the volume.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/registry.hpp"
#include "reference_server/storage/disk_layout.hpp"
#include "reference_server/storage/mount_error.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace dmrp::server {

/// What a volume is known by over restarts: the data of its values in MountedDevices.
struct UniqueId {
  Bytes octets;

  /// Hexadecimal, for people.
  [[nodiscard]] std::string ToString() const;
  friend auto operator<=>(const UniqueId&, const UniqueId&) = default;
};

/// A partition of an MBR disk, 12 octets: the disk's signature (0x1B8 of the MBR) and the partition's offset
/// in octets, both little-endian.
[[nodiscard]] UniqueId MbrPartitionId(std::uint32_t signature, std::uint64_t start);
/// A partition of a GPT disk by its own GUID, or a dynamic volume by its GUID, 24 octets: "DMIO:ID:" and the
/// GUID as it lies on disk.
[[nodiscard]] UniqueId GuidVolumeId(const Guid& id);
/// A CD drive, floppy drive or removable disk, whatever medium is in it: the path of its device interface,
/// `\??\SCSI#CDROM&VEN_...#{53f5630d-...}`, UTF-16LE without a null. The class is volume for CD, DVD and
/// floppy drives, disk for removable disks.
[[nodiscard]] UniqueId RemovableDeviceId(const DeviceInfo& device);
/// The unique id of a partition from its place on the disk. Nothing for regions that hold no data of their
/// own, for whole media (RemovableDeviceId) and on MBR disks whose signature is zero.
[[nodiscard]] std::optional<UniqueId> PartitionId(const DiskLayout& layout, const Region& region);

/// Everything takes effect on disk before it returns. Looks at the registry anew each time, so that what
/// other programs changed counts. Not thread-safe.
class MountManager {
 public:
  /// `registry` must outlive the manager.
  explicit MountManager(Registry& registry) : registry_(registry) {}

  /// Every letter, A to Z in capitals, that leads to a volume, present or not.
  MountResult<std::map<char16_t, UniqueId>> Letters();
  /// The letter of a volume; the first one if another program gave it several.
  MountResult<std::optional<char16_t>> LetterOf(const UniqueId& volume);
  /// True when the volume carries the mark of a volume without a letter on purpose.
  MountResult<bool> LetterRefused(const UniqueId& volume);

  /// Gives `letter`, of either case, to the volume. Its former letter becomes free, its mark of having none
  /// goes. kLetterTaken when the letter leads to another volume that is present: one that `is_present` denies
  /// loses its letter. Without `is_present` all are.
  MountResult<void> Assign(char16_t letter, const UniqueId& volume,
                           const std::function<bool(const UniqueId&)>& is_present = {});
  /// Takes the letter from its volume, which then is marked as having none on purpose; returns that volume.
  /// kLetterFree when the letter leads nowhere.
  MountResult<UniqueId> Free(char16_t letter);
  /// Drops letter, volume name and marks of a volume that was deleted. No error when there are none.
  MountResult<void> Forget(const UniqueId& volume);

  /// What leads to `from` leads to `to` from then on, with the letters, name and marks that `from` had; what
  /// `to` had before is dropped. No error when there are none.
  MountResult<void> Rekey(const UniqueId& from, const UniqueId& to);

  /// The GUID of the volume's name, made and kept when it has none yet; the same ever after.
  MountResult<Guid> VolumeName(const UniqueId& volume);
  /// The volume that a name leads to.
  MountResult<std::optional<UniqueId>> FindVolume(const Guid& name);

 private:
  Registry& registry_;
};

}  // namespace dmrp::server
