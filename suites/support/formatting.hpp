// What tests of formatting share: requests, the wait for a task's end, and the comparison of a file system
// object with the disk.
#pragma once

#include "harness/layout/file_system_reader.hpp"
#include "suites/support/conformance_test.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

using harness::FileSystemOnDisk;

/// The longest that a format of the tests' small volumes may take, full ones on throttled disks included.
inline constexpr std::chrono::milliseconds kFormatLimit{60'000};

/// The members of FILE_SYSTEM_INFO that formatting uses (3.1.4.1.3). The label gets its terminating null.
FILE_SYSTEM_INFO FileSystemSpec(std::int32_t type, std::uint32_t unit, std::u16string label = u"",
                                bool compression = false);

/// A request for the region as it is now.
FormatRequest FormatOf(const REGION_INFO_EX& region, const FILE_SYSTEM_INFO& spec, bool quick = true,
                       bool force = false);

/// "FAT32", "NTFS", ...
std::string FileSystemName(std::int32_t type);
/// The FSTYPE_* value of what readers found on a disk.
std::int32_t FsTypeOf(const FileSystemOnDisk& disk);
/// A label without its terminating null, UTF-8.
std::string LabelOf(const FILE_SYSTEM_INFO& file_system);
/// The allocation units that bits of fsFlags or fsCompressionFlags stand for, in octets, ascending.
std::vector<std::uint32_t> UnitsOf(std::uint32_t flags);

bool IsFinal(REQSTATUS status);

/// Fits a reply that neither was refused nor has failed already: the task goes on, or is complete.
MATCHER(StartsTask, negation ? "no task" : "an HRESULT that is no error and a task started or completed") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg) << ", " << ToText(arg.value.tinfo);
  return arg.succeeded() && arg.value.tinfo.id != 0 &&
         (arg.value.tinfo.status == REQ_STARTED || arg.value.tinfo.status == REQ_COMPLETED);
}

/// Tests of formatting.
class FormatTest : public ConformanceTest {
 protected:
  /// The region of the bed's disk that starts at that byte.
  REGION_INFO_EX RegionAt(Session& session, std::int64_t start, std::size_t disk = 0);
  /// The regions of a type on the bed's disk, by their start.
  std::vector<REGION_INFO_EX> RegionsOfType(Session& session, REGIONTYPE type, std::size_t disk = 0);
  REGION_INFO_EX RegionNow(Session& session, LdmObjectId region, std::size_t disk = 0);
  /// The file system object of a storage object; nothing when there is none.
  std::optional<FILE_SYSTEM_INFO> FileSystemOf(Session& session, LdmObjectId storage);
  /// Row of GetInstalledFileSystems; the test ends when the type is not offered.
  IFILE_SYSTEM_INFO Installed(Session& session, std::int32_t type);

  /// The task as its final frame shows it, or as the reply did where it was final; the test ends when none
  /// comes.
  TASK_INFO EndOf(Session& session, const TASK_INFO& tinfo, std::chrono::milliseconds limit = kFormatLimit);
  /// Waits until the region is told to be at rest again after `mark`: not being formatted, no task at work.
  REGION_INFO_EX SettledRegion(Session& session, LdmObjectId region, std::uint64_t mark,
                               std::size_t disk = 0);
  /// Formats and waits for the end; the test ends unless it went well.
  FormatReply FormatAndWait(Session& session, const REGION_INFO_EX& region, const FILE_SYSTEM_INFO& spec,
                            bool quick = true, bool force = false);
  /// Expects that a request comes to nothing: refused without an effect, or a task that fails.
  void ExpectFails(Session& session, const FormatRequest& request);

  /// What independent readers find in a region of the bed's disk now. Needs the capability "images".
  FileSystemOnDisk OnDisk(const REGION_INFO_EX& region, std::size_t disk = 0);
  /// The same for several regions of one disk at one moment.
  std::vector<FileSystemOnDisk> OnDisk(const std::vector<REGION_INFO_EX>& regions, std::size_t disk = 0);

  /// The guest's name of a region's device: "/dev/sda1".
  std::string DeviceOf(const REGION_INFO_EX& region, std::size_t disk = 0);
  /// Octets that the guest has read from and written to the bed's disk so far.
  struct Traffic {
    std::uint64_t read = 0;
    std::uint64_t written = 0;
  };
  Traffic TrafficOf(std::size_t disk = 0);
};

/// The same over both revisions.
class FormatRevisionTest : public FormatTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
};

/// Every point in which a file system object differs from the file system on disk, one sentence each.
std::vector<std::string> Disagreements(const FILE_SYSTEM_INFO& object, const FileSystemOnDisk& disk);

}  // namespace dmrp::suites
