// Format (3.2.4.4.1.23, 3.2.4.4.3.23): what an accepted call does to objects, notifications and disk.
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

struct FormatSetup {
  Revision revision = Revision::kIVolumeClient3;
  FormatPlace place = kOnPrimary;
  std::int32_t type = FSTYPE_NTFS;
  std::uint32_t unit = 1024;

  friend void PrintTo(const FormatSetup& setup, std::ostream* out) {
    *out << harness::ToString(setup.revision) << "_" << setup.place.name << "_" << FileSystemName(setup.type);
  }
};

struct FormatSetupName {
  std::string operator()(const ::testing::TestParamInfo<FormatSetup>& info) const {
    return ::testing::PrintToString(info.param);
  }
};

// IVolumeClient3 alone knows GPT disks.
std::vector<FormatSetup> OverRevisions(const std::vector<FormatSetup>& setups) {
  std::vector<FormatSetup> on_mbr;
  std::vector<FormatSetup> all;
  for (const FormatSetup& setup : setups) (setup.place.gpt ? all : on_mbr).push_back(setup);
  for (auto& [revision, setup] : Dealt(on_mbr)) {
    setup.revision = revision;
    all.push_back(setup);
  }
  return all;
}

// A quick format, with what there is to see before, at and after the reply, and when the region is at rest.
struct Formatting {
  REGION_INFO_EX region;  ///< before
  std::vector<FILE_SYSTEM_INFO> systems_before;
  TASK_INFO tinfo{};
  std::vector<ReceivedObject> before_reply;  ///< of the caller
  std::vector<ReceivedObject> told;          ///< to the caller until the region was at rest
  TASK_INFO end{};
  REGION_INFO_EX at_rest;
  std::vector<FILE_SYSTEM_INFO> systems_after;
  /// Of the clients of both revisions and one more of the caller's.
  struct Client {
    std::string name;
    std::optional<TASK_INFO> end;
    bool at_rest = false;
    bool file_system = false;
  };
  std::vector<Client> clients;
  std::shared_ptr<ImageCopy> image_before;  ///< null without images
  std::shared_ptr<ImageCopy> image_after;
  std::optional<FileSystemOnDisk> on_disk;
};

// That of a storage object.
std::optional<FILE_SYSTEM_INFO> Of(const std::vector<FILE_SYSTEM_INFO>& systems, LdmObjectId storage) {
  const auto found = std::ranges::find(systems, storage, &FILE_SYSTEM_INFO::storageId);
  return found == systems.end() ? std::nullopt : std::optional(*found);
}

class Format : public FormatTest, public ::testing::WithParamInterface<FormatSetup> {
 protected:
  void SetUp() override {
    StartSharedWith(ScenarioKey(), {DiskOf(GetParam().place)});
    Installed(session(), GetParam().type);
  }
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool third() const { return GetParam().revision == Revision::kIVolumeClient3; }
  REGION_INFO_EX Storage() { return RegionsOfType(session(), GetParam().place.type).front(); }
  [[nodiscard]] FILE_SYSTEM_INFO Spec(std::u16string label = u"DATA") const {
    return FileSystemSpec(GetParam().type, GetParam().unit, std::move(label));
  }
  const Formatting& Formatted() {
    return Once([this] { return FormatOnce(); });
  }

