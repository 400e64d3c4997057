#include "reference_server/storage/ntfs_library.hpp"

#include "reference_server/storage/little_endian.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

// A mount point takes some kilobytes; emptying the journal of a volume that another system wrote takes its
// size.
constexpr std::size_t kMostHeld = std::size_t{256} << 20;

NtfsSectors& SectorsOf(ntfs_device* device) { return *static_cast<NtfsSectors*>(device->d_private); }

int FailWith(int reason) {
  errno = reason;
  return -1;
}

// The operations that libntfs-3g asks of a device.

int OpenDevice(ntfs_device* device, int flags) {
  if (NDevOpen(device)) return FailWith(EBUSY);
  if ((flags & O_ACCMODE) == O_RDONLY) NDevSetReadOnly(device);
  NDevSetOpen(device);
  return 0;
}

int CloseDevice(ntfs_device* device) {
  if (!NDevOpen(device)) return FailWith(EBADF);
  NDevClearOpen(device);
  return 0;
}

s64 ReadAt(ntfs_device* device, void* buffer, s64 count, s64 offset) {
  if (count < 0 || offset < 0) return FailWith(EINVAL);
  const std::span<std::byte> out(static_cast<std::byte*>(buffer), static_cast<std::size_t>(count));
  return SectorsOf(device).Read(static_cast<std::uint64_t>(offset), out) ? count : FailWith(EIO);
}

s64 WriteAt(ntfs_device* device, const void* buffer, s64 count, s64 offset) {
  if (count < 0 || offset < 0) return FailWith(EINVAL);
  if (NDevReadOnly(device)) return FailWith(EROFS);
  const std::span data(static_cast<const std::byte*>(buffer), static_cast<std::size_t>(count));
  return SectorsOf(device).Write(static_cast<std::uint64_t>(offset), data) ? count : FailWith(EIO);
}

// libntfs-3g gives every read and write its offset; only the size of the device is sought.
s64 SeekDevice(ntfs_device* device, s64 offset, int whence) {
  const auto length = static_cast<s64>(SectorsOf(device).Length());
  const s64 at = whence == SEEK_END ? length + offset : offset;
  return at < 0 || at > length || whence == SEEK_CUR ? FailWith(EINVAL) : at;
}
s64 ReadHere(ntfs_device*, void*, s64) { return FailWith(EOPNOTSUPP); }
s64 WriteHere(ntfs_device*, const void*, s64) { return FailWith(EOPNOTSUPP); }

int SyncDevice(ntfs_device* device) {
  NDevClearDirty(device);
  return 0;
}

int StatDevice(ntfs_device* device, struct stat* status) {
  *status = {};
  status->st_mode = S_IFREG | S_IRUSR | S_IWUSR;
  status->st_size = static_cast<off_t>(SectorsOf(device).Length());
  return 0;
}

int ControlDevice(ntfs_device* device, unsigned long request, void* argument) {
  switch (request) {
    case BLKGETSIZE64:
      *static_cast<u64*>(argument) = SectorsOf(device).Length();
      return 0;
    case BLKSSZGET:
      *static_cast<int*>(argument) = static_cast<int>(SectorsOf(device).SectorSize());
      return 0;
    default:
      return FailWith(EOPNOTSUPP);
  }
}

ntfs_device_operations kOperations = {
    .open = OpenDevice,
    .close = CloseDevice,
    .seek = SeekDevice,
    .read = ReadHere,
    .write = WriteHere,
    .pread = ReadAt,
    .pwrite = WriteAt,
    .sync = SyncDevice,
    .stat = StatDevice,
    .ioctl = ControlDevice,
};

MountErrorCode CodeOfOpening(int reason) {
  switch (reason) {
    case EINVAL:
      return MountErrorCode::kNotNtfs;
    case EROFS:
    case EACCES:
      return MountErrorCode::kReadOnly;
    default:
      return MountErrorCode::kUnsoundVolume;
  }
}

}  // namespace

