// Format: the listed check in each of its cases, and requests that no file system can meet.
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

struct Broken {
  const char* name;
  std::function<void(FormatRequest& request, const StorageView& view)> spoil;
};

LdmObjectId FirstOf(const StorageView& view, REGIONTYPE type) {
  for (const auto& [disk, regions] : view.regions) {
    for (const REGION_INFO_EX& region : regions) {
      if (region.regionType == type) return region.id;
    }
  }
  return 0;
}

// The id of an object that is no volume, partition or logical drive, with its own state.
void Take(FormatRequest& request, const StorageView& view, LdmObjectId id) {
  request.storageId = id;
  if (const REGION_INFO_EX* region = view.FindRegion(id))
    request.storageLastKnownState = region->lastKnownState;
  if (const DISK_INFO_EX* disk = view.FindDisk(id)) request.storageLastKnownState = disk->lastKnownState;
  if (const FILE_SYSTEM_INFO* system = view.FindFileSystem(id))
    request.storageLastKnownState = system->lastKnownState;
}

const std::vector<Broken>& BrokenRequests() {
  using View = StorageView;
  static const std::vector<Broken> kBroken = {
      {"storage 0", [](FormatRequest& r, const View&) { r.storageId = 0; }},
      {"storage -1", [](FormatRequest& r, const View&) { r.storageId = -1; }},
      {"storage unknown",
       [](FormatRequest& r, const View&) { r.storageId = std::numeric_limits<LdmObjectId>::max(); }},
      {"storage is a disk", [](FormatRequest& r, const View& v) { Take(r, v, v.disks.front().id); }},
      {"storage is free space", [](FormatRequest& r, const View& v) { Take(r, v, FirstOf(v, REGION_FREE)); }},
      {"storage is an extended partition",
       [](FormatRequest& r, const View& v) { Take(r, v, FirstOf(v, REGION_EXTENDED)); }},
      {"storage is a file system",
       [](FormatRequest& r, const View& v) {
         Take(r, v, v.file_systems && !v.file_systems->empty() ? v.file_systems->front().id : -2);
       }},
      {"state one below", [](FormatRequest& r, const View&) { --r.storageLastKnownState; }},
      {"state one above", [](FormatRequest& r, const View&) { ++r.storageLastKnownState; }},
      {"state 0", [](FormatRequest& r, const View&) { r.storageLastKnownState = 0; }},
      {"state far off",
       [](FormatRequest& r, const View&) { r.storageLastKnownState += std::int64_t{1} << 32; }},
      {"state of another revision of the disk",
       [](FormatRequest& r, const View& v) {
         r.storageLastKnownState = v.disks.front().lastKnownState - 1000;
       }},
  };
  return kBroken;
}

class FormatRefuses : public FormatRevisionTest {
 protected:
  void SetUp() override { StartSharedWith("format-refusals", {DiskOf(kOnPrimary)}); }
  FormatRequest Right() {
    return FormatOf(RegionsOfType(session(), REGION_PRIMARY).front(),
                    FileSystemSpec(FSTYPE_NTFS, 4096, u"NEVER"));
  }
};

// storageId has to name a volume, partition or logical drive, and storageLastKnownState to be its current
// value: each case is refused at once, with force too, and nothing changes.
TEST_P(FormatRefuses, WhatTheListedCheckFinds) {
  Checks("DMRP-0893", "DMRP-0895", "DMRP-0495", "DMRP-0496", third() ? "DMRP-1634" : "DMRP-0892",
         third() ? "DMRP-1635" : "DMRP-0893");
  const Observation before = ObserveAll(session());
  for (const Broken& broken : BrokenRequests()) {
    SCOPED_TRACE(broken.name);
    FormatRequest request = Right();
    broken.spoil(request, before.view);
    EXPECT_THAT(session().Format(request), Refused());
    request.force = true;
    EXPECT_THAT(session().Format(request), Refused()) << "force does not help";
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, ::testing::IsEmpty()) << "no task is left behind";
}

