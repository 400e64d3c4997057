// IVolumeClient::EncapsulateDisk (3.2.4.4.1.45) and IVolumeClient3::EncapsulateDiskEx (3.2.4.4.3.48) on disks
// without FT sets.
#include "harness/guest/guest.hpp"
#include "suites/support/encapsulation.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

struct Case {
  const char* name;
  Revision revision = Revision::kIVolumeClient3;
  std::vector<BedDiskRequest> (*disks)();
  bool join = false;  ///< one more disk, a dynamic one, is there before

  friend void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }
};

std::vector<BedDiskRequest> OneMbr() { return {MbrDiskWithPartitions()}; }
std::vector<BedDiskRequest> OneGpt() { return {GptDiskWithPartitions()}; }
std::vector<BedDiskRequest> OneEmpty() { return {MbrDiskWithoutPartitions()}; }
std::vector<BedDiskRequest> TwoMbr() { return {MbrDiskWithOnePartition(), MbrDiskWithPartitions()}; }
std::vector<BedDiskRequest> BothStyles() { return {GptDiskWithPartitions(), MbrDiskWithOnePartition()}; }

// A partition and what became of it.
struct Converted {
  REGION_INFO_EX partition;
  REGION_INFO_EX member;  ///< id 0: none starts where the partition did
  VOLUME_INFO volume;     ///< likewise
};

struct Encapsulated {
  WatchedOperation seen;
  harness::DynamicLayout on_disk;  ///< right after the reply
  GetEncapsulateDiskInfoExReply asked;
  std::uint32_t flags = 0;
  std::vector<Converted> partitions;
  std::map<char16_t, LdmObjectId> letters;  ///< that were given before, with the partitions that have them
  std::vector<harness::DiskLayout> tables;  ///< of each disk, afterwards
  std::vector<std::string> broken;
  std::vector<std::string> changed;  ///< partitions whose octets are others than before
  std::vector<std::string> files;    ///< what is wrong with the files on the volumes, read in the machine
};

