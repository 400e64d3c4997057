// The rules for asynchronous tasks (3.2.4.3, 3.1.4.3), EnumTasks and GetTaskDetail while tasks run
// (3.2.4.4.1.50, .51), TASK_INFO (2.2.17) and DMPROGRESS_TYPE (2.2.18): seen at full formats of a slow disk.
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/long_format.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class AsynchronousTask : public LongFormatTest {
 protected:
  // What a client saw of a task, frame by frame, with the share of the volume read when each frame was looked
  // at.
  struct Sample {
    TASK_INFO task;
    double share = 0;  ///< percent of the volume's octets
  };
  std::vector<Sample> Follow(Session& client, LdmObjectId task, const REGION_INFO_EX& region,
                             const Traffic& start) {
    std::vector<Sample> samples;
    std::size_t seen = 0;
    while (true) {
      const auto frame = NextFrame(client, task, seen);
      [&] { ASSERT_TRUE(frame) << "no more frames after " << seen; }();
      const double read = static_cast<double>(TrafficOf().read - start.read);
      samples.push_back({*frame, 100 * read / static_cast<double>(region.length)});
      if (IsFinal(frame->status)) return samples;
    }
  }
};

// The reply comes while the work goes on, with REQ_STARTED, a fresh id and zeros; then frames tell how far it
// is, truly and not too seldom, and one last frame tells the end.
TEST_P(AsynchronousTask, IsFollowedByItsFramesToItsEnd) {
  Checks("DMRP-0534", "DMRP-0899", third() ? "DMRP-0540" : "DMRP-0539");
  Session& watcher = Other();
  const REGION_INFO_EX region = Partition();
  const Traffic start = TrafficOf();
  const auto reply = StartLong(session(), region);
  EXPECT_LT(TrafficOf().read - start.read, static_cast<std::uint64_t>(region.length))
      << "the work was done already";

  Checks("DMRP-0565", "DMRP-0566", "DMRP-0567", "DMRP-0568", "DMRP-0104", "DMRP-0108", "DMRP-0555");
  EXPECT_NE(reply->tinfo.id, 0);
  TASK_INFO expected;
  expected.id = reply->tinfo.id;
  expected.status = REQ_STARTED;
  expected.storageId = reply->tinfo.storageId == 0 ? 0 : region.id;
  expected.clientID = reply->tinfo.clientID == 0 ? 0 : session().client_id();
  EXPECT_EQ(reply->tinfo, expected);

  const auto samples = Follow(session(), reply->tinfo.id, region, start);
  const std::size_t last = samples.size() - 1;
  std::string told;
  for (const Sample& sample : samples) {
    told += fmt::format("{}% at {:.1f}%, ", sample.task.percentComplete, sample.share);
  }

  Checks("DMRP-0552", "DMRP-0570", "DMRP-0571", "DMRP-0449", "DMRP-0437", "DMRP-0458");
  EXPECT_GE(last, 1U) << "no progress was told";
  for (std::size_t i = 0; i < last; ++i) {
    EXPECT_TRUE(samples[i].task.status == REQ_IN_PROGRESS || samples[i].task.status == REQ_STARTED);
    EXPECT_EQ(samples[i].task.error, 0);
  }

  // A sample is taken after its frame, so that nothing read later can excuse a frame that is ahead of the
  // work; one that lags is held against what had been read two frames before.
  Checks("DMRP-0572", "DMRP-0107", "DMRP-0113");
  constexpr double kTolerance = 15;
  for (std::size_t i = 0; i < last; ++i) {
    EXPECT_LE(samples[i].task.percentComplete, samples[i].share + kTolerance) << told;
    if (i >= 2) {
      EXPECT_GE(samples[i].task.percentComplete, std::min(samples[i - 2].share, 100.0) - kTolerance) << told;
    }
    if (i >= 1) {
      EXPECT_GE(samples[i].task.percentComplete, samples[i - 1].task.percentComplete) << told;
    }
  }

  Checks("DMRP-0109", "DMRP-0119");
  for (std::size_t i = 0; i < last; ++i) {
    if (samples[i].task.percentComplete > 0) {
      EXPECT_EQ(samples[i].task.type, PROGRESS_FORMAT) << told;
    }
  }

  Checks("DMRP-0554");
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < last; ++i) {
    EXPECT_LE(samples[i].task.percentComplete - before, 25U) << told;
    before = samples[i].task.percentComplete;
  }
  EXPECT_GE(before, 75U) << told;
  Checks("DMRP-0553");
  EXPECT_LE(samples.size(), 105U) << "a frame for each percent at most: " << told;

  Checks("DMRP-0573", "DMRP-0574", "DMRP-0575", "DMRP-0443");
  EXPECT_EQ(samples[last].task.status, REQ_COMPLETED);
  EXPECT_EQ(samples[last].task.error, 0);
  EXPECT_EQ(EndOf(watcher, reply->tinfo).status, REQ_COMPLETED) << "the other client is told too";
  for (Session* client : {&session(), &watcher}) {
    for (const ReceivedObject& object : client->sink().Objects()) {
      if (object.type == DMNOTIFY_TASK_INFO) {
        EXPECT_EQ(object.action, LDMACTION_MODIFIED) << object.ToString();
      }
    }
  }

  Checks("DMRP-0896", third() ? "DMRP-1635" : "DMRP-0889");
  SpeedUp();
  const FileSystemOnDisk disk = OnDisk(region);
  EXPECT_EQ(disk.label, "LONG");
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
}

