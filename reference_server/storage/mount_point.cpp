#include "reference_server/storage/mount_point.hpp"

#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/mounted_ntfs.hpp"
#include "reference_server/storage/ntfs_library.hpp"
#include "reference_server/storage/volume_name.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// A reparse point of a mount point: tag, length of what follows, reserved, offset and length of the
// substitute name, the same of the print name, and the names.
constexpr std::uint32_t kMountPointTag = 0xA0000003;
constexpr std::size_t kHeader = 8;
constexpr std::size_t kNames = 16;
constexpr std::size_t kMaxReparseData = 16'384;

constexpr std::size_t kMaxDepth = 512;
constexpr std::uint64_t kNoInode = ~std::uint64_t{0};
constexpr std::u16string_view kReparseFile = u"$Reparse";

#pragma pack(push, 1)
struct ReparseIndexKey {
  le32 tag;
  le64 file;
};
#pragma pack(pop)

std::string Shown(const std::vector<std::u16string>& folders) {
  std::string path;
  for (const std::u16string& folder : folders) path += "\\" + ToUtf8(folder);
  return path;
}

NtfsInode OpenInode(ntfs_volume* volume, std::uint64_t reference) {
  return NtfsInode(ntfs_inode_open(volume, reference));
}

std::uint64_t Lookup(ntfs_inode* directory, std::u16string_view name) {
  std::vector<ntfschar> text;
  for (const char16_t c : name) text.push_back(cpu_to_le16(static_cast<u16>(c)));
  return ntfs_inode_lookup_by_name(directory, text.data(), static_cast<int>(text.size()));
}

bool IsDirectory(const ntfs_inode* inode) {
  return (le16_to_cpu(inode->mrec->flags) & le16_to_cpu(MFT_RECORD_IS_DIRECTORY)) != 0;
}
bool IsReparsePoint(const ntfs_inode* inode) {
  return (le32_to_cpu(inode->flags) & le32_to_cpu(FILE_ATTR_REPARSE_POINT)) != 0;
}

/// The volume that an inode is a mount point of; nothing when it is none.
std::optional<Guid> TargetOf(ntfs_inode* inode) {
  if (!IsDirectory(inode) || !IsReparsePoint(inode)) return std::nullopt;
  Bytes data(kMaxReparseData);
  const int size = ntfs_get_ntfs_reparse_data(inode, reinterpret_cast<char*>(data.data()), data.size());
  if (size <= 0 || static_cast<std::size_t>(size) > data.size()) return std::nullopt;
  return ParseMountPointReparseData(std::span(data).first(static_cast<std::size_t>(size)));
}

struct SearchContext {
  explicit SearchContext(ntfs_inode* inode) : context(ntfs_attr_get_search_ctx(inode, nullptr)) {}
  SearchContext(const SearchContext&) = delete;
  SearchContext& operator=(const SearchContext&) = delete;
  ~SearchContext() {
    if (context != nullptr) ntfs_attr_put_search_ctx(context);
  }
  ntfs_attr_search_ctx* context;
};

struct OwnName {
  std::u16string name;
  std::uint64_t parent = 0;
};

/// The long name of a directory and where it lies; nothing when its record is damaged.
std::optional<OwnName> NameOf(ntfs_inode* inode) {
  const SearchContext search(inode);
  if (search.context == nullptr) return std::nullopt;
  while (ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, nullptr, 0, search.context) == 0) {
    const ATTR_RECORD* attribute = search.context->attr;
    const std::size_t at = le16_to_cpu(attribute->value_offset);
    const std::size_t size = le32_to_cpu(attribute->value_length);
    const std::size_t all = le32_to_cpu(attribute->length);
    constexpr std::size_t kFixed = offsetof(FILE_NAME_ATTR, file_name);
    if (at > all || size > all - at || size < kFixed) return std::nullopt;
    const auto* own = reinterpret_cast<const FILE_NAME_ATTR*>(reinterpret_cast<const char*>(attribute) + at);
    if (own->file_name_type == FILE_NAME_DOS) continue;
    if (kFixed + std::size_t{2} * own->file_name_length > size) return std::nullopt;
    OwnName name;
    name.parent = MREF(le64_to_cpu(own->parent_directory));
    for (std::size_t i = 0; i < own->file_name_length; ++i) {
      name.name.push_back(static_cast<char16_t>(le16_to_cpu(own->file_name[i])));
    }
    return name;
  }
  return std::nullopt;
}

/// "data\old": the way from the root; nothing when it does not lead there.
std::optional<std::u16string> PathOf(ntfs_volume* volume, std::uint64_t file) {
  std::u16string path;
  for (std::size_t depth = 0; depth < kMaxDepth; ++depth) {
    const NtfsInode inode = OpenInode(volume, file);
    if (!inode) return std::nullopt;
    const auto own = NameOf(inode.get());
    if (!own) return std::nullopt;
    path = path.empty() ? own->name : own->name + u"\\" + path;
    file = own->parent;
    if (file == FILE_root) return path;
  }
  return std::nullopt;
}

