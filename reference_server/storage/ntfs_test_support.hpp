// An NTFS volume on a partition of a disk in memory, filled by libntfs-3g and judged by the programs of
// ntfs-3g.
#pragma once

#include "reference_server/platform/file_io.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/memory_device.hpp"
#include "reference_server/platform/registry_test_support.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/mount_point.hpp"
#include "reference_server/storage/ntfs_library.hpp"

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {

using Folders = std::vector<std::u16string>;

class NtfsDisk {
 public:
  static constexpr std::uint64_t kStart = 1 * kMiB;

  explicit NtfsDisk(std::uint64_t length = 16 * kMiB, std::uint32_t sector = 512)
      : device_({.sizeBytes = kStart + length, .bytesPerSector = sector}), length_(length) {
    const auto file = folder_ / "fresh";
    std::ofstream(file).close();
    std::filesystem::resize_file(file, length);
    RunTool(fmt::format("mkntfs -q -F -Q -s {} -c 4096 -p 2048 -H 255 -S 63 {}", sector, file.string()));
    const std::string octets = [&] {
      std::ifstream in(file, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(in), {});
    }();
    device_.Poke(kStart, std::as_bytes(std::span(octets)));
  }

  MemoryDevice& Device() { return device_; }
  [[nodiscard]] NtfsVolume Volume() { return On(device_); }
  /// The same volume on another device: a copy of this one, or one that watches it.
  [[nodiscard]] NtfsVolume On(BlockDevice& device) const { return {&device, kStart, length_, std::nullopt}; }

  /// Makes a directory or a file with `content` in it; what is on the way has to exist.
  void Make(const Folders& path, mode_t type = S_IFDIR, std::string_view content = {}) {
    const auto ntfs = OpenNtfs::Open(device_, kStart, length_, true);
    ASSERT_TRUE(ntfs) << ntfs.error().ToString();
    {
      const NtfsInode parent = Find(**ntfs, path, path.size() - 1);
      const auto* name = reinterpret_cast<const ntfschar*>(path.back().data());
      const NtfsInode made(
          ntfs_create(parent.get(), const_cpu_to_le32(0), name, static_cast<u8>(path.back().size()), type));
      ASSERT_TRUE(made) << std::strerror(errno);
      if (!content.empty()) {
        ntfs_attr* data = ntfs_attr_open(made.get(), AT_DATA, AT_UNNAMED, 0);
        ASSERT_EQ(ntfs_attr_pwrite(data, 0, static_cast<s64>(content.size()), content.data()),
                  static_cast<s64>(content.size()));
        ntfs_attr_close(data);
      }
    }
    ASSERT_TRUE((*ntfs)->Commit());
  }
  /// Gives a directory a reparse point of any kind.
  void SetReparseData(const Folders& path, std::span<const std::byte> data) {
    const auto ntfs = OpenNtfs::Open(device_, kStart, length_, true);
    ASSERT_TRUE(ntfs);
    {
      const NtfsInode inode = Find(**ntfs, path, path.size());
      ASSERT_EQ(
          ntfs_set_ntfs_reparse_data(inode.get(), reinterpret_cast<const char*>(data.data()), data.size(), 0),
          0);
    }
    ASSERT_TRUE((*ntfs)->Commit());
  }

  /// The output of a program on a file that holds a copy of the volume; "{}" in `command` is its name.
  static std::string Ask(const NtfsVolume& volume, std::string_view command) {
    const ScratchFolder folder;
    const auto file = folder / "volume";
    WriteInPlace(file, volume.device->Read(volume.start, static_cast<std::size_t>(volume.length)).value());
    return RunTool(fmt::format(fmt::runtime(command), file.string()));
  }

 private:
  static NtfsInode Find(const OpenNtfs& ntfs, const Folders& path, std::size_t depth) {
    NtfsInode inode(ntfs_inode_open(ntfs.Volume(), FILE_root));
    for (std::size_t i = 0; i < depth; ++i) {
      const auto* name = reinterpret_cast<const ntfschar*>(path[i].data());
      const u64 reference = ntfs_inode_lookup_by_name(inode.get(), name, static_cast<int>(path[i].size()));
      inode.reset(ntfs_inode_open(ntfs.Volume(), reference));
      EXPECT_TRUE(inode) << ToUtf8(path[i]);
    }
    return inode;
  }

  ScratchFolder folder_;
  MemoryDevice device_;
  std::uint64_t length_;
};

}  // namespace dmrp::server
