// FTReplaceParityStripePartition (3.2.4.4.1.17, 3.2.4.4.3.17).
#include "suites/support/ft_sets.hpp"

#include <algorithm>
#include <limits>
#include <optional>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

// Disk "spare" with a partition that can replace a member; what is said of it comes on top.
std::string Spare(const std::string& partition = R"("size": "16M", "type": 6)") {
  return R"({"name": "spare", "size": "64M", "partitions": [{)" + partition + "}]}";
}

class FtReplaceParity : public FtTest, public ::testing::WithParamInterface<Revision> {
 protected:
  Session& session() { return SessionOf(GetParam()); }
  // The last member is out of its set.
  void StartBroken(const std::string& spare) {
    StartSets(ParityOf("", R"("state": "orphaned", "garbage": true)", spare));
  }
  // The same for tests that change nothing, with partitions of which the first alone fits, and a GPT disk.
  void StartForRefusals() {
    StartSharedSets(ParityOf("", R"("state": "orphaned", "garbage": true)",
                             Spare(R"("size": "16M", "type": 6}, {"size": "16M", "type": 131}, )"
                                   R"({"size": "7M", "type": 6)")),
                    {{kGpt.Spec(), {}}});
  }
  REGION_INFO_EX Partition(std::size_t number = 0) { return PartitionsNow(session(), "spare").at(number); }
  Outcome<FTReplaceParityStripePartitionReply> Replace(const FtReplacementRequest& request) {
    return ReplaceParity(session(), request);
  }
  // A replacement that has to fail and leave the partition where it is.
  void ExpectRefusedAndUnchanged(const FtReplacementRequest& request) {
    const Observation before = ObserveAll(session(), false);
    EXPECT_THAT(Replace(request), Refused());
    const Observation after = ObserveAll(session(), false);
    EXPECT_EQ(before.view, after.view);
    EXPECT_THAT(RecordNow().sets, ::testing::SizeIs(1));
  }
};

// The failed member goes with its partition, the new one is in its place and gets the data.
TEST_P(FtReplaceParity, PutsThePartitionInThePlaceOfTheFailedMember) {
  Checks("DMRP-0802", "DMRP-0803", "DMRP-0805", "DMRP-0811", "DMRP-0812", "DMRP-0813", "DMRP-0815",
         "DMRP-0816", "DMRP-0817", "DMRP-0818", "DMRP-0819", "DMRP-0820", "DMRP-1611", "DMRP-1612",
         "DMRP-1616", "DMRP-1617");
  StartBroken(Spare());
  const StorageView before = Need(session().View());
  const VOLUME_INFO set = SetNow(session());
  const REGION_INFO_EX failed = PartitionsNow(session(), "c").at(0);
  const REGION_INFO_EX fresh = Partition();
  const std::uint64_t mark = session().sink().Count();
  FtReplacementRequest request = RequestFor(session(), fresh);
  request.oldMemberId = 4711;
  request.oldMemberLastKnownState = 4711;
  const auto reply = Replace(request);
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  const auto told = session().sink().Objects(mark);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_MODIFIED, set.id)));
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, failed.id)));
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_MODIFIED, fresh.id)));
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, failed.diskId)));
  const StorageView after = Need(session().View());
  EXPECT_EQ(after.FindRegion(failed.id), nullptr);
  EXPECT_EQ(after.FindRegion(fresh.id)->volId, set.id);
  EXPECT_EQ(after.FindLetter(u'E')->storageId, set.id);
  AwaitStatus(session(), VOLUME_STATUS_HEALTHY);
  EXPECT_THAT(DataProblems("parity"), IsEmpty());
  EXPECT_THAT(LayoutOf(DiskNamed("c")).partitions, IsEmpty());
  EXPECT_EQ(LayoutOf(DiskNamed("spare")).partitions.at(0).mbr_type, 0x86);
}

TEST_P(FtReplaceParity, TakesAPartitionThatChangedOnlyWithForce) {
  Checks("DMRP-0804", "DMRP-0807", "DMRP-0808", "DMRP-1618");
  StartBroken(Spare());
  FtReplacementRequest request = RequestFor(session(), Partition());
  for (const std::int64_t state : {std::int64_t{0}, request.newRegionLastKnownState + 1}) {
    FtReplacementRequest stale = request;
    stale.newRegionLastKnownState = state;
    ExpectRefusedAndUnchanged(stale);
  }
  request.newRegionLastKnownState = 0;
  request.flags = FTREPLACE_FORCE;
  EXPECT_THAT(Replace(request), Succeeds());
  AwaitStatus(session(), VOLUME_STATUS_HEALTHY);
}

