// Dynamic volumes whose members fail while they are made whole or read: the task of a synchronisation ends
// with a failure (3.2.4.3), the volume's status follows (2.2.11), and no octet of its contents is lost.
#include "harness/guest/guest.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/volume_data.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::AnyOf;
using ::testing::IsEmpty;

constexpr std::uint64_t kSeed = 77;
constexpr std::chrono::seconds kCopyLimit{60};

class FailingMembers : public VolumeDataTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  // Disk `index` becomes so slow that 8 MiB take four seconds.
  void SlowDown(std::size_t index) {
    harness::DiskThrottle throttle;
    throttle.bytes_per_second = 2U << 20U;
    Need(GuestOrSkip().SetThrottle(lab().bed().disks().at(index).id, throttle));
  }
  // From there on sectors of the volume's member on disk `index` cannot be read.
  void BreakSectors(std::size_t index, LdmObjectId volume, std::int64_t octets_from_its_start) {
    const StorageView view = Need(session().View());
    const auto regions = view.RegionsOfVolume(volume);
    const auto member = std::ranges::find(regions, lab().DiskId(index), &REGION_INFO_EX::diskId);
    [&] { ASSERT_NE(member, regions.end()); }();
    harness::DiskFault fault;
    fault.on_read = true;
    fault.sector = static_cast<std::uint64_t>(member->start + octets_from_its_start) / 512;
    fault.sectors = 1024;
    Need(GuestOrSkip().SetFaults(lab().bed().disks().at(index).id, {fault}));
  }
  // How many requests the machine saw fail on that disk.
  std::string ErrorsOf(std::size_t index) {
    harness::Guest& guest = GuestOrSkip();
    const std::string id = lab().bed().disks().at(index).id;
    for (const harness::AttachedDisk& disk : guest.disks()) {
      if (disk.id == id) {
        return Need(guest.agent().Shell("cat /sys/block/" + disk.guest_device + "/device/ioerr_cnt"));
      }
    }
    return "";
  }
  void AddMirror(LdmObjectId volume, std::size_t index) {
    const AddMirrorRequest request = MirrorRequest(session(), volume, index);
    [&] {
      ASSERT_THAT(session().Change<AddMirrorReply>(session().interface(), "AddMirror", request), Succeeds());
    }();
  }
  void ReplaceColumn(LdmObjectId volume, LdmObjectId disk) {
    const ReplaceRaid5ColumnRequest request = ColumnRequest(session(), volume, disk);
    [&] {
      ASSERT_THAT(
          session().Change<ReplaceRaid5ColumnReply>(session().interface(), "ReplaceRaid5Column", request),
          Succeeds());
    }();
  }
  // The next frame after `mark` of a task that makes the volume whole, at its end or on its way; the test is
  // skipped on targets that have no such task.
  TASK_INFO AwaitSynchronising(LdmObjectId volume, std::uint64_t mark, bool end) {
    const auto told = session().sink().WaitFor(
        [&](const ReceivedObject& object) {
          if (!object.task || object.task->type != PROGRESS_SYNCHING || object.task->storageId != volume) {
            return false;
          }
          const bool running = object.task->status == REQ_STARTED || object.task->status == REQ_IN_PROGRESS;
          return running != end;
        },
        end ? kCopyLimit : target().notification_timeout, mark);
    if (!told && !end) [] { GTEST_SKIP() << "the target has no task for this"; }();
    [&] { ASSERT_TRUE(told) << "the task did not end"; }();
    return *told->task;
  }
  void ExpectFailure(LdmObjectId volume, std::uint64_t mark) {
    const TASK_INFO end = AwaitSynchronising(volume, mark, true);
    EXPECT_EQ(end.status, REQ_FAILED) << ToText(end);
    EXPECT_LT(end.error, 0) << "the reason stands in error";
  }
};

