#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace dmrp::suites {

void ChecksAll(const std::vector<std::string>& ids) { Recorder::Current().OpenGroup(ids); }

void ConformanceTest::EndUndecided(const Error& error) {
  [&] {
    if (error.kind == ErrorKind::kUnsupported) {
      GTEST_SKIP() << error.message;
    } else {
      FAIL() << kEnvironmentMark << error.ToString();
    }
  }();
  // The listener has thrown already.
  throw std::logic_error("unreachable");
}

void ConformanceTest::NeedsCapability(std::string_view name) {
  if (!target().Can(name)) {
    GTEST_SKIP() << "the target lacks the capability \"" << name << "\"";
  }
}

harness::Guest& ConformanceTest::GuestOrSkip() {
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) {
    [&] { GTEST_SKIP() << "only programs in the target's machine can do this"; }();
  }
  return *guest;
}

void ConformanceTest::TearDown() { EndLab(); }

void ConformanceTest::EndLab() {
  if (!lab_) {
    return;
  }
  lab_->monitor().Finish();
  for (const harness::Violation& violation : lab_->findings().TakeViolations()) {
    ADD_FAILURE() << kMonitorMark
                  << fmt::format("{}: {}\n  actual   {}", fmt::join(violation.requirements, ", "),
                                 violation.statement, violation.actual);
  }
  lab_->findings().WriteSummary();
  if (HasFailure()) {
    Run::Current().history()->Write("log", {{"test", Run::Current().history()->test()},
                                            {"source", "server"},
                                            {"text", lab_->bed().ServerLog()}});
    lab_->KeepEvidence(Run::Current().history()->test());
  } else if (!shared_key_.empty()) {
    Run::Current().Keep(shared_key_, std::move(lab_));
  }
  lab_.reset();
  shared_key_.clear();
}

void ConformanceTest::Start(const std::vector<DiskKind>& kinds) {
  std::vector<BedDiskRequest> disks;
  for (const DiskKind& kind : kinds) {
    disks.push_back({kind.Spec(), {}});
  }
  StartWith(std::move(disks));
}

void ConformanceTest::StartWith(std::vector<BedDiskRequest> disks, LabOptions options) {
  EndLab();
  Run::Current().DropShared();
  lab_ = Need(Lab::Start(Run::Current(), std::move(disks), std::move(options)));
}

void ConformanceTest::StartShared(const std::string& key, const std::vector<DiskKind>& kinds) {
  std::vector<BedDiskRequest> disks;
  for (const DiskKind& kind : kinds) {
    disks.push_back({kind.Spec(), {}});
  }
  StartSharedWith(key, std::move(disks));
}

void ConformanceTest::StartSharedWith(const std::string& key, std::vector<BedDiskRequest> disks) {
  lab_ = Run::Current().Reuse(key);
  if (!lab_) {
    lab_ = Need(Lab::Start(Run::Current(), std::move(disks)));
  }
  shared_key_ = key;
}

std::string ConformanceTest::ScenarioKey() {
  const ::testing::TestInfo& info = *::testing::UnitTest::GetInstance()->current_test_info();
  const std::string name = info.name();
  const auto parameter = name.find('/');
  return std::string(info.test_suite_name()) + (parameter == std::string::npos ? "" : name.substr(parameter));
}

void ConformanceTest::NoteOnce() {
  const std::string& test = Run::Current().history()->test();
  if (lab().once_by == test) return;
  Run::Current().history()->Write("shared", {{"test", test}, {"by", lab().once_by}});
}

Lab& ConformanceTest::lab() {
  if (!lab_) {
    EndUndecided({ErrorKind::kUsage, 0, "the test has not started a target"});
  }
  return *lab_;
}

Session& ConformanceTest::SessionOf(Revision revision) { return *Need(lab().SessionOf(revision)); }

Session& ConformanceTest::Open(SessionOptions options) { return *Need(lab().Open(std::move(options))); }