bool NtfsSectors::Inside(std::uint64_t offset, std::size_t size) const {
  return offset <= length_ && size <= length_ - offset;
}

bool NtfsSectors::ReadThrough(std::uint64_t offset, std::span<std::byte> out) {
  const auto read = device_.Read(start_ + offset, out);
  if (!read) failure_ = read.error();
  return read.has_value();
}

bool NtfsSectors::Read(std::uint64_t offset, std::span<std::byte> out) {
  if (!Inside(offset, out.size()) || !ReadThrough(offset, out)) return false;
  const std::uint64_t end = offset + out.size();
  for (auto at = written_.lower_bound(offset - offset % sector_); at != written_.end() && at->first < end;
       ++at) {
    const std::uint64_t from = std::max(offset, at->first);
    const std::uint64_t to = std::min(end, at->first + sector_);
    std::copy_n(at->second.begin() + static_cast<std::ptrdiff_t>(from - at->first), to - from,
                out.begin() + static_cast<std::ptrdiff_t>(from - offset));
  }
  return true;
}

// File records and blocks of an index carry a number in the last two octets of each 512, and what stood there
// in a table at their head. The library raises the number with every write, which changes every sector: a
// power cut between two of them leaves a record that does not read at all, and the root directory is such a
// record. With the old number only those sectors change whose content does. Blocks in which entries move are
// left alone, since half of the old and half of the new order must not pass for whole.
bool NtfsSectors::KeepSequenceNumbers(std::uint64_t offset, std::span<std::byte> data) {
  constexpr std::size_t kStride = 512;
  constexpr std::size_t kIndexLength = 28;
  if (data.size() < 2 * kStride ||
      (std::memcmp(data.data(), "FILE", 4) != 0 && std::memcmp(data.data(), "INDX", 4) != 0)) {
    return true;
  }
  const std::size_t table = LoadLe<std::uint16_t>(data, 4);
  const std::size_t size = (std::size_t{LoadLe<std::uint16_t>(data, 6)} - 1) * kStride;
  if (size == 0 || data.size() % size != 0 || table + 2 > kStride) return true;
  for (std::size_t at = 0; at < data.size(); at += size) {
    const auto record = data.subspan(at, size);
    Bytes old(size);
    if (!Read(offset + at, old)) return false;
    // The same kind of record, with its table in the same place.
    if (std::memcmp(old.data(), record.data(), 8) != 0) continue;
    if (old[0] == std::byte{'I'} &&
        LoadLe<std::uint32_t>(old, kIndexLength) != LoadLe<std::uint32_t>(record, kIndexLength)) {
      continue;
    }
    const auto old_number = LoadLe<std::uint16_t>(old, table);
    const auto new_number = LoadLe<std::uint16_t>(record, table);
    bool whole = true;
    for (std::size_t end = kStride - 2; end < size; end += kStride) {
      whole = whole && LoadLe<std::uint16_t>(old, end) == old_number &&
              LoadLe<std::uint16_t>(record, end) == new_number;
    }
    if (!whole) continue;
    StoreLe<std::uint16_t>(record, table, old_number);
    for (std::size_t end = kStride - 2; end < size; end += kStride)
      StoreLe<std::uint16_t>(record, end, old_number);
  }
  return true;
}

