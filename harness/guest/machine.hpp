// What vms/machines.toml says about the machines that guests can be.
#pragma once

#include "harness/disks/disk_spec.hpp"
#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dmrp::harness {

struct MachineBus {
  bool hot_plug = false;
  std::string device;                ///< QEMU device of a disk; usb-bot is completed by a scsi-hd
  std::string bus;                   ///< of hot-plugged disks
  std::vector<std::string> slots;    ///< "bus:unit" of disks given at the start
  std::vector<std::string> drivers;  ///< kernel modules that the guest loads after the start
  std::uint32_t max_disks = 0;
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
};

/// All machines of the file by name. Errors name the table and key.
Result<std::map<std::string, Machine, std::less<>>> LoadMachines(const std::filesystem::path& file);

}  // namespace dmrp::harness
