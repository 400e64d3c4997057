// Volumes and partitions as the kernel of a guest has them: a witness of its own for MBR disks of 512-octet
// sectors with an LDM database, and the way to write patterns through a volume's device.
//
//   auto seen = ReadKernelPartitions(guest.agent(), attached.guest_device);
//   EXPECT_THAT(Dissents(group, "Disk1", *seen), IsEmpty());
//   VolumePattern{.seed = 7}.Write(DeviceInGuest(guest.agent(), "/dev/mapper/volume"), 0, blocks);
#pragma once

#include "harness/guest/agent_client.hpp"
#include "harness/layout/dynamic_layout.hpp"
#include "harness/layout/volume_pattern.hpp"
#include "protocol/base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

struct KernelPartition {
  unsigned number = 0;
  std::uint64_t start = 0;   ///< octets from the start of the disk
  std::uint64_t length = 0;  ///< octets

  friend bool operator==(const KernelPartition&, const KernelPartition&) = default;
};

struct KernelPartitions {
  std::vector<KernelPartition> partitions;  ///< in ascending order of their number
  /// What the kernel's LDM parser logged since the guest started. Its word on a TOC slot that is empty is
  /// left out: two are on every disk whose database was made by Windows Vista or later and never moved.
  std::vector<std::string> complaints;
};

/// What the kernel of the guest made of a disk's table when it last read it. On an MBR disk with an entry of
/// type 42 its LDM parser shows each subdisk of the disk as a partition, or, when it refuses the database,
/// the table's entries.
/// @param device  the kernel's name, "sda"
Result<KernelPartitions> ReadKernelPartitions(AgentClient& agent, const std::string& device);

/// Where the kernel's account differs from the subdisks that a group has on an MBR disk; empty: they agree.
/// The kernel's LDM parser knows no GPT.
std::vector<std::string> Dissents(const DynamicGroup& group, std::string_view disk,
                                  const KernelPartitions& kernel);

/// The octets of a block device, or file, in the guest. Writes are flushed to the device when they return.
/// `agent` must outlive the result.
OctetAccess DeviceInGuest(AgentClient& agent, std::string path);

}  // namespace dmrp::harness
