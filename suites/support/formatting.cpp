#include "suites/support/formatting.hpp"

#include "harness/guest/guest.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <fmt/format.h>

namespace dmrp::suites {

FILE_SYSTEM_INFO FileSystemSpec(std::int32_t type, std::uint32_t unit, std::u16string label,
                                bool compression) {
  FILE_SYSTEM_INFO spec;
  spec.fsType = type;
  spec.allocationUnitSize = unit;
  spec.fsflags = compression ? ENABLE_VOLUME_COMPRESSION : 0;
  label.push_back(u'\0');
  spec.label = std::move(label);
  return spec;
}

FormatRequest FormatOf(const REGION_INFO_EX& region, const FILE_SYSTEM_INFO& spec, bool quick, bool force) {
  FormatRequest request;
  request.storageId = region.id;
  request.storageLastKnownState = region.lastKnownState;
  request.fsSpec = spec;
  request.quickFormat = quick;
  request.force = force;
  return request;
}

std::string FileSystemName(std::int32_t type) {
  switch (type) {
    case FSTYPE_UNKNOWN:
      return "unknown";
    case FSTYPE_NTFS:
      return "NTFS";
    case FSTYPE_FAT:
      return "FAT";
    case FSTYPE_FAT32:
      return "FAT32";
    case FSTYPE_CDFS:
      return "CDFS";
    case FSTYPE_UDF:
      return "UDF";
    case FSTYPE_OTHER:
      return "other";
    default:
      return fmt::format("type {}", type);
  }
}

std::int32_t FsTypeOf(const FileSystemOnDisk& disk) {
  switch (disk.type) {
    case FileSystemOnDisk::Type::kNone:
      return FSTYPE_UNKNOWN;
    case FileSystemOnDisk::Type::kFat12:
    case FileSystemOnDisk::Type::kFat16:
      return FSTYPE_FAT;
    case FileSystemOnDisk::Type::kFat32:
      return FSTYPE_FAT32;
    case FileSystemOnDisk::Type::kNtfs:
      return FSTYPE_NTFS;
    case FileSystemOnDisk::Type::kOther:
      break;
  }
  return FSTYPE_OTHER;
}

std::string LabelOf(const FILE_SYSTEM_INFO& file_system) { return harness::Text(file_system.label); }

std::vector<std::uint32_t> UnitsOf(std::uint32_t flags) {
  std::vector<std::uint32_t> units;
  std::uint32_t unit = 512;
  for (std::uint32_t bit = FSF_FS_ALLOC_SZ_512; bit <= FSF_FS_ALLOC_SZ_256K; bit *= 2, unit *= 2) {
    if ((flags & bit) != 0) units.push_back(unit);
  }
  return units;
}

bool IsFinal(REQSTATUS status) {
  return status == REQ_COMPLETED || status == REQ_ABORTED || status == REQ_FAILED;
}

REGION_INFO_EX FormatTest::RegionAt(Session& session, std::int64_t start, std::size_t disk) {
  for (const REGION_INFO_EX& region : RegionsNow(session, disk)) {
    if (region.start == start && region.regionType != REGION_EXTENDED) return region;
  }
  [&] { FAIL() << "no region starts at " << start; }();
  throw std::logic_error("unreachable");
}

std::vector<REGION_INFO_EX> FormatTest::RegionsOfType(Session& session, REGIONTYPE type, std::size_t disk) {
  std::vector<REGION_INFO_EX> regions = RegionsNow(session, disk);
  std::erase_if(regions, [&](const REGION_INFO_EX& region) { return region.regionType != type; });
  std::ranges::sort(regions, {}, &REGION_INFO_EX::start);
  return regions;
}

REGION_INFO_EX FormatTest::RegionNow(Session& session, LdmObjectId id, std::size_t disk) {
  for (const REGION_INFO_EX& region : RegionsNow(session, disk)) {
    if (region.id == id) return region;
  }
  [&] { FAIL() << "region " << id << " is not listed"; }();
  throw std::logic_error("unreachable");
}

std::optional<FILE_SYSTEM_INFO> FormatTest::FileSystemOf(Session& session, LdmObjectId storage) {
  const auto reply = session.EnumLocalFileSystems();
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  auto found = std::ranges::find(reply->fileSystemList, storage, &FILE_SYSTEM_INFO::storageId);
  if (found == reply->fileSystemList.end()) return std::nullopt;
  return *found;
}

IFILE_SYSTEM_INFO FormatTest::Installed(Session& session, std::int32_t type) {
  const auto reply = session.GetInstalledFileSystems();
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  auto found = std::ranges::find(reply->fsList, type, &IFILE_SYSTEM_INFO::fsType);
  if (found == reply->fsList.end() || (found->fsFlags & FSF_FS_FORMAT_SUPPORTED) == 0) {
    [&] { GTEST_SKIP() << "the target does not format with " << FileSystemName(type); }();
  }
  return *found;
}

TASK_INFO FormatTest::EndOf(Session& session, const TASK_INFO& tinfo, std::chrono::milliseconds limit) {
  if (IsFinal(tinfo.status)) return tinfo;
  const auto frame = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.task && object.id == tinfo.id && IsFinal(object.task->status);
      },
      limit);
  [&] { ASSERT_TRUE(frame) << "no final frame of task " << tinfo.id << " in " << limit.count() << " ms"; }();
  return *frame->task;
}

