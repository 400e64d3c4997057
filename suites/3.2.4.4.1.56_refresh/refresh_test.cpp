// Refresh (3.2.4.4.1.56, 3.2.4.4.3.59), RescanDisks (3.2.4.4.1.57, 3.2.4.4.3.60) and RefreshEx (3.2.4.4.4.1).
#include "suites/support/conformance_test.hpp"
#include "suites/support/partition_layout.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;

enum class How { kRefresh, kRescanDisks, kRefreshEx };

struct Way {
  Revision revision;
  How how;
};

class Refreshing : public ConformanceTest, public ::testing::WithParamInterface<Way> {
 protected:
  Session& session() { return SessionOf(GetParam().revision); }
  // The rules of the method that this way of refreshing is.
  void ChecksAs(const char* refresh, const char* rescan) {
    switch (GetParam().how) {
      case How::kRefresh:
        ChecksAll({refresh, "DMRP-1839", "DMRP-1456"});
        break;
      case How::kRescanDisks:
        ChecksAll({rescan, "DMRP-1841", "DMRP-1461"});
        break;
      case How::kRefreshEx:
        ChecksAll({refresh, "DMRP-1456", "DMRP-1863", "DMRP-1861", "DMRP-1858"});
        break;
    }
  }
  // Calls the method, and fails unless it succeeds.
  void Refresh() {
    switch (GetParam().how) {
      case How::kRefresh:
        ASSERT_THAT(session().Refresh(), Succeeds());
        break;
      case How::kRescanDisks:
        ASSERT_THAT(session().RescanDisks(), Succeeds());
        break;
      case How::kRefreshEx:
        ASSERT_THAT(session().RefreshEx(), Succeeds());
        break;
    }
  }
};

// With nothing to find, nothing changes and nothing is notified.
TEST_P(Refreshing, FindsNothingWhereNothingChanged) {
  ChecksAs("DMRP-1458", "DMRP-1464");
  StartShared("two-mbr-disks-512", {kMbr512, kMbr512e});
  const Observation before = ObserveAll(session());
  Refresh();
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// The reply carries the outcome.
TEST_P(Refreshing, Succeeds) {
  ChecksAs("DMRP-1460", "DMRP-1466");
  StartShared("two-mbr-disks-512", {kMbr512, kMbr512e});
  Refresh();
}

struct WayName {
  std::string operator()(const ::testing::TestParamInfo<Way>& info) const {
    const char* how = info.param.how == How::kRefresh       ? "Refresh"
                      : info.param.how == How::kRescanDisks ? "RescanDisks"
                                                            : "RefreshEx";
    return std::string(harness::ToString(info.param.revision)) + "_" + how;
  }
};

const auto kAllWays = ::testing::Values(
    Way{Revision::kIVolumeClient, How::kRefresh}, Way{Revision::kIVolumeClient3, How::kRefresh},
    Way{Revision::kIVolumeClient, How::kRescanDisks}, Way{Revision::kIVolumeClient3, How::kRescanDisks},
    Way{Revision::kIVolumeClient3, How::kRefreshEx});

INSTANTIATE_TEST_SUITE_P(Ways, Refreshing, kAllWays, WayName());

// What clients could see of a partition that another program wrote, before and after a call.
struct Finding {
  StorageView before;
  StorageView after;
  std::map<std::string, std::vector<ReceivedObject>> told;  ///< by client, before the reply
};

class RefreshingAChange : public Refreshing {
 protected:
  // On the second disk there is nothing to find.
  void SetUp() override { StartShared(ScenarioKey(), {kBlank, kMbr512e}); }
  const Finding& Found() {
    return Once([this] {
      Finding seen;
      Session& first =
          Open({.revision = Revision::kIVolumeClient, .name = "first", .account = {}, .auth_level = {}});
      Session& third =
          Open({.revision = Revision::kIVolumeClient3, .name = "third", .account = {}, .auth_level = {}});
      seen.before = Need(session().View());
      Need(lab().bed().Overwrite(lab().bed().disks()[0].id, 0, TableWithAPartition(), false));
      Refresh();
      for (Session* client : {&session(), &first, &third}) {
        seen.told[client->name()] = client->sink().Objects();
      }
      seen.after = Need(session().View());
      return seen;
    });
  }

 private:
  // The first mebibyte of a disk with one more partition than kMbr512 has.
  static Bytes TableWithAPartition() {
    const auto image = std::filesystem::temp_directory_path() / ("dmrp-table-" + std::to_string(getpid()));
    std::ofstream(image).close();
    std::filesystem::resize_file(image, std::uint64_t{64} << 20U);
    EXPECT_TRUE(Table("label: dos\nlabel-id: 0x5eed0056\nstart=4096, size=32768, type=7\n")(image));
    Bytes bytes(512);
    std::ifstream stream(image, std::ios::binary);
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    std::filesystem::remove(image);
    return bytes;
  }
};

// What another program wrote without anybody's notice is found: the regions are those on disk afterwards.
TEST_P(RefreshingAChange, EnumeratesTheSystemAnew) {
  ChecksAs("DMRP-1457", "DMRP-1463");
  const auto& regions = Found().after.RegionsOf(lab().DiskId(0));
  EXPECT_THAT(regions, Contains(HasRegion(REGION_PRIMARY, 4096 * 512, 32768 * 512)));
  EXPECT_THAT(Disagreements(regions, LayoutOf()), IsEmpty());
}

// The differences are notified to all clients, of either revision.
TEST_P(RefreshingAChange, NotifiesTheDifferences) {
  ChecksAs("DMRP-1459", "DMRP-1465");
  const auto& regions = Found().after.RegionsOf(lab().DiskId(0));
  auto made = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
  ASSERT_NE(made, regions.end());
  EXPECT_THAT(Found().told, SizeIs(3));
  for (const auto& [client, told] : Found().told) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made->id))) << client;
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, lab().DiskId(0)))) << client;
  }
}