class EncapsulateDisk : public EncapsulationTest, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    std::vector<BedDiskRequest> disks = GetParam().disks();
    if (GetParam().join) disks.push_back({harness::ParseDiskSpec("size=40M").value(), {}});
    StartSharedWith(ScenarioKey(), std::move(disks));
  }
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool first() const { return GetParam().revision == Revision::kIVolumeClient; }
  std::vector<std::size_t> Numbers() {
    std::vector<std::size_t> numbers(GetParam().disks().size());
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    return numbers;
  }
  std::vector<std::size_t> AllNumbers() {
    std::vector<std::size_t> numbers = Numbers();
    if (GetParam().join) numbers.push_back(numbers.size());
    return numbers;
  }

  const Encapsulated& Done() {
    return Once([this] { return Do(); });
  }
  const std::vector<ReceivedObject>& Told() { return Done().seen.notified.at(GetParam().revision); }

 private:
  Encapsulated Do() {
    if (GetParam().join) {
      const DISK_INFO_EX disk = DiskNow(session(), Numbers().size());
      [&] { ASSERT_THAT(InitializeDisk(session(), disk.id, disk.lastKnownState), Succeeds()); }();
    }
    Encapsulated done;
    const auto partitions = DataRegions(Need(session().View()), Numbers());
    for (const REGION_INFO_EX& partition : partitions) {
      done.partitions.push_back({partition, {}, {}});
      if (done.letters.size() < 2) done.letters[GiveLetterTo(partition)] = partition.id;
    }
    const auto sums = FileSums();
    const Observation before = ObserveAll(session());
    const auto asked = Query(session(), Numbers());
    [&] { ASSERT_THAT(asked, Succeeds()); }();
    done.asked = asked.value;
    done.seen = Need(suites::Watch(
        lab(), session(),
        [&] {
          auto reply = Encapsulate(session(), done.asked);
          done.flags = reply->encapInfoFlags;
          return reply;
        },
        [&] { done.on_disk = GroupsOnDisk(); }));
    for (const std::size_t disk : Numbers()) done.tables.push_back(LayoutOf(disk));
    done.broken = BrokenInvariants(AllNumbers(), {.degraded = false, .complete = true, .data = true});
    const Observation after = ObserveAll(session());
    for (Converted& each : done.partitions) {
      if (Octets(before, each.partition) != Octets(after, each.partition)) {
        done.changed.push_back(ToText(each.partition));
      }
      Follow(done.seen.after, each);
    }
    CompareFiles(sums, done);
    return done;
  }

  char16_t GiveLetterTo(const REGION_INFO_EX& partition) {
    const DRIVE_LETTER_INFO free = FreeLetter(session());
    AssignDriveLetterRequest request;
    request.letter = free.letter;
    request.letterLastKnownState = free.lastKnownState;
    request.storageId = partition.id;
    request.storageLastKnownState = Need(session().View()).FindRegion(partition.id)->lastKnownState;
    const auto reply =
        session().Change<AssignDriveLetterReply>(session().interface(), "AssignDriveLetter", request);
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return free.letter;
  }

  void Follow(const StorageView& after, Converted& each) {
    for (const REGION_INFO_EX& region : after.RegionsOf(each.partition.diskId)) {
      if (region.start == each.partition.start && !harness::IsFree(region)) each.member = region;
    }
    if (const VOLUME_INFO* volume = after.FindVolume(each.member.volId)) each.volume = *volume;
  }

  std::string Octets(const Observation& observation, const REGION_INFO_EX& region) {
    for (const std::size_t disk : Numbers()) {
      if (lab().DiskId(disk) != region.diskId) continue;
      std::ifstream image(observation.images.at(lab().bed().disks().at(disk).id)->path(), std::ios::binary);
      std::string octets(static_cast<std::size_t>(region.length), '\0');
      image.seekg(region.start);
      image.read(octets.data(), region.length);
      if (image) return octets;
    }
    ADD_FAILURE() << "no octets of " << ToText(region);
    return {};
  }

  // Reads the file of each file system that the machine's kernel finds on these devices.
  std::multiset<std::string> SumsOn(const std::string& devices) {
    const std::string listed = Need(GuestOrSkip().agent().Shell(
        fmt::format("mkdir -p /tmp/seen; for device in {}; do for type in vfat ntfs-3g; do "
                    "mount -t $type -o ro $device /tmp/seen 2>/dev/null || continue; "
                    "sha256sum < /tmp/seen/kept; umount /tmp/seen; break; done; done",
                    devices),
        std::chrono::milliseconds(30'000)));
    std::multiset<std::string> sums;
    std::istringstream lines(listed);
    for (std::string line; std::getline(lines, line);) sums.insert(line);
    return sums;
  }
  std::multiset<std::string> FileSums() {
    if (lab().bed().guest() == nullptr) return {};
    std::string devices;
    for (const std::size_t disk : Numbers()) {
      devices += fmt::format(" /dev/{}[0-9]*", lab().bed().guest()->disks().at(disk).guest_device);
    }
    return SumsOn(devices);
  }
  void CompareFiles(const std::multiset<std::string>& before, Encapsulated& done) {
    if (lab().bed().guest() == nullptr) return;
    std::string devices;
    for (const Converted& each : done.partitions) {
      if (each.volume.id != 0) devices += " " + DeviceOf(each.volume.id);
    }
    const auto after = devices.empty() ? std::multiset<std::string>() : SumsOn(devices);
    for (const std::string& sum : before) {
      if (!after.contains(sum)) done.files.push_back(sum + " is no file of a volume");
    }
    const auto formatted = std::ranges::count_if(done.partitions, [&](const Converted& each) {
      return each.volume.fsId != 0 &&
             done.seen.after.FindFileSystem(each.volume.fsId)->fsType != FSTYPE_UNKNOWN;
    });
    if (static_cast<std::size_t>(formatted) != before.size()) {
      done.files.push_back(fmt::format("{} files for {} file systems", before.size(), formatted));
    }
  }
};

// Disks and volumes as the independent readers find them: all disks in one group, each partition a simple
// volume exactly where it was, and nothing in the tables that is not the Logical Disk Manager's.
TEST_P(EncapsulateDisk, MakesDynamicDisksOfThem) {
  if (first()) {
    Checks("DMRP-1311", "DMRP-1323", "DMRP-1324", "DMRP-1325");
  } else {
    Checks("DMRP-1784", "DMRP-1794", "DMRP-1795", "DMRP-1796");
  }
  const harness::DynamicLayout& found = Done().on_disk;
  EXPECT_THAT(found.problems, IsEmpty());
  ASSERT_THAT(found.groups, SizeIs(1));
  EXPECT_THAT(found.groups[0].disks, SizeIs(AllNumbers().size()));
  std::multiset<std::pair<std::uint64_t, std::uint64_t>> expected;
  for (const Converted& each : Done().partitions) {
    expected.emplace(each.partition.start, each.partition.length);
  }
  std::multiset<std::pair<std::uint64_t, std::uint64_t>> extents;
  for (const harness::DynamicVolume& volume : found.groups[0].volumes) {
    EXPECT_EQ(volume.type, harness::DynamicVolumeType::kSimple);
    ASSERT_THAT(volume.plexes, SizeIs(1));
    ASSERT_THAT(volume.plexes[0].extents, SizeIs(1));
    EXPECT_EQ(volume.plexes[0].extents[0].length, volume.size);
    extents.emplace(volume.plexes[0].extents[0].start.value_or(0), volume.size);
  }
  EXPECT_EQ(extents, expected);
  EXPECT_THAT(Done().broken, IsEmpty());
  for (const harness::DiskLayout& table : Done().tables) {
    for (const harness::DiskPartition& entry : table.partitions) {
      if (table.style == harness::TableStyle::kMbr) {
        EXPECT_EQ(entry.mbr_type, 0x42) << ToText(table);
      } else {
        EXPECT_NE(entry.gpt_type, Guid::Parse("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7").value())
            << ToText(table);
      }
    }
  }
}

// Octet for octet, and for the machine's kernel that reads the files through the volumes.
TEST_P(EncapsulateDisk, KeepsWhatThePartitionsHold) {
  if (first()) {
    Checks("DMRP-1324");
  } else {
    Checks("DMRP-1795");
  }
  EXPECT_THAT(Done().changed, IsEmpty());
  EXPECT_THAT(Done().files, IsEmpty());
}

TEST_P(EncapsulateDisk, FillsItsOutput) {
  if (first()) {
    Checks("DMRP-1310", "DMRP-1326", "DMRP-1327", "DMRP-1328", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  } else {
    Checks("DMRP-1783", "DMRP-1797", "DMRP-1798", "DMRP-0556", "DMRP-0557", "DMRP-0558");
  }
  EXPECT_EQ(Done().flags, 0U) << "nothing is worth a flag here";
  ExpectCompleted(Done().seen.tinfo);
}

// No FT volumes are there, and of an empty disk no regions: lists without an element are accepted.
TEST_P(EncapsulateDisk, TakesEmptyLists) {
  if (first()) {
    Checks("DMRP-1306", "DMRP-1317");
  } else {
    Checks("DMRP-1779", "DMRP-1788");
  }
  ASSERT_THAT(Done().asked.affectedVolumeList, IsEmpty());
  EXPECT_EQ(Done().seen.tinfo.status, REQ_COMPLETED);
  if (!Done().partitions.empty()) return;
  if (first()) {
    Checks("DMRP-1308", "DMRP-1318");
  } else {
    Checks("DMRP-1781", "DMRP-1789");
  }
  EXPECT_THAT(Done().asked.affectedRegionList, IsEmpty());
  EXPECT_EQ(Done().seen.tinfo.error, 0);
}

TEST_P(EncapsulateDisk, SendsTheCompletionNotification) {
  Checks(first() ? "DMRP-1329" : "DMRP-1799", "DMRP-0561", "DMRP-0563", "DMRP-0564");
  ExpectCompletion(session(), Done().seen.tinfo, Done().seen.marks.at(GetParam().revision));
}

// The disks are the same objects, dynamic now and members of the group on disk.
TEST_P(EncapsulateDisk, ModifiesTheDiskObjects) {
  Checks(first() ? "DMRP-1330" : "DMRP-1800", "DMRP-0531", "DMRP-0532");
  for (const std::size_t number : Numbers()) {
    const LdmObjectId id = lab().DiskId(number);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, id)));
    const DISK_INFO_EX* before = Done().seen.before.FindDisk(id);
    const DISK_INFO_EX* after = Done().seen.after.FindDisk(id);
    ASSERT_NE(after, nullptr);
    EXPECT_EQ(before->deviceType, static_cast<DWORD>(DEVICETYPE_FDISK));
    EXPECT_EQ(after->deviceType, static_cast<DWORD>(DEVICETYPE_VM));
    EXPECT_GT(after->lastKnownState, before->lastKnownState);
    EXPECT_EQ(after->partitionStyle, before->partitionStyle);
    ASSERT_THAT(Done().on_disk.groups, SizeIs(1));
    EXPECT_EQ(harness::Text(after->dgName), Done().on_disk.groups[0].name);
    EXPECT_NE(after->dgid, std::nullopt);
  }
}

