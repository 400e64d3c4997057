// Dynamic volumes that hold something: a file system, a letter, and a pattern written through the volume's
// device in the machine, looked for on the members by the harness's own arithmetic.
#pragma once

#include "harness/guest/held_file.hpp"
#include "harness/layout/volume_pattern.hpp"
#include "suites/support/dynamic_volumes.hpp"
#include "suites/support/formatting.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

/// A disk that was pulled, as it was then.
struct PulledDisk {
  harness::DiskSpec spec;
  std::shared_ptr<ImageCopy> contents;
};

class VolumeDataTest : public DynamicTest {
 protected:
  /// Where patterns lie in a volume, in blocks of 512 octets: behind all that a small FAT without files has.
  static constexpr std::uint64_t kFirstBlock = MiB(4) / harness::VolumePattern::kBlock;
  static constexpr std::uint64_t kBlocks = MiB(1) / harness::VolumePattern::kBlock;

  /// The path of a volume's device in the machine.
  std::string DeviceOf(LdmObjectId volume);

  /// A file system with 4096 octets to the cluster and that label on the volume; the volume afterwards.
  VOLUME_INFO FormatVolume(Session& session, LdmObjectId volume, std::u16string label,
                           std::int32_t type = FSTYPE_FAT);
  /// A letter that is free, the last of the alphabet; `number` tells several apart.
  DRIVE_LETTER_INFO FreeLetter(Session& session, std::size_t number = 0);
  DRIVE_LETTER_INFO LetterNow(Session& session, char16_t letter);
  /// Gives the volume a letter that is free.
  DRIVE_LETTER_INFO GiveLetter(Session& session, LdmObjectId volume);
  /// "E", or empty: the letters in use by a storage object.
  std::string LettersOf(Session& session, LdmObjectId storage);

  /// Writes the pattern of that seed through the volume's device, and lets the server look.
  void WritePattern(Session& session, LdmObjectId volume, std::uint64_t seed);
  /// What is not as WritePattern left it, read through the volume's device.
  std::vector<std::string> PatternProblems(LdmObjectId volume, std::uint64_t seed);
  /// The same, read from where the volume's octets lie on the members, in each copy.
  std::vector<std::string> PatternProblemsOnDisk(const harness::DynamicGroup& group,
                                                 const harness::DynamicVolume& volume, std::uint64_t seed);
  /// What independent readers find of a file system on the members, put together to the volume.
  FileSystemOnDisk FileSystemOnMembers(const harness::DynamicGroup& group,
                                       const harness::DynamicVolume& volume);
  /// Keeps a file open in the file system that it mounts at `folder`; all is written out and the mount is
  /// for reading only, so that nothing changes there any more. `text` is in the file.
  harness::HeldFile HoldFile(LdmObjectId volume, const std::string& folder, const std::string& text);

  /// Makes volumes on a blank dynamic disk so that its free space lies in two pieces. A length that no piece
  /// has, but both have together.
  std::int64_t FragmentDisk(Session& session, std::size_t index);
  /// Waits until a notification after `mark` tells that status; undecided if none does.
  VOLUME_INFO AwaitStatus(Session& session, LdmObjectId volume, VOLUMESTATUS status, std::uint64_t mark);
  /// Pulls the bed's disk of that number and waits until the volume is told to have that status.
  PulledDisk PullDisk(Session& session, std::size_t index, LdmObjectId volume, VOLUMESTATUS status);
  /// Plugs it in again, in another drive; it is the last of the bed's disks then. The disk as it is listed.
  DISK_INFO_EX ReturnDisk(Session& session, const PulledDisk& disk);
};

}  // namespace dmrp::suites