REGION_INFO_EX FormatTest::SettledRegion(Session& session, LdmObjectId region, std::uint64_t mark,
                                         std::size_t disk) {
  const bool settled = session.sink().WaitUntil(
      [&](const std::vector<ReceivedObject>& objects) {
        const REGION_INFO_EX* last = nullptr;
        for (const ReceivedObject& object : objects) {
          if (object.id == region && object.region) last = &*object.region;
        }
        return last != nullptr && (last->rflags & REGION_FORMAT_IN_PROGRESS) == 0 && last->taskId == 0;
      },
      target().notification_timeout, mark);
  EXPECT_TRUE(settled) << "no DMNOTIFY_REGION_INFO/LDMACTION_MODIFIED shows region " << region << " at rest";
  return RegionNow(session, region, disk);
}

FormatReply FormatTest::FormatAndWait(Session& session, const REGION_INFO_EX& region,
                                      const FILE_SYSTEM_INFO& spec, bool quick, bool force) {
  const std::uint64_t mark = session.sink().Count();
  const auto reply = session.Format(FormatOf(region, spec, quick, force));
  [&] { ASSERT_THAT(reply, StartsTask()); }();
  const TASK_INFO end = EndOf(session, reply->tinfo);
  [&] { ASSERT_EQ(end.status, REQ_COMPLETED) << ToText(end); }();
  SettledRegion(session, region.id, mark);
  return reply.value;
}

void FormatTest::ExpectFails(Session& session, const FormatRequest& request) {
  const Observation before = ObserveAll(session, false);
  const auto reply = session.Format(request);
  if (reply.succeeded() && reply->tinfo.status == REQ_STARTED) {
    const TASK_INFO end = EndOf(session, reply->tinfo);
    EXPECT_EQ(end.status, REQ_FAILED) << reply.call.text << "\n" << ToText(end);
    return;
  }
  EXPECT_THAT(reply, Refused());
  EXPECT_THAT(ObserveAll(session, false), Unchanged(before));
}

std::vector<FileSystemOnDisk> FormatTest::OnDisk(const std::vector<REGION_INFO_EX>& regions,
                                                 std::size_t disk) {
  NeedsCapability("images");
  const BedDisk bed_disk = lab().bed().disks().at(disk);
  const ImageCopy copy(Need(lab().bed().Snapshot(bed_disk.id)), bed_disk.spec.logical_sector);
  std::vector<FileSystemOnDisk> seen;
  for (const REGION_INFO_EX& region : regions) {
    seen.push_back(Need(harness::ReadFileSystem(copy.path(), static_cast<std::uint64_t>(region.start),
                                                static_cast<std::uint64_t>(region.length))));
  }
  return seen;
}

FileSystemOnDisk FormatTest::OnDisk(const REGION_INFO_EX& region, std::size_t disk) {
  return OnDisk(std::vector<REGION_INFO_EX>{region}, disk).front();
}

std::string FormatTest::DeviceOf(const REGION_INFO_EX& region, std::size_t disk) {
  const std::string& id = lab().bed().disks().at(disk).id;
  for (const harness::AttachedDisk& attached : GuestOrSkip().disks()) {
    if (attached.id == id) {
      return fmt::format("/dev/{}{}", attached.guest_device, region.currentPartitionNumber);
    }
  }
  [&] { FAIL() << kEnvironmentMark << "the guest has no disk " << id; }();
  throw std::logic_error("unreachable");
}

FormatTest::Traffic FormatTest::TrafficOf(std::size_t disk) {
  const std::string& id = lab().bed().disks().at(disk).id;
  harness::Guest& guest = GuestOrSkip();
  for (const harness::AttachedDisk& attached : guest.disks()) {
    if (attached.id != id) continue;
    // Fields of Documentation/block/stat.rst; the sectors are of 512 octets on every disk.
    std::istringstream stat(Need(guest.agent().ReadFile("/sys/block/" + attached.guest_device + "/stat")));
    std::uint64_t reads = 0;
    std::uint64_t merged = 0;
    std::uint64_t sectors_read = 0;
    std::uint64_t milliseconds = 0;
    std::uint64_t writes = 0;
    std::uint64_t writes_merged = 0;
    std::uint64_t sectors_written = 0;
    stat >> reads >> merged >> sectors_read >> milliseconds >> writes >> writes_merged >> sectors_written;
    return {sectors_read * 512, sectors_written * 512};
  }
  [&] { FAIL() << kEnvironmentMark << "the guest has no disk " << id; }();
  throw std::logic_error("unreachable");
}

std::vector<std::string> Disagreements(const FILE_SYSTEM_INFO& object, const FileSystemOnDisk& disk) {
  std::vector<std::string> texts;
  auto compare = [&](std::string_view what, const auto& told, const auto& found) {
    if (told != found) texts.push_back(fmt::format("{}: told {}, found {}", what, told, found));
  };
  compare("type", FileSystemName(object.fsType), FileSystemName(FsTypeOf(disk)));
  compare("label", LabelOf(object), disk.label);
  compare("allocation unit", object.allocationUnitSize, disk.unit);
  compare("compression", (object.fsflags & ENABLE_VOLUME_COMPRESSION) != 0, disk.compressed);
  if (disk.unit == 0) return texts;
  // One unit more or less: readers differ in whether what lies behind the last whole one, such as the copy of
  // NTFS's boot sector, counts.
  auto near = [](std::int64_t told, std::uint64_t found, std::uint64_t within) {
    return std::llabs(told - static_cast<std::int64_t>(found)) <= static_cast<long long>(within);
  };
  if (!near(object.totalAllocationUnits, disk.units, 1)) {
    compare("allocation units", object.totalAllocationUnits, static_cast<std::int64_t>(disk.units));
  }
  if (!near(object.availableAllocationUnits, disk.units_free, 1)) {
    compare("free allocation units", object.availableAllocationUnits,
            static_cast<std::int64_t>(disk.units_free));
  }
  return texts;
}

}  // namespace dmrp::suites