/// The files that the index $Extend\$Reparse:$R lists under the tag of mount points.
MountResult<std::vector<std::uint64_t>> FilesInIndex(const OpenNtfs& ntfs) {
  std::vector<std::uint64_t> files;
  const NtfsInode extend = OpenInode(ntfs.Volume(), FILE_Extend);
  if (!extend) return files;
  const std::uint64_t reference = Lookup(extend.get(), kReparseFile);
  if (reference == kNoInode) return files;
  const NtfsInode index = OpenInode(ntfs.Volume(), reference);
  if (!index) return ntfs.Failure(MountErrorCode::kUnsoundVolume, "$Reparse");
  const std::unique_ptr<ntfs_index_context, void (*)(ntfs_index_context*)> context(
      ntfs_index_ctx_get(index.get(), NTFS_INDEX_R, 2), &ntfs_index_ctx_put);
  if (!context) return ntfs.Failure(MountErrorCode::kUnsoundVolume, "the index of reparse points");
  const ReparseIndexKey first{cpu_to_le32(kMountPointTag), 0};
  if (ntfs_index_lookup(&first, sizeof first, context.get()) != 0 && errno != ENOENT) {
    return ntfs.Failure(MountErrorCode::kUnsoundVolume, "the index of reparse points");
  }
  INDEX_ENTRY* entry = context->entry;
  if (entry != nullptr && (le16_to_cpu(entry->ie_flags) & le16_to_cpu(INDEX_ENTRY_END)) != 0) {
    entry = ntfs_index_next(entry, context.get());
  }
  for (; entry != nullptr; entry = ntfs_index_next(entry, context.get())) {
    if (le16_to_cpu(entry->key_length) != sizeof(ReparseIndexKey)) break;
    ReparseIndexKey key{};
    std::memcpy(&key, &entry->key, sizeof key);
    if (le32_to_cpu(key.tag) != kMountPointTag) break;
    if (files.size() == kMaxMountPoints) {
      return RefuseMount(MountErrorCode::kUnsoundVolume, "more mount points than can be");
    }
    files.push_back(MREF(le64_to_cpu(key.file)));
  }
  return files;
}

/// The directory that `folders` lead to. Reparse points on the way are refused, at its end they are not.
MountResult<NtfsInode> FindDirectory(const OpenNtfs& ntfs, const std::vector<std::u16string>& folders) {
  if (folders.empty()) return RefuseMount(MountErrorCode::kBadPath, "the root of a volume");
  NtfsInode inode = OpenInode(ntfs.Volume(), FILE_root);
  if (!inode) return ntfs.Failure(MountErrorCode::kUnsoundVolume, "the root directory");
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const std::uint64_t reference = Lookup(inode.get(), folders[i]);
    if (reference == kNoInode) {
      const bool absent = errno == ENOENT;
      return ntfs.Failure(absent ? MountErrorCode::kPathNotFound : MountErrorCode::kUnsoundVolume,
                          Shown(folders));
    }
    if (MREF(reference) < FILE_first_user) {
      return RefuseMount(MountErrorCode::kBadPath, Shown(folders) + " leads to the file system's own files");
    }
    inode = OpenInode(ntfs.Volume(), reference);
    if (!inode) return ntfs.Failure(MountErrorCode::kUnsoundVolume, Shown(folders));
    if (!IsDirectory(inode.get())) {
      return RefuseMount(MountErrorCode::kNotDirectory, Shown(folders) + " leads to a file");
    }
    if (i + 1 < folders.size() && IsReparsePoint(inode.get())) {
      return RefuseMount(MountErrorCode::kReparsePoint, Shown(folders) + " leads through a reparse point");
    }
  }
  return inode;
}

MountResult<std::unique_ptr<OpenNtfs>> OpenToChange(const NtfsVolume& host) {
  auto ntfs = OpenNtfs::Open(*host.device, host.start, host.length, true);
  if (ntfs && (*ntfs)->Volume()->major_ver < 3) {
    return RefuseMount(MountErrorCode::kOldNtfs,
                       fmt::format("NTFS {}.{} has no reparse points", (*ntfs)->Volume()->major_ver,
                                   (*ntfs)->Volume()->minor_ver));
  }
  return ntfs;
}

}  // namespace

Bytes MountPointReparseData(const Guid& target) {
  const std::u16string name = VolumeLinkName(target) + u"\\";
  const std::size_t octets = 2 * name.size();
  // Both names end with a null that their lengths do not count; the print name is empty.
  Bytes data(kNames + octets + 4);
  StoreLe<std::uint32_t>(data, 0, kMountPointTag);
  StoreLe<std::uint16_t>(data, 4, static_cast<std::uint16_t>(data.size() - kHeader));
  StoreLe<std::uint16_t>(data, 10, static_cast<std::uint16_t>(octets));
  StoreLe<std::uint16_t>(data, 12, static_cast<std::uint16_t>(octets + 2));
  for (std::size_t i = 0; i < name.size(); ++i) StoreLe<std::uint16_t>(data, kNames + 2 * i, name[i]);
  return data;
}

