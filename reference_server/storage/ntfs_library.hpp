// libntfs-3g on a stretch of a disk. Its headers want to be included in this way from C++.
#pragma once

#include "protocol/base/text.hpp"
#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/mount_error.hpp"

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <sys/stat.h>
#include <sys/types.h>

// ntfs-3g would declare a timespec of its own.
#ifndef HAVE_TIME_H
#define HAVE_TIME_H 1
#endif
#ifndef HAVE_SYS_STAT_H
#define HAVE_SYS_STAT_H 1
#endif
extern "C" {
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/device.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/index.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/reparse.h>
#include <ntfs-3g/volume.h>
}
#undef min
#undef max

namespace dmrp::server {

/// Which records reach the disk first. The table of files grows to the end of the disk, and the file of the
/// index of reparse points is one of its first.
enum class CommitOrder : std::uint8_t { kFirstRecordsFirst, kLastRecordsFirst };

/// What libntfs-3g reads and writes: sectors of the disk, and above them, in memory, what it wrote so far. An
/// operation that fails half-way is forgotten with the object.
class NtfsSectors {
 public:
  NtfsSectors(BlockDevice& device, std::uint64_t start, std::uint64_t length)
      : device_(device), start_(start), length_(length), sector_(device.Geometry().bytesPerSector) {}

  /// Both false outside of the stretch and when the disk fails; then FailedWith says how.
  bool Read(std::uint64_t offset, std::span<std::byte> out);
  bool Write(std::uint64_t offset, std::span<const std::byte> data);
  /// Writes what changed to the disk and flushes it. A record of several sectors is written from its end, so
  /// that its head, which tells how much of it counts, comes last.
  Result<void> Commit(CommitOrder order);

  [[nodiscard]] std::uint64_t Length() const { return length_; }
  [[nodiscard]] std::uint32_t SectorSize() const { return sector_; }
  [[nodiscard]] const std::optional<Error>& FailedWith() const { return failure_; }

 private:
  bool Inside(std::uint64_t offset, std::size_t size) const;
  bool ReadThrough(std::uint64_t offset, std::span<std::byte> out);
  bool KeepSequenceNumbers(std::uint64_t offset, std::span<std::byte> data);

  BlockDevice& device_;
  std::uint64_t start_;
  std::uint64_t length_;
  std::uint32_t sector_;
  std::map<std::uint64_t, Bytes> written_;  // by offset in the stretch; whole sectors
  std::size_t held_ = 0;                    // octets in written_
  std::optional<Error> failure_;
};

struct CloseNtfsInode {
  void operator()(ntfs_inode* inode) const { ntfs_inode_close(inode); }
};
using NtfsInode = std::unique_ptr<ntfs_inode, CloseNtfsInode>;

/// A volume, open in libntfs-3g; names are found whatever their case. Its log goes nowhere.
class OpenNtfs {
 public:
  /// kNotNtfs, kUnsoundVolume (for writing: hibernated or not closed, too), kReadOnly, kIoError.
  static MountResult<std::unique_ptr<OpenNtfs>> Open(BlockDevice& device, std::uint64_t start,
                                                     std::uint64_t length, bool writable);
  ~OpenNtfs();
  OpenNtfs(const OpenNtfs&) = delete;
  OpenNtfs& operator=(const OpenNtfs&) = delete;

  [[nodiscard]] ntfs_volume* Volume() const { return volume_; }
  /// Closes the volume and writes what was changed. Without it nothing reaches the disk.
  MountResult<void> Commit(CommitOrder order = CommitOrder::kLastRecordsFirst);
  /// The refusal for errno after a call that failed: that of the disk, if it failed.
  [[nodiscard]] tl::unexpected<MountError> Failure(MountErrorCode code, const std::string& what) const;

 private:
  OpenNtfs(BlockDevice& device, std::uint64_t start, std::uint64_t length)
      : sectors_(device, start, length) {}

  NtfsSectors sectors_;
  ntfs_volume* volume_ = nullptr;
};

}  // namespace dmrp::server
