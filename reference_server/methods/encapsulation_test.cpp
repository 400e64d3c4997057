#include "reference_server/methods/ft_test_disks.hpp"
#include "reference_server/methods/methods_test_support.hpp"
#include "reference_server/platform/registry_hive.hpp"
#include "reference_server/storage/server_settings.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using namespace std::string_literals;

class EncapsulationTest : public MethodsTest {
 protected:
  GetEncapsulateDiskInfoExReply Ask(const std::vector<std::size_t>& disks) {
    GetEncapsulateDiskInfoExRequest request;
    for (const std::size_t index : disks) {
      request.diskSpecList.push_back(
          {.diskId = Disk(index).id, .lastKnownState = Disk(index).lastKnownState});
    }
    GetEncapsulateDiskInfoExReply reply;
    reply.result = client->GetEncapsulateDiskInfoEx(late_call, request, reply);
    return reply;
  }
  EncapsulateDiskExReply Encapsulate(const EncapsulateDiskExRequest& request) {
    EncapsulateDiskExReply reply;
    reply.result = client->EncapsulateDiskEx(late_call, request, reply);
    return reply;
  }
  // With what GetEncapsulateDiskInfoEx answered, as a client does it.
  EncapsulateDiskExReply Encapsulate(const std::vector<std::size_t>& disks) {
    const auto info = Ask(disks);
    return Encapsulate(EncapsulateDiskExRequest{.affectedDiskList = info.affectedDiskList,
                                                .affectedVolumeList = info.affectedVolumeList,
                                                .affectedRegionList = info.affectedRegionList});
  }
  void MakeDynamic(std::size_t index) {
    const DISK_INFO_EX disk = Disk(index);
    InitializeDiskReply reply;
    ASSERT_EQ(client->InitializeDisk(late_call,
                                     {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply),
              0);
  }
  // A partition of 16 MiB with a FAT file system and a letter; then its region.
  REGION_INFO_EX MakeFormatted(char16_t letter, REGIONTYPE type = REGION_PRIMARY) {
    const REGION_INFO_EX free = Region(type == REGION_LOGICAL ? REGION_EXTENDED_FREE : REGION_FREE);
    CreatePartitionAssignAndFormatRequest request;
    request.partitionSpec = Spec(free, type, free.start, 16 * kMiB);
    request.letter = letter;
    request.letterLastKnownState = Letter(letter).lastKnownState;
    request.fsSpec.fsType = FSTYPE_FAT;
    request.fsSpec.label = u"DATA\0"s;
    request.quickFormat = true;
    CreatePartitionAssignAndFormatReply reply;
    EXPECT_EQ(client->CreatePartitionAssignAndFormat(late_call, request, reply), 0);
    EXPECT_EQ(sink->AwaitEnd(reply.tinfo.id).status, REQ_COMPLETED);
    for (const REGION_INFO_EX& region : Regions(Disk().id)) {
      if (region.id == Letter(letter).storageId) {
        return region;
      }
    }
    ADD_FAILURE() << "the partition has no letter";
    return {};
  }
  DRIVE_LETTER_INFO Letter(char16_t letter) {
    EnumDriveLettersReply reply;
    EXPECT_EQ(client->EnumDriveLetters(late_call, {}, reply), 0);
    for (const DRIVE_LETTER_INFO& info : reply.driveLetterList) {
      if (info.letter == letter) {
        return info;
      }
    }
    return {};
  }
  std::vector<VOLUME_INFO> Volumes() {
    EnumVolumesReply reply;
    EXPECT_EQ(client->EnumVolumes(late_call, {}, reply), 0);
    return reply.LdmVolumeList;
  }
  std::vector<VOLUME_INFO> FtVolumes() {
    FTEnumVolumesReply reply;
    EXPECT_EQ(client->FTEnumVolumes(late_call, {}, reply), 0);
    return reply.ftVolumeList;
  }
  std::vector<FILE_SYSTEM_INFO> FileSystems() {
    EnumLocalFileSystemsReply reply;
    EXPECT_EQ(client->EnumLocalFileSystems(late_call, {}, reply), 0);
    return reply.fileSystemList;
  }
  std::string OctetsAt(LONGLONG start, LONGLONG length) {
    std::ifstream file(folder / "a.img", std::ios::binary);
    file.seekg(start);
    std::string octets(static_cast<std::size_t>(length), '\0');
    file.read(octets.data(), length);
    return octets;
  }
  // Sets of one type over the first disks, letter Q, all octets of their members given.
  void MakeSet(ft::FtType type, std::size_t disks, std::optional<std::size_t> orphan = std::nullopt) {
    constexpr std::uint64_t kFront = 16 << 20;
    MakeFile("c.img");
    FtTestSet set{.type = type, .members = {}, .letter = 'Q', .orphan = orphan};
    for (std::size_t i = 0; i < disks; ++i) {
      set.members.emplace_back(i, 4 << 20);
    }
    const FtTestDisks made = MakeFtTestDisks(disks, kDiskSize, kFront, {set});
    for (std::size_t i = 0; i < disks; ++i) {
      Bytes front = made.fronts[i];
      for (std::size_t at = 63 * 512; at < 63 * 512 + (4U << 20U); ++at) {
        // The copies of a mirror are alike.
        const std::size_t seed = type == ft::FtType::kMirror ? 0 : i;
        front[at] = static_cast<std::byte>(at / 4096 * 7 + at % 251 + seed * 101);
      }
      std::fstream file(folder / (std::string(1, static_cast<char>('a' + i)) + ".img"),
                        std::ios::binary | std::ios::in | std::ios::out);
      file.write(reinterpret_cast<const char*>(front.data()), static_cast<std::streamsize>(front.size()));
    }
    ASSERT_TRUE(server->registry().Update(
        [&](RegistryKey& root) { root.Make("DISK").values["Information"] = BinaryValue(made.record); }));
    server->Refresh();
    TakeFrames();
  }
  // Converts that many disks of the set, as the server does it, and no more; one more: makes the volume, too.
  void CutShort(std::size_t converted) {
    DiskGroups& groups = server->inventory().groups();
    const FtSet set = server->inventory().ft().Sets().at(0);
    std::vector<std::unique_ptr<BlockDevice>> devices;
    std::optional<ldm::DiskGroup> group;
    std::vector<ldm::ObjectId> volumes;
    ldm::ConvertOptions options;
    options.groupName = "CutDg0";
    options.table.acceptFt = true;
    for (std::size_t i = 0; i < std::min(converted, set.volume.members.size()); ++i) {
      const auto key = server->inventory().ft().DiskKey(*set.volume.members[i].disk);
      devices.push_back(server->inventory().source().Open(*server->inventory().Device(key), true).value());
      auto done = ldm::ConvertDisk(*devices.back(), group ? &*group : nullptr, options);
      ASSERT_TRUE(done) << done.error().ToString();
      volumes.push_back(done->volumes.at(0));
      group = std::move(done->group);
      ASSERT_TRUE(groups.SetPrimary(PrimaryDiskGroup{group->Current().group.guid, "CutDg0"}));
    }
    if (converted > set.volume.members.size()) {
      const auto layout = set.volume.type == ft::FtType::kMirror   ? ldm::VolumeLayout::kMirrored
                          : set.volume.type == ft::FtType::kStripe ? ldm::VolumeLayout::kStriped
                                                                   : ldm::VolumeLayout::kRaid5;
      auto combined = ldm::CombineVolumes(group->Current(), layout, volumes);
      ASSERT_TRUE(combined);
      ASSERT_TRUE(group->Commit(std::move(combined->after)));
    }
  }
  // On a disk that has a member; where it starts.
  std::uint64_t MakePlainPartition(std::size_t index) {
    const auto regions = Regions(Disk(index).id);
    const auto free = std::ranges::find_if(regions, [](const REGION_INFO_EX& region) {
      return region.regionType == REGION_FREE && region.length >= 8 * kMiB;
    });
    CreatePartitionReply reply;
    EXPECT_EQ(
        client->CreatePartition(
            late_call, {.partitionSpec = Spec(*free, REGION_PRIMARY, free->start + kMiB, 4 * kMiB)}, reply),
        0);
    return static_cast<std::uint64_t>(free->start + kMiB);
  }
  Bytes ContentsOf(LdmObjectId volume, std::size_t length) {
    const auto operation = server->model().BeginOperation();
    const auto state = server->model().State();
    const auto* object = state->FindAs<VolumeObject>(volume);
    auto open = server->inventory().OpenerOf({.volume_key = object->key})(false);
    EXPECT_TRUE(open);
    return open ? open->device->Read(open->start, length).value() : Bytes();
  }
  std::u16string MountName(LdmObjectId id) {
    GetVolumeMountNameReply reply;
    EXPECT_EQ(client->GetVolumeMountName(late_call, {.volumeId = id}, reply), 0);
    return reply.mountName;
  }
};

TEST_F(EncapsulationTest, PartitionsBecomeVolumesInPlaceWithLetterNameAndFileSystem) {
  for (const PARTITIONSTYLE style : {PARTITIONSTYLE_MBR, PARTITIONSTYLE_GPT}) {
    SCOPED_TRACE(style);
    TearDown();
    SetUp();
    ASSERT_EQ(InitializeDisk(style), 0);
    const REGION_INFO_EX partition = MakeFormatted(u'P');
    const std::u16string name = MountName(partition.id);
    const std::string data = OctetsAt(partition.start, partition.length);
    const std::vector<FILE_SYSTEM_INFO> systems = FileSystems();
    ASSERT_EQ(systems.size(), 1U);
    const DISK_INFO_EX before = Disk();
    TakeFrames();

    const EncapsulateDiskExReply reply = Encapsulate({0});
    ASSERT_EQ(reply.result, 0);
    EXPECT_EQ(reply.tinfo.status, REQ_COMPLETED);
    EXPECT_EQ(reply.encapInfoFlags, 0U);
    EXPECT_EQ(Disk().id, before.id);
    EXPECT_GT(Disk().lastKnownState, before.lastKnownState);
    EXPECT_EQ(Disk().deviceType, DWORD{DEVICETYPE_VM});
    EXPECT_EQ(Disk().partitionStyle, style);
    ASSERT_EQ(Volumes().size(), 1U);
    const VOLUME_INFO volume = Volumes().front();
    EXPECT_EQ(volume.layout, VOLUMELAYOUT_SIMPLE);
    EXPECT_EQ(volume.length, partition.length);
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(Letter(u'P').storageId, volume.id);
    EXPECT_EQ(RecordedLetters("a.img"), std::vector{std::optional("P:"s)});
    EXPECT_EQ(MountName(volume.id), name);
    ASSERT_EQ(FileSystems().size(), 1U);
    EXPECT_EQ(FileSystems().front().id, systems.front().id);
    EXPECT_EQ(FileSystems().front().label, systems.front().label);
    EXPECT_EQ(FileSystems().front().storageId, volume.id);
    EXPECT_EQ(volume.fsId, systems.front().id);
    bool found = false;
    for (const REGION_INFO_EX& region : Regions(Disk().id)) {
      EXPECT_NE(region.id, partition.id);
      if (region.volId == volume.id) {
        found = true;
        EXPECT_EQ(region.start, partition.start);
        EXPECT_EQ(region.length, partition.length);
      }
    }
    EXPECT_TRUE(found);
    EXPECT_EQ(OctetsAt(partition.start, partition.length), data);
    const std::string frames = TakeFrames();
    EXPECT_TRUE(frames.starts_with("disk* region-")) << frames;
    for (const char* item : {"region+", "volume+", "fs*", "dl*"}) {
      EXPECT_NE(frames.find(item), std::string::npos) << item << " in " << frames;
    }
    EXPECT_EQ(frames.find("fs-"), std::string::npos) << frames;
    EXPECT_TRUE(frames.ends_with("task*")) << frames;
  }
}

TEST_F(EncapsulationTest, LogicalDrivesBecomeVolumesAndTheExtendedPartitionGoes) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  ASSERT_EQ(MakePartition(32 * kMiB, REGION_EXTENDED).result, 0);
  MakeFormatted(u'Q', REGION_LOGICAL);
  const auto info = Ask({0});
  EXPECT_EQ(info.encapInfoFlags, 0U);
  EXPECT_EQ(info.affectedDiskFlags, std::vector<std::uint32_t>{CONTAINS_EXTENDED_PARTITION});
  EXPECT_EQ(info.affectedRegionList.size(), 3U);
  ASSERT_EQ(Encapsulate({0}).result, 0);
  EXPECT_EQ(Volumes().size(), 2U);
  EXPECT_NE(Letter(u'Q').storageId, 0);
  for (const REGION_INFO_EX& region : Regions(Disk().id)) {
    EXPECT_TRUE(region.regionType == REGION_SUBDISK || region.regionType == REGION_FREE);
  }
}

