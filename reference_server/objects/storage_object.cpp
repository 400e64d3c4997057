#include "reference_server/objects/storage_object.hpp"

#include <array>

#include <fmt/format.h>

namespace dmrp::server {

namespace {

LdmObjectId& IdField(DriveLetterObject& letter) { return letter.object_id; }
LdmObjectId& IdField(auto& object) { return object.info.id; }
const LdmObjectId& IdField(const DriveLetterObject& letter) { return letter.object_id; }
const LdmObjectId& IdField(const auto& object) { return object.info.id; }

}  // namespace

LdmObjectId IdOf(const StorageObject& object) {
  return std::visit([](const auto& value) { return IdField(value); }, object);
}

LONGLONG LastKnownStateOf(const StorageObject& object) {
  return std::visit([](const auto& value) -> LONGLONG { return value.info.lastKnownState; }, object);
}

void SetId(StorageObject& object, LdmObjectId id) {
  std::visit([id](auto& value) { IdField(value) = id; }, object);
}

void SetLastKnownState(StorageObject& object, LONGLONG state) {
  std::visit([state](auto& value) { value.info.lastKnownState = state; }, object);
}

std::vector<LdmObjectId*> References(StorageObject& object) {
  struct Visitor {
    std::vector<LdmObjectId*> operator()(DiskObject&) const { return {}; }
    std::vector<LdmObjectId*> operator()(RegionObject& region) const {
      return {&region.info.diskId, &region.info.volId, &region.info.fsId};
    }
    std::vector<LdmObjectId*> operator()(FileSystemObject& system) const { return {&system.info.storageId}; }
    std::vector<LdmObjectId*> operator()(DriveLetterObject& letter) const { return {&letter.info.storageId}; }
    std::vector<LdmObjectId*> operator()(VolumeObject& volume) const { return {&volume.info.fsId}; }
  };
  return std::visit(Visitor{}, object);
}

std::string Describe(const StorageObject& object) {
  constexpr std::array<const char*, std::variant_size_v<StorageObject>> kNames = {
      "disk", "region", "file system", "drive letter", "volume"};
  return fmt::format("{} {}", kNames.at(object.index()), IdOf(object));
}

}  // namespace dmrp::server
