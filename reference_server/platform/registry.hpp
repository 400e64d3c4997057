// The registry that the server keeps: a hive file on disk, or memory alone.
#pragma once

#include "reference_server/platform/registry_hive.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

namespace dmrp::server {

/// The SYSTEM hive of the server. Every change is on disk before Update returns; other programs may change
/// the file in between and are heard. Not thread-safe: one caller at a time.
class Registry {
 public:
  /// Without a file: lives and ends with the object.
  Registry() = default;
  /// Kept in `path`; a file that is not there yet is an empty registry and is made, with its folder, by the
  /// first change.
  explicit Registry(std::filesystem::path path) : path_(std::move(path)) {}

  /// What the registry holds now: read again when the file changed. The pointer holds until the next call.
  /// kMalformed or kLimit when the file is no usable hive (another program that rewrites it in place shows
  /// that for a moment, too), kSystem when it cannot be read.
  Result<const RegistryKey*> Read();

  /// Changes the registry. `change` gets what is on disk now and may be called more than once, since another
  /// program may write at the same time: that program's changes are kept unless it writes between our last
  /// look and our rename, a moment that no lock can close. When it returns, the change lasts. After a power
  /// cut the file holds all of the change or nothing of it. Nothing is written when nothing differs.
  Result<void> Update(const std::function<void(RegistryKey&)>& change);

  /// How often Read or Update met a content that this object did not write: a rise says that another
  /// program changed the registry ([MS-DMRP] 3.2.6.5, 3.2.6.6). The first reading counts as none.
  [[nodiscard]] std::uint64_t ForeignChanges() const { return foreign_changes_; }

  /// Renames an unusable hive to NAME.damaged (NAME.damaged-2, ...), so that the next change makes a fresh
  /// one. Returns the new name.
  Result<std::filesystem::path> SetAside();

  /// Nothing for a registry in memory.
  [[nodiscard]] const std::optional<std::filesystem::path>& Path() const { return path_; }

 private:
  struct FileVersion {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t modified = 0;  // ns
    std::int64_t changed = 0;   // ns
    friend bool operator==(const FileVersion&, const FileVersion&) = default;
  };
  Result<std::optional<FileVersion>> LookAtFile() const;
  void Take(RegistryKey content);

  std::optional<std::filesystem::path> path_;
  RegistryKey root_;
  bool known_ = false;                  // root_ was read once
  std::optional<FileVersion> version_;  // of the file that root_ came from
  bool settled_ = false;                // a later write would change version_ for certain
  std::uint64_t foreign_changes_ = 0;
};

}  // namespace dmrp::server
