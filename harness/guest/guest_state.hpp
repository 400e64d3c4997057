// What a Guest is made of. Private to this folder.
#pragma once

#include "harness/guest/guest.hpp"
#include "harness/guest/virtual_machine.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <set>

namespace dmrp::harness {

/// One disk as QEMU knows it: node "ID-image" below, perhaps a filter and an overlay, the device "ID" on top.
struct DiskSlot {
  AttachedDisk disk;
  bool hot = false;
  std::uint32_t target = 0;          ///< SCSI id on virtio-scsi
  std::string overlay_node;          ///< while frozen
  std::filesystem::path overlay;     ///< while frozen
  std::vector<std::string> filters;  ///< nodes of faults and limits, lowest first
  std::vector<std::string> groups;   ///< throttle groups of the filters
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
  std::uint32_t next_node = 1;
  std::atomic<bool> paused = false;
  bool capturing = false;
  std::optional<std::uint32_t> server_pid;

  ~State();
  Result<nlohmann::json> Do(const std::string& command, const nlohmann::json& arguments) {
    return vm->qmp().Execute(command, arguments, deadline);
  }
  /// Loads drivers and finds the guest's names of disks that were given at the start.
  Result<void> FindStartDisks();
  /// The serial number that the guest's kernel read from a block device.
  Result<std::string> SerialOf(const std::string& device);
  Result<DiskSlot*> Find(std::string_view id);
  /// Puts a node directly below the device.
  Result<void> SetTopNode(const DiskSlot& slot, const std::string& node);
};

/// The QEMU arguments of disks given at the start, and their slots. Disks of hot-plug buses are left out.
Result<std::vector<std::string>> StartDiskArguments(Guest::State& state,
                                                    const std::vector<DiskImage>& images);

}  // namespace dmrp::harness
