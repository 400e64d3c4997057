// Disks for tests, and what other people's readers say about them.
#pragma once

#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/disk_layout.hpp"

#include <compare>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp::server {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;
inline constexpr std::uint64_t kTiB = 1024 * kGiB;

/// A file that holds a copy of a disk and goes with the object. Sparse.
class ScratchImage {
 public:
  explicit ScratchImage(const MemoryDevice& device);
  ScratchImage(const ScratchImage&) = delete;
  ScratchImage& operator=(const ScratchImage&) = delete;
  ~ScratchImage();
  [[nodiscard]] const std::filesystem::path& Path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A partition as an independent reader sees it; octets.
struct SeenPartition {
  std::uint64_t start = 0;
  std::uint64_t length = 0;
  std::string type;  ///< "7", "5", or a GUID in lower case
  bool active = false;
  std::string uuid;  ///< GPT: lower case
  std::string name;  ///< GPT: UTF-8
  friend auto operator<=>(const SeenPartition&, const SeenPartition&) = default;
};

struct SeenTable {
  std::string label;  ///< "dos", "gpt", "" for none
  std::string id;     ///< "0x1234abcd" or a GUID in lower case
  std::vector<SeenPartition> partitions;
  friend bool operator==(const SeenTable&, const SeenTable&) = default;
};

/// What libfdisk reads, by start; `problems` is what its own verification finds.
SeenTable ReadWithLibfdisk(const std::filesystem::path& image, const DiskGeometry& geometry,
                           int* problems = nullptr);

/// Our own layout in the same form.
SeenTable AsSeen(const DiskLayout& layout);

/// The output of a program; a failure of the test when it cannot be run or exits otherwise than 0.
std::string RunTool(const std::string& command);

/// The layout, which must be readable.
DiskLayout LayoutOf(BlockDevice& device);
/// The first free region of a kind; a failure of the test when there is none.
Region FreeRegion(const DiskLayout& layout, RegionKind kind = RegionKind::kFree);
/// "Primary 32256+1048576, Free ...": one line for comparison.
std::string RegionsText(const DiskLayout& layout);

}  // namespace dmrp::server
