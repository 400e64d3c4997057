#include "reference_server/storage/mounted_ntfs.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "protocol/base/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr const char* kAttribute = "system.ntfs_reparse_data";
constexpr std::size_t kMaxReparseData = 16'384;
constexpr std::size_t kMaxDepth = 512;
constexpr ino_t kRootFile = 5;
constexpr ino_t kFirstUserFile = 16;  // the file system's own files come before

tl::unexpected<MountError> Failed(const std::filesystem::path& path, MountErrorCode code) {
  const int reason = errno;
  if (reason == EROFS) code = MountErrorCode::kReadOnly;
  if (reason == ENOSPC) code = MountErrorCode::kNoSpace;
  return RefuseMount(code, fmt::format("{}: {}", path.string(), std::strerror(reason)));
}

/// The reparse point of a file, not followed; nothing (errno) when it has none.
std::optional<Bytes> ReparseData(const std::filesystem::path& path) {
  Bytes data(kMaxReparseData);
  const ssize_t size = ::lgetxattr(path.c_str(), kAttribute, data.data(), data.size());
  if (size < 0) return std::nullopt;
  data.resize(static_cast<std::size_t>(size));
  return data;
}

/// Only ntfs-3g knows the attribute; it says of a root without one that there is no data.
MountResult<void> CheckDriver(const std::filesystem::path& root) {
  if (ReparseData(root) || errno == ENODATA) return {};
  return Failed(root, MountErrorCode::kVolumeInUse);
}

std::optional<std::vector<std::string>> NamesIn(const std::filesystem::path& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), &::closedir);
  if (!open) return std::nullopt;
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return std::nullopt;
  return names;
}

bool SameInAsciiCase(std::string_view a, std::string_view b) {
  const auto fold = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
  return std::ranges::equal(a, b, {}, fold, fold);
}

class Walk {
 public:
  MountResult<void> Enter(const std::filesystem::path& directory, const std::u16string& prefix,
                          std::size_t depth) {
    if (depth > kMaxDepth)
      return RefuseMount(MountErrorCode::kUnsoundVolume, "too many levels of directories");
    const auto names = NamesIn(directory);
    // What went or is closed to us meanwhile holds no mount point that anybody could use.
    if (!names) return {};
    for (const std::string& name : *names) {
      const auto wide = ToUtf16(name);
      if (!wide) continue;
      const std::filesystem::path path = directory / name;
      struct stat status{};
      // A directory whose reparse point is new cannot be looked at until the next mount, its attribute can.
      const bool readable = ::lstat(path.c_str(), &status) == 0;
      if (readable && !S_ISDIR(status.st_mode) && !S_ISLNK(status.st_mode)) continue;
      if (const auto data = ReparseData(path)) {
        const auto target = ParseMountPointReparseData(*data);
        if (!target) continue;
        if (points_.size() == kMaxMountPoints) {
          return RefuseMount(MountErrorCode::kUnsoundVolume, "more mount points than can be");
        }
        points_.push_back({prefix + *wide, *target});
      } else if (readable && S_ISDIR(status.st_mode)) {
        if (auto entered = Enter(path, prefix + *wide + u"\\", depth + 1); !entered) return entered;
      }
    }
    return {};
  }
  std::vector<MountPoint> Points() {
    std::ranges::sort(points_, {}, &MountPoint::path);
    return std::move(points_);
  }

 private:
  std::vector<MountPoint> points_;
};

/// The entry of a directory that bears the name, in the same case if there is one.
std::optional<std::filesystem::path> FindEntry(const std::filesystem::path& directory,
                                               const std::string& name) {
  const auto names = NamesIn(directory);
  if (!names) return std::nullopt;
  if (std::ranges::find(*names, name) != names->end()) return directory / name;
  const auto found =
      std::ranges::find_if(*names, [&](const auto& own) { return SameInAsciiCase(own, name); });
  if (found != names->end()) return directory / *found;
  errno = ENOENT;
  return std::nullopt;
}

/// The directory that `folders` lead to. Reparse points on the way are refused, at its end they are not.
MountResult<std::filesystem::path> FindDirectory(const std::filesystem::path& root,
                                                 const std::vector<std::u16string>& folders) {
  if (folders.empty()) return RefuseMount(MountErrorCode::kBadPath, "the root of a volume");
  std::filesystem::path path = root;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const auto entry = FindEntry(path, ToUtf8(folders[i]));
    if (!entry) {
      return Failed(path / ToUtf8(folders[i]),
                    errno == ENOENT ? MountErrorCode::kPathNotFound : MountErrorCode::kIoError);
    }
    path = *entry;
    if (ReparseData(path)) {
      if (i + 1 == folders.size()) return path;
      return RefuseMount(MountErrorCode::kReparsePoint, path.string() + " is a reparse point");
    }
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return Failed(path, MountErrorCode::kIoError);
    if (!S_ISDIR(status.st_mode)) {
      return RefuseMount(MountErrorCode::kNotDirectory, path.string() + " leads to a file");
    }
    if (status.st_ino < kFirstUserFile && status.st_ino != kRootFile) {
      return RefuseMount(MountErrorCode::kBadPath, path.string() + " is the file system's own");
    }
  }
  return path;
}

/// Has the driver write what it holds of a directory's change.
MountResult<void> Flush(const std::filesystem::path& root) {
  const FileDescriptor fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.Get()) != 0 || ::syncfs(fd.Get()) != 0) return Failed(root, MountErrorCode::kIoError);
  return {};
}

}  // namespace

MountResult<std::vector<MountPoint>> ListMountPointsOfMounted(const std::filesystem::path& root) {
  if (const auto checked = CheckDriver(root); !checked) return tl::unexpected(checked.error());
  Walk walk;
  if (const auto entered = walk.Enter(root, u"", 1); !entered) return tl::unexpected(entered.error());
  return walk.Points();
}

MountResult<void> AddMountPointToMounted(const std::filesystem::path& root,
                                         const std::vector<std::u16string>& folders, const Guid& target) {
  if (auto checked = CheckDriver(root); !checked) return checked;
  const auto path = FindDirectory(root, folders);
  if (!path) return tl::unexpected(path.error());
  if (ReparseData(*path)) {
    return RefuseMount(MountErrorCode::kReparsePoint, path->string() + " is a reparse point already");
  }
  const auto names = NamesIn(*path);
  if (!names) return Failed(*path, MountErrorCode::kIoError);
  if (!names->empty()) return RefuseMount(MountErrorCode::kDirNotEmpty, path->string() + " is not empty");
  const Bytes data = MountPointReparseData(target);
  if (::lsetxattr(path->c_str(), kAttribute, data.data(), data.size(), XATTR_CREATE) != 0) {
    return Failed(*path, errno == EEXIST ? MountErrorCode::kReparsePoint : MountErrorCode::kIoError);
  }
  return Flush(root);
}

MountResult<void> RemoveMountPointFromMounted(const std::filesystem::path& root,
                                              const std::vector<std::u16string>& folders,
                                              const Guid& target) {
  if (auto checked = CheckDriver(root); !checked) return checked;
  const auto path = FindDirectory(root, folders);
  if (!path) return tl::unexpected(path.error());
  const auto data = ReparseData(*path);
  if (!data || ParseMountPointReparseData(*data) != target) {
    return RefuseMount(MountErrorCode::kNotMountPoint,
                       fmt::format("{} is no mount point of {}", path->string(), target.ToString()));
  }
  if (::lremovexattr(path->c_str(), kAttribute) != 0) return Failed(*path, MountErrorCode::kIoError);
  return Flush(root);
}

}  // namespace dmrp::server
