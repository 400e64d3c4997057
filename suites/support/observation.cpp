#include "suites/support/observation.hpp"

#include "harness/layout/image_diff.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace dmrp::suites {

ImageCopy::~ImageCopy() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

void PrintTo(const Observation& observation, std::ostream* out) {
  std::size_t regions = 0;
  for (const auto& [disk, list] : observation.view.regions) regions += list.size();
  *out << fmt::format("{} disks, {} regions, {} notifications", observation.view.disks.size(), regions,
                      observation.notified.size());
}

Result<Observation> Observe(Lab& lab, Session& session, bool images) {
  Observation observation;
  auto view = session.View();
  if (!view) return tl::unexpected(view.error());
  observation.view = *std::move(view);
  for (const ReceivedObject& object : session.sink().Objects()) {
    if (object.type != DMNOTIFY_TASK_INFO) observation.notified.push_back(object);
  }
  if (!images) return observation;
  auto copies = lab.bed().SnapshotAll();
  if (!copies) {
    return tl::unexpected(copies.error());
  }
  for (const auto& [id, copy] : *copies) {
    const BedDisk* disk = lab.bed().Find(id);
    observation.images.emplace(id, std::make_shared<ImageCopy>(copy, disk->spec.logical_sector));
  }
  return observation;
}

std::vector<std::string> Differences(const Observation& before, const Observation& after) {
  std::vector<std::string> texts;
  for (const auto& difference : harness::Compare(before.view, after.view)) texts.push_back(difference.text);
  for (std::size_t i = before.notified.size(); i < after.notified.size(); ++i) {
    texts.push_back("notification: " + after.notified[i].ToString());
  }
  for (const auto& [id, image] : before.images) {
    auto now = after.images.find(id);
    if (now == after.images.end()) {
      texts.push_back(id + " is gone");
      continue;
    }
    auto difference = harness::CompareImages(image->path(), now->second->path(), image->sector());
    if (!difference) {
      texts.push_back(fmt::format("{} cannot be compared: {}", id, difference.error().ToString()));
    } else if (!difference->identical()) {
      texts.push_back(fmt::format("{}: {}", id, difference->Summary()));
    }
  }
  return texts;
}

namespace {

class UnchangedMatcher {
 public:
  using is_gtest_matcher = void;
  explicit UnchangedMatcher(Observation before) : before_(std::move(before)) {}
  bool MatchAndExplain(const Observation& after, ::testing::MatchResultListener* listener) const {
    const auto differences = Differences(before_, after);
    *listener << fmt::format("{}", fmt::join(differences, "\n          "));
    return differences.empty();
  }
  void DescribeTo(std::ostream* out) const {
    *out << "same objects, same LastKnownState, no notification, same bytes on the disks";
  }
  void DescribeNegationTo(std::ostream* out) const { *out << "something changed"; }

 private:
  Observation before_;
};

}  // namespace

::testing::Matcher<const Observation&> Unchanged(const Observation& before) {
  return UnchangedMatcher(before);
}

}  // namespace dmrp::suites
