// The values of DISK_INFO_EX, REGION_INFO_EX and FILE_SYSTEM_INFO for what storage and platform found. Pure
// functions, so that every rule can be tested without a disk.
#pragma once

#include "reference_server/objects/storage_object.hpp"
#include "reference_server/platform/device_scanner.hpp"
#include "reference_server/platform/partition_use.hpp"
#include "reference_server/storage/disk_layout.hpp"
#include "reference_server/storage/file_system.hpp"

#include <cstdint>
#include <optional>

namespace dmrp::server {

/// DISK_INFO_EX of a device ([MS-DMRP] 2.5.1.2). `layout` is null when the table could not be read.
[[nodiscard]] DISK_INFO_EX DescribeDisk(const DeviceInfo& device, std::uint32_t number,
                                        const DiskLayout* layout);

/// True when the region is shown. A file system without a partition table is a region on removable media and
/// CDs only; on a hard disk the medium counts as not initialized, which has no regions. Of partitions that
/// share sectors the one with the earlier entry in the table is a region (Region::contested).
[[nodiscard]] bool IsShown(const DeviceInfo& device, const Region& region);

/// True when the region can hold a file system of its own: not free space, no extended partition, and no
/// partition that Windows reserves (Microsoft reserved, Logical Disk Manager).
[[nodiscard]] bool CanHoldFileSystem(const Region& region);

/// REGION_INFO_EX of a region ([MS-DMRP] 2.5.1.3). `use` tells what the running system does with it.
[[nodiscard]] REGION_INFO_EX DescribeRegion(const DeviceInfo& device, const DiskLayout& layout,
                                            const Region& region, const PartitionUse& use);

/// The file system object of a region ([MS-DMRP] 2.2.15).
[[nodiscard]] FileSystemObject DescribeFileSystemObject(const FileSystemDescription& description);

/// BUSTYPE_* of a bus ([MS-DMRP] 2.3.1.2); buses without a value of their own appear as SCSI, as Windows
/// shows disks behind a port driver.
[[nodiscard]] std::uint32_t BusType(BusKind bus);

}  // namespace dmrp::server