// A healthy set has nothing to replace: the partition stays, or goes if that is asked for.
TEST_P(FtReplaceParity, DeletesThePartitionAfterAFailureOnlyOnRequest) {
  Checks("DMRP-0804", "DMRP-0814", "DMRP-0815", "DMRP-0821", "DMRP-0822", "DMRP-0823", "DMRP-1618");
  StartSets(ParityOf("", "", Spare()));
  const REGION_INFO_EX region = Partition();
  const auto kept = Replace(RequestFor(session(), region));
  ASSERT_THAT(kept, Refused());
  ExpectFailed(kept->tinfo, kept->result);
  ASSERT_EQ(PartitionsNow(session(), "spare").size(), 1U);
  const DISK_INFO_EX disk = DiskNow(session(), DiskNamed("spare"));
  const std::uint64_t mark = session().sink().Count();
  FtReplacementRequest request = RequestFor(session(), Partition());
  request.flags = FTREPLACE_DELETE_ON_FAIL;
  EXPECT_THAT(Replace(request), Refused());
  const auto told = session().sink().Objects(mark);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk.id)));
  EXPECT_THAT(PartitionsNow(session(), "spare"), IsEmpty());
  EXPECT_EQ(DiskNow(session(), DiskNamed("spare")).freeBytes, disk.freeBytes + region.length);
  EXPECT_THAT(LayoutOf(DiskNamed("spare")).partitions, IsEmpty());
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_HEALTHY);
}

TEST_P(FtReplaceParity, RefusesAPartitionOfAnotherType) {
  Checks("DMRP-1613", "DMRP-0812", "DMRP-1611");
  StartForRefusals();
  ExpectRefusedAndUnchanged(RequestFor(session(), Partition(1)));
}

TEST_P(FtReplaceParity, RefusesAPartitionThatIsTooSmall) {
  Checks("DMRP-1615", "DMRP-0812", "DMRP-1611");
  StartForRefusals();
  ExpectRefusedAndUnchanged(RequestFor(session(), Partition(2)));
}

// A GPT has no types that could say member.
TEST_P(FtReplaceParity, RefusesAPartitionOfAGptDisk) {
  Checks("DMRP-1614", "DMRP-0812", "DMRP-1611");
  StartForRefusals();
  // The first test to come here makes the partition.
  Session& late = SessionOf(Revision::kIVolumeClient3);
  const std::size_t index = made().disks.size();
  auto partition = [&] {
    const auto regions = RegionsNow(late, index);
    const auto found = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
    return found == regions.end() ? std::nullopt : std::optional(*found);
  };
  if (!partition()) {
    const REGION_INFO_EX free = FreeRegion(late, index, MiB(16));
    ASSERT_THAT(late.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(16))), Succeeds());
  }
  const auto made_there = partition();
  ASSERT_TRUE(made_there);
  ExpectRefusedAndUnchanged(RequestFor(session(), *made_there));
}

TEST_P(FtReplaceParity, RefusesWhatIsNoSetOrNoPartitionOrStale) {
  Checks("DMRP-0805", "DMRP-0806", "DMRP-0807", "DMRP-0810", "DMRP-0495", "DMRP-1611");
  StartForRefusals();
  const FtReplacementRequest good = RequestFor(session(), Partition());
  for (const LdmObjectId id :
       {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), good.newRegionId, lab().DiskId(0)}) {
    FtReplacementRequest bad = good;
    bad.volumeId = id;
    ExpectRefusedAndUnchanged(bad);
  }
  for (const LdmObjectId id : {LdmObjectId{0}, std::numeric_limits<LdmObjectId>::max(), lab().DiskId(0)}) {
    FtReplacementRequest bad = good;
    bad.newRegionId = id;
    bad.flags = FTREPLACE_FORCE | FTREPLACE_DELETE_ON_FAIL;
    ExpectRefusedAndUnchanged(bad);
  }
  FtReplacementRequest stale = good;
  ++stale.volumeLastKnownState;
  ExpectRefusedAndUnchanged(stale);
}

TEST_P(FtReplaceParity, RefusesASetOfAnotherType) {
  Checks("DMRP-0806", "DMRP-0810");
  StartSharedSets(MirrorOf("", R"("state": "orphaned")", Spare()));
  ExpectRefusedAndUnchanged(RequestFor(session(), Partition()));
}

INSTANTIATE_TEST_SUITE_P(Both, FtReplaceParity, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
