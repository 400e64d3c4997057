// What vms/machines.toml says about the machines that guests can be.
#pragma once

#include "harness/disks/disk_spec.hpp"
#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::harness {

/// When disks of a bus can come.
enum class BusAttach {
  kHot,    ///< at any time
  kStart,  ///< only with the start of the machine
  kDrive,  ///< the drive is part of the machine; media come and go
};

struct MachineBus {
  BusAttach attach = BusAttach::kHot;
  std::string device;  ///< QEMU device of a disk; usb-bot is completed by a scsi-hd; kDrive: its id
  std::string bus;     ///< of hot-plugged disks
  std::vector<std::string> slots;  ///< "bus:unit" of disks given at the start
  /// Kernel modules that the guest loads when the bus gets its first disk: after the start, or at the plug.
  std::vector<std::string> drivers;
  std::uint32_t max_disks = 0;
  [[nodiscard]] bool hot_plug() const { return attach != BusAttach::kStart; }
};

/// The disk on which a guest keeps what must outlive a restart. The scripts are run by the guest's shell with
/// DISK=/dev/NAME.
struct SystemDisk {
  DiskSpec spec;
  std::string make;     ///< once, on a blank disk; the result is kept and copied for each guest
  std::string mount;    ///< at each start, before the server's
  std::string unmount;  ///< at a clean end
};

struct Machine {
  std::string name;
  std::string emulator;
  std::string machine;
  std::string cpu;
  std::uint32_t processors = 1;
  std::uint32_t memory_mib = 256;
  std::string kernel_command_line;
  std::vector<std::string> devices;
  std::map<DiskBus, MachineBus> buses;
  std::optional<SystemDisk> system_disk;
};

/// All machines of the file by name. Errors name the table and key.
Result<std::map<std::string, Machine, std::less<>>> LoadMachines(const std::filesystem::path& file);

}  // namespace dmrp::harness