// A volume for each partition and logical drive, of its length, with the file system it had.
TEST_P(EncapsulateDisk, CreatesTheVolumeObjects) {
  Checks(first() ? "DMRP-1331" : "DMRP-1801", "DMRP-0529", "DMRP-0532");
  std::size_t created = 0;
  for (const ReceivedObject& object : Told()) {
    created += object.type == DMNOTIFY_VOLUME_INFO && object.action == LDMACTION_CREATED ? 1 : 0;
  }
  EXPECT_EQ(created, Done().partitions.size());
  for (const auto& [partition, member, volume] : Done().partitions) {
    ASSERT_NE(volume.id, 0) << "no volume where there was " << ToText(partition);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, volume.id)));
    EXPECT_EQ(volume.type, VOLUMETYPE_VM);
    EXPECT_EQ(volume.layout, VOLUMELAYOUT_SIMPLE);
    EXPECT_EQ(volume.length, partition.length);
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(volume.memberCount, 1U);
  }
}

// The regions of the basic disks are gone, those of the dynamic disks are new.
TEST_P(EncapsulateDisk, ReplacesTheRegionObjects) {
  if (first()) {
    Checks("DMRP-1332", "DMRP-1333", "DMRP-0529", "DMRP-0530", "DMRP-0532");
  } else {
    Checks("DMRP-1802", "DMRP-1803", "DMRP-0529", "DMRP-0530", "DMRP-0532");
  }
  for (const std::size_t number : Numbers()) {
    const LdmObjectId disk = lab().DiskId(number);
    for (const REGION_INFO_EX& region : Done().seen.before.RegionsOf(disk)) {
      EXPECT_EQ(Done().seen.after.FindRegion(region.id), nullptr) << ToText(region);
      EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, region.id)));
    }
    EXPECT_FALSE(Done().seen.after.RegionsOf(disk).empty());
    for (const REGION_INFO_EX& region : Done().seen.after.RegionsOf(disk)) {
      EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, region.id)));
    }
  }
  for (const auto& [partition, member, volume] : Done().partitions) {
    EXPECT_EQ(member.regionType, REGION_SUBDISK) << ToText(member);
    EXPECT_EQ(member.length, partition.length);
  }
}

