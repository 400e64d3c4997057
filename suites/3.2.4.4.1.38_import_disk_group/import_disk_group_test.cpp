// ImportDiskGroup (3.2.4.4.1.38, 3.2.4.4.3.41).
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/foreign_groups.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

class ImportTest : public ForeignGroupTest {
 protected:
  static Outcome<ImportDiskGroupReply> Call(Session& session, const Bytes& dgid) {
    ImportDiskGroupRequest request;
    request.dgid = dgid;
    return session.Change<ImportDiskGroupReply>(session.interface(), "ImportDiskGroup", request);
  }
};

template <typename Watched>
struct Imported {
  harness::DynamicGroup made;  // as the disks told it before
  TASK_INFO reply{};
  TASK_INFO end{};
  Watched operation;
};

using Case = std::tuple<Revision, ForeignGroup>;

class ImportDiskGroup : public ImportTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override { StartSharedWith(ScenarioKey(), GroupRequests(group())); }
  [[nodiscard]] Revision revision() const { return std::get<0>(GetParam()); }
  [[nodiscard]] const ForeignGroup& group() const { return std::get<1>(GetParam()); }
  Session& session() { return SessionOf(revision()); }
  const auto& Done() {
    return Once([&] {
      harness::DynamicGroup made = GroupsOnDisk().groups.at(0);
      const Bytes dgid = DiskNow(session()).dgid.value_or(Bytes());
      const std::uint64_t mark = session().sink().Count();
      TASK_INFO first{};
      TASK_INFO end{};
      auto operation = Watch(session(), [&] {
        auto reply = Call(session(), dgid);
        first = reply->tinfo;
        if (reply.succeeded()) end = AwaitTask(session(), first, mark);
        return reply;
      });
      return Imported<decltype(operation)>{std::move(made), first, end, std::move(operation)};
    });
  }
  const std::vector<ReceivedObject>& Told() { return Done().operation.notified.at(revision()); }
  // Volumes that some of the disks there can still show.
  std::vector<harness::DynamicVolume> Online() { return Readable(Done().made); }
};

// The group keeps name, disks and volumes, and is the one of the machine: no disk is foreign any more.
TEST_P(ImportDiskGroup, MakesItThePrimaryGroup) {
  Checks("DMRP-1156", "DMRP-1157", "DMRP-1161", "DMRP-1729", "DMRP-1731");
  const auto& done = Done();
  const harness::DynamicLayout& found = GroupsAfter(done.operation);
  ASSERT_THAT(found.groups, SizeIs(1));
  const harness::DynamicGroup& now = found.groups[0];
  EXPECT_EQ(now.guid, done.made.guid);
  EXPECT_EQ(now.name, done.made.name);
  EXPECT_TRUE(now.at_rest.value_or(false));
  EXPECT_THAT(now.disks, SizeIs(done.made.disks.size()));
  EXPECT_THAT(now.volumes, SizeIs(done.made.volumes.size()));
  for (const harness::DynamicVolume& volume : done.made.volumes) {
    const harness::DynamicVolume* same = found.FindVolume(volume.guid);
    ASSERT_NE(same, nullptr) << volume.name;
    EXPECT_EQ(same->type, volume.type);
    EXPECT_EQ(same->size, volume.size);
  }
  const bool complete = group().away.empty();
  EXPECT_THAT(BrokenInvariants({}, {.degraded = !complete, .complete = complete, .data = complete}),
              IsEmpty());
}

// Each volume is online, with what it held.
TEST_P(ImportDiskGroup, BringsDisksAndVolumesOnline) {
  Checks("DMRP-1162");
  const auto& done = Done();
  for (std::size_t i = 0; i < lab().bed().disks().size(); ++i) {
    EXPECT_EQ(done.operation.after.FindDisk(lab().DiskId(i))->deviceState, DWORD{DEVICESTATE_HEALTHY}) << i;
  }
  for (const harness::DynamicVolume& volume : done.made.volumes) {
    const VOLUME_INFO* object = ObjectOf(done.operation.after, volume);
    ASSERT_NE(object, nullptr) << volume.name;
    EXPECT_EQ(object->status, StatusOf(done.made, volume)) << ToText(*object);
  }
  EXPECT_THAT(DeviceProblems(session(), Online()), IsEmpty());
}

