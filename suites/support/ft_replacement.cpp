#include "suites/support/ft_replacement.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace dmrp::suites {

using ::testing::Contains;

Outcome<FTReplaceMirrorPartitionReply> FtReplacementTest::Replace(const FtReplacementRequest& request) {
  if (mirror_) return ReplaceMirror(session(), request);
  auto outcome = ReplaceParity(session(), request);
  return {.call = std::move(outcome.call),
          .value = {.tinfo = outcome.value.tinfo, .result = outcome.value.result},
          .error = std::move(outcome.error)};
}

std::string FtReplacementTest::Sets() const {
  const std::string_view type = mirror_ ? "mirror" : "parity";
  const std::vector<std::string_view> disks =
      mirror_ ? std::vector<std::string_view>{"a", "b"} : std::vector<std::string_view>{"a", "b", "c"};
  const std::vector<std::string_view> others = mirror_ ? std::vector<std::string_view>{"c", "spare", "other"}
                                                       : std::vector<std::string_view>{"spare", "other"};
  const FtPlannedSet broken{type, disks, "", kOut};
  // As long as a member, or longer.
  const std::string spare = fmt::format(R"({{"size": "{}M", "type": 6}})", mirror_ ? 12 : 16);
  const std::string all_disks = fmt::format(
      R"({{"name": "a", "size": "56M"}}, {{"name": "b", "size": "60M"}}, {{"name": "c", "size": "40M"}},
{{"name": "spare", "size": "72M", "partitions": [{0}, {0}, {0}]}},
{{"name": "other", "size": "64M", "partitions": [{0}, {{"size": "16M", "type": 131}}, {{"size": "7M", "type": 6}}]}})",
      spare);
  return SetsOn(all_disks,
                {broken, broken, {type, disks}, broken, {mirror_ ? "parity" : "mirror", others, "", kOut}});
}

std::vector<BedDiskRequest> FtReplacementTest::GptDisk() {
  return {{kGpt.Spec(), Table("label: gpt\nstart=2048, size=32768, "
                              "type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n")}};
}

void FtReplacementTest::ExpectRefusedAndUnchanged(const std::vector<FtReplacementRequest>& requests) {
  const Observation before = ObserveAll(session(), false);
  const std::string record = ToText(RecordNow());
  for (const FtReplacementRequest& request : requests) {
    SCOPED_TRACE(fmt::format("set {} {}, partition {} {}, flags {}", request.volumeId,
                             request.volumeLastKnownState, request.newRegionId,
                             request.newRegionLastKnownState, request.flags));
    EXPECT_THAT(Replace(request), Refused());
    EXPECT_EQ(ObserveAll(session(), false).view, before.view);
  }
  EXPECT_EQ(ToText(RecordNow()), record);
}

void FtReplacementTest::ExpectReplaced() {
  StartOwnSet(Sets(), 'E', GptDisk());
  const StorageView before = Need(session().View());
  const VOLUME_INFO set = SetNow(session());
  const REGION_INFO_EX failed = MemberNow(session(), MadeSet().members.size() - 1);
  const REGION_INFO_EX fresh = Spare(0);
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
  EXPECT_NE(before.FindRegion(failed.id), nullptr);
  EXPECT_EQ(after.FindRegion(failed.id), nullptr);
  EXPECT_EQ(after.FindRegion(fresh.id)->volId, set.id);
  EXPECT_EQ(after.FindLetter(u'E')->storageId, set.id);
  ExpectMadeWhole(session());
  const std::string& disk = MadeSet().members.back().disk;
  ExpectOnDisk(session(), disk, failed, std::nullopt);
  ExpectOnDisk(session(), "spare", fresh, 0x86);
}

void FtReplacementTest::ExpectForceNeeded() {
  StartOwnSet(Sets(), 'F', GptDisk());
  FtReplacementRequest request = RequestFor(session(), Spare(1));
  std::vector<FtReplacementRequest> stale(2, request);
  stale[0].newRegionLastKnownState = 0;
  ++stale[1].newRegionLastKnownState;
  ExpectRefusedAndUnchanged(stale);
  request.newRegionLastKnownState = 0;
  request.flags = FTREPLACE_FORCE;
  EXPECT_THAT(Replace(request), Succeeds());
  AwaitStatus(session(), VOLUME_STATUS_HEALTHY);
}

void FtReplacementTest::ExpectDeletedOnlyOnRequest() {
  StartOwnSet(Sets(), 'G', GptDisk());
  const std::vector<REGION_INFO_EX> partitions = PartitionsNow(session(), "spare");
  const REGION_INFO_EX region = partitions.at(3);
  const auto kept = Replace(RequestFor(session(), region));
  ASSERT_THAT(kept, Refused());
  ExpectFailed(kept->tinfo, kept->result);
  ASSERT_EQ(PartitionsNow(session(), "spare").size(), partitions.size());
  const DISK_INFO_EX disk = DiskNow(session(), DiskNamed("spare"));
  const std::uint64_t mark = session().sink().Count();
  FtReplacementRequest request = RequestFor(session(), Spare(2));
  request.flags = FTREPLACE_DELETE_ON_FAIL;
  EXPECT_THAT(Replace(request), Refused());
  const auto told = session().sink().Objects(mark);
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
  EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, disk.id)));
  EXPECT_EQ(PartitionsNow(session(), "spare").size(), partitions.size() - 1);
  EXPECT_EQ(DiskNow(session(), DiskNamed("spare")).freeBytes, disk.freeBytes + region.length);
  ExpectOnDisk(session(), "spare", region, std::nullopt);
  EXPECT_EQ(SetNow(session()).status, VOLUME_STATUS_HEALTHY);
}

void FtReplacementTest::StartForRefusal(bool other_type) {
  StartWithSet(Sets(), other_type ? 'I' : 'H', GptDisk());
}

void FtReplacementTest::ExpectOtherRefused(std::size_t number) {
  ExpectRefusedAndUnchanged({RequestFor(session(), Other(number))});
}

void FtReplacementTest::ExpectGptPartitionRefused() {
  const auto regions = RegionsNow(SessionOf(Revision::kIVolumeClient3), made().disks.size());
  const auto found = std::ranges::find(regions, REGION_PRIMARY, &REGION_INFO_EX::regionType);
  ASSERT_NE(found, regions.end());
  ExpectRefusedAndUnchanged({RequestFor(session(), *found)});
}

void FtReplacementTest::ExpectWrongIdsRefused() {
  const FtReplacementRequest good = RequestFor(session(), Other(0));
  const LdmObjectId most = std::numeric_limits<LdmObjectId>::max();
  std::vector<FtReplacementRequest> wrong;
  for (const LdmObjectId id : {LdmObjectId{0}, most, good.newRegionId, lab().DiskId(0)}) {
    wrong.push_back(good);
    wrong.back().volumeId = id;
  }
  for (const LdmObjectId id : {LdmObjectId{0}, most, lab().DiskId(0)}) {
    wrong.push_back(good);
    wrong.back().newRegionId = id;
    wrong.back().flags = FTREPLACE_FORCE | FTREPLACE_DELETE_ON_FAIL;
  }
  wrong.push_back(good);
  ++wrong.back().volumeLastKnownState;
  ExpectRefusedAndUnchanged(wrong);
}

}  // namespace dmrp::suites