// While it runs, every client finds it in the list, with its own id, status and progress; a query changes
// nothing. Once its final frame has come it is gone.
TEST_P(AsynchronousTask, IsInTheListWhileItRuns) {
  Checks("DMRP-1373", "DMRP-0569", "DMRP-0511", third() ? "DMRP-1820" : "DMRP-1370");
  Session& other = Other();
  EXPECT_THAT(Running(other), IsEmpty());
  const auto reply = StartLong(session(), Partition());
  const LdmObjectId id = reply->tinfo.id;
  EXPECT_THAT(Running(other), ElementsAre(id));
  EXPECT_THAT(Running(session()), ElementsAre(id));
  WaitForPercent(session(), id, 10);

  Checks("DMRP-1374", "DMRP-1375", "DMRP-1376", "DMRP-1377", "DMRP-1378", third() ? "DMRP-1821" : "DMRP-1375",
         "DMRP-0507", "DMRP-0510");
  const auto list = other.EnumTasks(77);
  ASSERT_THAT(list, Succeeds());
  ASSERT_EQ(list->taskList.size(), 1U);
  const TASK_INFO& listed = list->taskList.front();
  EXPECT_EQ(listed.id, id);
  EXPECT_TRUE(listed.status == REQ_IN_PROGRESS || listed.status == REQ_STARTED) << ToText(listed);
  EXPECT_GE(listed.percentComplete, 10U);
  EXPECT_LE(listed.percentComplete, 100U);
  EXPECT_EQ(listed.type, PROGRESS_FORMAT);
  EXPECT_EQ(listed.createTime, 0);
  EXPECT_EQ(listed.tflag, 0U);

  Checks("DMRP-1386", "DMRP-1387", "DMRP-1388", third() ? "DMRP-1822" : "DMRP-1382",
         third() ? "DMRP-1823" : "DMRP-1386");
  TASK_INFO noise;
  noise.id = 99;
  noise.percentComplete = 3;
  noise.status = REQ_FAILED;
  const auto detail = other.GetTaskDetail(id, noise);
  ASSERT_THAT(detail, Succeeds());
  EXPECT_EQ(detail->tinfo.id, id);
  EXPECT_TRUE(detail->tinfo.status == REQ_IN_PROGRESS || detail->tinfo.status == REQ_STARTED);
  EXPECT_GE(detail->tinfo.percentComplete, listed.percentComplete);
  EXPECT_EQ(detail->tinfo.error, 0);

  Checks("DMRP-1379", "DMRP-1389");
  EXPECT_THAT(Running(session()), ElementsAre(id));
  EXPECT_THAT(other.GetTaskDetail(id + 1000), Refused());
  EXPECT_THAT(Running(session()), ElementsAre(id));

  Checks("DMRP-0576", "DMRP-1383", "DMRP-0511");
  SpeedUp();
  EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
  EXPECT_THAT(Running(session()), IsEmpty());
  EXPECT_THAT(session().GetTaskDetail(id), Refused());
  EndOf(other, reply->tinfo);
  EXPECT_THAT(Running(other), IsEmpty());
}