TEST_F(EncapsulationTest, TheEarlierRevisionDoesTheSameForMbrDisks) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  GetEncapsulateDiskInfoReply info;
  ASSERT_EQ(early_client->GetEncapsulateDiskInfo(
                early_call,
                {.diskSpecList = {{.diskId = Disk().id, .lastKnownState = Disk().lastKnownState}}}, info),
            0);
  ASSERT_EQ(info.affectedDiskList.size(), 1U);
  EXPECT_EQ(info.affectedDiskList.front().id, Disk().id);
  EXPECT_EQ(info.affectedRegionList.size(), 1U);
  EncapsulateDiskReply reply;
  ASSERT_EQ(early_client->EncapsulateDisk(early_call,
                                          {.affectedDiskList = info.affectedDiskList,
                                           .affectedVolumeList = info.affectedVolumeList,
                                           .affectedRegionList = info.affectedRegionList},
                                          reply),
            0);
  EXPECT_EQ(Disk().deviceType, DWORD{DEVICETYPE_VM});
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT, 1), 0);
  EXPECT_EQ(early_client->GetEncapsulateDiskInfo(
                early_call,
                {.diskSpecList = {{.diskId = Disk(1).id, .lastKnownState = Disk(1).lastKnownState}}}, info),
            LDM_E_NOSUPPORT);
  DISK_INFO gpt;
  gpt.id = Disk(1).id;
  gpt.lastKnownState = Disk(1).lastKnownState;
  EXPECT_EQ(
      early_client->EncapsulateDisk(
          early_call, {.affectedDiskList = {gpt}, .affectedVolumeList = {}, .affectedRegionList = {}}, reply),
      LDM_E_NOSUPPORT);
}

