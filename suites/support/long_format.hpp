// A full format that takes seconds, on a disk that the hypervisor slows down: what tests of running tasks
// watch.
#pragma once

#include "harness/guest/guest.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"

#include <cstdint>
#include <functional>
#include <optional>

namespace dmrp::suites {

class LongFormatTest : public FormatRevisionTest {
 protected:
  /// How fast the disk is while slow, in octets a second: the 64 MiB of a partition take about five seconds.
  static constexpr std::uint64_t kSlow = 12U << 20U;

  void SetUp() override {
    StartWith({DiskOf(kOnPrimary)});
    GuestOrSkip();
    SlowDown(kSlow);
  }

  void SlowDown(std::uint64_t bytes_per_second) {
    harness::DiskThrottle throttle;
    throttle.bytes_per_second = bytes_per_second;
    Need(GuestOrSkip().SetThrottle(lab().bed().disks().at(0).id, throttle));
  }

  /// The disk at its full speed again; needed before anything looks at its contents.
  void SpeedUp() { Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id)); }

  Session& Other(const char* name = "other") {
    const Revision revision = third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3;
    return Open({.revision = revision, .name = name, .account = {}, .auth_level = {}});
  }

  /// The primary partition of that number, from 0.
  REGION_INFO_EX Partition(std::size_t number = 0) {
    return RegionsOfType(session(), REGION_PRIMARY).at(number);
  }

  /// Starts a full format; the test is skipped when the target does it before it replies.
  Outcome<FormatReply> StartLong(Session& client, const REGION_INFO_EX& region) {
    const auto reply = client.Format(FormatOf(region, FileSystemSpec(FSTYPE_NTFS, 4096, u"LONG"), false));
    [&] { ASSERT_THAT(reply, StartsTask()); }();
    if (reply->tinfo.status != REQ_STARTED) {
      [&] { GTEST_SKIP() << "the target formats before it replies, as it may"; }();
    }
    return reply;
  }

  /// The next frame of the task behind `seen` frames of it, of which there then is one more; waits for it.
  std::optional<TASK_INFO> NextFrame(Session& client, LdmObjectId task, std::size_t& seen,
                                     std::chrono::milliseconds limit = kFormatLimit) {
    std::optional<TASK_INFO> next;
    client.sink().WaitUntil(
        [&](const std::vector<ReceivedObject>& objects) {
          std::size_t number = 0;
          for (const ReceivedObject& object : objects) {
            if (object.type != DMNOTIFY_TASK_INFO || object.id != task || !object.task) continue;
            if (number++ == seen) {
              next = object.task;
              return true;
            }
          }
          return false;
        },
        limit);
    if (next) ++seen;
    return next;
  }

  /// Waits until the task is told to have come that far; the test ends when it ends before.
  void WaitForPercent(Session& client, LdmObjectId task, std::uint32_t percent) {
    std::size_t seen = 0;
    while (true) {
      const auto frame = NextFrame(client, task, seen);
      [&] { ASSERT_TRUE(frame) << "no progress of task " << task << " up to " << percent; }();
      [&] { ASSERT_FALSE(IsFinal(frame->status)) << ToText(*frame); }();
      if (frame->percentComplete >= percent) return;
    }
  }

  /// The ids in a client's list of running tasks.
  std::vector<LdmObjectId> Running(Session& client) {
    const auto reply = client.EnumTasks();
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    std::vector<LdmObjectId> ids;
    for (const TASK_INFO& task : reply->taskList) ids.push_back(task.id);
    return ids;
  }
};

}  // namespace dmrp::suites
