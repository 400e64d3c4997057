// What a Guest is made of. Private to this folder.
#pragma once

#include "harness/guest/guest.hpp"
#include "harness/guest/virtual_machine.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>

namespace dmrp::harness {

/// One disk as QEMU knows it: an image's node below, perhaps a filter and an overlay, the drive on top.
struct DiskSlot {
  AttachedDisk disk;
  std::uint32_t order = 0;           ///< in which the disks came
  std::string drive;                 ///< QEMU's id of the drive
  std::string node;                  ///< of the image; empty without a medium
  std::uint32_t target = 0;          ///< SCSI id, or the position among the bus's disks
  std::string overlay_node;          ///< while frozen
  std::filesystem::path overlay;     ///< while frozen
  std::vector<std::string> filters;  ///< nodes of faults, limits and logs, lowest first
  std::vector<std::string> groups;   ///< throttle groups of the filters
  [[nodiscard]] bool hot(const Machine& machine) const {
    return machine.buses.at(disk.image.spec.bus).hot_plug();
  }
};

/// A disk that a starting guest is to have.
struct PlannedDisk {
  std::string id;
  DiskImage image;
};

struct Guest::State {
  std::string name;
  std::filesystem::path directory;
  Machine machine;
  std::chrono::milliseconds deadline{};
  GuestLink link;
  std::unique_ptr<VirtualMachine> vm;
  StartTimes times;

  mutable std::mutex mutex;  // guards disks and the counters; held through a disk's whole change
  std::map<std::string, DiskSlot, std::less<>> disks;
  std::uint32_t next_disk = 1;
  std::uint32_t next_order = 1;
  std::uint32_t next_node = 1;
  std::set<DiskBus> loaded_buses;  // whose drivers the guest has loaded
  std::atomic<bool> paused = false;
  bool capturing = false;
  std::optional<std::uint32_t> server_pid;

  GuestOptions options;
  std::vector<std::filesystem::path> captures;
  // Starts the machine with these disks and brings it up to its server. Set by the factory.
  std::function<Result<void>(Guest&, const std::vector<PlannedDisk>&)> boot;

  ~State();
  Result<nlohmann::json> Do(const std::string& command, const nlohmann::json& arguments) {
    return vm->qmp().Execute(command, arguments, deadline);
  }
  /// Loads drivers and finds the guest's names of disks that were given at the start.
  Result<void> FindStartDisks();
  /// The serial number that the guest's kernel read from a block device.
  Result<std::string> SerialOf(const std::string& device);
  Result<DiskSlot*> Find(std::string_view id);
  /// Takes the filters of a disk away; the mutex is held.
  Result<void> ClearFilters(DiskSlot& slot);
  /// A disk that has a medium, cleared for a filter of its own; the mutex is held.
  Result<DiskSlot*> FindCleared(std::string_view id);
  /// Makes the filter and puts it between the image and the drive of a cleared disk; the mutex is held.
  Result<void> PutFilter(DiskSlot& slot, nlohmann::json filter);
  /// Puts a node directly below the device.
  Result<void> SetTopNode(const DiskSlot& slot, const std::string& node);
  /// Opens an image under a new node name: the name.
  Result<std::string> AddNode(const std::string& id, const DiskImage& image);
  /// The disks as they would have to be planned for a restart.
  [[nodiscard]] std::vector<PlannedDisk> Plan() const;
  /// Adds a disk under that id; the mutex is held.
  Result<AttachedDisk> Attach(const std::string& id, const DiskImage& image);
  /// Mounts the system disk, which is attached.
  Result<void> MountSystemDisk();
  /// Makes the device: where its uevent must come from, as a part of DEVPATH.
  Result<std::string> Plug(DiskSlot& slot, const MachineBus& bus);
  /// The same for a removable disk without a medium.
  Result<std::string> PlugEmpty(DiskSlot& slot, const MachineBus& bus);
  /// Loads the drivers of the bus unless that is done; otherwise makes a bus look for new disks that does not
  /// do so by itself.
  Result<void> Discover(DiskBus bus);
};

/// QEMU's description of an image as a block node.
nlohmann::json NodeOf(const std::string& node, const DiskImage& image);

/// The QEMU arguments of disks given at the start, and their slots. Disks of hot-plug buses are left out.
Result<std::vector<std::string>> StartDiskArguments(Guest::State& state,
                                                    const std::vector<PlannedDisk>& disks);

}  // namespace dmrp::harness