TEST_F(EncapsulationTest, SeveralDisksJoinTheGroupThatIsThere) {
  MakeFile("c.img");
  server->Refresh();
  MakeDynamic(2);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR, 0), 0);
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_GPT, 1), 0);
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  ASSERT_EQ(Encapsulate({0, 1}).result, 0);
  for (const std::size_t index : {0U, 1U}) {
    EXPECT_EQ(Disk(index).dgid, Disk(2).dgid);
    EXPECT_EQ(Disk(index).deviceState, DWORD{DEVICESTATE_HEALTHY});
  }
  EXPECT_EQ(Volumes().size(), 1U);
}

TEST_F(EncapsulationTest, WhatForbidsTheConversionIsSaidAndNothingIsWritten) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  const auto expect = [&](std::uint32_t flags, std::uint32_t disk_flags, std::uint32_t hr) {
    TakeFrames();
    const View before = Look();
    const auto info = Ask({0});
    EXPECT_EQ(info.result, 0);
    EXPECT_EQ(info.encapInfoFlags, ENCAP_INFO_CANT_PROCEED | flags);
    EXPECT_EQ(info.affectedDiskFlags, std::vector<std::uint32_t>{disk_flags});
    EXPECT_EQ(Look(), before);
    const auto reply = Encapsulate({0});
    EXPECT_EQ(static_cast<std::uint32_t>(reply.result), hr);
    EXPECT_EQ(reply.encapInfoFlags, ENCAP_INFO_CANT_PROCEED | flags);
    EXPECT_EQ(reply.tinfo.status, REQ_FAILED);
    EXPECT_EQ(TakeFrames(), "task*");
    EXPECT_EQ(Disks(), before.disks);
    EXPECT_EQ(Look().first_mebibyte, before.first_mebibyte);
  };
  source->busy_start = static_cast<std::uint64_t>(Region(REGION_PRIMARY).start);
  expect(ENCAP_INFO_VOLUME_BUSY, CONTAINS_LOCKED_PARTITION, static_cast<std::uint32_t>(LDM_E_VOLUME_IN_USE));
  source->busy_start.reset();

  MarkActivePartitionReply marked;
  const REGION_INFO_EX partition = Region(REGION_PRIMARY);
  ASSERT_EQ(
      client->MarkActivePartition(
          late_call, {.regionId = partition.id, .regionLastKnownState = partition.lastKnownState}, marked),
      0);
  expect(ENCAP_INFO_BAD_ACTIVE, CONTAINS_BOOTINDICATOR | CONTAINS_BOOTABLE_PARTITION, 0xC10000EEU);

  const auto poke = [&](std::streamoff at, char octet) {
    std::fstream file(folder / "a.img", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file.put(octet);
    file.close();
    server->Refresh();
  };
  poke(0x1BE, '\0');
  poke(0x1C2, '\x83');
  expect(ENCAP_INFO_UNKNOWN_PART, CONTAINS_MIXED_PARTITIONS, 0xC10000E6U);
  poke(0x1C2, '\x87');
  expect(ENCAP_INFO_CONTAINS_FT | ENCAP_INFO_FT_QUERY_FAILED, CONTAINS_FT, 0xC10000E8U);
  poke(0x1C2, '\x06');
  const REGION_INFO_EX rest = Region(REGION_FREE);
  ASSERT_EQ(MakePartition(rest.length).result, 0);
  expect(ENCAP_INFO_NO_FREE_SPACE, CONTAINS_NO_FREE_SPACE, 0xC10000EAU);
}

