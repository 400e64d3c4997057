// GetEncapsulateDiskInfo(Ex) (3.2.4.4.1.44, 3.2.4.4.3.47) and EncapsulateDisk(Ex) (3.2.4.4.1.45,
// 3.2.4.4.3.48) on disks with FT sets of Windows NT, which become dynamic volumes.
#include "harness/layout/volume_pattern.hpp"
#include "suites/support/encapsulation.hpp"
#include "suites/support/ft_sets.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

// Three sets over disks a and b; a parity set over all three disks where the revision takes it along, over
// others where it does not; and on two more disks a mirror one copy of which is out of the set.
std::string Description(bool parity_with_them) {
  const std::string_view third = parity_with_them ? "a" : "f";
  const std::string_view fourth = parity_with_them ? "b" : "g";
  return fmt::format(
      R"({{"disks": [{{"name": "a", "size": "64M"}}, {{"name": "b", "size": "72M"}}, {{"name": "c", "size": "80M"}},
{{"name": "d", "size": "32M"}}, {{"name": "e", "size": "40M"}}{2}],
"sets": [
{{"type": "mirror", "letter": "E", "filesystem": "fat", "label": "MIRROR",
  "members": [{{"disk": "a", "size": "12M"}}, {{"disk": "b", "size": "12M"}}]}},
{{"type": "stripe", "letter": "F", "filesystem": "fat", "label": "STRIPE",
  "members": [{{"disk": "a", "size": "6M"}}, {{"disk": "b", "size": "6M"}}]}},
{{"type": "volume", "letter": "G", "filesystem": "fat", "label": "VOLUME",
  "members": [{{"disk": "b", "size": "7M"}}, {{"disk": "a", "size": "9M"}}]}},
{{"type": "parity", "letter": "H", "filesystem": "fat", "label": "PARITY",
  "members": [{{"disk": "{0}", "size": "5M", "logical": true}}, {{"disk": "{1}", "size": "5M", "logical": true}},
              {{"disk": "c", "size": "5M", "logical": true}}]}},
{{"type": "mirror", "letter": "I", "filesystem": "fat", "label": "BROKEN", "state": "orphan",
  "members": [{{"disk": "d", "size": "12M"}}, {{"disk": "e", "size": "12M", "state": "orphaned"}}]}}]}})",
      third, fourth,
      parity_with_them ? "" : R"(, {"name": "f", "size": "48M"}, {"name": "g", "size": "56M"})");
}

struct SetAndVolume {
  std::string type;  ///< of the set in the record
  char16_t letter = 0;
  VOLUMELAYOUT layout = VOLUMELAYOUT_UNKNOWN;
  harness::DynamicVolumeType on_disk = harness::DynamicVolumeType::kSimple;
};

class EncapsulateFtSets : public FtRevisionTest {
 protected:
  [[nodiscard]] bool first() const { return GetParam() == Revision::kIVolumeClient; }
  [[nodiscard]] std::vector<std::string> DisksTogether() const {
    return first() ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{"a", "b", "c"};
  }
  [[nodiscard]] std::vector<SetAndVolume> Sets() const {
    std::vector<SetAndVolume> sets = {
        {"mirror", u'E', VOLUMELAYOUT_MIRROR, harness::DynamicVolumeType::kMirrored},
        {"stripe", u'F', VOLUMELAYOUT_STRIPE, harness::DynamicVolumeType::kStriped},
        {"volume", u'G', VOLUMELAYOUT_SPANNED, harness::DynamicVolumeType::kSpanned}};
    if (!first()) sets.push_back({"parity", u'H', VOLUMELAYOUT_RAID5, harness::DynamicVolumeType::kRaid5});
    return sets;
  }
  Outcome<GetEncapsulateDiskInfoExReply> Query(std::string_view disk) {
    const DISK_INFO_EX info = DiskNow(session(), DiskNamed(disk));
    DISK_SPEC spec;
    spec.diskId = info.id;
    spec.lastKnownState = info.lastKnownState;
    return QueryEncapsulation(session(), {spec});
  }
  std::vector<harness::DynamicImage> ImagesOf(const std::vector<std::string>& disks,
                                              std::vector<std::shared_ptr<ImageCopy>>& copies) {
    std::vector<harness::DynamicImage> images;
    for (const auto& [id, path] : Need(lab().bed().SnapshotAll())) {
      copies.push_back(std::make_shared<ImageCopy>(path, 512));
      for (const std::string& disk : disks) {
        if (lab().bed().disks().at(DiskNamed(disk)).id == id) images.push_back({path, 512});
      }
    }
    return images;
  }
  std::vector<LdmObjectId> SetsOn(const StorageView& view, const std::vector<std::string>& disks) {
    std::set<LdmObjectId> found;
    for (const std::string& disk : disks) {
      for (const REGION_INFO_EX& region : view.RegionsOf(lab().DiskId(DiskNamed(disk)))) {
        if (region.volId != 0) found.insert(region.volId);
      }
    }
    return {found.begin(), found.end()};
  }
  void ExpectRefused(const EncapsulateDiskExRequest& request) {
    const Observation before = ObserveAll(session());
    EXPECT_THAT(Encapsulate(session(), request), Refused());
    EXPECT_THAT(ObserveAll(session()), Unchanged(before));
  }
  void AsksForAllDisksOfTheSets();
  void NamesSetsThatAreNotConverted();
  void RefusesOtherListsThanTheseOf(const GetEncapsulateDiskInfoExReply& asked);
  void ExpectDataOnVolumes();
  void ExpectLettersAfterARestart();
};

