// EnumTasks (3.2.4.4.1.50, 3.2.4.4.3.53) and GetTaskDetail (3.2.4.4.1.51, 3.2.4.4.3.54) while nothing runs:
// every method of basic disks is synchronous, so that the list of running tasks stays empty.
#include "suites/support/conformance_test.hpp"

#include <future>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class Tasks : public RevisionTest {
 protected:
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
};

// All running tasks are listed and nothing else: none in an idle server, none at its start.
TEST_P(Tasks, EnumTasksListsNothingWhileNothingRuns) {
  Checks("DMRP-1373", "DMRP-1820", "DMRP-1370", "DMRP-1376", "DMRP-1377", "DMRP-1378", "DMRP-0517");
  StartShared("one-mbr-disk", {kMbr512});
  const auto reply = session().EnumTasks();
  ASSERT_THAT(reply, Succeeds());
  EXPECT_THAT(reply->taskList, IsEmpty());
}

// taskCount is an output; what the client sends has no influence.
TEST_P(Tasks, EnumTasksIgnoresTheCountSent) {
  Checks("DMRP-1377", "DMRP-0521", "DMRP-0025");
  StartShared("one-mbr-disk", {kMbr512});
  for (std::uint32_t count : {1U, 1000U, 0xFFFFFFFFU}) {
    const auto reply = session().EnumTasks(count);
    ASSERT_THAT(reply, Succeeds()) << count;
    EXPECT_THAT(reply->taskList, IsEmpty()) << count;
  }
}

// A synchronous task is never in the list: not after it either.
TEST_P(Tasks, SynchronousTasksAreNotListed) {
  Checks("DMRP-0560", "DMRP-1373");
  Start({kMbr512});
  const REGION_INFO_EX free = FreeRegion(session());
  const auto made = session().CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4)));
  ASSERT_THAT(made, Succeeds());
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, IsEmpty());
  Checks("DMRP-1383");
  EXPECT_THAT(session().GetTaskDetail(made->tinfo.id), Refused()) << "the id of a task that has ended";
}

// While a synchronous call has not returned yet, its task is not in the list either: a client that withholds
// its answer to the notification keeps the call open, another one looks.
TEST_P(Tasks, SynchronousTasksAreNotListedWhileTheyRun) {
  Checks("DMRP-0560");
  Start({kMbr512});
  Session& slow = Open({.revision = GetParam(), .name = "slow", .account = {}, .auth_level = {}});
  Session& looking =
      Open({.revision = GetParam(), .initialize = false, .name = "looking", .account = {}, .auth_level = {}});
  const REGION_INFO_EX free = FreeRegion(slow);
  const std::uint64_t calls = slow.sink().Count();
  slow.sink().WithholdAnswers();
  CreatePartitionRequest request;
  request.partitionSpec = Spec(free, REGION_PRIMARY, free.start, MiB(4));
  auto caller = std::async(std::launch::async, [&] {
    return slow.Call<CreatePartitionReply>(slow.interface(), "CreatePartition", request);
  });
  const bool notified = slow.sink().WaitForCalls(calls + 1, target().notification_timeout);
  const auto tasks = looking.EnumTasks();
  slow.sink().ReleaseAnswers();
  const auto made = caller.get();
  ASSERT_TRUE(notified) << "no notification came";
  ASSERT_THAT(made, Succeeds());
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, IsEmpty());
}

// Listing tasks changes neither tasks nor objects.
TEST_P(Tasks, EnumTasksLeavesEverythingUntouched) {
  Checks("DMRP-1379");
  StartShared("one-mbr-disk", {kMbr512});
  const Observation before = ObserveAll(session());
  ASSERT_THAT(session().EnumTasks(), Succeeds());
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  const auto again = session().EnumTasks();
  ASSERT_THAT(again, Succeeds());
  EXPECT_THAT(again->taskList, IsEmpty());
}

// An id that names no running task is refused; the in-value of tinfo has no influence, and nothing changes.
TEST_P(Tasks, GetTaskDetailRefusesAnUnknownTask) {
  Checks("DMRP-1383", "DMRP-1822", "DMRP-1382", "DMRP-1385", "DMRP-1389");
  StartShared("one-mbr-disk", {kMbr512});
  const Observation before = ObserveAll(session());
  TASK_INFO noise;
  noise.id = lab().DiskId(0);
  noise.status = REQ_IN_PROGRESS;
  noise.percentComplete = 50;
  for (LdmObjectId id :
       {LdmObjectId{0}, LdmObjectId{-1}, lab().DiskId(0), std::numeric_limits<LdmObjectId>::max()}) {
    EXPECT_THAT(session().GetTaskDetail(id), Refused()) << id;
    EXPECT_THAT(session().GetTaskDetail(id, noise), Refused()) << id;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  const auto tasks = session().EnumTasks();
  ASSERT_THAT(tasks, Succeeds());
  EXPECT_THAT(tasks->taskList, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Both, Tasks, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