// The list is changed accordingly, once: a second call finds nothing more.
TEST_P(RefreshingAChange, ChangesTheListOnce) {
  ChecksAs("DMRP-1458", "DMRP-1464");
  const DISK_INFO_EX* before = Found().before.FindDisk(lab().DiskId(0));
  const DISK_INFO_EX* after = Found().after.FindDisk(lab().DiskId(0));
  ASSERT_NE(before, nullptr);
  ASSERT_NE(after, nullptr) << "the disk is the same object";
  EXPECT_GT(after->lastKnownState, before->lastKnownState);
  const Observation once = ObserveAll(session());
  EXPECT_EQ(once.view.FindDisk(after->id)->lastKnownState, after->lastKnownState);
  Refresh();
  EXPECT_THAT(ObserveAll(session()), Unchanged(once));
}

INSTANTIATE_TEST_SUITE_P(Ways, RefreshingAChange, kAllWays, WayName());

// RefreshEx looks whether the length of disks has changed, and changes the disk objects accordingly.
class RefreshEx : public ConformanceTest {};

TEST_F(RefreshEx, FollowsADisksLength) {
  Checks("DMRP-1867");
  Start({kMbr512});
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const DISK_INFO_EX before = DiskNow(session);
  Need(lab().bed().Resize(lab().bed().disks()[0].id, std::uint64_t{96} << 20U));
  ASSERT_THAT(session.RefreshEx(), Succeeds());
  const DISK_INFO_EX after = DiskNow(session);
  EXPECT_GT(after.length, before.length);
  EXPECT_LE(after.length, MiB(96));
  EXPECT_GT(after.length, MiB(96) - std::int64_t{after.bytesPerCylinder});
  EXPECT_THAT(session.sink().Objects(),
              Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, before.id)));
}

}  // namespace
}  // namespace dmrp::suites