bool NtfsSectors::Write(std::uint64_t offset, std::span<const std::byte> written) {
  if (!Inside(offset, written.size())) return false;
  Bytes kept(written.begin(), written.end());
  if (!KeepSequenceNumbers(offset, kept)) return false;
  std::span<const std::byte> data = kept;
  while (!data.empty()) {
    const std::uint64_t sector = offset - offset % sector_;
    if (!Inside(sector, sector_)) return false;
    auto [at, fresh] = written_.try_emplace(sector);
    if (fresh) {
      at->second.resize(sector_);
      held_ += sector_;
      if (held_ > kMostHeld || !ReadThrough(sector, at->second)) {
        if (!failure_) failure_ = Error{ErrorKind::kLimit, 0, "too much is written in one operation"};
        written_.erase(at);
        return false;
      }
    }
    const auto size = std::min<std::size_t>(data.size(), static_cast<std::size_t>(sector + sector_ - offset));
    std::ranges::copy(data.first(size), at->second.begin() + static_cast<std::ptrdiff_t>(offset - sector));
    data = data.subspan(size);
    offset += size;
  }
  return true;
}

Result<void> NtfsSectors::Commit(CommitOrder order) {
  constexpr std::uint64_t kRecord = 1024;
  std::vector<std::uint64_t> changed;
  for (const auto& [offset, sector] : written_) {
    auto old = device_.Read(start_ + offset, sector_);
    if (!old) return tl::unexpected(old.error());
    if (*old != sector) changed.push_back(offset);
  }
  std::ranges::sort(changed, [order](std::uint64_t a, std::uint64_t b) {
    if (a / kRecord == b / kRecord || order == CommitOrder::kLastRecordsFirst) return a > b;
    return a < b;
  });
  for (const std::uint64_t offset : changed) {
    if (auto written = device_.Write(start_ + offset, written_[offset]); !written) return written;
  }
  written_.clear();
  held_ = 0;
  return changed.empty() ? Result<void>{} : device_.Flush();
}

MountResult<std::unique_ptr<OpenNtfs>> OpenNtfs::Open(BlockDevice& device, std::uint64_t start,
                                                      std::uint64_t length, bool writable) {
  if (writable && device.ReadOnly()) return RefuseMount(MountErrorCode::kReadOnly, "the disk refuses writes");
  ntfs_log_set_handler(ntfs_log_handler_null);
  std::unique_ptr<OpenNtfs> ntfs(new OpenNtfs(device, start, length));
  ntfs_device* handle = ntfs_device_alloc("volume", 0, &kOperations, &ntfs->sectors_);
  if (handle == nullptr) return RefuseMount(MountErrorCode::kIoError, "no memory for a volume");
  const ntfs_mount_flags flags = writable ? NTFS_MNT_NONE : NTFS_MNT_RDONLY | NTFS_MNT_FORENSIC;
  ntfs->volume_ = ntfs_device_mount(handle, flags);
  if (ntfs->volume_ == nullptr) {
    const int reason = errno;
    ntfs_device_free(handle);
    errno = reason;
    return ntfs->Failure(CodeOfOpening(reason), "opening the volume");
  }
  if (ntfs_set_ignore_case(ntfs->volume_) != 0) {
    return ntfs->Failure(MountErrorCode::kUnsoundVolume, "the table of capitals");
  }
  return ntfs;
}

OpenNtfs::~OpenNtfs() {
  if (volume_ != nullptr) ntfs_umount(volume_, FALSE);
}

MountResult<void> OpenNtfs::Commit(CommitOrder order) {
  const int closed = ntfs_umount(volume_, FALSE);
  volume_ = nullptr;
  if (closed != 0) return Failure(MountErrorCode::kIoError, "closing the volume");
  if (const auto written = sectors_.Commit(order); !written) {
    return RefuseMount(MountErrorCode::kIoError, written.error().ToString());
  }
  return {};
}

tl::unexpected<MountError> OpenNtfs::Failure(MountErrorCode code, const std::string& what) const {
  const int reason = errno;
  if (const auto& failure = sectors_.FailedWith()) {
    return RefuseMount(MountErrorCode::kIoError, fmt::format("{}: {}", what, failure->ToString()));
  }
  if (reason == ENOSPC) code = MountErrorCode::kNoSpace;
  return RefuseMount(code, fmt::format("{}: {}", what, std::strerror(reason)));
}

}  // namespace dmrp::server
