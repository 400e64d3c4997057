// The data path of dynamic and fault-tolerant volumes: block devices that the kernel's device-mapper puts
// together from the volume's parts.
#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/device_mapper.hpp"
#include "reference_server/storage/volume_map.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace dmrp::server {

enum class MemberState : std::uint8_t {
  kInSync,
  kRebuilding,  ///< written to but not read from until its synchronisation is done
  kFailed,      ///< a write to it failed: its contents are stale from then on
  kMissing,     ///< was left out when the volume was activated
};

enum class SyncKind : std::uint8_t {
  kNone,
  kRebuild,  ///< of stale members from the others: mirror resynchronisation, RAID-5 regeneration
  kResync,   ///< members are made alike (parity fits the data) where they differ
};

struct VolumeStatus {
  MappedDevice device;
  std::uint64_t length = 0;  ///< octets
  /// Plexes of a mirrored volume, columns of a RAID-5 one, in the order of the map; else empty: nothing tells
  /// of errors there but the failed request itself.
  std::vector<MemberState> members;
  SyncKind sync = SyncKind::kNone;
  /// Octets of a member that are synchronised, and that there are. Equal when nothing is left to be done.
  std::uint64_t syncedBytes = 0;
  std::uint64_t syncBytes = 0;

  [[nodiscard]] bool Has(MemberState state) const;
};

/// Tells from looks at one volume, one after the other, how its synchronisation stands.
class SyncWatch {
 public:
  enum class Standing : std::uint8_t {
    kGoingOn,
    kDone,
    kGivenUp,  ///< a member failed since the first look, or one waits to be rebuilt and nothing will do it
  };

  [[nodiscard]] Standing Look(const VolumeStatus& status, std::chrono::steady_clock::time_point now);

 private:
  struct First {
    std::uint32_t event = 0;
    std::ptrdiff_t taking_part = 0;  ///< members in sync and being rebuilt
  };
  std::optional<First> first_;
  std::chrono::steady_clock::time_point working_;
};

/// How often a wait for the end of a synchronisation looks at its progress, of which the kernel sends no
/// events.
inline constexpr std::chrono::milliseconds kSyncLook{250};

/// Makes, changes and removes the devices of volumes. Calls for one volume must be ordered by the caller.
class VolumeDevices {
 public:
  explicit VolumeDevices(DeviceMapper mapper) : mapper_(std::move(mapper)) {}

  /// Brings the device of the map about: makes it, or gives the one that is there another table in one step,
  /// mounted or not (grown, mirror added or removed, column replaced, member lost). Stale members begin to be
  /// rebuilt at once. What the running device knows better than the map stands: a member that failed there is
  /// left out although the map has it online, one that is being rebuilt goes on, one that was rebuilt since
  /// is not rebuilt again although the map has it stale. Nothing changes when it fails. kUnsupported when
  /// the change would make the sectors of a device in use bigger.
  [[nodiscard]] Result<MappedDevice> Activate(const VolumeMap& map) const;
  /// kSystem with EBUSY while the volume is in use, with its users in the message. Not there: fine.
  [[nodiscard]] Result<void> Deactivate(const std::string& name) const;
  /// Names of all devices of volumes that there are, sorted; the devices below them are left out.
  [[nodiscard]] Result<std::vector<std::string>> List() const;

  /// kSystem with ENXIO when the volume is not active.
  [[nodiscard]] Result<VolumeStatus> Status(const std::string& name) const;
  /// Starts making the members alike: after a volume with redundancy was created or grown, or was not
  /// deactivated before the machine stopped. A mirror's first plex in sync wins; RAID-5 keeps its data.
  [[nodiscard]] Result<void> Resynchronise(const std::string& name) const;
  /// Waits until no synchronisation goes on, the deadline passed or `stop` was requested, and gives the
  /// status of that moment. `progress` (may be empty) is called at each look. A member still kRebuilding in
  /// a status with SyncKind::kNone could not be rebuilt (SyncWatch::Standing::kGivenUp).
  [[nodiscard]] Result<VolumeStatus> WaitSynchronised(
      const std::string& name, const std::function<void(const VolumeStatus&)>& progress,
      std::chrono::milliseconds deadline, const std::stop_token& stop) const;
  /// Waits until something happened since `seen` (a member failed, a synchronisation ended), the deadline
  /// passed or `stop` was requested; the status of that moment.
  [[nodiscard]] Result<VolumeStatus> WaitChange(const VolumeStatus& seen, std::chrono::milliseconds deadline,
                                                const std::stop_token& stop) const;

 private:
  [[nodiscard]] Result<std::optional<MappedDevice>> TryActivate(const VolumeMap& map) const;
  [[nodiscard]] Result<VolumeMap> KeepWhatTheDeviceKnows(const VolumeMap& map,
                                                         const std::vector<MemberState>& members) const;
  [[nodiscard]] Result<bool> IsAsPlanned(const PlannedDevice& planned) const;
  [[nodiscard]] Result<std::vector<std::string>> Parts(const std::string& name) const;
  void RemoveParts(const std::string& name, const VolumePlan& except) const;
  DeviceMapper mapper_;
};

}  // namespace dmrp::server