 private:
  std::vector<FILE_SYSTEM_INFO> Systems() {
    const auto reply = session().EnumLocalFileSystems();
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return reply->fileSystemList;
  }
  std::shared_ptr<ImageCopy> Image() {
    if (!target().Can("images")) return nullptr;
    const BedDisk disk = lab().bed().disks().at(0);
    return std::make_shared<ImageCopy>(Need(lab().bed().Snapshot(disk.id)), disk.spec.logical_sector);
  }
  Formatting FormatOnce() {
    const std::vector<Session*> clients = {
        &SessionOf(Revision::kIVolumeClient), &SessionOf(Revision::kIVolumeClient3),
        &Open({.revision = GetParam().revision, .name = "another", .account = {}, .auth_level = {}})};
    std::vector<std::uint64_t> marks;
    Formatting seen;
    seen.region = Storage();
    seen.systems_before = Systems();
    seen.image_before = Image();
    for (Session* client : clients) marks.push_back(client->sink().Count());
    const std::uint64_t mark = session().sink().Count();
    const auto reply = session().Format(FormatOf(seen.region, Spec()));
    [&] { ASSERT_THAT(reply, StartsTask()); }();
    seen.tinfo = reply->tinfo;
    seen.end = EndOf(session(), seen.tinfo);
    seen.at_rest = SettledRegion(session(), seen.region.id, mark);
    for (const harness::ReceivedNotification& notification : session().sink().All()) {
      if (notification.number <= mark || notification.received > reply.call.replied) continue;
      seen.before_reply.insert(seen.before_reply.end(), notification.objects.begin(),
                               notification.objects.end());
    }
    seen.told = session().sink().Objects(mark);
    seen.image_after = Image();
    if (seen.image_after) {
      seen.on_disk = Need(harness::ReadFileSystem(seen.image_after->path(),
                                                  static_cast<std::uint64_t>(seen.region.start),
                                                  static_cast<std::uint64_t>(seen.region.length)));
    }
    seen.systems_after = Systems();
    for (std::size_t i = 0; i < clients.size(); ++i) {
      seen.clients.push_back(Seen(*clients[i], marks[i], seen));
    }
    return seen;
  }
  // What that client is told, within the time that it has for it.
  Formatting::Client Seen(Session& client, std::uint64_t mark, const Formatting& formatting) {
    Formatting::Client seen;
    seen.name = client.name();
    const auto limit = target().notification_timeout;
    const auto end = client.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.task && object.id == formatting.tinfo.id && IsFinal(object.task->status);
        },
        limit, mark);
    if (end) seen.end = *end->task;
    const auto at_rest = client.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.region && object.id == formatting.region.id &&
                 object.lastKnownState == formatting.at_rest.lastKnownState &&
                 (object.region->rflags & REGION_FORMAT_IN_PROGRESS) == 0 && object.region->taskId == 0;
        },
        limit, mark);
    seen.at_rest = at_rest.has_value();
    const auto file_system = client.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.action != LDMACTION_DELETED && object.file_system &&
                 object.file_system->storageId == formatting.region.id &&
                 object.file_system->fsType == GetParam().type;
        },
        limit, mark);
    seen.file_system = file_system.has_value();
    return seen;
  }
};

// The file system of fsSpec is made, with its type, unit and label; the checkers of others find it sound, and
// the object says what is on the disk.
TEST_P(Format, MakesTheFileSystem) {
  Checks("DMRP-0889", "DMRP-0896", "DMRP-0892", "DMRP-0898", third() ? "DMRP-1634" : "DMRP-0892",
         third() ? "DMRP-1635" : "DMRP-0896");
  NeedsCapability("images");
  ASSERT_EQ(Formatted().end.status, REQ_COMPLETED) << ToText(Formatted().end);
  const FileSystemOnDisk& disk = Formatted().on_disk.value();
  EXPECT_EQ(FsTypeOf(disk), GetParam().type) << disk.account;
  EXPECT_EQ(disk.label, "DATA");
  EXPECT_EQ(disk.unit, GetParam().unit);
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
  EXPECT_FALSE(disk.compressed);

  Checks("DMRP-0873", "DMRP-0084", "DMRP-0085", "DMRP-0086", "DMRP-0090", "DMRP-0092", "DMRP-0082",
         "DMRP-0083");
  const auto object = Of(Formatted().systems_after, Formatted().region.id);
  ASSERT_TRUE(object);
  EXPECT_THAT(Disagreements(*object, disk), IsEmpty()) << ToText(*object) << "\n" << disk.account;
  EXPECT_EQ(Formatted().at_rest.fsId, object->id);
}