TEST_F(EncapsulationTest, FtSetsBecomeDynamicVolumesWithTheirData) {
  struct Case {
    ft::FtType type;
    std::size_t disks;
    VOLUMELAYOUT layout;
  };
  for (const Case& one :
       {Case{ft::FtType::kMirror, 2, VOLUMELAYOUT_MIRROR}, Case{ft::FtType::kStripe, 3, VOLUMELAYOUT_STRIPE},
        Case{ft::FtType::kStripeWithParity, 3, VOLUMELAYOUT_RAID5},
        Case{ft::FtType::kVolumeSet, 2, VOLUMELAYOUT_SPANNED}}) {
    SCOPED_TRACE(one.layout);
    TearDown();
    SetUp();
    MakeSet(one.type, one.disks);
    const VOLUME_INFO set = FtVolumes().at(0);
    ASSERT_EQ(set.status, VOLUME_STATUS_HEALTHY);
    const auto length = static_cast<std::size_t>(set.length);
    const Bytes data = ContentsOf(set.id, length);
    // One disk of a set brings the others along.
    const auto info = Ask({0});
    EXPECT_EQ(info.encapInfoFlags, ENCAP_INFO_CONTAINS_FT);
    EXPECT_EQ(info.affectedDiskList.size(), one.disks);
    ASSERT_EQ(info.affectedVolumeList.size(), 1U);
    EXPECT_EQ(info.affectedVolumeList.front().id, set.id);
    EncapsulateDiskExRequest alone{.affectedDiskList = {Disk()},
                                   .affectedVolumeList = info.affectedVolumeList,
                                   .affectedRegionList = info.affectedRegionList};
    EXPECT_EQ(Encapsulate(alone).result, LDM_E_NO_ASSOC);

    const EncapsulateDiskExReply reply = Encapsulate({0});
    ASSERT_EQ(reply.result, 0);
    EXPECT_EQ(reply.encapInfoFlags, ENCAP_INFO_CONTAINS_FT);
    EXPECT_TRUE(FtVolumes().empty());
    ASSERT_EQ(Volumes().size(), 1U);
    const VOLUME_INFO volume = Volumes().front();
    EXPECT_EQ(volume.layout, one.layout);
    EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
    EXPECT_EQ(volume.length, set.length);
    EXPECT_EQ(volume.memberCount, one.disks);
    EXPECT_EQ(Letter(u'Q').storageId, volume.id);
    EXPECT_TRUE(ContentsOf(volume.id, length) == data);
    for (std::size_t i = 0; i < one.disks; ++i) {
      EXPECT_EQ(Disk(i).deviceState, DWORD{DEVICESTATE_HEALTHY});
      EXPECT_EQ(Disk(i).deviceType, DWORD{DEVICETYPE_VM});
    }
  }
}