// One disk of a set is asked for: all disks that sets connect it with come along, with all their sets.
void EncapsulateFtSets::AsksForAllDisksOfTheSets() {
  const Observation before = ObserveAll(session());
  const auto asked = Query("a");
  ASSERT_THAT(asked, Succeeds());
  EXPECT_EQ(asked->encapInfoFlags, ENCAP_INFO_CONTAINS_FT);
  std::vector<LdmObjectId> disks;
  for (const std::string& disk : DisksTogether()) disks.push_back(lab().DiskId(DiskNamed(disk)));
  std::vector<LdmObjectId> told;
  for (const DISK_INFO_EX& disk : asked->affectedDiskList) told.push_back(disk.id);
  EXPECT_THAT(told, UnorderedElementsAreArray(disks));
  ASSERT_THAT(asked->affectedDiskFlags, SizeIs(disks.size()));
  for (const std::uint32_t flags : asked->affectedDiskFlags) {
    EXPECT_EQ(flags, first() ? CONTAINS_FT : CONTAINS_FT | CONTAINS_RAID5 | CONTAINS_EXTENDED_PARTITION);
  }
  std::vector<LdmObjectId> volumes;
  for (const VOLUME_INFO& volume : asked->affectedVolumeList) {
    volumes.push_back(volume.id);
    ASSERT_NE(before.view.FindVolume(volume.id), nullptr);
    EXPECT_EQ(harness::DifferenceText(*before.view.FindVolume(volume.id), volume), "");
  }
  EXPECT_THAT(volumes, UnorderedElementsAreArray(SetsOn(before.view, DisksTogether())));
  EXPECT_THAT(volumes, SizeIs(Sets().size()));
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// A set that is not whole; and a parity set, for the earlier revision.
void EncapsulateFtSets::NamesSetsThatAreNotConverted() {
  const auto fails = [&](std::string_view disk, std::uint32_t reason, std::size_t disks) {
    const auto asked = Query(disk);
    ASSERT_THAT(asked, Succeeds());
    EXPECT_EQ(asked->encapInfoFlags, ENCAP_INFO_CANT_PROCEED | ENCAP_INFO_CONTAINS_FT | reason);
    EXPECT_THAT(asked->affectedDiskList, SizeIs(disks));
    const auto reply = Encapsulate(session(), asked.value);
    EXPECT_THAT(reply, Refused());
    EXPECT_EQ(reply->encapInfoFlags, asked->encapInfoFlags);
    EXPECT_EQ(reply->tinfo.status, REQ_FAILED);
  };
  const Observation before = ObserveAll(session());
  fails("d", ENCAP_INFO_FT_UNHEALTHY, 2);
  if (first()) fails("f", ENCAP_INFO_FT_HAS_RAID5, 3);
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

void EncapsulateFtSets::RefusesOtherListsThanTheseOf(const GetEncapsulateDiskInfoExReply& asked) {
  EncapsulateDiskExRequest request = RequestOf(asked);
  request.affectedDiskList.pop_back();
  ExpectRefused(request);
  request = RequestOf(asked);
  request.affectedVolumeList.pop_back();
  ExpectRefused(request);
  request = RequestOf(asked);
  request.affectedVolumeList.clear();
  ExpectRefused(request);
}

// The readers find a volume of the set's kind, whose octets are those that the set was made with; copies are
// equal and parity adds up.
void EncapsulateFtSets::ExpectDataOnVolumes() {
  std::vector<std::shared_ptr<ImageCopy>> copies;
  const auto images = ImagesOf(DisksTogether(), copies);
  const auto observed = Need(harness::ObserveDynamic(images));
  EXPECT_THAT(observed.dissents, IsEmpty());
  ASSERT_THAT(observed.layout.groups, SizeIs(1));
  const harness::DynamicGroup& group = observed.layout.groups[0];
  EXPECT_THAT(group.disks, SizeIs(DisksTogether().size()));
  EXPECT_THAT(group.volumes, SizeIs(Sets().size()));
  for (const SetAndVolume& each : Sets()) {
    const auto volume = std::ranges::find(group.volumes, each.on_disk, &harness::DynamicVolume::type);
    ASSERT_NE(volume, group.volumes.end()) << each.type;
    const Bytes then = DataMade(each.type);
    EXPECT_EQ(volume->size, then.size());
    const Bytes now = Need(harness::ReadThroughMembers(group, *volume, 0, volume->size));
    EXPECT_TRUE(now == then) << "the octets of the " << each.type << " set";
  }
  for (const harness::LdmFinding& finding :
       Need(harness::CheckLdmInvariants(images, {.degraded = false, .complete = true, .data = true}))) {
    ADD_FAILURE() << fmt::format("I{:02} {}: {}", finding.number, finding.image, finding.text);
  }
}

// A server that starts anew finds the volumes, healthy and with their letters.
void EncapsulateFtSets::ExpectLettersAfterARestart() {
  lab().ForgetClients();
  Need(lab().bed().Restart());
  lab().monitor().ServerRestarted();
  Need(lab().FindDisks());
  const StorageView view = Need(session().View());
  for (const SetAndVolume& each : Sets()) {
    const VOLUME_INFO* volume = view.FindVolume(view.FindLetter(each.letter)->storageId);
    ASSERT_NE(volume, nullptr) << each.type;
    EXPECT_EQ(volume->type, VOLUMETYPE_VM);
    EXPECT_EQ(volume->layout, each.layout);
    EXPECT_EQ(volume->status, VOLUME_STATUS_HEALTHY);
  }
}

TEST_P(EncapsulateFtSets, BecomeDynamicVolumes) {
  StartSets(Description(!first()));
  if (first()) {
    Checks("DMRP-1281", "DMRP-1282", "DMRP-1284", "DMRP-1288", "DMRP-1290", "DMRP-1292", "DMRP-1293",
           "DMRP-1294", "DMRP-1300", "DMRP-1304");
  } else {
    Checks("DMRP-1757", "DMRP-1759", "DMRP-1763", "DMRP-1765", "DMRP-1767", "DMRP-1768", "DMRP-1769",
           "DMRP-1775", "DMRP-1778");
  }
  AsksForAllDisksOfTheSets();
  if (first()) {
    Checks("DMRP-1269", "DMRP-1300", "DMRP-1310", "DMRP-1326", "DMRP-1311");
  } else {
    Checks("DMRP-1746", "DMRP-1775", "DMRP-1783", "DMRP-1784");
  }
  NamesSetsThatAreNotConverted();
  const auto asked = Query("b");
  ASSERT_THAT(asked, Succeeds());
  if (first()) {
    Checks("DMRP-1316", "DMRP-1319", "DMRP-1322");
  } else {
    Checks("DMRP-1787", "DMRP-1790", "DMRP-1793");
  }
  RefusesOtherListsThanTheseOf(asked.value);
  if (HasFailure()) return;

  if (first()) {
    Checks("DMRP-1323", "DMRP-1324", "DMRP-1330", "DMRP-1331", "DMRP-1332", "DMRP-1333", "DMRP-1334",
           "DMRP-1335", "DMRP-1327", "DMRP-1329");
  } else {
    Checks("DMRP-1794", "DMRP-1795", "DMRP-1800", "DMRP-1801", "DMRP-1802", "DMRP-1803", "DMRP-1804",
           "DMRP-1805", "DMRP-1797", "DMRP-1799");
  }
  const WatchedOperation seen =
      Need(Watch(lab(), session(), [&] { return Encapsulate(session(), asked.value); }, [] {}));
  ExpectCompleted(seen.tinfo);
  const auto& told = seen.notified.at(GetParam());
  const auto completion = session().sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_TASK_INFO && object.id == seen.tinfo.id;
      },
      target().notification_timeout, seen.marks.at(GetParam()));
  EXPECT_TRUE(completion) << "no completion notification";
  for (const std::string& disk : DisksTogether()) {
    const LdmObjectId id = lab().DiskId(DiskNamed(disk));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
    EXPECT_EQ(seen.after.FindDisk(id)->deviceType, static_cast<DWORD>(DEVICETYPE_VM));
    for (const REGION_INFO_EX& region : seen.before.RegionsOf(id)) {
      EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
      EXPECT_EQ(seen.after.FindRegion(region.id), nullptr);
    }
  }
  for (const VOLUME_INFO& set : asked->affectedVolumeList) {
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_DELETED, set.id)));
  }
  for (const SetAndVolume& each : Sets()) {
    SCOPED_TRACE(each.type);
    const LdmObjectId set = seen.before.FindLetter(each.letter)->storageId;
    const DRIVE_LETTER_INFO* letter = seen.after.FindLetter(each.letter);
    EXPECT_NE(letter->storageId, set);
    const VOLUME_INFO* volume = seen.after.FindVolume(letter->storageId);
    ASSERT_NE(volume, nullptr);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, volume->id)));
    EXPECT_EQ(volume->type, VOLUMETYPE_VM);
    EXPECT_EQ(volume->layout, each.layout);
    EXPECT_EQ(volume->status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(volume->length, seen.before.FindVolume(set)->length);
    EXPECT_EQ(volume->memberCount, seen.before.FindVolume(set)->memberCount);
    const FILE_SYSTEM_INFO* before = seen.before.FindFileSystem(seen.before.FindVolume(set)->fsId);
    const FILE_SYSTEM_INFO* after = seen.after.FindFileSystem(volume->fsId);
    ASSERT_NE(after, nullptr);
    EXPECT_EQ(after->label, before->label);
    EXPECT_EQ(after->id, before->id);
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_MODIFIED, before->id)));
  }
  ExpectDataOnVolumes();
  ExpectLettersAfterARestart();
  // The record forgets them, and no other.
  EXPECT_THAT(RecordNow().sets, SizeIs(first() ? 2 : 1));
  EXPECT_THAT(SetsNow(session()), SizeIs(first() ? 2 : 1));
}

