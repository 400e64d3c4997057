#include "reference_server/methods/table_change.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/objects/reconcile.hpp"

#include <fmt/format.h>

namespace dmrp::server {

void CommitSystem(DiskManagementServer& server, const StorageModel::Operation& operation,
                  std::initializer_list<LdmObjectId> touched) {
  const auto state = server.model().State();
  const ObservedSystem observed = server.inventory().ObserveAll();
  ChangeSet changes = ReconcileSystem(*state, observed.disks, observed.volumes);
  for (const LdmObjectId id : touched) {
    changes.Touch(*state, id);
  }
  server.model().Commit(operation, changes);
}

void CommitDisk(DiskManagementServer& server, const StorageModel::Operation& operation,
                const DiskObject& disk, std::initializer_list<LdmObjectId> touched) {
  const auto state = server.model().State();
  const auto observed = server.inventory().Observe(disk.key);
  if (!observed || disk.info.deviceType == DEVICETYPE_VM || observed->info.deviceType == DEVICETYPE_VM) {
    CommitSystem(server, operation, touched);
    return;
  }
  ChangeSet changes = ReconcileDisk(*state, *observed);
  for (const LdmObjectId id : touched) {
    changes.Touch(*state, id);
  }
  server.model().Commit(operation, changes);
}

Outcome<Change> ChangeTable(DiskManagementServer& server, const StorageModel::Operation& operation,
                            const DiskObject& disk,
                            const std::function<StorageResult<Change>(BlockDevice&)>& work,
                            std::initializer_list<LdmObjectId> touched) {
  const DeviceInfo* found = server.inventory().Device(disk.key);
  if (found == nullptr) {
    return Reject(LDM_E_DISK_NOT_FOUND, fmt::format("disk {} is not attached", disk.info.id));
  }
  const DeviceInfo device = *found;
  StorageResult<Change> change;
  {
    auto opened = server.inventory().source().Open(device, true);
    if (!opened) {
      return RejectDevice(opened.error());
    }
    change = work(**opened);
  }
  if (!change) {
    if (change.error().code == StorageErrorCode::kIoError) {
      CommitDisk(server, operation, disk, {});
    }
    return Reject(change.error());
  }
  if (auto published = server.inventory().source().PublishLayout(device, change->after); !published) {
    server.Log(fmt::format("{}: the system did not take over the new table: {}", device.name,
                           published.error().ToString()));
  }
  CommitDisk(server, operation, disk, touched);
  return *change;
}

}  // namespace dmrp::server