// A type that GetInstalledFileSystems does not offer for formatting comes to nothing.
TEST_P(FormatRefuses, TypesThatAreNotOffered) {
  Checks("DMRP-0882", "DMRP-0096", "DMRP-0895");
  const auto installed = session().GetInstalledFileSystems();
  ASSERT_THAT(installed, Succeeds());
  for (const std::int32_t type :
       {FSTYPE_UNKNOWN, FSTYPE_CDFS, FSTYPE_UDF, FSTYPE_OTHER, std::int32_t{77}, std::int32_t{-1}}) {
    auto row = std::ranges::find(installed->fsList, type, &IFILE_SYSTEM_INFO::fsType);
    if (row != installed->fsList.end() && (row->fsFlags & FSF_FS_FORMAT_SUPPORTED) != 0) continue;
    SCOPED_TRACE(FileSystemName(type));
    FormatRequest request = Right();
    request.fsSpec.fsType = type;
    ExpectFails(session(), request);
  }
}

// So does an allocation unit that the type does not have.
TEST_P(FormatRefuses, AllocationUnitsThatAreNotOffered) {
  Checks("DMRP-0096", "DMRP-0895");
  for (const std::int32_t type : {FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS}) {
    const IFILE_SYSTEM_INFO row = Installed(session(), type);
    if ((row.fsFlags & FSF_FS_ALLOC_SZ_OTHER) != 0) continue;
    for (const std::uint32_t unit : {1U, 256U, 513U, 3000U, 1U << 17U, 1U << 18U, 1U << 20U, 0x80000000U}) {
      if (const auto units = UnitsOf(row.fsFlags); std::ranges::find(units, unit) != units.end()) continue;
      SCOPED_TRACE(FileSystemName(type) + " with units of " + std::to_string(unit));
      FormatRequest request = Right();
      request.fsSpec.fsType = type;
      request.fsSpec.allocationUnitSize = unit;
      ExpectFails(session(), request);
    }
  }
}

// Compression is refused by types without it, and with units that are not among those for compression. 512
// octets have no bit of their own there.
TEST_P(FormatRefuses, CompressionThatIsNotOffered) {
  Checks("DMRP-0097", "DMRP-0096", "DMRP-0895");
  for (const std::int32_t type : {FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS}) {
    const IFILE_SYSTEM_INFO row = Installed(session(), type);
    const auto compressible = UnitsOf(row.fsCompressionFlags);
    for (const std::uint32_t unit : UnitsOf(row.fsFlags)) {
      if (std::ranges::find(compressible, unit) != compressible.end()) continue;
      if (unit == 512 && !compressible.empty()) continue;
      SCOPED_TRACE(FileSystemName(type) + " with units of " + std::to_string(unit));
      FormatRequest request = Right();
      request.fsSpec = FileSystemSpec(type, unit, u"NEVER", true);
      ExpectFails(session(), request);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Both, FormatRefuses, kBothRevisions, RevisionName());

// A disk that cannot be written: the call fails at once or its task does, and the disk stays as it is.
class FormatOnReadOnly : public FormatRevisionTest {};

TEST_P(FormatOnReadOnly, Fails) {
  Checks("DMRP-0892", "DMRP-0443", third() ? "DMRP-1634" : "DMRP-0892");
  BedDiskRequest disk = DiskOf(kOnPrimary);
  disk.spec.read_only = true;
  StartSharedWith("format-read-only", {disk});
  const REGION_INFO_EX region = RegionsOfType(session(), REGION_PRIMARY).front();
  ExpectFails(session(), FormatOf(region, FileSystemSpec(FSTYPE_NTFS, 4096)));
  EXPECT_EQ(FsTypeOf(OnDisk(region)), FSTYPE_UNKNOWN);
}

INSTANTIATE_TEST_SUITE_P(Both, FormatOnReadOnly, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
