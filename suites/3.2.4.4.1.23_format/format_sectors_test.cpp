// Format, quick and full: which sectors are looked at, and what an unreadable one does.
#include "harness/guest/guest.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class FormatSectors : public FormatRevisionTest {
 protected:
  void SetUp() override {
    StartWith({DiskOf(kOnPrimary)});
    GuestOrSkip();
    region_ = RegionsOfType(session(), REGION_PRIMARY).front();
  }
  void TearDown() override {
    if (broken_) GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id);
    FormatRevisionTest::TearDown();
  }
  // A sector in the middle of the volume's second half, where no file system of its size keeps anything.
  void BreakASector() {
    harness::DiskFault fault;
    fault.on_read = true;
    fault.sector = static_cast<std::uint64_t>(region_.start + region_.length / 4 * 3) / 512 + 8;
    Need(GuestOrSkip().SetFaults(lab().bed().disks().at(0).id, {fault}));
    broken_ = true;
  }

  REGION_INFO_EX region_;
  bool broken_ = false;
};

// quickFormat FALSE: every sector of the volume is read. TRUE: only what the file system writes.
TEST_P(FormatSectors, AreAllReadByAFullFormatOnly) {
  Checks("DMRP-0890", third() ? "DMRP-1636" : "DMRP-0890");
  const auto length = static_cast<std::uint64_t>(region_.length);
  Traffic before = TrafficOf();
  FormatAndWait(session(), region_, FileSystemSpec(FSTYPE_NTFS, 4096, u"QUICK"), true);
  EXPECT_LT(TrafficOf().read - before.read, length / 4) << "a quick format has no business with all sectors";
  before = TrafficOf();
  FormatAndWait(session(), RegionNow(session(), region_.id), FileSystemSpec(FSTYPE_NTFS, 4096, u"FULL"),
                false);
  EXPECT_GE(TrafficOf().read - before.read, length - length / 64) << "sectors were left out";
  EXPECT_EQ(OnDisk(region_).label, "FULL");
}

// A full format notices an unreadable sector in a part of the volume that the file system itself leaves
// alone: the task fails with a reason, or the sector's unit is marked as bad.
TEST_P(FormatSectors, ThatAreUnreadableAreNoticedByAFullFormat) {
  Checks("DMRP-0890", third() ? "DMRP-1636" : "DMRP-0890", "DMRP-0443", "DMRP-0575", "DMRP-0110");
  BreakASector();
  const std::uint64_t mark = session().sink().Count();
  const auto reply = session().Format(FormatOf(region_, FileSystemSpec(FSTYPE_NTFS, 4096, u"FULL"), false));
  TASK_INFO end;
  if (reply.refused()) {
    end.status = REQ_FAILED;
    end.error = reply->result;
  } else {
    ASSERT_THAT(reply, StartsTask());
    end = EndOf(session(), reply->tinfo);
  }
  if (end.status == REQ_COMPLETED) {
    Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id));
    EXPECT_GT(OnDisk(region_).bad_units, 0U) << "nobody noticed the unreadable sector";
    return;
  }
  EXPECT_EQ(end.status, REQ_FAILED);
  EXPECT_LT(end.error, 0) << "the reason stands in error";

  // Afterwards the volume is at rest and usable, and what the objects say is on the disk.
  Checks("DMRP-0902", "DMRP-0576", "DMRP-0083");
  const REGION_INFO_EX after =
      reply.refused() ? RegionNow(session(), region_.id) : SettledRegion(session(), region_.id, mark);
  EXPECT_EQ(after.rflags & REGION_FORMAT_IN_PROGRESS, 0U);
  const auto object = FileSystemOf(session(), region_.id);
  ASSERT_TRUE(object);
  Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id));
  EXPECT_EQ(object->fsType, FsTypeOf(OnDisk(region_))) << ToText(*object);
  FormatAndWait(session(), after, FileSystemSpec(FSTYPE_NTFS, 4096, u"AGAIN"), false);
  EXPECT_EQ(OnDisk(region_).label, "AGAIN");
}

// A quick format does not notice it.
TEST_P(FormatSectors, ThatAreUnreadableAreNotNoticedByAQuickFormat) {
  Checks("DMRP-0890", third() ? "DMRP-1636" : "DMRP-0890");
  BreakASector();
  FormatAndWait(session(), region_, FileSystemSpec(FSTYPE_NTFS, 4096, u"QUICK"), true);
  Need(GuestOrSkip().ClearFaults(lab().bed().disks().at(0).id));
  const FileSystemOnDisk disk = OnDisk(region_);
  EXPECT_EQ(disk.label, "QUICK");
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
}

INSTANTIATE_TEST_SUITE_P(Both, FormatSectors, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
