// The kernel's device-mapper: block devices that are put together from parts of others. Nothing here owns a
// device: what is created stays, over the end of this process too, until it is removed.
#pragma once

#include "protocol/base/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// The unit of all device-mapper tables, whatever the sectors of the disks are.
inline constexpr std::uint64_t kMapperSector = 512;
/// Longest name of a device, in octets (DM_NAME_LEN without its end mark).
inline constexpr std::size_t kMaxMapperName = 127;

/// One line of a table: what lies at sectors start .. start + length of the device. From Status the
/// arguments are the target's report about itself instead.
struct MappedTarget {
  std::uint64_t start = 0;   ///< sectors of 512 octets
  std::uint64_t length = 0;  ///< sectors of 512 octets
  std::string type;          ///< "linear", "striped", "raid"
  std::string arguments;     ///< as Documentation/admin-guide/device-mapper of the kernel has them

  /// "0 81920 linear 8:0 63", as dmsetup writes it.
  [[nodiscard]] std::string ToString() const;
  friend bool operator==(const MappedTarget&, const MappedTarget&) = default;
};
using MappedTable = std::vector<MappedTarget>;

struct MappedDevice {
  std::string name;
  std::string uuid;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::int32_t openCount = 0;  ///< users of the node, mounts and devices that stand on this one
  /// Rises with each event of the device's targets: a member that failed, the end of a synchronisation.
  std::uint32_t event = 0;
  bool active = false;  ///< has a table that requests go through
  bool suspended = false;
  bool readOnly = false;

  /// "/dev/dm-3"; the kernel itself makes it, no udev is needed. Programs that look for the name of such a
  /// device (ntfs-3g, libblkid) want to find /dev/mapper/NAME too: Create makes that link, Remove takes it
  /// away.
  [[nodiscard]] std::filesystem::path Node() const;
  /// "254:3", as tables name devices.
  [[nodiscard]] std::string Number() const;
};

/// Refusals by the kernel are kSystem with errno and what the kernel logged about it: EBUSY when the device
/// is in use, ENXIO when there is none of that name, EINVAL for a table that a target does not take. All
/// calls may be made from several threads; on one device they have to be ordered by the caller.
class DeviceMapper {
 public:
  /// Loads the kernel's module when it is not there. kUnavailable on machines without device-mapper.
  static Result<DeviceMapper> Open(std::filesystem::path control = "/dev/mapper/control");

  /// Makes a device and lets requests through. Nothing is left of it when this fails.
  [[nodiscard]] Result<MappedDevice> Create(std::string_view name, std::string_view uuid,
                                            const MappedTable& table, bool read_only = false) const;
  /// Puts another table in the place of the present one, in one step for the users of the device: requests
  /// under way end on the old table, later ones wait and go to the new. Its size follows the table.
  /// `still` (may be empty) is asked in between, when no request is under way: if what the new table rests on
  /// is no longer so, the old table stays. So it does when this fails.
  /// @return the device, nothing when `still` said no.
  [[nodiscard]] Result<std::optional<MappedDevice>> Replace(std::string_view name, const MappedTable& table,
                                                            bool read_only,
                                                            const std::function<bool()>& still) const;
  /// kSystem with EBUSY while the device is in use, unless `when_unused`: then it goes with its last user.
  [[nodiscard]] Result<void> Remove(std::string_view name, bool when_unused = false) const;
  /// Says something to the target at the start of the device: "repair" to a raid.
  [[nodiscard]] Result<void> Message(std::string_view name, std::string_view text) const;

  /// kSystem with ENXIO when there is no such device.
  [[nodiscard]] Result<MappedDevice> Find(std::string_view name) const;
  /// The active table, devices as "major:minor".
  [[nodiscard]] Result<MappedTable> Table(std::string_view name) const;
  [[nodiscard]] Result<MappedTable> Status(std::string_view name) const;
  /// Names of all devices that begin so, sorted.
  [[nodiscard]] Result<std::vector<std::string>> List(std::string_view prefix) const;

  /// Waits until the device's event number is another than `seen` and gives it. Returns `seen` when the
  /// deadline passed or `stop` was requested. kSystem with ENXIO when the device is gone.
  [[nodiscard]] Result<std::uint32_t> WaitEvent(std::string_view name, std::uint32_t seen,
                                                std::chrono::milliseconds deadline,
                                                const std::stop_token& stop) const;

 private:
  explicit DeviceMapper(std::filesystem::path control) : control_(std::move(control)) {}
  [[nodiscard]] std::filesystem::path Link(std::string_view name) const {
    return control_.parent_path() / name;
  }
  std::filesystem::path control_;
};

}  // namespace dmrp::server
