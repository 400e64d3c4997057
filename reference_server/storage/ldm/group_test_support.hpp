// Disk groups in memory for tests, and what ldmtool, a reader that shares no code with this project, says of
// their images.
#pragma once

#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/ldm/group_operations.hpp"
#include "reference_server/storage/ldm/volume_map.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::server::ldm {

inline constexpr std::uint64_t kMiBBlocks = kMiB / kBlockBytes;

/// The code of a refusal; a failure of the test when there is none.
template <typename T>
StorageErrorCode CodeOf(const StorageResult<T>& result) {
  EXPECT_FALSE(result) << "was not refused";
  return result ? StorageErrorCode::kIoError : result.error().code;
}

/// The value of a result; ends the test program's test when there is none.
template <typename T, typename E>
T Must(tl::expected<T, E> result, const char* what = "") {
  if (!result) {
    ADD_FAILURE() << what << " " << result.error().ToString();
    throw std::runtime_error("a value that the test needs is missing");
  }
  return std::move(*result);
}

/// A disk to be made.
struct TestDisk {
  std::uint64_t bytes = 50 * kMiB;
  PartitionStyle style = PartitionStyle::kMbr;
  std::uint32_t sector = 512;
};

/// A group over disks in memory.
class MemoryGroup {
 public:
  /// A fresh group on disks of these sizes.
  explicit MemoryGroup(const std::vector<TestDisk>& disks, const std::string& name = "TESTHOSTDg0");
  /// Equal disks of 50 MiB.
  explicit MemoryGroup(std::size_t disks, const std::string& name = "TESTHOSTDg0");

  /// A basic disk with an empty table, kept with the others.
  MemoryDevice& AddBasicDisk(const TestDisk& disk = {});
  /// Makes a basic disk a member; returns its id.
  ObjectId Join(MemoryDevice& device);
  void Commit(Database next);
  /// Loads the group anew from the devices named (all for none).
  void Reload(std::vector<MemoryDevice*> devices = {});
  [[nodiscard]] const Database& Now() const { return group->Current(); }
  [[nodiscard]] std::vector<DiskSpace> Spaces() const { return SpacesOf(*group); }
  [[nodiscard]] MemoryDevice& DeviceOf(ObjectId disk);
  /// Commits a volume of members of equal length on the disks named; returns its id.
  ObjectId Make(VolumeLayout layout, std::vector<ObjectId> members, std::uint64_t blocks);

  std::vector<std::unique_ptr<MemoryDevice>> devices;
  std::optional<DiskGroup> group;
  std::vector<ObjectId> disks;
};

/// Every member is at rest and as a correct writer leaves it; the tables tile.
void ExpectSound(const DiskGroup& group);

/// A volume as ldmtool sees it.
struct SeenVolume {
  std::string type;
  std::uint64_t blocks = 0;
  std::uint64_t chunk = 0;
  std::string hint;
  std::vector<std::string> partitions;
  friend bool operator==(const SeenVolume&, const SeenVolume&) = default;
};
struct SeenSubdisk {
  std::uint64_t start = 0;
  std::uint64_t blocks = 0;
  std::string disk;
  friend bool operator==(const SeenSubdisk&, const SeenSubdisk&) = default;
};
struct SeenGroup {
  std::string guid;
  std::string name;
  std::map<std::string, SeenVolume> volumes;
  std::map<std::string, SeenSubdisk> subdisks;
  std::map<std::string, bool> disks;  ///< name, present
};

bool HasLdmtool();
/// All groups that ldmtool finds on images of the devices.
std::vector<SeenGroup> SeenByLdmtool(const std::vector<const MemoryDevice*>& devices);
/// What ldmtool should see of a group.
SeenGroup AsSeen(const DiskGroup& group);
/// The images of the group's members hold for ldmtool what the records say. Does nothing without ldmtool.
void ExpectLdmtoolAgrees(const DiskGroup& group);

}  // namespace dmrp::server::ldm