INSTANTIATE_TEST_SUITE_P(Both, EncapsulateFtSets, kBothRevisions, RevisionName());

// FT sets are volumes, but no dynamic ones: they have partitions, and get and lose none by these methods.
using FtSetsAndRetainedPartitions = FtTest;

TEST_F(FtSetsAndRetainedPartitions, AreRefused) {
  Checks("DMRP-1665", "DMRP-1667", "DMRP-1682", "DMRP-1684");
  StartWithSet(MirrorsAndParity(), 'G');
  Session& session = SessionOf(Revision::kIVolumeClient3);
  const VOLUME_INFO set = SetNow(session);
  const Observation before = ObserveAll(session);
  EXPECT_THAT(session.Change<CreatePartitionsForVolumeReply>(
                  session.interface(), "CreatePartitionsForVolume",
                  CreatePartitionsForVolumeRequest{
                      .volumeId = set.id, .active = false, .volumeLastKnownState = set.lastKnownState}),
              Refused());
  EXPECT_THAT(
      session.Change<DeletePartitionsForVolumeReply>(
          session.interface(), "DeletePartitionsForVolume",
          DeletePartitionsForVolumeRequest{.volumeId = set.id, .volumeLastKnownState = set.lastKnownState}),
      Refused());
  EXPECT_THAT(ObserveAll(session), Unchanged(before));
}

