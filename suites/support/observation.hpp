// What there is to see of a target at one moment: objects on the wire, notifications, bytes on the disks.
#pragma once

#include "suites/support/lab.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace dmrp::suites {

/// A copy of a disk's image that goes away with this value.
class ImageCopy {
 public:
  ImageCopy(std::filesystem::path path, std::uint32_t sector) : path_(std::move(path)), sector_(sector) {}
  ~ImageCopy();
  ImageCopy(const ImageCopy&) = delete;
  ImageCopy& operator=(const ImageCopy&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::uint32_t sector() const { return sector_; }

 private:
  std::filesystem::path path_;
  std::uint32_t sector_;
};

struct Observation {
  StorageView view;
  std::map<std::string, std::shared_ptr<ImageCopy>> images;  ///< by the bed's disk id; empty where unreadable
  std::vector<ReceivedObject> notified;  ///< storage frames of the observing session so far

  friend void PrintTo(const Observation& observation, std::ostream* out);
};

/// Looks through `session`; `images` includes the disks' bytes where the target can show them.
Result<Observation> Observe(Lab& lab, Session& session, bool images = true);

/// What differs, one sentence each; empty: nothing.
std::vector<std::string> Differences(const Observation& before, const Observation& after);

/// Fits an observation in which objects, LastKnownState values, notifications and disk bytes are those of
/// `before`.
::testing::Matcher<const Observation&> Unchanged(const Observation& before);

}  // namespace dmrp::suites