TEST_P(ImportDiskGroup, KeepsWhatTheVolumesHold) {
  Checks("DMRP-1161", "DMRP-1162");
  EXPECT_THAT(DataProblems(Done().made.guid, Online()), IsEmpty());
}

// The first reply tells of a task that has begun, or that has ended already.
TEST_P(ImportDiskGroup, FillsTheTaskInfo) {
  Checks("DMRP-1163", "DMRP-1164", "DMRP-1165", "DMRP-1167",
         revision() == Revision::kIVolumeClient ? "DMRP-0545" : "DMRP-0546");
  const TASK_INFO& reply = Done().reply;
  EXPECT_NE(reply.id, 0);
  EXPECT_THAT(reply.status, ::testing::AnyOf(REQ_STARTED, REQ_COMPLETED));
  EXPECT_EQ(reply.error, 0);
  EXPECT_EQ(reply.createTime, 0);
  EXPECT_EQ(reply.clientID, 0);
  EXPECT_EQ(reply.tflag, 0U);
}

TEST_P(ImportDiskGroup, SendsTheCompletionNotification) {
  Checks("DMRP-1166", "DMRP-0563", "DMRP-0564");
  EXPECT_EQ(Done().end.status, REQ_COMPLETED);
  EXPECT_EQ(Done().end.error, 0);
  ExpectCompletion(session(), Done().reply, Done().operation.marks.at(revision()));
}

TEST_P(ImportDiskGroup, ModifiesTheDisks) {
  Checks("DMRP-1168", "DMRP-0531");
  const auto& [before, after] = std::tie(Done().operation.before, Done().operation.after);
  for (std::size_t i = 0; i < lab().bed().disks().size(); ++i) {
    const LdmObjectId id = lab().DiskId(i);
    ASSERT_NE(after.FindDisk(id), nullptr);
    EXPECT_NE(before.FindDisk(id)->deviceState & DWORD{DEVICESTATE_UNCLAIMED}, 0U);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
    EXPECT_GT(after.FindDisk(id)->lastKnownState, before.FindDisk(id)->lastKnownState);
    EXPECT_EQ(after.FindDisk(id)->dgid, before.FindDisk(id)->dgid);
  }
}

// Disks of the group that are not here are listed as missing, with the members of volumes on them.
TEST_P(ImportDiskGroup, ShowsAbsentDisksAsMissing) {
  Checks("DMRP-1168", "DMRP-1170");
  const auto& done = Done();
  std::size_t missing = 0;
  for (const DISK_INFO_EX& disk : done.operation.after.disks) {
    if ((disk.deviceState & DWORD{DEVICESTATE_MISSING}) == 0) continue;
    ++missing;
    EXPECT_EQ(disk.dgid, done.operation.after.FindDisk(lab().DiskId(0))->dgid);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_CREATED, disk.id)));
    EXPECT_THAT(done.operation.after.RegionsOf(disk.id), SizeIs(3))
        << "of the stripes, the mirror, the RAID-5";
  }
  EXPECT_EQ(missing, group().away.size());
}

TEST_P(ImportDiskGroup, CreatesTheVolumes) {
  Checks("DMRP-1169", "DMRP-0529");
  const auto& done = Done();
  EXPECT_THAT(done.operation.before.volumes.value_or(std::vector<VOLUME_INFO>()), IsEmpty());
  ASSERT_TRUE(done.operation.after.volumes);
  EXPECT_THAT(*done.operation.after.volumes, SizeIs(done.made.volumes.size()));
  for (const harness::DynamicVolume& volume : done.made.volumes) {
    const VOLUME_INFO* object = ObjectOf(done.operation.after, volume);
    ASSERT_NE(object, nullptr) << volume.name;
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, object->id)));
    EXPECT_EQ(object->layout, LayoutOnWire(volume.type)) << volume.name;
    EXPECT_EQ(object->type, VOLUMETYPE_VM);
  }
}

