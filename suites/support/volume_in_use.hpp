// Partitions that something in the target's machine really uses.
#pragma once

#include "harness/guest/held_file.hpp"
#include "suites/support/drive_letters.hpp"

#include <optional>
#include <string>

namespace dmrp::suites {

/// Disk 0 is an MBR disk: a primary and a logical drive with a FAT file system each, and a second primary
/// without one. What a test holds is let go when it ends.
class VolumeInUseTest : public DriveLetterTest {
 protected:
  void TearDown() override;

  void StartWithFileSystems();
  /// A program of the guest keeps a file of the place's file system open.
  void HoldFileOpen(const Place& place);
  /// The guest's kernel pages to the place, and the server was told to look.
  void UseAsPageFile(const Place& place);
  void LetGo();

 private:
  /// The guest's device of a partition: "/dev/sda5".
  std::string DeviceOf(const Place& place);
  void Look();

  std::string let_go_;  ///< script that undoes what was done
  bool page_file_ = false;
  std::optional<harness::HeldFile> held_;
};

}  // namespace dmrp::suites
