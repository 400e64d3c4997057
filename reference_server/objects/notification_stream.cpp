#include "reference_server/objects/notification_stream.hpp"

#include "reference_server/objects/revision_view.hpp"

namespace dmrp::server {
namespace {

NotifiedObject View(Revision revision, const StorageObject& object) {
  struct Visitor {
    Revision revision;
    NotifiedObject operator()(const DiskObject& disk) const {
      if (revision == Revision::kIVolumeClient) {
        return ToDiskInfo(disk.info);
      }
      return disk.info;
    }
    NotifiedObject operator()(const RegionObject& region) const {
      if (revision == Revision::kIVolumeClient) {
        return ToRegionInfo(region.info);
      }
      return region.info;
    }
    NotifiedObject operator()(const FileSystemObject& system) const { return system.info; }
    NotifiedObject operator()(const DriveLetterObject& letter) const { return letter.info; }
    NotifiedObject operator()(const VolumeObject& volume) const { return volume.info; }
  };
  return std::visit(Visitor{revision}, object);
}

}  // namespace

Result<Bytes> MakeNotificationStream(Revision revision, Pointers pointers,
                                     const std::vector<ObjectChange>& changes) {
  std::vector<Notification> notifications;
  for (const ObjectChange& change : changes) {
    notifications.push_back({change.action, View(revision, change.object)});
  }
  return WriteNotifications(notifications, pointers);
}

Result<Bytes> MakeTaskStream(Pointers pointers, const TASK_INFO& task) {
  return WriteNotifications(std::vector<Notification>{{LDMACTION_MODIFIED, task}}, pointers);
}

}  // namespace dmrp::server