TEST_P(FailingMembers, EndTheCopyToADiskThatIsPulled) {
  Checks("DMRP-0443", "DMRP-0574", "DMRP-0575", "DMRP-0110", "DMRP-0041");
  StartDynamic(2);
  const LdmObjectId volume = Make(session(), ShapesOfEachLayout().front()).id;
  WritePattern(session(), volume, kSeed);
  SlowDown(1);
  const std::uint64_t mark = session().sink().Count();
  AddMirror(volume, 1);
  AwaitSynchronising(volume, mark, false);
  Need(lab().bed().Detach(lab().bed().disks().at(1).id));
  ExpectFailure(volume, mark);
  AwaitStatus(session(), volume, VOLUME_STATUS_FAILED_REDUNDANCY, mark);
  EXPECT_THAT(PatternProblems(volume, kSeed), IsEmpty());
}

TEST_P(FailingMembers, EndTheRegenerationOnADiskThatIsPulled) {
  Checks("DMRP-0443", "DMRP-0574", "DMRP-0575", "DMRP-0110", "DMRP-0041");
  StartDynamic(4);
  const LdmObjectId volume = Make(session(), ShapesOfEachLayout()[4]).id;
  WritePattern(session(), volume, kSeed);
  const std::string spare = lab().bed().disks().at(3).id;
  const LdmObjectId spare_id = lab().DiskId(3);
  SlowDown(3);
  PullDisk(session(), 1, volume, VOLUME_STATUS_FAILED_REDUNDANCY);
  const std::uint64_t mark = session().sink().Count();
  ReplaceColumn(volume, spare_id);
  AwaitSynchronising(volume, mark, false);
  Need(lab().bed().Detach(spare));
  ExpectFailure(volume, mark);
  AwaitStatus(session(), volume, VOLUME_STATUS_FAILED_REDUNDANCY, mark);
  EXPECT_THAT(PatternProblems(volume, kSeed), IsEmpty());
}

// What cannot be read cannot be copied: the new member never becomes one that counts.
TEST_P(FailingMembers, EndTheCopyOfWhatCannotBeRead) {
  Checks("DMRP-0443", "DMRP-0574", "DMRP-0575", "DMRP-0110", "DMRP-0041");
  StartDynamic(2);
  const LdmObjectId volume = Make(session(), ShapesOfEachLayout().front()).id;
  WritePattern(session(), volume, kSeed);
  BreakSectors(0, volume, MiB(10));
  const std::uint64_t mark = session().sink().Count();
  AddMirror(volume, 1);
  AwaitSynchronising(volume, mark, false);
  ExpectFailure(volume, mark);
  EXPECT_NE(VolumeNow(session(), volume).status, VOLUME_STATUS_HEALTHY);
  EXPECT_THAT(PatternProblems(volume, kSeed), IsEmpty());
  Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id));
}

// A column with sectors that cannot be read costs redundancy at most, never contents.
TEST_P(FailingMembers, AreReadAroundInARaid5Volume) {
  Checks("DMRP-0041");
  StartDynamic(3);
  const LdmObjectId volume = Make(session(), ShapesOfEachLayout()[4]).id;
  WritePattern(session(), volume, kSeed);
  // Two columns of three hold data: half of the pattern's place in the volume, half of its length.
  const std::string before = ErrorsOf(1);
  BreakSectors(1, volume, static_cast<std::int64_t>(kFirstBlock * harness::VolumePattern::kBlock / 2));
  Need(GuestOrSkip().agent().Shell("echo 3 > /proc/sys/vm/drop_caches"));
  EXPECT_THAT(PatternProblems(volume, kSeed), IsEmpty());
  EXPECT_NE(ErrorsOf(1), before) << "the broken sectors were not read at all";
  EXPECT_THAT(VolumeNow(session(), volume).status,
              AnyOf(VOLUME_STATUS_HEALTHY, VOLUME_STATUS_FAILED_REDUNDANCY, VOLUME_STATUS_FAILING,
                    VOLUME_STATUS_FAILING_REDUNDANCY));
  Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(1).id));
}

INSTANTIATE_TEST_SUITE_P(One, FailingMembers, ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient3)),
                         RevisionName());

}  // namespace
}  // namespace dmrp::suites