// Letters lead to the volumes that their partitions became.
TEST_P(EncapsulateDisk, MovesTheDriveLetters) {
  Checks(first() ? "DMRP-1334" : "DMRP-1804", "DMRP-0531");
  for (const auto& [letter, partition] : Done().letters) {
    const auto each = std::ranges::find_if(
        Done().partitions, [&](const Converted& one) { return one.partition.id == partition; });
    ASSERT_NE(each, Done().partitions.end());
    const DRIVE_LETTER_INFO* before = Done().seen.before.FindLetter(letter);
    const DRIVE_LETTER_INFO* after = Done().seen.after.FindLetter(letter);
    EXPECT_TRUE(after->isUsed);
    EXPECT_NE(each->volume.id, 0);
    EXPECT_EQ(after->storageId, each->volume.id);
    EXPECT_GT(after->lastKnownState, before->lastKnownState);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_DL_INFO, LDMACTION_MODIFIED, harness::LetterId(letter))));
  }
}

// File system objects are the same, on the volumes now; they are told to be modified, not to go.
TEST_P(EncapsulateDisk, MovesTheFileSystems) {
  Checks(first() ? "DMRP-1335" : "DMRP-1805", "DMRP-0531");
  for (const auto& [partition, member, volume] : Done().partitions) {
    const FILE_SYSTEM_INFO* before = Done().seen.before.FindFileSystem(partition.fsId);
    ASSERT_NE(before, nullptr);
    EXPECT_THAT(Told(), Not(Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_CREATED, partition.fsId))));
    if (before->fsType == FSTYPE_UNKNOWN) continue;  // volumes without a file system may have no object
    const FILE_SYSTEM_INFO* after = Done().seen.after.FindFileSystem(partition.fsId);
    ASSERT_NE(after, nullptr);
    EXPECT_THAT(Told(), Contains(Notifies(DMNOTIFY_FS_INFO, LDMACTION_MODIFIED, partition.fsId)));
    EXPECT_EQ(volume.fsId, partition.fsId);
    EXPECT_EQ(after->storageId, volume.id);
    EXPECT_EQ(after->fsType, before->fsType);
    EXPECT_EQ(after->label, before->label);
    EXPECT_EQ(after->totalAllocationUnits, before->totalAllocationUnits);
    EXPECT_GT(after->lastKnownState, before->lastKnownState);
  }
}