// Two clients format at once: each task has an id of its own, and frames of each carry that one only.
TEST_P(AsynchronousTask, IsToldApartFromThatOfAnotherClient) {
  Checks("DMRP-0117", "DMRP-0118", "DMRP-0451", "DMRP-0508", "DMRP-1373", "DMRP-0509");
  Session& other = Other();
  const auto one = StartLong(session(), Partition(0));
  const auto two = StartLong(other, Partition(1));
  EXPECT_NE(one->tinfo.id, two->tinfo.id);
  EXPECT_THAT(Running(session()), UnorderedElementsAre(one->tinfo.id, two->tinfo.id));
  SpeedUp();
  for (Session* client : {&session(), &other}) {
    EXPECT_EQ(EndOf(*client, one->tinfo).status, REQ_COMPLETED);
    EXPECT_EQ(EndOf(*client, two->tinfo).status, REQ_COMPLETED);
    for (const ReceivedObject& object : client->sink().Objects()) {
      if (object.type != DMNOTIFY_TASK_INFO) continue;
      EXPECT_TRUE(object.id == one->tinfo.id || object.id == two->tinfo.id) << object.ToString();
      if (object.task->storageId != 0) {
        EXPECT_EQ(object.task->storageId, object.id == one->tinfo.id ? Partition(0).id : Partition(1).id);
      }
    }
  }
  EXPECT_THAT(Running(session()), IsEmpty());
}

// Meanwhile the volume says that it is being formatted, and is in use: nobody else gets it without force.
TEST_P(AsynchronousTask, KeepsItsVolumeFromOthers) {
  Checks("DMRP-0900", third() ? "DMRP-0236" : "DMRP-0175", "DMRP-0497");
  const auto reply = StartLong(session(), Partition());
  const REGION_INFO_EX busy = Partition();
  EXPECT_NE(busy.rflags & REGION_FORMAT_IN_PROGRESS, 0U) << ToText(busy);
  EXPECT_TRUE(busy.taskId == 0 || busy.taskId == reply->tinfo.id) << busy.taskId;
  Checks("DMRP-0891");
  EXPECT_THAT(session().Format(FormatOf(busy, FileSystemSpec(FSTYPE_FAT, 2048))), Refused());
  EXPECT_THAT(Running(session()), ElementsAre(reply->tinfo.id)) << "the task goes on";
  SpeedUp();
  EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
}

// The task is the server's: it goes on and ends well when the client that asked for it leaves.
TEST_P(AsynchronousTask, OutlivesItsClient) {
  Checks("DMRP-0573", "DMRP-0569");
  Session& leaving = Other("leaving");
  const auto reply = StartLong(leaving, Partition());
  ASSERT_THAT(leaving.Uninitialize(), Succeeds());
  EXPECT_THAT(Running(session()), ElementsAre(reply->tinfo.id));
  SpeedUp();
  EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_COMPLETED);
  EXPECT_EQ(OnDisk(Partition()).label, "LONG");
}

INSTANTIATE_TEST_SUITE_P(One, AsynchronousTask, ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient)),
                         RevisionName());

}  // namespace
}  // namespace dmrp::suites