// One region for each member, where the readers find it.
TEST_P(ImportDiskGroup, CreatesTheRegions) {
  Checks("DMRP-1170");
  const auto& done = Done();
  for (const harness::DynamicVolume& volume : done.made.volumes) {
    const VOLUME_INFO* object = ObjectOf(done.operation.after, volume);
    ASSERT_NE(object, nullptr) << volume.name;
    std::vector<std::pair<std::int64_t, std::int64_t>> on_disk;
    for (const harness::DynamicPlex& plex : volume.plexes) {
      for (const harness::DynamicExtent& extent : plex.extents) {
        if (!extent.start) continue;
        on_disk.emplace_back(static_cast<std::int64_t>(*extent.start),
                             static_cast<std::int64_t>(extent.length));
      }
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> on_wire;
    for (const REGION_INFO_EX& region : done.operation.after.RegionsOfVolume(object->id)) {
      EXPECT_EQ(region.regionType, REGION_SUBDISK);
      EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
      const DISK_INFO_EX* disk = done.operation.after.FindDisk(region.diskId);
      ASSERT_NE(disk, nullptr);
      if ((disk->deviceState & DWORD{DEVICESTATE_MISSING}) == 0)
        on_wire.emplace_back(region.start, region.length);
    }
    EXPECT_THAT(on_wire, UnorderedElementsAreArray(on_disk)) << volume.name;
  }
}

// A volume gets the letter that its record names.
TEST_P(ImportDiskGroup, PutsTheLettersIntoUse) {
  Checks("DMRP-1171", "DMRP-0531");
  const auto& done = Done();
  for (const harness::DynamicVolume& volume : Online()) {
    if (LetterOf(volume) == 0) continue;
    const auto letter = static_cast<char16_t>(LetterOf(volume));
    ASSERT_NE(done.operation.after.FindLetter(letter), nullptr);
    EXPECT_EQ(done.operation.before.FindLetter(letter)->isUsed, 0U);
    EXPECT_EQ(done.operation.after.FindLetter(letter)->isUsed, 1U) << volume.name;
    EXPECT_EQ(done.operation.after.FindLetter(letter)->storageId, ObjectOf(done.operation.after, volume)->id);
    EXPECT_GT(done.operation.after.FindLetter(letter)->lastKnownState,
              done.operation.before.FindLetter(letter)->lastKnownState);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(letter))));
  }
}

TEST_P(ImportDiskGroup, CreatesTheFileSystems) {
  Checks("DMRP-1172");
  const auto& done = Done();
  for (const harness::DynamicVolume& volume : done.made.volumes) {
    const VOLUME_INFO* object = ObjectOf(done.operation.after, volume);
    ASSERT_NE(object, nullptr) << volume.name;
    const FILE_SYSTEM_INFO* system = done.operation.after.FileSystemOf(object->id);
    if (LetterOf(volume) == 0 || StatusOf(done.made, volume) == VOLUME_STATUS_FAILED) {
      EXPECT_EQ(system, nullptr) << volume.name;
      continue;
    }
    ASSERT_NE(system, nullptr) << volume.name;
    EXPECT_EQ(object->fsId, system->id);
    EXPECT_EQ(system->fsType, FSTYPE_FAT);
    EXPECT_EQ(harness::Text(system->label), LabelOfVolume(LetterOf(volume)));
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, system->id)));
  }
}

// Clients of both revisions are told, each in its own structures.
TEST_P(ImportDiskGroup, IsNotifiedToClientsOfBothRevisions) {
  Checks("DMRP-1168", "DMRP-1169", "DMRP-0457");
  const auto& done = Done();
  for (const auto& [revision, objects] : done.operation.notified) {
    EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, lab().DiskId(0))));
    for (const harness::DynamicVolume& volume : done.made.volumes) {
      EXPECT_THAT(objects, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED,
                                             ObjectOf(done.operation.after, volume)->id)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, ImportDiskGroup,
                         ::testing::ValuesIn(Dealt<ForeignGroup>({kForeignComplete, kForeignIncomplete,
                                                                  kForeignMixed, kForeign2003},
                                                                 Revision::kIVolumeClient)),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::string(std::get<1>(info.param).name);
                         });

class ImportDiskGroupChecks : public ImportTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
};
class ImportDiskGroupOfLateDisks : public ImportDiskGroupChecks {};
class ImportDiskGroupAfterAPowerCut : public ImportDiskGroupChecks {};
class ImportDiskGroupOfManyDisks : public ImportDiskGroupChecks {};

