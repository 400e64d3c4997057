#pragma once

#include "reference_server/objects/storage_object.hpp"

#include <map>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// The list of storage objects ([MS-DMRP] 3.2.1.1) at one moment: a value. StorageModel publishes a new one
/// with each commit, so that readers need no lock and see either all of a change or nothing of it.
class ObjectState {
 public:
  /// The object, or null when no object has this identifier.
  [[nodiscard]] const StorageObject* Find(LdmObjectId id) const;
  /// The object if it exists and is of kind T (DiskObject, RegionObject, ...), else null.
  template <typename T>
  [[nodiscard]] const T* FindAs(LdmObjectId id) const {
    const StorageObject* object = Find(id);
    return object == nullptr ? nullptr : std::get_if<T>(object);
  }
  [[nodiscard]] const DiskObject* FindDiskByKey(std::string_view key) const;
  [[nodiscard]] const VolumeObject* FindVolumeByKey(std::string_view key) const;

  /// All disks, in the order in which they were added.
  [[nodiscard]] std::vector<DiskObject> Disks() const;
  /// The regions of a disk by ascending start; an extended partition comes before its contents.
  [[nodiscard]] std::vector<RegionObject> RegionsOf(LdmObjectId disk_id) const;
  /// All dynamic and FT volumes, in the order in which they were added.
  [[nodiscard]] std::vector<VolumeObject> Volumes() const;
  /// The regions that make up a volume, in the order in which they were added.
  [[nodiscard]] std::vector<RegionObject> MembersOf(LdmObjectId volume_id) const;
  /// The file system on a region or volume, or null.
  [[nodiscard]] const FileSystemObject* FileSystemOn(LdmObjectId storage_id) const;
  /// All file systems, in the order in which they were added.
  [[nodiscard]] std::vector<FileSystemObject> FileSystems() const;
  /// All drive letters, in the order of the alphabet.
  [[nodiscard]] std::vector<DriveLetterObject> DriveLetters() const;
  /// The letter in either case, or null when the server keeps no such letter.
  [[nodiscard]] const DriveLetterObject* FindLetter(char16_t letter) const;
  /// The letter of a region or volume, or null.
  [[nodiscard]] const DriveLetterObject* LetterOf(LdmObjectId storage_id) const;

  [[nodiscard]] const std::map<LdmObjectId, StorageObject>& objects() const { return objects_; }

  void Put(StorageObject object);
  void Erase(LdmObjectId id);

 private:
  template <typename T>
  [[nodiscard]] std::vector<T> All() const;

  std::map<LdmObjectId, StorageObject> objects_;
};

/// The letter as the list keeps it, a capital; other characters are left as they are.
[[nodiscard]] constexpr char16_t CapitalLetter(char16_t letter) {
  return letter >= u'a' && letter <= u'z' ? static_cast<char16_t>(letter - u'a' + u'A') : letter;
}

}  // namespace dmrp::server
