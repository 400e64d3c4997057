// AbortTask (3.2.4.4.1.52, 3.2.4.4.3.55).
#include "suites/support/long_format.hpp"

#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class AbortTask : public LongFormatTest {};

// The task is cancelled, whoever asks: one final frame REQ_ABORTED at every client, and it is off the list.
TEST_P(AbortTask, CancelsARunningTask) {
  Checks("DMRP-1393", "DMRP-1396", "DMRP-1397", "DMRP-1398", third() ? "DMRP-1824" : "DMRP-1390",
         third() ? "DMRP-1825" : "DMRP-1393", "DMRP-0443", "DMRP-0575", "DMRP-0576");
  Session& other = Other();
  const auto reply = StartLong(other, Partition());
  WaitForPercent(session(), reply->tinfo.id, 25);
  ASSERT_THAT(session().AbortTask(reply->tinfo.id), Succeeds());
  for (Session* client : {&session(), &other}) {
    EXPECT_EQ(EndOf(*client, reply->tinfo, target().notification_timeout).status, REQ_ABORTED)
        << client->name();
  }
  EXPECT_THAT(Running(session()), IsEmpty());
  EXPECT_THAT(session().GetTaskDetail(reply->tinfo.id), Refused());
  Checks("DMRP-1391");
  EXPECT_THAT(session().AbortTask(reply->tinfo.id), Refused()) << "a task that has ended";
}

// With the reply the work has stopped: the disk falls silent though most of it was still to be read, and the
// volume is at rest, in a state in which objects and disk agree and the next call finds nothing in its way.
TEST_P(AbortTask, StopsTheWorkAndLeavesASoundState) {
  Checks("DMRP-1394", "DMRP-1395");
  const REGION_INFO_EX region = Partition();
  const Traffic start = TrafficOf();
  const std::uint64_t mark = session().sink().Count();
  const auto reply = StartLong(session(), region);
  WaitForPercent(session(), reply->tinfo.id, 25);
  ASSERT_THAT(session().AbortTask(reply->tinfo.id), Succeeds());
  ASSERT_EQ(EndOf(session(), reply->tinfo, target().notification_timeout).status, REQ_ABORTED);
  const REGION_INFO_EX after = SettledRegion(session(), region.id, mark);
  const Traffic stopped = TrafficOf();
  EXPECT_LT(stopped.read - start.read, static_cast<std::uint64_t>(region.length) * 9 / 10)
      << "it ran to its end";
  // At full speed a task that still ran would read megabytes while nothing more is notified.
  SpeedUp();
  const std::uint64_t quiet = session().sink().Count();
  EXPECT_FALSE(session().sink().WaitFor([](const ReceivedObject&) { return true; },
                                        std::chrono::milliseconds(700), quiet));
  const Traffic later = TrafficOf();
  EXPECT_LE(later.read - stopped.read, 256U << 10U) << "the disk is still being read";
  EXPECT_LE(later.written - stopped.written, 256U << 10U) << "the disk is still being written";

  Checks("DMRP-1394", "DMRP-0902", "DMRP-0083", third() ? "DMRP-0236" : "DMRP-0175");
  EXPECT_EQ(after.rflags & REGION_FORMAT_IN_PROGRESS, 0U);
  EXPECT_EQ(after.taskId, 0);
  const auto object = FileSystemOf(session(), region.id);
  ASSERT_TRUE(object);
  const FileSystemOnDisk disk = OnDisk(region);
  EXPECT_EQ(object->fsType, FsTypeOf(disk)) << ToText(*object) << "\n" << disk.account;
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
  FormatAndWait(session(), after, FileSystemSpec(FSTYPE_FAT, 2048, u"NEXT"));
  EXPECT_EQ(OnDisk(region).label, "NEXT");
}

// One of two tasks is aborted; the other one goes on to its end.
TEST_P(AbortTask, LeavesOtherTasksAlone) {
  Checks("DMRP-1393", "DMRP-1398", "DMRP-1373");
  const auto one = StartLong(session(), Partition(0));
  const auto two = StartLong(session(), Partition(1));
  WaitForPercent(session(), one->tinfo.id, 5);
  ASSERT_THAT(session().AbortTask(one->tinfo.id), Succeeds());
  EXPECT_EQ(EndOf(session(), one->tinfo, target().notification_timeout).status, REQ_ABORTED);
  EXPECT_THAT(Running(session()), ::testing::ElementsAre(two->tinfo.id));
  SpeedUp();
  EXPECT_EQ(EndOf(session(), two->tinfo).status, REQ_COMPLETED);
  EXPECT_EQ(OnDisk(Partition(1)).label, "LONG");
}

INSTANTIATE_TEST_SUITE_P(Both, AbortTask, kBothRevisions, RevisionName());

// An id that names no running task is refused, and nothing changes.
class AbortTaskRefuses : public FormatRevisionTest {};

TEST_P(AbortTaskRefuses, IdsThatNameNoRunningTask) {
  Checks("DMRP-1391", "DMRP-1392", "DMRP-1390", third() ? "DMRP-1824" : "DMRP-1390",
         third() ? "DMRP-1825" : "DMRP-1391");
  StartShared("one-mbr-disk", {kMbr512});
  const Observation before = ObserveAll(session());
  for (const LdmObjectId id : {LdmObjectId{0}, LdmObjectId{-1}, lab().DiskId(0), session().client_id(),
                               std::numeric_limits<LdmObjectId>::max()}) {
    EXPECT_THAT(session().AbortTask(id), Refused()) << id;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// So are those of tasks that were never in the list, and of tasks that have ended.
TEST_P(AbortTaskRefuses, TasksThatHaveEnded) {
  Checks("DMRP-1391", "DMRP-1392", "DMRP-0560");
  StartWith({DiskOf(kOnPrimary)});
  const REGION_INFO_EX free = FreeRegion(session(), 0, MiB(4));
  const auto made = session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4)));
  ASSERT_THAT(made, Succeeds());
  EXPECT_THAT(session().AbortTask(made->tinfo.id), Refused()) << "a synchronous task";
  const auto formatted = FormatAndWait(session(), RegionsOfType(session(), REGION_PRIMARY).front(),
                                       FileSystemSpec(FSTYPE_FAT, 2048));
  const Observation before = ObserveAll(session());
  EXPECT_THAT(session().AbortTask(formatted.tinfo.id), Refused()) << "a task that has ended";
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, AbortTaskRefuses, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
