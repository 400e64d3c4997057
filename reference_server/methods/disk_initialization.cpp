#include "reference_server/methods/disk_initialization.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/table_change.hpp"

#include <algorithm>
#include <memory>
#include <optional>

namespace dmrp::server {
namespace {

bool HasMedium(const DISK_INFO_EX& disk) { return (disk.deviceState & DEVICESTATE_NO_MEDIA) == 0; }

bool TakesTable(const DISK_INFO_EX& disk) {
  return disk.deviceType == DEVICETYPE_FDISK || disk.deviceType == DEVICETYPE_REMOVABLE;
}

}  // namespace

std::optional<PartitionStyle> StorageStyle(PARTITIONSTYLE style) {
  switch (style) {
    case PARTITIONSTYLE_MBR:
      return PartitionStyle::kMbr;
    case PARTITIONSTYLE_GPT:
      return PartitionStyle::kGpt;
    default:
      return std::nullopt;
  }
}

SignatureIsFree UnusedSignature(std::shared_ptr<const ObjectState> state) {
  return [state = std::move(state)](std::uint32_t signature) {
    return std::ranges::none_of(state->Disks(), [signature](const DiskObject& disk) {
      return disk.info.mbr && disk.info.mbr->signature == signature;
    });
  };
}

Outcome<LdmObjectId> WriteSignature(DiskManagementServer& server, const StorageModel::Operation& operation,
                                    LdmObjectId disk_id, LONGLONG last_known_state) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(disk_id);
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return last_known_state == disk->info.lastKnownState; }},
      {LDM_E_NOSUPPORT, "the disk is a basic or removable disk without a GPT",
       [&] { return TakesTable(disk->info) && disk->info.partitionStyle != PARTITIONSTYLE_GPT; }},
      {LDM_E_BAD_DISK, "the disk has a medium", [&] { return HasMedium(disk->info); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const auto change = ChangeTable(
      server, operation, *disk,
      [&](BlockDevice& device) { return server::WriteSignature(device, UnusedSignature(state)); }, {disk_id});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return 0;
}

Outcome<LdmObjectId> InitializeDiskStyle(DiskManagementServer& server,
                                         const StorageModel::Operation& operation, LdmObjectId disk_id,
                                         PARTITIONSTYLE style, LONGLONG last_known_state) {
  const auto state = server.model().State();
  const auto* disk = state->FindAs<DiskObject>(disk_id);
  const auto wanted = StorageStyle(style);
  const auto valid = Validate({
      {LDM_E_DISK_NOT_FOUND, "diskId names a disk in the list", [&] { return disk != nullptr; }},
      {LDM_E_OBJECT_STALED, "diskLastKnownState is that of the disk",
       [&] { return last_known_state == disk->info.lastKnownState; }},
      {E_INVALIDARG, "style is PARTITIONSTYLE_MBR or PARTITIONSTYLE_GPT", [&] { return wanted.has_value(); }},
      {LDM_E_NOSUPPORT, "the disk is a basic or removable disk", [&] { return TakesTable(disk->info); }},
      {LDM_E_BAD_DISK, "the disk has a medium", [&] { return HasMedium(disk->info); }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  const InitializeOptions options{
      .style = *wanted, .signatureIsFree = UnusedSignature(state), .microsoftReserved = false};
  const auto change =
      ChangeTable(server, operation, *disk,
                  [&options](BlockDevice& device) { return InitializeStyle(device, options); }, {disk_id});
  if (!change) {
    return tl::unexpected(change.error());
  }
  return 0;
}

}  // namespace dmrp::server
