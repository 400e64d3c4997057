#include "reference_server/methods/ntfs_growth.hpp"

#include "protocol/base/text.hpp"
#include "reference_server/storage/format_tools.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kStep = 1 << 20;
constexpr std::size_t kPage = 4096;

bool IsZero(std::span<const std::byte> octets) {
  return std::ranges::all_of(octets, [](std::byte octet) { return octet == std::byte{0}; });
}

StorageResult<void> GetAt(int file, std::uint64_t offset, std::span<std::byte> octets) {
  while (!octets.empty()) {
    const ssize_t got = ::pread(file, octets.data(), octets.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return DeviceFailed(FailErrno("reading a file system that grew", got < 0 ? errno : EIO).value());
    }
    offset += static_cast<std::uint64_t>(got);
    octets = octets.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

StorageResult<void> PutAt(int file, std::uint64_t offset, std::span<const std::byte> octets) {
  while (!octets.empty()) {
    const ssize_t put = ::pwrite(file, octets.data(), octets.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return DeviceFailed(FailErrno("keeping a file system that grows", errno).value());
    }
    offset += static_cast<std::uint64_t>(put);
    octets = octets.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

// Refuses what is scheduled for a check: its log may hold what is not in place yet.
StorageResult<void> RefuseUnchecked(const std::string& path) {
  return RunFormatCommand({"ntfsresize", "-i", "-P", path}, -1, {});
}

// ntfsresize leaves the volume scheduled for a check, which Windows' own growth does not.
StorageResult<void> Grow(const std::string& path) {
  auto grown = RunFormatCommand({"ntfsresize", "-f", "-P", path}, -1, {});
  return grown ? RunFormatCommand({"ntfsfix", "-d", path}, -1, {}) : grown;
}

}  // namespace

StorageResult<void> NtfsGrowth::Prepare(std::uint64_t length) {
  return node_.empty() ? Stage(length) : RefuseUnchecked(node_.string());
}

StorageResult<void> NtfsGrowth::Finish(const DiskInventory::Opener& open) {
  return node_.empty() ? WriteBack(open) : Grow(node_.string());
}

NtfsGrowth::Staged::~Staged() { ::unlink(path.c_str()); }

StorageResult<std::unique_ptr<NtfsGrowth::Staged>> NtfsGrowth::MakeStaged(std::uint64_t length) {
  std::error_code error;
  const auto folder = std::filesystem::temp_directory_path(error);
  std::string path = ((error ? std::filesystem::path("/tmp") : folder) / "dmrp-ntfs-XXXXXX").string();
  FileDescriptor file(::mkostemp(path.data(), O_CLOEXEC));
  if (!file) {
    return DeviceFailed(FailErrno("a temporary file for a file system that grows", errno).value());
  }
  auto staged = std::make_unique<Staged>(path, std::move(file));
  if (::ftruncate(staged->file.Get(), static_cast<off_t>(length)) != 0) {
    return DeviceFailed(FailErrno("the length of " + path, errno).value());
  }
  return staged;
}

StorageResult<void> NtfsGrowth::Stage(std::uint64_t length) {
  auto opened = open_(false);
  if (!opened) {
    return DeviceFailed(opened.error());
  }
  auto staged = MakeStaged(length);
  if (!staged) {
    return tl::unexpected(staged.error());
  }
  std::uint64_t kept = 0;
  Bytes octets(kStep);
  for (std::uint64_t at = 0; at < opened->length;) {
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, opened->length - at));
    const std::span<std::byte> piece(octets.data(), step);
    if (auto read = opened->device->Read(opened->start + at, piece); !read) {
      return DeviceFailed(read.error());
    }
    for (std::size_t page = 0; page < step; page += kPage) {
      const auto part = piece.subspan(page, std::min(kPage, step - page));
      if (IsZero(part)) {
        continue;
      }
      kept += part.size();
      if (kept > kStagingLimit) {
        return Refuse(StorageErrorCode::kNoMemory,
                      fmt::format("the file system holds more than {} octets", kStagingLimit));
      }
      if (auto put = PutAt((*staged)->file.Get(), at + page, part); !put) {
        return put;
      }
    }
    at += step;
  }
  if (auto checked = RefuseUnchecked((*staged)->path.string()); !checked) {
    return checked;
  }
  if (auto grown = Grow((*staged)->path.string()); !grown) {
    return grown;
  }
  staged_ = std::move(*staged);
  return {};
}

// The first page goes last: with it the file system is the longer one.
StorageResult<void> NtfsGrowth::WriteBack(const DiskInventory::Opener& open) {
  auto opened = open(true);
  if (!opened) {
    return DeviceFailed(opened.error());
  }
  BlockDevice& device = *opened->device;
  Bytes first(kPage);
  if (auto got = GetAt(staged_->file.Get(), 0, first); !got) {
    return got;
  }
  Bytes grown(kStep);
  Bytes now(kStep);
  for (std::uint64_t at = kPage; at < opened->length;) {
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, opened->length - at));
    grown.resize(step);
    now.resize(step);
    if (auto got = GetAt(staged_->file.Get(), at, grown); !got) {
      return got;
    }
    if (auto read = device.Read(opened->start + at, now); !read) {
      return DeviceFailed(read.error());
    }
    if (grown != now) {
      if (auto written = device.Write(opened->start + at, grown); !written) {
        return DeviceFailed(written.error());
      }
    }
    at += step;
  }
  if (auto flushed = device.Flush(); !flushed) {
    return DeviceFailed(flushed.error());
  }
  if (auto written = device.Write(opened->start, first); !written) {
    return DeviceFailed(written.error());
  }
  if (auto flushed = device.Flush(); !flushed) {
    return DeviceFailed(flushed.error());
  }
  return {};
}

}  // namespace dmrp::server