// As a power cut leaves it: behind the conversion of some disks, of all, or of the volumes, too.
TEST_F(EncapsulationTest, AConversionOfFtSetsThatWasCutShortIsFinished) {
  struct Case {
    ft::FtType type;
    std::size_t disks;
    VOLUMELAYOUT layout;
  };
  for (const Case& one :
       {Case{ft::FtType::kMirror, 2, VOLUMELAYOUT_MIRROR}, Case{ft::FtType::kStripe, 3, VOLUMELAYOUT_STRIPE},
        Case{ft::FtType::kStripeWithParity, 3, VOLUMELAYOUT_RAID5}}) {
    for (std::size_t converted = 1; converted <= one.disks + 1; ++converted) {
      SCOPED_TRACE(fmt::format("{}, {} of {} disks", static_cast<int>(one.layout), converted, one.disks));
      TearDown();
      SetUp();
      MakeSet(one.type, one.disks);
      const VOLUME_INFO set = FtVolumes().at(0);
      const auto length = static_cast<std::size_t>(set.length);
      const Bytes data = ContentsOf(set.id, length);
      CutShort(converted);
      server->Refresh();
      EXPECT_TRUE(FtVolumes().empty());
      ASSERT_EQ(Volumes().size(), 1U);
      const VOLUME_INFO volume = Volumes().front();
      EXPECT_EQ(volume.layout, one.layout);
      EXPECT_EQ(volume.status, VOLUME_STATUS_HEALTHY);
      EXPECT_EQ(Letter(u'Q').storageId, volume.id);
      EXPECT_TRUE(ContentsOf(volume.id, length) == data);
      for (std::size_t i = 0; i < one.disks; ++i) {
        EXPECT_EQ(Disk(i).deviceType, DWORD{DEVICETYPE_VM});
      }
      const auto record = ft::ReadRecord(server->registry());
      ASSERT_TRUE(record && *record);
      EXPECT_TRUE((*record)->sets.empty());
    }
  }
}

