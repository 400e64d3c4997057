#include "reference_server/methods/retained_partitions.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/disk_conversion.hpp"
#include "reference_server/methods/table_change.hpp"

#include <functional>
#include <string>

namespace dmrp::server {
namespace {

Outcome<std::string> CheckVolume(const ObjectState& state, LdmObjectId volume_id, LONGLONG last_known_state) {
  const auto* volume = state.FindAs<VolumeObject>(volume_id);
  const auto valid = Validate({
      {LDM_E_NORECORD, "volumeId names a volume in the list", [&] { return volume != nullptr; }},
      {LDM_E_INVALIDOBJID, "the volume is dynamic", [&] { return volume->info.type == VOLUMETYPE_VM; }},
      {LDM_E_OBJECT_STALED, "volumeLastKnownState is that of the volume",
       [&] { return last_known_state == volume->info.lastKnownState; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return volume->key;
}

// Changes the tables of the primary group and tells the operating system of the entries there are now.
Outcome<void> ChangeEntries(DiskManagementServer& server, const std::string& volume_key,
                            const std::function<Outcome<void>(ldm::DiskGroup&, ldm::ObjectId)>& change) {
  DiskGroups& groups = server.inventory().groups();
  const FoundGroup* primary = groups.Primary();
  const GroupVolume* volume = groups.FindVolume(volume_key);
  if (primary == nullptr || volume == nullptr) {
    return Reject(LDM_E_NO_DG, "no disk of the primary disk group is there");
  }
  auto open = groups.Open(*primary);
  if (!open) {
    return tl::unexpected(open.error());
  }
  auto changed = change(open->group, volume->map.volume);
  for (const GroupMember& member : primary->members) {
    if (const ldm::Member* opened = open->group.MemberOf(member.disk)) {
      PublishTable(server, member.device, *opened->device);
    }
  }
  return changed;
}

// The volume and the disks of its members are modified in any case (the changes that the methods list).
void Commit(DiskManagementServer& server, const StorageModel::Operation& operation, LdmObjectId volume_id,
            bool changed) {
  if (!changed) {
    CommitSystem(server, operation, {});
    return;
  }
  const auto state = server.model().State();
  const ObservedSystem observed = server.inventory().ObserveAll();
  ChangeSet changes = ReconcileSystem(*state, observed.disks, observed.volumes);
  for (const RegionObject& member : state->MembersOf(volume_id)) {
    changes.Touch(*state, member.info.diskId);
  }
  changes.Touch(*state, volume_id);
  server.model().Commit(operation, changes);
}

Outcome<LdmObjectId> Finished(Outcome<void> done, LdmObjectId volume_id) {
  if (!done) {
    return tl::unexpected(done.error());
  }
  return volume_id;
}

}  // namespace

Outcome<LdmObjectId> CreatePartitionsForVolume(DiskManagementServer& server,
                                               const StorageModel::Operation& operation,
                                               const CreatePartitionsForVolumeRequest& request,
                                               bool& validated) {
  const auto key = CheckVolume(*server.model().State(), request.volumeId, request.volumeLastKnownState);
  if (!key) {
    return tl::unexpected(key.error());
  }
  validated = true;
  auto done = ChangeEntries(server, *key, [&](ldm::DiskGroup& group, ldm::ObjectId volume) -> Outcome<void> {
    const auto created = ldm::CreatePartitionsForVolume(group, volume, request.active);
    return created ? Outcome<void>() : Reject(created.error());
  });
  Commit(server, operation, request.volumeId, done.has_value());
  return Finished(std::move(done), request.volumeId);
}

Outcome<LdmObjectId> DeletePartitionsForVolume(DiskManagementServer& server,
                                               const StorageModel::Operation& operation,
                                               const DeletePartitionsForVolumeRequest& request,
                                               bool& validated) {
  const auto key = CheckVolume(*server.model().State(), request.volumeId, request.volumeLastKnownState);
  if (!key) {
    return tl::unexpected(key.error());
  }
  validated = true;
  auto done = ChangeEntries(server, *key, [](ldm::DiskGroup& group, ldm::ObjectId volume) -> Outcome<void> {
    const auto deleted = ldm::DeletePartitionsForVolume(group, volume);
    if (!deleted && deleted.error().code == StorageErrorCode::kNotRetained) {
      return Reject(LDM_E_NO_ASSOC, deleted.error().ToString());
    }
    return deleted ? Outcome<void>() : Reject(deleted.error());
  });
  Commit(server, operation, request.volumeId, done.has_value());
  return Finished(std::move(done), request.volumeId);
}

}  // namespace dmrp::server
