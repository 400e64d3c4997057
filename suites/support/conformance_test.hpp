// What every conformance test stands on.
//
//   // 3.2.4.4.3.7, parameter check 1: ... in our own words ...
//   TEST_P(InitializeDiskStyle, RefusesAStaleLastKnownState) {
//     Checks("DMRP-1575");
//     const Observation before = Observe();
//     EXPECT_THAT(session().InitializeDiskStyle(disk().id, PARTITIONSTYLE_GPT, disk().lastKnownState - 1),
//     Refused()); EXPECT_THAT(Observe(), Unchanged(before));
//   }
#pragma once

#include "harness/layout/readers.hpp"
#include "suites/support/disk_kinds.hpp"
#include "suites/support/lab.hpp"
#include "suites/support/matchers.hpp"
#include "suites/support/observation.hpp"
#include "suites/support/recorder.hpp"
#include "suites/support/run.hpp"

#include <any>
#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::suites {

/// The rules that the assertions from here on check. Ids are literal, so that scripts can read them from the
/// sources.
template <std::convertible_to<std::string>... Ids>
void Checks(Ids... ids) {
  Recorder::Current().OpenGroup({std::string(ids)...});
}
void ChecksAll(const std::vector<std::string>& ids);

class ConformanceTest : public ::testing::Test {
 protected:
  void TearDown() override;

  /// The value, or the end of this test: undecided, since the environment failed, not a rule.
  template <typename T>
  T Need(Result<T> result) {
    if (!result) EndUndecided(result.error());
    if constexpr (!std::is_void_v<T>) return *std::move(result);
  }
  /// Ends the test as not exercised when the target lacks something.
  void NeedsCapability(std::string_view name);
  /// The bundled target's machine, where tests can run programs; the test ends as not exercised without one.
  harness::Guest& GuestOrSkip();

  /// Starts the target with disks of these kinds. A target that the test had started before is ended, and its
  /// monitor's findings count.
  void Start(const std::vector<DiskKind>& kinds);
  void StartWith(std::vector<BedDiskRequest> disks, LabOptions options = {});
  /// The same, but takes a lab over that an earlier test of this key left unchanged, and leaves it to the
  /// next one. For tests that change nothing: refusals and enumerations; and for those that look at what was
  /// done Once.
  void StartShared(const std::string& key, const std::vector<DiskKind>& kinds);
  void StartSharedWith(const std::string& key, std::vector<BedDiskRequest> disks);

  /// A key for StartShared that the tests of one suite with one parameter have in common.
  [[nodiscard]] static std::string ScenarioKey();
  /// What `act` returned when the first test did it in this shared lab. For suites whose tests look at one
  /// operation from several sides: `act` does it, and returns all that has to be seen at that moment. The
  /// record of a later test says which one did it.
  template <typename Act>
  const std::invoke_result_t<Act>& Once(Act act) {
    if (!lab().once.has_value()) {
      lab().once = act();
      lab().once_by = Run::Current().history()->test();
    }
    NoteOnce();
    return std::any_cast<const std::invoke_result_t<Act>&>(lab().once);
  }

  [[nodiscard]] Lab& lab();
  [[nodiscard]] const harness::Target& target() const { return Run::Current().target(); }

  /// The administrator's session of that revision.
  Session& SessionOf(Revision revision);
  Session& Open(SessionOptions options);

  /// The bed's disk of that number as the session shows it now.
  DISK_INFO_EX DiskNow(Session& session, std::size_t index = 0);
  std::vector<REGION_INFO_EX> RegionsNow(Session& session, std::size_t index = 0);
  /// The first free region of at least that length, in bytes, of that type.
  REGION_INFO_EX FreeRegion(Session& session, std::size_t index = 0, std::int64_t least = 1,
                            REGIONTYPE type = REGION_FREE);
  Observation ObserveAll(Session& session, bool images = true);
  /// What independent readers find on the bed's disk; the test ends undecided when they disagree.
  harness::DiskLayout LayoutOf(std::size_t index = 0);

 private:
  [[noreturn]] void EndUndecided(const Error& error);
  void EndLab();
  void NoteOnce();

  std::shared_ptr<Lab> lab_;
  std::string shared_key_;
  bool observed_ = false;
};

/// A test that runs through one revision of the interface at a time.
class RevisionTest : public ConformanceTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
};

/// A test that runs over revisions and kinds of disks; disk 0 is of the kind.
class DiskKindTest : public ConformanceTest, public ::testing::WithParamInterface<Setup> {
 protected:
  void SetUp() override { Start({GetParam().kind}); }
  Session& session() { return SessionOf(GetParam().revision); }
  DISK_INFO_EX disk() { return DiskNow(session()); }
  [[nodiscard]] bool third() const { return GetParam().revision == Revision::kIVolumeClient3; }
  [[nodiscard]] const DiskKind& kind() const { return GetParam().kind; }
};

inline const auto kBothRevisions = ::testing::Values(Revision::kIVolumeClient, Revision::kIVolumeClient3);

struct RevisionName {
  std::string operator()(const ::testing::TestParamInfo<Revision>& info) const {
    return std::string(harness::ToString(info.param));
  }
};
struct SetupName {
  std::string operator()(const ::testing::TestParamInfo<Setup>& info) const {
    return ::testing::PrintToString(info.param);
  }
};

// What partition tests ask for.

/// A REGION_SPEC that asks for a partition of that type in a free region.
REGION_SPEC Spec(const REGION_INFO_EX& region, REGIONTYPE type, std::int64_t start, std::int64_t length);
/// A REGION_SPEC that names a region as it is.
REGION_SPEC SpecOf(const REGION_INFO_EX& region);

/// Lengths in bytes.
constexpr std::int64_t MiB(std::int64_t count) { return count << 20; }

/// A partition table of 512-byte sectors, written by sfdisk from its script, whatever stood on the image
/// before.
harness::PrepareImage Table(std::string script);

}  // namespace dmrp::suites