// What lies around the partition stays, octet for octet.
TEST_P(Format, LeavesTheRestOfTheDisk) {
  Checks("DMRP-0896");
  NeedsCapability("images");
  const REGION_INFO_EX& region = Formatted().region;
  const BedDisk disk = lab().bed().disks().at(0);
  const ImageCopy& before = *Formatted().image_before;
  const ImageCopy& after = *Formatted().image_after;
  // The entry of the partition may change its type with the file system: in the first sectors, and for a
  // logical drive in the first one of the extended partition.
  const auto start = static_cast<std::uint64_t>(region.start);
  const auto end = static_cast<std::uint64_t>(region.start + region.length);
  const std::uint64_t sector = disk.spec.logical_sector;
  std::uint64_t chain = 0;
  if (region.regionType == REGION_LOGICAL) {
    chain = static_cast<std::uint64_t>(RegionsOfType(session(), REGION_EXTENDED).front().start);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> parts = {{sector * 64, start}, {end, disk.spec.size}};
  if (chain != 0) parts = {{sector * 64, chain}, {chain + sector, start}, {end, disk.spec.size}};
  for (const auto& [from, to] : parts) {
    std::ifstream one(before.path(), std::ios::binary);
    std::ifstream other(after.path(), std::ios::binary);
    one.seekg(static_cast<std::streamoff>(from));
    other.seekg(static_cast<std::streamoff>(from));
    std::vector<char> a(1U << 20U);
    std::vector<char> b(a.size());
    for (std::uint64_t at = from; at < to; at += a.size()) {
      const auto count = static_cast<std::streamsize>(std::min<std::uint64_t>(a.size(), to - at));
      one.read(a.data(), count);
      other.read(b.data(), count);
      if (at >= end && GetParam().place.gpt && to - at <= a.size()) break;  // the copy of the table
      ASSERT_TRUE(std::equal(a.begin(), a.begin() + count, b.begin())) << "within 1 MiB from " << at;
    }
  }
  EXPECT_EQ(Need(harness::Observe(after.path(), disk.spec.logical_sector)).layout.partitions.size(),
            Need(harness::Observe(before.path(), disk.spec.logical_sector)).layout.partitions.size());
}

INSTANTIATE_TEST_SUITE_P(Kinds, Format,
                         ::testing::ValuesIn(OverRevisions({{{}, kOnPrimary, FSTYPE_FAT, 2048},
                                                            {{}, kOnPrimary, FSTYPE_FAT32, 512},
                                                            {{}, kOnPrimary, FSTYPE_NTFS, 1024},
                                                            {{}, kOnLogical, FSTYPE_FAT, 4096},
                                                            {{}, kOnLogical, FSTYPE_NTFS, 512},
                                                            {{}, kOn4Kn, FSTYPE_FAT, 4096},
                                                            {{}, kOn4Kn, FSTYPE_NTFS, 4096},
                                                            {{}, kOnGpt, FSTYPE_FAT32, 512},
                                                            {{}, kOnGpt, FSTYPE_NTFS, 2048}})),
                         FormatSetupName());

class FormatObjects : public Format {
 protected:
  static std::optional<ReceivedObject> First(const std::vector<ReceivedObject>& objects,
                                             const harness::NotificationSink::Predicate& fits) {
    const auto found = std::ranges::find_if(objects, fits);
    return found == objects.end() ? std::nullopt : std::optional(*found);
  }
};

// Before the reply the storage object is modified for its status; a task that goes on shows in its flag.
TEST_P(FormatObjects, ModifiesTheStorageObjectAtTheStart) {
  Checks("DMRP-0900", "DMRP-0531", "DMRP-0532", third() ? "DMRP-0236" : "DMRP-0175");
  const REGION_INFO_EX& region = Formatted().region;
  const auto first =
      First(Formatted().before_reply, harness::Action(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, region.id));
  ASSERT_TRUE(first) << "no DMNOTIFY_REGION_INFO/LDMACTION_MODIFIED of the partition before the reply";
  EXPECT_GT(first->lastKnownState, region.lastKnownState);
  if (Formatted().tinfo.status == REQ_STARTED) {
    EXPECT_NE(first->region->rflags & REGION_FORMAT_IN_PROGRESS, 0U) << ToText(*first->region);
  }
}

// Before the reply the file system object is there: a new one under an id that was never used, with the old
// one gone, or the old one modified, since a storage object never has two.
TEST_P(FormatObjects, CreatesAFileSystemObject) {
  Checks("DMRP-0901", "DMRP-0522", "DMRP-0525", "DMRP-0529", "DMRP-0460");
  const REGION_INFO_EX& region = Formatted().region;
  const auto& before = Formatted().systems_before;
  const auto old = Of(before, region.id);
  const auto told = First(Formatted().before_reply, [&](const ReceivedObject& object) {
    return object.file_system && object.file_system->storageId == region.id &&
           (object.action == LDMACTION_CREATED || (object.action == LDMACTION_MODIFIED && old));
  });
  ASSERT_TRUE(told) << "no DMNOTIFY_FS_INFO for the partition before the reply";
  if (told->action == LDMACTION_CREATED) {
    EXPECT_EQ(std::ranges::count(before, told->id, &FILE_SYSTEM_INFO::id), 0) << "the id is not new";
    if (old) {
      EXPECT_THAT(Formatted().told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_DELETED, old->id)))
          << "a second file system object of one partition";
    }
  } else {
    EXPECT_EQ(told->id, old->id);
    EXPECT_GT(told->lastKnownState, old->lastKnownState);
  }
  const auto now = Of(Formatted().systems_after, region.id);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->fsType, GetParam().type);
  EXPECT_EQ(Formatted().systems_after.size(), before.size() + (old ? 0 : 1));
}

// When the formatting is complete, the storage object is modified once more: its flag is gone, the state
// rises, and no task is at work on it.
TEST_P(FormatObjects, ModifiesTheStorageObjectAtTheEnd) {
  Checks("DMRP-0902", third() ? "DMRP-0234" : "DMRP-0173", third() ? "DMRP-0235" : "DMRP-0174", "DMRP-0497");
  ASSERT_EQ(Formatted().end.status, REQ_COMPLETED);
  const REGION_INFO_EX& after = Formatted().at_rest;
  EXPECT_EQ(after.rflags & REGION_FORMAT_IN_PROGRESS, 0U) << ToText(after);
  EXPECT_EQ(after.taskId, 0);
  EXPECT_EQ(after.status, REGIONSTATUS_OK);
  EXPECT_GT(after.lastKnownState, Formatted().region.lastKnownState);
  Checks("DMRP-0285", "DMRP-0526");
  FormatAndWait(session(), RegionNow(session(), after.id), Spec());  // the state of now is accepted
}

