// Settings that the protocol has the server keep in its registry, below
// HKLM\SYSTEM\ControlSet00n\Services with n from HKLM\SYSTEM\Select\Current.
#pragma once

#include "protocol/base/guid.hpp"
#include "reference_server/platform/registry.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace dmrp::server {

/// The flag of SetDontShow and GetDontShow ([MS-DMRP] 3.2.4.4.1.48, .49); false when it was never set. The
/// text names no place: REG_DWORD `DontShow` of Services\dmadmin\Parameters.
Result<bool> ReadDontShow(Registry& registry);
Result<void> WriteDontShow(Registry& registry, bool dont_show);

/// The boot partition's number before and after a conversion of its disk ([MS-DMRP] 3.2.4.4.1.46).
struct PartitionNumberChange {
  std::uint32_t oldNumber = 0;
  std::uint32_t newNumber = 0;
  friend bool operator==(const PartitionNumberChange&, const PartitionNumberChange&) = default;
};

/// REG_DWORD values `OldPartitionNumber` and `NewPartitionNumber` of Services\dmio\Partition Info ([MS-DMRP]
/// product notes 172 and 173); nothing unless both are there.
Result<std::optional<PartitionNumberChange>> ReadPartitionNumberChange(Registry& registry);
Result<void> WritePartitionNumberChange(Registry& registry, const PartitionNumberChange& change);
/// No error when there is nothing to delete.
Result<void> DeletePartitionNumberChange(Registry& registry);

/// The disk group whose volumes this machine has online; every other one is foreign.
struct PrimaryDiskGroup {
  Guid guid{};
  std::string name;
  friend bool operator==(const PrimaryDiskGroup&, const PrimaryDiskGroup&) = default;
};

/// REG_SZ values `Id`, the GUID in lower case without braces, and `Name` of Services\dmio\Boot Info\Primary
/// Disk Group (Microsoft KB 222189 names the key, not its values); nothing unless `Id` is a GUID.
Result<std::optional<PrimaryDiskGroup>> ReadPrimaryDiskGroup(Registry& registry);
Result<void> WritePrimaryDiskGroup(Registry& registry, const PrimaryDiskGroup& group);
/// No error when there is nothing to delete.
Result<void> DeletePrimaryDiskGroup(Registry& registry);

}  // namespace dmrp::server
