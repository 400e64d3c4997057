// One operation that several tests look at: what there is to see of it right before the call and right after
// its reply.
#pragma once

#include "suites/support/conformance_test.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace dmrp::suites {

/// An operation that succeeded, with what there was to see right before the call and right after its reply.
struct WatchedOperation {
  TASK_INFO tinfo{};
  StorageView before;
  StorageView after;
  std::map<Revision, std::uint64_t> marks;                   ///< of each revision's session, before the call
  std::map<Revision, std::vector<ReceivedObject>> notified;  ///< by each revision, before the reply
};

/// What Watch sees before the call; errors: those of the enumerations, and of opening sessions.
Result<WatchedOperation> BeforeOperation(Lab& lab, Session& session);
/// The notifications that came before the reply.
Result<void> NoteNotified(Lab& lab, WatchedOperation& seen);

/// Does an operation through `session`, with clients of both revisions there. `act` gives the Outcome of its
/// call, whose value has a tinfo; when that fails, so does the test. `look` looks at the disks, right after
/// the reply.
template <typename Act, typename Look>
Result<WatchedOperation> Watch(Lab& lab, Session& session, Act act, Look look) {
  auto seen = BeforeOperation(lab, session);
  if (!seen) return seen;
  const auto reply = act();
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  seen->tinfo = reply->tinfo;
  if (auto noted = NoteNotified(lab, *seen); !noted) return tl::unexpected(noted.error());
  look();
  auto after = session.View();
  if (!after) return tl::unexpected(after.error());
  seen->after = *std::move(after);
  return seen;
}

/// The TASK_INFO of a synchronous method that succeeded.
void ExpectCompleted(const TASK_INFO& tinfo);

/// An operation on disk 0, with the partition tables that independent readers found on it; without the
/// capability "images" there are none.
struct WatchedDiskOperation : WatchedOperation {
  std::optional<harness::DiskLayout> table_before;
  std::optional<harness::DiskLayout> table_after;  ///< right after the reply
};

/// A suite whose tests look at one operation, which the first of them does Once for each kind of disk.
class DiskOperationTest : public DiskKindTest {
 protected:
  void SetUp() override { StartShared(ScenarioKey(), {GetParam().kind}); }
  [[nodiscard]] static Revision Asked() { return GetParam().revision; }

  template <typename Act>
  WatchedDiskOperation WatchOnDisk(Act act) {
    WatchedDiskOperation seen;
    const bool images = target().Can("images");
    if (images) seen.table_before = LayoutOf();
    static_cast<WatchedOperation&>(seen) = Need(Watch(lab(), session(), std::move(act), [&] {
      if (images) seen.table_after = LayoutOf();
    }));
    return seen;
  }
  /// The tables on disk before and after; the test is skipped where they cannot be seen.
  std::pair<harness::DiskLayout, harness::DiskLayout> TablesOf(const WatchedDiskOperation& seen);

  [[nodiscard]] const DISK_INFO_EX& DiskIn(const StorageView& view);
  [[nodiscard]] const std::vector<REGION_INFO_EX>& RegionsIn(const StorageView& view);
};

}  // namespace dmrp::suites