// Clients of both revisions are told of all of it.
TEST_P(FormatObjects, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-0528", "DMRP-0570", "DMRP-0573", "DMRP-0574", "DMRP-0575");
  for (const Formatting::Client& client : Formatted().clients) {
    SCOPED_TRACE(client.name);
    if (Formatted().tinfo.status == REQ_STARTED) {
      ASSERT_TRUE(client.end) << "no final frame";
      EXPECT_EQ(client.end->status, REQ_COMPLETED);
    }
    EXPECT_TRUE(client.at_rest) << "not told of the region at rest";
    EXPECT_TRUE(client.file_system) << "not told of the file system";
  }
}

// tinfo: a fresh id, REQ_STARTED of a task that goes on, no error, the volume or nothing as storageId, zeros.
TEST_P(FormatObjects, FillsTheTaskInfo) {
  Checks("DMRP-0897", "DMRP-0898", "DMRP-0103", "DMRP-0104", "DMRP-0105", "DMRP-0106", "DMRP-0110",
         "DMRP-0111", "DMRP-0113", "DMRP-0114", "DMRP-0116", "DMRP-0555", "DMRP-0899",
         third() ? "DMRP-0540" : "DMRP-0539");
  const TASK_INFO& task = Formatted().tinfo;
  EXPECT_NE(task.id, 0);
  EXPECT_TRUE(task.storageId == 0 || task.storageId == Formatted().region.id) << task.storageId;
  EXPECT_EQ(task.createTime, 0);
  EXPECT_TRUE(task.clientID == 0 || task.clientID == session().client_id()) << task.clientID;
  EXPECT_EQ(task.percentComplete, 0U);
  EXPECT_EQ(task.type, PROGRESS_UNKNOWN);
  EXPECT_EQ(task.error, 0);
  EXPECT_EQ(task.tflag, 0U);
}

// Only type, unit, flags and label of fsSpec count.
TEST_P(FormatObjects, IgnoresTheOtherMembersOfTheSpec) {
  Checks("DMRP-0297", "DMRP-0521");
  const REGION_INFO_EX region = Storage();
  FILE_SYSTEM_INFO spec = Spec(u"NOISE");
  spec.id = lab().DiskId(0);
  spec.storageId = -7;
  spec.totalAllocationUnits = -1;
  spec.availableAllocationUnits = std::int64_t{1} << 62;
  spec.lastKnownState = 77;
  spec.taskId = region.id;
  FormatAndWait(session(), region, spec);
  const FileSystemOnDisk disk = OnDisk(region);
  EXPECT_EQ(FsTypeOf(disk), GetParam().type);
  EXPECT_EQ(disk.label, "NOISE");
  EXPECT_EQ(disk.unit, GetParam().unit);
  const auto object = FileSystemOf(session(), region.id);
  ASSERT_TRUE(object);
  EXPECT_THAT(Disagreements(*object, disk), IsEmpty());
  EXPECT_NE(object->id, spec.id);
}

// A volume with a file system gets the new one in its place: other type, other label, other object, never
// two.
TEST_P(FormatObjects, ReplacesTheFileSystemThatWasThere) {
  Checks("DMRP-0896", "DMRP-0901", "DMRP-0083", "DMRP-0490");
  REGION_INFO_EX region = Storage();
  const std::int32_t other = GetParam().type == FSTYPE_NTFS ? FSTYPE_FAT : FSTYPE_NTFS;
  Installed(session(), other);
  FormatAndWait(session(), region, Spec(u"FIRST"));
  const auto first = FileSystemOf(session(), region.id);
  ASSERT_TRUE(first);
  region = RegionNow(session(), region.id);
  FormatAndWait(session(), region, FileSystemSpec(other, 4096, u"SECOND"));
  const auto second = FileSystemOf(session(), region.id);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->fsType, other);
  EXPECT_EQ(LabelOf(*second), "SECOND");
  const FileSystemOnDisk disk = OnDisk(region);
  EXPECT_EQ(FsTypeOf(disk), other) << disk.account;
  EXPECT_EQ(disk.label, "SECOND");
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
}

INSTANTIATE_TEST_SUITE_P(Kinds, FormatObjects,
                         ::testing::ValuesIn(OverRevisions({{{}, kOnPrimary, FSTYPE_FAT, 2048},
                                                            {{}, kOnLogical, FSTYPE_NTFS, 1024}})),
                         FormatSetupName());

}  // namespace
}  // namespace dmrp::suites