// The disk that the machine was started from says so, and cannot be converted, or not without a restart.
class EncapsulationOfTheSystem : public EncapsulationTest, public ::testing::WithParamInterface<Revision> {};

TEST_P(EncapsulationOfTheSystem, IsNoneOfADiskThatGoesOnMeanwhile) {
  if (GetParam() == Revision::kIVolumeClient) {
    Checks("DMRP-1269", "DMRP-1270", "DMRP-1288", "DMRP-1300");
  } else {
    Checks("DMRP-1746", "DMRP-1747", "DMRP-1763", "DMRP-1775");
  }
  StartWith({MbrDiskWithoutPartitions()}, {.system_disk = true});
  Session& session = SessionOf(GetParam());
  const Observation before = ObserveAll(session, false);
  const DISK_INFO_EX* system = before.view.FindDisk(lab().SystemDiskId());
  ASSERT_NE(system, nullptr);
  DISK_SPEC spec;
  spec.diskId = system->id;
  spec.lastKnownState = system->lastKnownState;
  const auto asked = QueryEncapsulation(session, {spec});
  ASSERT_THAT(asked, Succeeds());
  ASSERT_THAT(asked->affectedDiskFlags, SizeIs(1));
  EXPECT_NE(asked->affectedDiskFlags[0] & CONTAINS_SYSTEMDIR, 0U);
  EXPECT_NE(asked->affectedDiskFlags[0] & CONTAINS_BOOTINDICATOR, 0U);
  const std::uint32_t flags = asked->encapInfoFlags;
  EXPECT_EQ(flags & ~EncapsulationFlagsOf(GetParam()), 0U);
  if ((flags & ENCAP_INFO_CANT_PROCEED) != 0) {
    EXPECT_NE(flags & (ENCAP_INFO_VOLUME_BUSY | ENCAP_INFO_BAD_ACTIVE | ENCAP_INFO_NO_FREE_SPACE), 0U);
    EXPECT_THAT(Encapsulate(session, asked.value), Refused());
    EXPECT_THAT(ObserveAll(session, false), Unchanged(before));
  } else {
    EXPECT_NE(flags & ENCAP_INFO_REBOOT_REQD, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EncapsulationOfTheSystem, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