DISK_INFO_EX ConformanceTest::DiskNow(Session& session, std::size_t index) {
  auto disks = session.EnumDisks();
  [&] { ASSERT_THAT(disks, Succeeds()); }();
  auto found = std::ranges::find(disks.value.disks, lab().DiskId(index), &DISK_INFO_EX::id);
  [&] { ASSERT_NE(found, disks.value.disks.end()) << "disk " << lab().DiskId(index) << " is not listed"; }();
  return *found;
}

std::vector<REGION_INFO_EX> ConformanceTest::RegionsNow(Session& session, std::size_t index) {
  auto regions = session.EnumDiskRegions(lab().DiskId(index));
  [&] { ASSERT_THAT(regions, Succeeds()); }();
  return regions.value.regions;
}

REGION_INFO_EX ConformanceTest::FreeRegion(Session& session, std::size_t index, std::int64_t least,
                                           REGIONTYPE type) {
  for (const REGION_INFO_EX& region : RegionsNow(session, index)) {
    if (region.regionType == type && region.length >= least) {
      return region;
    }
  }
  [&] { FAIL() << "no " << NameOf(type) << " region of at least " << least << " bytes"; }();
  throw std::logic_error("unreachable");
}

Observation ConformanceTest::ObserveAll(Session& session, bool images) {
  images = images && target().Can("images");
  // What a shared lab's disks held at the end of the test before is what this one finds, or else it shows in
  // the second observation: reading them once for each test is enough.
  const bool known = images && !observed_ && !shared_key_.empty() && !lab().last_images.empty();
  Observation observation = Need(Observe(lab(), session, images && !known));
  if (known) {
    observation.images = lab().last_images;
  } else if (images) {
    lab().last_images = observation.images;
  }
  observed_ = true;
  return observation;
}

harness::DiskLayout ConformanceTest::LayoutOf(std::size_t index) {
  if (!target().Can("images")) {
    EndUndecided({ErrorKind::kUnsupported, 0, "the target lacks the capability \"images\""});
  }
  const BedDisk disk = lab().bed().disks().at(index);
  const ImageCopy copy(Need(lab().bed().Snapshot(disk.id)), disk.spec.logical_sector);
  auto observation = Need(harness::Observe(copy.path(), disk.spec.logical_sector));
  nlohmann::json layout = ToJson(observation);
  Run::Current().history()->Write("disk", {{"test", Run::Current().history()->test()},
                                           {"disk", disk.id},
                                           {"when", "observed"},
                                           {"layout", std::move(layout)}});
  if (!observation.dissents.empty()) {
    EndUndecided({ErrorKind::kSystem, 0,
                  fmt::format("the readers disagree: {}", fmt::join(observation.dissents, "; "))});
  }
  return observation.layout;
}

REGION_SPEC Spec(const REGION_INFO_EX& region, REGIONTYPE type, std::int64_t start, std::int64_t length) {
  REGION_SPEC spec;
  spec.regionId = region.id;
  spec.regionType = type;
  spec.diskId = region.diskId;
  spec.start = start;
  spec.length = length;
  spec.lastKnownState = region.lastKnownState;
  return spec;
}

REGION_SPEC SpecOf(const REGION_INFO_EX& region) {
  return Spec(region, region.regionType, region.start, region.length);
}

harness::PrepareImage Table(std::string script) {
  return [script = std::move(script)](const std::filesystem::path& image) -> Result<void> {
    const std::string command =
        fmt::format("sfdisk --quiet --no-reread --no-tell-kernel --wipe always '{}' 2>&1", image.string());
    FILE* pipe = popen(command.c_str(), "w");
    if (pipe == nullptr) {
      return FailErrno("start sfdisk", errno);
    }
    std::fwrite(script.data(), 1, script.size(), pipe);
    if (pclose(pipe) != 0) {
      return Fail(ErrorKind::kSystem, "sfdisk refused the table:\n" + script);
    }
    return {};
  };
}

}  // namespace dmrp::suites
