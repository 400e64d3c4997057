// DiskMergeQuery (3.2.4.4.1.39, 3.2.4.4.3.42) and MERGE_OBJECT_INFO (2.2.20).
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/disk_group_merge.hpp"

#include <functional>
#include <limits>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

DWORD FlagsOf(const MergedVolume& merged) {
  DWORD flags = 0;
  if (merged.related) flags |= DSKMERGE_RELATED;
  if (merged.deleted) flags |= DSKMERGE_DELETE;
  if (merged.redundancy_deleted) flags |= DSKMERGE_DELETE_REDUNDANCY;
  if (merged.stale) flags |= DSKMERGE_STALE_DATA;
  return flags;
}

using Case = std::tuple<Revision, MergeCase>;

// Queries change nothing: one machine serves both revisions.
class DiskMergeQuery : public MergeTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    StartSharedWith("queried-" + std::string(merge().name), Disks(GroupRequests(merge().group)));
    group_ = Once([&] {
      MakeOurs(session());
      return ForeignNow();
    });
    request_.dgid = ForeignId(session());
    request_.diskList = DiskList(group_, merge());
  }
  [[nodiscard]] const MergeCase& merge() const { return std::get<1>(GetParam()); }
  Session& session() { return SessionOf(std::get<0>(GetParam())); }

  harness::DynamicGroup group_;
  DiskMergeQueryRequest request_;
};

// The group's sequence number is that of the last transaction committed on its disks; the records are those
// of all its disks, there or not.
TEST_P(DiskMergeQuery, TellsSequenceNumberAndDiskRecords) {
  Checks("DMRP-1174", "DMRP-1176", "DMRP-1184", "DMRP-1185", "DMRP-1187", "DMRP-1188", "DMRP-1189",
         "DMRP-1196", "DMRP-1732", "DMRP-1734");
  const auto reply = Query(session(), request_);
  ASSERT_THAT(reply, Succeeds());
  EXPECT_EQ(static_cast<std::uint64_t>(reply->merge_config_tid), group_.committed);
  std::vector<std::int64_t> records;
  for (const harness::DynamicMember& disk : group_.disks) {
    records.push_back(static_cast<std::int64_t>(disk.record.value()));
  }
  EXPECT_THAT(reply->merge_dm_rids, UnorderedElementsAreArray(records));
  EXPECT_EQ(reply->flags, 0U) << "there is a primary group";
  EXPECT_THAT(reply.call.anomalies, IsEmpty());
  EXPECT_EQ(reply.call.trailing, 0U);
}

// Which volumes come along and as what, by the places of their members.
TEST_P(DiskMergeQuery, PredictsWhatBecomesOfEachVolume) {
  Checks("DMRP-0125", "DMRP-0126", "DMRP-0127", "DMRP-0128", "DMRP-0129", "DMRP-1190", "DMRP-1192",
         "DMRP-1193", "DMRP-1194");
  const auto reply = Query(session(), request_);
  ASSERT_THAT(reply, Succeeds());
  const std::vector<MergedVolume> predicted = Predict(group_, merge());
  EXPECT_THAT(reply->mergeObjectInfo, SizeIs(predicted.size()));
  for (const MergedVolume& merged : predicted) {
    const auto told = std::ranges::find(reply->mergeObjectInfo, static_cast<std::int64_t>(merged.volume.size),
                                        &MERGE_OBJECT_INFO::length);
    ASSERT_NE(told, reply->mergeObjectInfo.end()) << merged.volume.name;
    EXPECT_EQ(told->type, 1U) << merged.volume.name;
    if (merged.related) {
      EXPECT_EQ(told->flags, FlagsOf(merged)) << merged.volume.name;
    } else {
      EXPECT_EQ(told->flags & DWORD{DSKMERGE_RELATED}, 0U) << merged.volume.name;
    }
    if (merged.related && !merged.deleted) {
      EXPECT_EQ(told->layout, merged.layout) << merged.volume.name;
    }
  }
}

TEST_P(DiskMergeQuery, LeavesOutUnrelatedVolumesOnRequest) {
  Checks("DMRP-1175", "DMRP-1190", "DMRP-1735");
  request_.flags = DSKMERGE_IN_NO_UNRELATED;
  const auto reply = Query(session(), request_);
  ASSERT_THAT(reply, Succeeds());
  std::vector<std::int64_t> related;
  for (const MergedVolume& merged : Predict(group_, merge())) {
    if (merged.related) related.push_back(static_cast<std::int64_t>(merged.volume.size));
  }
  std::vector<std::int64_t> told;
  for (const MERGE_OBJECT_INFO& info : reply->mergeObjectInfo) told.push_back(info.length);
  EXPECT_THAT(told, UnorderedElementsAreArray(related));
  EXPECT_EQ(reply->flags, 0U) << "the same bit means another thing on output";
}