// Nothing is degraded meanwhile: the member that is still there keeps its state until the end.
TEST_F(EncapsulationTest, AConversionThatWasCutShortWaitsForDisksInUse) {
  MakeSet(ft::FtType::kMirror, 2);
  CutShort(1);
  source->busy_start = MakePlainPartition(1);
  server->Refresh();
  ASSERT_EQ(FtVolumes().size(), 1U);
  EXPECT_EQ(FtVolumes().front().status, VOLUME_STATUS_FAILED);
  source->busy_start.reset();
  server->Refresh();
  EXPECT_TRUE(FtVolumes().empty());
  EXPECT_EQ(Volumes().size(), 2U);
}

TEST_F(EncapsulationTest, AnFtSetThatIsNotWholeStaysWhereItIs) {
  MakeSet(ft::FtType::kMirror, 2, 1);
  const auto info = Ask({0});
  EXPECT_EQ(info.encapInfoFlags, ENCAP_INFO_CANT_PROCEED | ENCAP_INFO_CONTAINS_FT | ENCAP_INFO_FT_UNHEALTHY);
  EXPECT_EQ(info.affectedDiskFlags, (std::vector<std::uint32_t>{CONTAINS_FT, CONTAINS_FT}));
  const auto reply = Encapsulate({0});
  EXPECT_EQ(static_cast<std::uint32_t>(reply.result), 0xC10000EBU);
  EXPECT_EQ(FtVolumes().size(), 1U);
}