// Clients of the other revision are told the same.
TEST_P(EncapsulateDisk, TellsAllClients) {
  Checks("DMRP-0529", "DMRP-0530", "DMRP-0531");
  const Revision other = first() ? Revision::kIVolumeClient3 : Revision::kIVolumeClient;
  const auto& told = Done().seen.notified.at(other);
  for (const auto& [partition, member, volume] : Done().partitions) {
    // GPT disks do not exist for the earlier revision.
    const bool known =
        first() || Done().seen.before.FindDisk(partition.diskId)->partitionStyle == PARTITIONSTYLE_MBR;
    if (!known) continue;
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_VOLUME_INFO, LDMACTION_CREATED, volume.id)));
    EXPECT_THAT(told, Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_DELETED, partition.id)));
  }
  EXPECT_FALSE(told.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Disks, EncapsulateDisk,
    ::testing::Values(Case{"IVolumeClient_Mbr", Revision::kIVolumeClient, OneMbr},
                      Case{"IVolumeClient_Several", Revision::kIVolumeClient, TwoMbr, true},
                      Case{"IVolumeClient_Empty", Revision::kIVolumeClient, OneEmpty},
                      Case{"IVolumeClient3_Mbr", Revision::kIVolumeClient3, OneMbr},
                      Case{"IVolumeClient3_Several", Revision::kIVolumeClient3, TwoMbr, true},
                      Case{"IVolumeClient3_Empty", Revision::kIVolumeClient3, OneEmpty},
                      Case{"IVolumeClient3_Gpt", Revision::kIVolumeClient3, OneGpt},
                      Case{"IVolumeClient3_BothStyles", Revision::kIVolumeClient3, BothStyles}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace dmrp::suites