// The reply tells the end; the list of storage objects and the disks stay as they are.
TEST_P(DiskMergeQuery, IsSynchronousAndChangesNothing) {
  Checks("DMRP-1173", "DMRP-1196", "DMRP-1197", "DMRP-1198", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  const Observation before = ObserveAll(session());
  const std::uint64_t mark = session().sink().Count();
  const auto reply = Query(session(), request_);
  ASSERT_THAT(reply, Succeeds());
  ExpectCompleted(reply->tinfo);
  ExpectCompletion(session(), reply->tinfo, mark);
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Groups, DiskMergeQuery,
                         ::testing::ValuesIn(Dealt(MergeCases(), Revision::kIVolumeClient)),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  std::string(std::get<1>(info.param).name);
                         });

class DiskMergeQueryAlone : public MergeTest, public ::testing::WithParamInterface<Revision> {};

// Without a group of the machine's own the reply says so, whatever the flags were.
TEST_P(DiskMergeQueryAlone, TellsThatThereIsNoPrimaryGroup) {
  Checks("DMRP-1195", "DMRP-1175", "DMRP-1735");
  StartSharedWith("foreign-group-alone", GroupRequests(kForeignComplete));
  Session& session = SessionOf(GetParam());
  DiskMergeQueryRequest request;
  request.dgid = DiskNow(session).dgid.value_or(Bytes());
  request.diskList = {lab().DiskId(0)};
  for (const DWORD flags : {DWORD{0}, DWORD{DSKMERGE_IN_NO_UNRELATED}}) {
    request.flags = flags;
    const auto reply = Query(session, request);
    ASSERT_THAT(reply, Succeeds());
    EXPECT_EQ(reply->flags, DWORD{DSKMERGE_OUT_NO_PRIMARY_DG});
    EXPECT_THAT(reply->merge_dm_rids, SizeIs(4));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, DiskMergeQueryAlone, kBothRevisions, RevisionName());

struct Wrong {
  const char* name;
  const char* id;
  std::function<void(DiskMergeQueryRequest& request, const std::vector<LdmObjectId>& disks,
                     const Bytes& ours)>
      spoil;
};

class DiskMergeQueryRefuses : public MergeTest,
                              public ::testing::WithParamInterface<std::tuple<Revision, Wrong>> {};

TEST_P(DiskMergeQueryRefuses, Because) {
  const auto& [revision, wrong] = GetParam();
  Checks(wrong.id, "DMRP-1176", "DMRP-1183", "DMRP-1732");
  const MergeCase all = MergeCases().front();
  StartSharedWith("queried-Complete", Disks(GroupRequests(all.group)));
  Session& session = SessionOf(revision);
  const auto& group = Once([&] {
    MakeOurs(session);
    return ForeignNow();
  });
  DiskMergeQueryRequest request;
  request.dgid = ForeignId(session);
  request.diskList = DiskList(group, all);
  const Observation before = ObserveAll(session);
  wrong.spoil(request, {lab().DiskId(kOwn), lab().DiskId(kBasic)},
              DiskNow(session, kOwn).dgid.value_or(Bytes()));
  EXPECT_THAT(Query(session, request), Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

using Disks = std::vector<LdmObjectId>;

INSTANTIATE_TEST_SUITE_P(
    Both, DiskMergeQueryRefuses,
    ::testing::Combine(
        kBothRevisions,
        ::testing::Values(
            Wrong{"GroupEmpty", "DMRP-1177",
                  [](DiskMergeQueryRequest& r, const Disks&, const Bytes&) { r.dgid.clear(); }},
            Wrong{"GroupGarbage", "DMRP-1177",
                  [](DiskMergeQueryRequest& r, const Disks&, const Bytes&) {
                    r.dgid = TerminatedOctets("no disk group");
                  }},
            Wrong{"GroupWithoutTerminator", "DMRP-1177",
                  [](DiskMergeQueryRequest& r, const Disks&, const Bytes&) { r.dgid.pop_back(); }},
            Wrong{"GroupUnknown", "DMRP-1177",
                  [](DiskMergeQueryRequest& r, const Disks&, const Bytes&) {
                    r.dgid = TerminatedOctets(Guid::Random().ToString());
                  }},
            Wrong{"GroupIsThePrimary", "DMRP-1177",
                  [](DiskMergeQueryRequest& r, const Disks&, const Bytes& ours) { r.dgid = ours; }},
            Wrong{"FirstDiskUnknown", "DMRP-1178",
                  [](DiskMergeQueryRequest& r, const Disks&,
                     const Bytes&) { r.diskList.front() = std::numeric_limits<LdmObjectId>::max(); }},
            Wrong{"LastDiskZero", "DMRP-1178",
                  [](DiskMergeQueryRequest& r, const Disks&, const Bytes&) { r.diskList.back() = 0; }},
            Wrong{"LastDiskIsOurs", "DMRP-1178",
                  [](DiskMergeQueryRequest& r, const Disks& others, const Bytes&) {
                    r.diskList.back() = others[0];
                  }},
            Wrong{"FirstDiskIsBasic", "DMRP-1178",
                  [](DiskMergeQueryRequest& r, const Disks& others, const Bytes&) {
                    r.diskList.front() = others[1];
                  }})),
    [](const auto& info) {
      return std::string(harness::ToString(std::get<0>(info.param))) + "_" + std::get<1>(info.param).name;
    });

}  // namespace
}  // namespace dmrp::suites