TEST_F(EncapsulationTest, TheEarlierRevisionDoesNotTakeParitySetsAlong) {
  MakeSet(ft::FtType::kStripeWithParity, 3);
  GetEncapsulateDiskInfoReply info;
  ASSERT_EQ(early_client->GetEncapsulateDiskInfo(
                early_call,
                {.diskSpecList = {{.diskId = Disk().id, .lastKnownState = Disk().lastKnownState}}}, info),
            0);
  EXPECT_EQ(info.encapInfoFlags, ENCAP_INFO_CANT_PROCEED | ENCAP_INFO_CONTAINS_FT | ENCAP_INFO_FT_HAS_RAID5);
  EXPECT_EQ(info.affectedDiskFlags, std::vector<std::uint32_t>(3, CONTAINS_FT | CONTAINS_RAID5));
  EncapsulateDiskReply reply;
  EXPECT_EQ(early_client->EncapsulateDisk(early_call,
                                          {.affectedDiskList = info.affectedDiskList,
                                           .affectedVolumeList = info.affectedVolumeList,
                                           .affectedRegionList = info.affectedRegionList},
                                          reply),
            LDM_E_FT_PRESENT);
}

TEST_F(EncapsulationTest, RefusesDisksThatAreNoneToConvertAndChangesNothing) {
  ASSERT_EQ(InitializeDisk(PARTITIONSTYLE_MBR), 0);
  ASSERT_EQ(MakePartition(8 * kMiB).result, 0);
  MakeDynamic(1);
  TakeFrames();
  const View before = Look();
  const auto ask = [&](std::vector<DISK_SPEC> disks) {
    GetEncapsulateDiskInfoExReply reply;
    const HRESULT result =
        client->GetEncapsulateDiskInfoEx(late_call, {.diskSpecList = std::move(disks)}, reply);
    EXPECT_TRUE(reply.affectedDiskList.empty());
    return result;
  };
  EXPECT_EQ(ask({}), E_INVALIDARG);
  EXPECT_EQ(ask({{.diskId = 12345}}), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(ask({{.diskId = Disk().id, .lastKnownState = Disk().lastKnownState + 1}}), LDM_E_OBJECT_STALED);
  EXPECT_EQ(
      static_cast<std::uint32_t>(ask({{.diskId = Disk(1).id, .lastKnownState = Disk(1).lastKnownState}})),
      0xC10000F5U);
  const auto encapsulate = [&](auto change) {
    EncapsulateDiskExRequest request;
    request.affectedDiskList = {Disk()};
    change(request);
    return Encapsulate(request).result;
  };
  EXPECT_EQ(encapsulate([](auto& r) { r.affectedDiskList.clear(); }), E_INVALIDARG);
  EXPECT_EQ(encapsulate([](auto& r) { r.affectedDiskList[0].id = 12345; }), LDM_E_DISK_NOT_FOUND);
  EXPECT_EQ(encapsulate([](auto& r) { ++r.affectedDiskList[0].lastKnownState; }), LDM_E_OBJECT_STALED);
  EXPECT_EQ(static_cast<std::uint32_t>(encapsulate([](auto& r) { r.affectedVolumeList.resize(1); })),
            0xC10000F6U);
  EXPECT_EQ(Look(), before);
}

}  // namespace
}  // namespace dmrp::server
