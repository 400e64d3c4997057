// Volumes with folders, and the calls about mounted folders.
#pragma once

#include "suites/support/drive_letters.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

inline constexpr Place kNtfsHost{"NtfsHost", 0, REGION_PRIMARY};
inline constexpr Place kFatHost{"FatHost", 0, REGION_PRIMARY, 1};
inline constexpr Place kLogicalTarget{"Logical", 0, REGION_LOGICAL};
inline constexpr Place kNtfsLogical{"NtfsLogical", 0, REGION_LOGICAL, 1};
inline constexpr Place kGptTarget{"Gpt", 1, REGION_PRIMARY};

/// Disk 0: MBR with an NTFS primary (the host of most folders), a FAT primary, a raw logical drive and an
/// NTFS one; disk 1: GPT with a raw partition. On both NTFS volumes lie the folders empty, second, Über and
/// data\old, the folder full with a file in it, and the file plain; on the FAT volume the folder empty. The
/// host has the letter host_letter(), the FAT volume fat_letter(). What a test mounts is taken away at its
/// end.
class MountedFolderTest : public DriveLetterTest {
 protected:
  void TearDown() override;

  void StartWithFolders();

  [[nodiscard]] char16_t host_letter() const { return host_letter_; }
  [[nodiscard]] char16_t fat_letter() const { return fat_letter_; }
  /// "Z:\folder" with the host's letter and a null.
  [[nodiscard]] std::u16string OnHost(std::u16string_view folder) const;

  Outcome<AddAccessPathReply> Add(Session& session, std::u16string path, LdmObjectId target);
  Outcome<DeleteAccessPathReply> Delete(Session& session, LdmObjectId volume, std::u16string path);
  static Outcome<EnumAccessPathReply> Paths(Session& session, std::int32_t count = 0);
  static Outcome<EnumAccessPathForVolumeReply> PathsOf(Session& session, LdmObjectId volume,
                                                       std::int32_t count = 0);
  /// The reparse point of a folder of the host, read from a copy of the disk by ntfs-3g's tools; nothing when
  /// it has none. `folder` with slashes.
  std::optional<Bytes> ReparsePointOf(const Place& host, std::string_view folder);

 private:
  // What was read of the disks before a change is out of date.
  template <typename Reply>
  Outcome<Reply> Noted(Outcome<Reply> outcome) {
    if (!outcome.refused()) {
      changed_ = true;
      lab().last_images.clear();
    }
    return outcome;
  }

  char16_t host_letter_ = 0;
  char16_t fat_letter_ = 0;
  bool changed_ = false;
};

/// "data\old" of "Z:\data\old\" and of "\\?\Volume{...}\data\old": what follows the volume, without
/// backslashes at the ends and without the null.
std::u16string FolderOf(const COUNTED_STRING& path);

/// The reparse point of a folder that a volume of that name is mounted in: tag, lengths, and
/// \??\Volume{guid}\. `guid` in lower case without braces.
Bytes MountPointOf(std::string_view guid);

/// The volume's GUID by GetVolumeMountName, in lower case without braces.
std::string VolumeGuid(Session& session, LdmObjectId volume);

}  // namespace dmrp::suites