std::optional<Guid> ParseMountPointReparseData(std::span<const std::byte> data) {
  if (data.size() < kNames || LoadLe<std::uint32_t>(data, 0) != kMountPointTag) return std::nullopt;
  if (LoadLe<std::uint16_t>(data, 4) != data.size() - kHeader) return std::nullopt;
  const std::size_t at = kNames + LoadLe<std::uint16_t>(data, 8);
  const std::size_t octets = LoadLe<std::uint16_t>(data, 10);
  if (at > data.size() || octets > data.size() - at || octets % 2 != 0) return std::nullopt;
  std::u16string name;
  for (std::size_t i = 0; i < octets; i += 2) {
    name.push_back(static_cast<char16_t>(LoadLe<std::uint16_t>(data, at + i)));
  }
  return name.ends_with(u'\\') ? ParseVolumeName(name) : std::nullopt;
}

MountResult<std::vector<MountPoint>> ListMountPoints(const NtfsVolume& host) {
  if (host.mountedAt) return ListMountPointsOfMounted(*host.mountedAt);
  const auto ntfs = OpenNtfs::Open(*host.device, host.start, host.length, false);
  if (!ntfs) return tl::unexpected(ntfs.error());
  std::vector<MountPoint> points;
  if ((*ntfs)->Volume()->major_ver < 3) return points;
  const auto files = FilesInIndex(**ntfs);
  if (!files) return tl::unexpected(files.error());
  for (const std::uint64_t file : *files) {
    const NtfsInode inode = OpenInode((*ntfs)->Volume(), file);
    const auto target = inode ? TargetOf(inode.get()) : std::nullopt;
    if (!target) continue;
    if (auto path = PathOf((*ntfs)->Volume(), file)) points.push_back({std::move(*path), *target});
  }
  std::ranges::sort(points, {}, &MountPoint::path);
  return points;
}

MountResult<void> AddMountPoint(const NtfsVolume& host, const std::vector<std::u16string>& folders,
                                const Guid& target) {
  if (host.mountedAt) return AddMountPointToMounted(*host.mountedAt, folders, target);
  const auto ntfs = OpenToChange(host);
  if (!ntfs) return tl::unexpected(ntfs.error());
  auto directory = FindDirectory(**ntfs, folders);
  if (!directory) return tl::unexpected(directory.error());
  if (IsReparsePoint(directory->get())) {
    return RefuseMount(MountErrorCode::kReparsePoint, Shown(folders) + " is a reparse point already");
  }
  errno = 0;
  if (ntfs_check_empty_dir(directory->get()) != 0) {
    const bool full = errno == ENOTEMPTY;
    return (*ntfs)->Failure(full ? MountErrorCode::kDirNotEmpty : MountErrorCode::kUnsoundVolume,
                            Shown(folders));
  }
  const Bytes data = MountPointReparseData(target);
  constexpr int kOnlyNew = 1;  // XATTR_CREATE
  if (ntfs_set_ntfs_reparse_data(directory->get(), reinterpret_cast<const char*>(data.data()), data.size(),
                                 kOnlyNew) != 0) {
    return (*ntfs)->Failure(MountErrorCode::kUnsoundVolume, Shown(folders));
  }
  if (ntfs_inode_close(directory->release()) != 0) {
    return (*ntfs)->Failure(MountErrorCode::kUnsoundVolume, Shown(folders));
  }
  return (*ntfs)->Commit();
}

MountResult<void> RemoveMountPoint(const NtfsVolume& host, const std::vector<std::u16string>& folders,
                                   const Guid& target) {
  if (host.mountedAt) return RemoveMountPointFromMounted(*host.mountedAt, folders, target);
  const auto ntfs = OpenToChange(host);
  if (!ntfs) return tl::unexpected(ntfs.error());
  auto directory = FindDirectory(**ntfs, folders);
  if (!directory) return tl::unexpected(directory.error());
  if (TargetOf(directory->get()) != target) {
    return RefuseMount(MountErrorCode::kNotMountPoint,
                       fmt::format("{} is no mount point of {}", Shown(folders), target.ToString()));
  }
  if (ntfs_remove_ntfs_reparse_data(directory->get()) != 0 || ntfs_inode_close(directory->release()) != 0) {
    return (*ntfs)->Failure(MountErrorCode::kUnsoundVolume, Shown(folders));
  }
  // The index first: an entry that outlived its reparse point would keep a new one out.
  return (*ntfs)->Commit(CommitOrder::kFirstRecordsFirst);
}

}  // namespace dmrp::server