// Disks that turn dynamic afterwards become members of the imported group.
TEST_P(ImportDiskGroupChecks, NewDisksJoinIt) {
  Checks("DMRP-1161", "DMRP-1158", "DMRP-1160", "DMRP-1157", "DMRP-1729");
  std::vector<BedDiskRequest> disks = GroupRequests(kForeign2003);
  disks.push_back({harness::ParseDiskSpec("size=72M").value(), {}});
  StartWith(std::move(disks));
  const std::uint64_t mark = session().sink().Count();
  const Bytes dgid = DiskNow(session()).dgid.value_or(Bytes());
  const auto reply = Call(session(), dgid);
  ASSERT_THAT(reply, Succeeds());
  ASSERT_EQ(AwaitTask(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  const DISK_INFO_EX blank = DiskNow(session(), 3);
  ASSERT_THAT(InitializeDisk(session(), blank.id, blank.lastKnownState), Succeeds());
  const harness::DynamicLayout now = GroupsOnDisk();
  ASSERT_THAT(now.groups, SizeIs(1));
  EXPECT_THAT(now.groups[0].disks, SizeIs(4));
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
  // The group is no foreign one any more.
  const Observation before = ObserveAll(session());
  EXPECT_THAT(Call(session(), dgid), Refused());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A disk that was not there at the import comes later, with the database of before: it is a missing disk that
// is back, and its volumes are whole again when it was attached.
TEST_P(ImportDiskGroupOfLateDisks, AMissingDiskMayComeLater) {
  Checks("DMRP-1162", "DMRP-1224", "DMRP-1226", "DMRP-1894");
  NeedsCapability("attach");
  StartWith(GroupRequests(kForeignIncomplete));
  const harness::DynamicGroup made = CopyGroups().layout.groups.at(0);
  std::uint64_t mark = session().sink().Count();
  const auto reply = Call(session(), DiskNow(session()).dgid.value_or(Bytes()));
  ASSERT_THAT(reply, Succeeds());
  ASSERT_EQ(AwaitTask(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  mark = session().sink().Count();
  Need(lab().bed().Attach(GroupDisk(kForeignComplete, 3)));
  const auto came = session().sink().WaitFor(
      [](const ReceivedObject& object) {
        return object.disk && object.action != LDMACTION_DELETED && object.disk->length == MiB(112) &&
               (object.disk->deviceState & DWORD{DEVICESTATE_MISSING}) == 0;
      },
      target().notification_timeout, mark);
  ASSERT_TRUE(came) << "the disk is not told";
  StorageView view = Need(session().View());
  for (const DISK_INFO_EX& disk : view.disks) {
    EXPECT_EQ(disk.deviceState & DWORD{DEVICESTATE_MISSING}, 0U) << ToText(disk);
  }
  ASSERT_NE(view.FindDisk(came->id), nullptr);
  EXPECT_EQ(view.FindDisk(came->id)->dgid, DiskNow(session()).dgid);
  mark = session().sink().Count();
  ReAttachDiskRequest request;
  request.diskId = came->id;
  request.diskLastKnownState = view.FindDisk(came->id)->lastKnownState;
  ASSERT_THAT(session().Change<ReAttachDiskReply>(session().interface(), "ReAttachDisk", request),
              Succeeds());
  for (const harness::DynamicVolume& volume : made.volumes) {
    const VOLUME_INFO* object = ObjectOf(view, volume);
    ASSERT_NE(object, nullptr) << volume.name;
    AwaitHealthy(session(), object->id, mark);
  }
  EXPECT_THAT(DataProblems(made.guid, made.volumes), IsEmpty());
  EXPECT_THAT(DeviceProblems(session(), made.volumes), IsEmpty());
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// What a power cut left of a transaction is ended one way or the other before the group is ours.
TEST_P(ImportDiskGroupAfterAPowerCut, EndsAnOpenTransaction) {
  Checks("DMRP-1161", "DMRP-1162");
  StartWith(GroupRequests(kForeignOpen));
  const harness::DynamicGroup made = CopyGroups().layout.groups.at(0);
  EXPECT_FALSE(made.at_rest.value_or(true)) << "nothing to end";
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Call(session(), DiskNow(session()).dgid.value_or(Bytes()));
  ASSERT_THAT(reply, Succeeds());
  ASSERT_EQ(AwaitTask(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  const harness::DynamicLayout now = GroupsOnDisk();
  EXPECT_TRUE(now.groups.at(0).at_rest.value_or(false));
  const std::vector<VOLUME_INFO> volumes = VolumesNow(session());
  EXPECT_THAT(volumes, SizeIs(now.groups[0].volumes.size()));
  for (const VOLUME_INFO& volume : volumes) AwaitHealthy(session(), volume.id, mark);
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

// Neither the disks of a group nor the members of a volume end at 32.
TEST_P(ImportDiskGroupOfManyDisks, ShowsEachOfThem) {
  Checks("DMRP-1161", "DMRP-1162", "DMRP-1168", "DMRP-1170");
  constexpr std::size_t kDisks = 36;
  constexpr std::size_t kMembers = 40;
  const ForeignGroup group = GroupOfManyDisks(kDisks, kMembers);
  StartWith(GroupRequests(group));
  const harness::DynamicGroup made = CopyGroups().layout.groups.at(0);
  ASSERT_THAT(made.disks, SizeIs(kDisks));
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Call(session(), DiskNow(session()).dgid.value_or(Bytes()));
  ASSERT_THAT(reply, Succeeds());
  ASSERT_EQ(AwaitTask(session(), reply->tinfo, mark).status, REQ_COMPLETED);
  const StorageView view = Need(session().View());
  for (std::size_t i = 0; i < kDisks; ++i) {
    ASSERT_NE(view.FindDisk(lab().DiskId(i)), nullptr) << i;
    EXPECT_EQ(view.FindDisk(lab().DiskId(i))->deviceState, DWORD{DEVICESTATE_HEALTHY}) << i;
  }
  for (const harness::DynamicVolume& volume : made.volumes) {
    const VOLUME_INFO* object = ObjectOf(view, volume);
    ASSERT_NE(object, nullptr) << volume.name;
    const std::size_t members = volume.type == harness::DynamicVolumeType::kSpanned ? kMembers : 2;
    EXPECT_EQ(object->memberCount, members) << volume.name;
    EXPECT_THAT(view.RegionsOfVolume(object->id), SizeIs(members)) << volume.name;
    EXPECT_EQ(object->status, VOLUME_STATUS_HEALTHY) << volume.name;
  }
  EXPECT_THAT(DeviceProblems(session(), made.volumes), IsEmpty());
  EXPECT_THAT(DataProblems(made.guid, made.volumes), IsEmpty());
  EXPECT_THAT(BrokenInvariants({}, {.degraded = false, .complete = true, .data = true}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, ImportDiskGroupChecks, kBothRevisions, RevisionName());

INSTANTIATE_TEST_SUITE_P(One, ImportDiskGroupOfLateDisks,
                         ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient3)), RevisionName());
INSTANTIATE_TEST_SUITE_P(One, ImportDiskGroupOfManyDisks,
                         ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient3)), RevisionName());
INSTANTIATE_TEST_SUITE_P(One, ImportDiskGroupAfterAPowerCut,
                         ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient)), RevisionName());

struct Wrong {
  const char* name;
  std::function<Bytes(const Bytes& dgid)> spoil;
};

class ImportDiskGroupRefuses : public ImportTest,
                               public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

// Nothing changes, on the disks, in the list or at any client.
TEST_P(ImportDiskGroupRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks("DMRP-1158", "DMRP-1160", "DMRP-1157", "DMRP-1156", "DMRP-1729", "DMRP-1731");
  StartSharedWith("foreign-group-alone", GroupRequests(kForeignComplete));
  Session& session = SessionOf(revision);
  const Observation before = ObserveAll(session);
  const Bytes dgid = DiskNow(session).dgid.value_or(Bytes());
  ASSERT_FALSE(dgid.empty());
  EXPECT_THAT(Call(session, wrong.spoil(dgid)), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(
    Both, ImportDiskGroupRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"Empty", [](const Bytes&) { return Bytes(); }},
            Wrong{"Garbage", [](const Bytes&) { return TerminatedOctets("no disk group"); }},
            Wrong{"NoTerminator", [](const Bytes& dgid) { return Bytes(dgid.begin(), dgid.end() - 1); }},
            Wrong{"CutShort",
                  [](const Bytes& dgid) {
                    Bytes cut(dgid.begin(), dgid.end() - 2);
                    cut.push_back(std::byte{0});
                    return cut;
                  }},
            Wrong{"Unknown", [](const Bytes&) { return TerminatedOctets(Guid::Random().ToString()); }},
            Wrong{"OtherInOneDigit",
                  [](const Bytes& dgid) {
                    Bytes other = dgid;
                    other[0] = other[0] == std::byte{'0'} ? std::byte{'1'} : std::byte{'0'};
                    return other;
                  }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
