// Format of a volume that another process of the guest holds: without force it fails and the data stay, with
// force the volume is formatted.
#include "harness/guest/guest.hpp"
#include "harness/guest/held_file.hpp"
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <optional>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class FormatInUse : public FormatRevisionTest {
 protected:
  void SetUp() override {
    StartWith({{harness::ParseDiskSpec(kOnPrimary.spec).value(),
                Volumes(kFormatTable, {{1U << 20U, 64U << 20U, "mkfs.fat -F 16 -s 4 -n KEEP"}})}});
    region_ = RegionsOfType(session(), REGION_PRIMARY).front();
  }
  // A program that keeps a file of the volume open; the file holds "precious". Mounted for reading only, so
  // that the kernel writes nothing of the old file system over a new one.
  void Hold() {
    harness::AgentClient& agent = GuestOrSkip().agent();
    const std::string device = DeviceOf(region_);
    Need(agent.Shell("mkdir -p /held && mount -t vfat " + device +
                     " /held && echo precious > /held/file && umount /held && mount -t vfat -o ro " + device +
                     " /held"));
    holder_.emplace(Need(harness::HeldFile::Hold(agent, "/held/file")));
  }
  void Release() {
    Need(holder_->Release());
    holder_.reset();
    // With force the server may have done it already.
    GuestOrSkip().agent().Shell("umount /held 2>/dev/null || true");
  }
  std::string Content() { return Need(GuestOrSkip().agent().ReadFile("/held/file")); }

  REGION_INFO_EX region_;
  std::optional<harness::HeldFile> holder_;
};

// force FALSE: nothing is formatted unless the storage can be locked. Quick and full alike: the sentence on
// locks that stands at quickFormat in 3.2.4.4.3.23 belongs to force.
TEST_P(FormatInUse, FailsWithoutForce) {
  Checks("DMRP-0891", third() ? "DMRP-1637" : "DMRP-0891", third() ? "DMRP-1636" : "DMRP-0890", "DMRP-0903");
  Hold();
  for (const bool quick : {true, false}) {
    SCOPED_TRACE(quick ? "quick" : "full");
    const Observation before = ObserveAll(session(), false);
    const auto reply = session().Format(
        FormatOf(RegionNow(session(), region_.id), FileSystemSpec(FSTYPE_NTFS, 4096, u"NEW"), quick, false));
    if (reply.succeeded() && reply->tinfo.status == REQ_STARTED) {
      EXPECT_EQ(EndOf(session(), reply->tinfo).status, REQ_FAILED) << reply.call.text;
    } else {
      EXPECT_THAT(reply, FailsWith(LDM_E_VOLUME_IN_USE));
      EXPECT_THAT(ObserveAll(session(), false), Unchanged(before));
    }
    EXPECT_EQ(Content(), "precious\n");
  }
  const FileSystemOnDisk disk = OnDisk(region_);
  EXPECT_EQ(FsTypeOf(disk), FSTYPE_FAT);
  EXPECT_EQ(disk.label, "KEEP");
  Release();
}

// Once nobody holds it any more, the same call goes through.
TEST_P(FormatInUse, SucceedsOnceNobodyHoldsIt) {
  Checks("DMRP-0891");
  Hold();
  EXPECT_THAT(session().Format(FormatOf(region_, FileSystemSpec(FSTYPE_NTFS, 4096, u"NEW"))), Refused());
  Release();
  FormatAndWait(session(), RegionNow(session(), region_.id), FileSystemSpec(FSTYPE_NTFS, 4096, u"NEW"));
  EXPECT_EQ(OnDisk(region_).label, "NEW");
}

// force TRUE: it is formatted in any case.
TEST_P(FormatInUse, SucceedsWithForce) {
  Checks("DMRP-0891", third() ? "DMRP-1637" : "DMRP-0891");
  Hold();
  FormatAndWait(session(), region_, FileSystemSpec(FSTYPE_FAT, 4096, u"FORCED"), true, true);
  Release();
  const FileSystemOnDisk disk = OnDisk(region_);
  EXPECT_EQ(FsTypeOf(disk), FSTYPE_FAT) << disk.account;
  EXPECT_EQ(disk.label, "FORCED");
  EXPECT_EQ(disk.unit, 4096U);
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
}

// The same while a program writes to the volume: what the driver of the old file system still had to write,
// then or when the file is closed, does not arrive in the new one.
TEST_P(FormatInUse, WhatTheOldFileSystemHeldDoesNotReachTheNewOne) {
  Checks("DMRP-0891", third() ? "DMRP-1637" : "DMRP-0891");
  harness::AgentClient& agent = GuestOrSkip().agent();
  Need(agent.Shell("mkdir -p /held && mount -t vfat " + DeviceOf(region_) + " /held"));
  holder_.emplace(Need(harness::HeldFile::Hold(agent, "/held/file", harness::HeldFile::Use::kReadWrite)));
  Need(agent.Shell("for i in $(seq 50); do head -c 20000 /dev/zero > /held/part$i; done"));
  FormatAndWait(session(), region_, FileSystemSpec(FSTYPE_FAT, 4096, u"FORCED"), true, true);
  // The server may have ended the program.
  (void)holder_->Release();
  holder_.reset();
  Need(agent.Shell("umount /held 2>/dev/null; sync"));
  const FileSystemOnDisk disk = OnDisk(region_);
  EXPECT_EQ(FsTypeOf(disk), FSTYPE_FAT) << disk.account;
  EXPECT_EQ(disk.label, "FORCED");
  EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
}

INSTANTIATE_TEST_SUITE_P(One, FormatInUse, ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient3)),
                         RevisionName());

}  // namespace
}  // namespace dmrp::suites
