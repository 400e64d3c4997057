#include "reference_server/objects/object_state.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace dmrp::server {

template <typename T>
std::vector<T> ObjectState::All() const {
  std::vector<T> all;
  for (const auto& [id, object] : objects_) {
    if (const auto* found = std::get_if<T>(&object)) {
      all.push_back(*found);
    }
  }
  return all;
}

const StorageObject* ObjectState::Find(LdmObjectId id) const {
  const auto found = objects_.find(id);
  return found == objects_.end() ? nullptr : &found->second;
}

const DiskObject* ObjectState::FindDiskByKey(std::string_view key) const {
  for (const auto& [id, object] : objects_) {
    const auto* disk = std::get_if<DiskObject>(&object);
    if (disk != nullptr && disk->key == key) {
      return disk;
    }
  }
  return nullptr;
}

const VolumeObject* ObjectState::FindVolumeByKey(std::string_view key) const {
  for (const auto& [id, object] : objects_) {
    const auto* volume = std::get_if<VolumeObject>(&object);
    if (volume != nullptr && volume->key == key) {
      return volume;
    }
  }
  return nullptr;
}

std::vector<DiskObject> ObjectState::Disks() const { return All<DiskObject>(); }

std::vector<VolumeObject> ObjectState::Volumes() const { return All<VolumeObject>(); }

std::vector<RegionObject> ObjectState::MembersOf(LdmObjectId volume_id) const {
  std::vector<RegionObject> members = All<RegionObject>();
  std::erase_if(members, [volume_id](const RegionObject& region) { return region.info.volId != volume_id; });
  return members;
}

std::vector<RegionObject> ObjectState::RegionsOf(LdmObjectId disk_id) const {
  std::vector<RegionObject> regions;
  for (const auto& [id, object] : objects_) {
    const auto* region = std::get_if<RegionObject>(&object);
    if (region != nullptr && region->info.diskId == disk_id) {
      regions.push_back(*region);
    }
  }
  std::ranges::sort(regions, {}, [](const RegionObject& region) {
    return std::tuple(region.info.start, region.info.regionType == REGION_EXTENDED ? 0 : 1, region.info.id);
  });
  return regions;
}

const FileSystemObject* ObjectState::FileSystemOn(LdmObjectId storage_id) const {
  for (const auto& [id, object] : objects_) {
    const auto* system = std::get_if<FileSystemObject>(&object);
    if (system != nullptr && system->info.storageId == storage_id) {
      return system;
    }
  }
  return nullptr;
}

std::vector<FileSystemObject> ObjectState::FileSystems() const { return All<FileSystemObject>(); }

std::vector<DriveLetterObject> ObjectState::DriveLetters() const {
  std::vector<DriveLetterObject> letters = All<DriveLetterObject>();
  std::ranges::sort(letters, {}, [](const DriveLetterObject& letter) { return letter.info.letter; });
  return letters;
}

const DriveLetterObject* ObjectState::FindLetter(char16_t letter) const {
  for (const auto& [id, object] : objects_) {
    const auto* candidate = std::get_if<DriveLetterObject>(&object);
    if (candidate != nullptr && candidate->info.letter == CapitalLetter(letter)) {
      return candidate;
    }
  }
  return nullptr;
}

const DriveLetterObject* ObjectState::LetterOf(LdmObjectId storage_id) const {
  for (const auto& [id, object] : objects_) {
    const auto* candidate = std::get_if<DriveLetterObject>(&object);
    if (candidate != nullptr && candidate->info.isUsed && candidate->info.storageId == storage_id) {
      return candidate;
    }
  }
  return nullptr;
}

void ObjectState::Put(StorageObject object) {
  const LdmObjectId id = IdOf(object);
  objects_.insert_or_assign(id, std::move(object));
}

void ObjectState::Erase(LdmObjectId id) { objects_.erase(id); }

}  // namespace dmrp::server
