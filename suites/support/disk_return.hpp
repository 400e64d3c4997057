// What the suites of ReConnectDisk and ReAttachDisk share: a disk of a volume is pulled, comes back, and is
// brought online.
#pragma once

#include "suites/support/task_end.hpp"
#include "suites/support/volume_data.hpp"

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace dmrp::suites {

/// What happened to a volume whose last disk was away.
struct ReturnOperation : WatchedDynamicOperation {
  VOLUME_INFO whole;                  ///< the volume before the disk went
  DISK_INFO_EX back;                  ///< the disk as it was listed when it was back
  char16_t letter = 0;                ///< of the volume
  std::uint64_t seed = 1;             ///< of the pattern that was written last
  TASK_INFO end{};                    ///< the last state of the operation's task
  VOLUME_INFO settled;                ///< the volume when that task had ended and it was healthy
  std::vector<std::string> problems;  ///< of the pattern on the disks, in each copy, afterwards
  std::vector<std::string> broken;    ///< invariants of the format, afterwards
};

class DiskReturnTest : public VolumeDataTest {
 protected:
  static constexpr std::u16string_view kLabel = u"BACK";

  /// Whether the volume lives on without one of its disks.
  static bool Redundant(const VolumeShape& shape);
  /// Makes the volume with a file system, a letter and a pattern; pulls its last disk, writes another pattern
  /// where that is possible, and plugs the disk in again.
  ReturnOperation PullAndReturn(Session& session, const VolumeShape& shape);
  /// The same, and then `call` with the disk, which gives the Outcome of the method.
  template <typename Call>
  ReturnOperation BringBack(Session& session, const VolumeShape& shape, Call call) {
    ReturnOperation seen = PullAndReturn(session, shape);
    const std::uint64_t mark = session.sink().Count();
    static_cast<WatchedDynamicOperation&>(seen) = Watch(session, [&] {
      const auto reply = call(seen.back);
      if (reply.succeeded()) seen.end = AwaitTask(session, reply->tinfo, mark);
      return reply;
    });
    Settle(session, seen, mark);
    return seen;
  }

  // What both methods have to do; the caller says with Checks which rules these are.
  void ExpectDiskOnline(const ReturnOperation& seen, Revision asked);
  void ExpectVolumeOnline(const ReturnOperation& seen, const VolumeShape& shape, Revision asked);
  void ExpectLetterInUse(const ReturnOperation& seen, Revision asked);
  void ExpectFileSystem(const ReturnOperation& seen, Revision asked);

 private:
  void Settle(Session& session, ReturnOperation& seen, std::uint64_t mark);
};

}  // namespace dmrp::suites
