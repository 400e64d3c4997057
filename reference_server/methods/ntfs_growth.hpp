// NTFS on a volume that becomes longer: ntfsresize.
#pragma once

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/methods/disk_inventory.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

namespace dmrp::server {

/// One growth, in two steps: what can fail for reasons of the file system fails in the first, before the
/// records of the volume change. A volume with a device node is worked on in place; one without (image files)
/// in a temporary file, and what changed is written back. The caller holds the lock of the volume.
class NtfsGrowth {
 public:
  /// How much of a volume without a node may be other than zero; octets.
  static constexpr std::uint64_t kStagingLimit = 1ULL << 30U;

  NtfsGrowth(DiskInventory::Opener open, std::filesystem::path node)
      : open_(std::move(open)), node_(std::move(node)) {}

  /// `length`: that of the volume to come, octets. kToolFailed for a file system that has to be checked
  /// first, kNoMemory when there is more of it than kStagingLimit, kIoError. Writes nothing to the volume.
  StorageResult<void> Prepare(std::uint64_t length);
  /// Makes the file system as long as the volume. `open` opens the volume as it is now.
  StorageResult<void> Finish(const DiskInventory::Opener& open);

 private:
  // A file with a path that ends with this: ntfsresize looks in the table of mounts for it, so that a file
  // without a name will not do.
  struct Staged {
    Staged(std::filesystem::path where, FileDescriptor opened)
        : path(std::move(where)), file(std::move(opened)) {}
    ~Staged();
    Staged(const Staged&) = delete;
    Staged& operator=(const Staged&) = delete;
    std::filesystem::path path;
    FileDescriptor file;
  };

  static StorageResult<std::unique_ptr<Staged>> MakeStaged(std::uint64_t length);
  StorageResult<void> Stage(std::uint64_t length);
  StorageResult<void> WriteBack(const DiskInventory::Opener& open);

  DiskInventory::Opener open_;
  std::filesystem::path node_;
  std::unique_ptr<Staged> staged_;
};

}  // namespace dmrp::server
