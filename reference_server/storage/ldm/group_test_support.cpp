#include "reference_server/storage/ldm/group_test_support.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::server::ldm {
namespace {

std::string ArgumentsOf(const std::vector<std::unique_ptr<ScratchImage>>& images) {
  std::string text;
  for (const auto& image : images) text += " -d " + image->Path().string();
  return text;
}

nlohmann::json Ldmtool(const std::string& images, const std::string& command) {
  const std::string output = RunTool("sh -c 'ldmtool" + images + " " + command + " 2>/dev/null'");
  return nlohmann::json::parse(output, nullptr, false);
}

}  // namespace

MemoryGroup::MemoryGroup(const std::vector<TestDisk>& wanted, const std::string& name) {
  for (const TestDisk& disk : wanted) {
    MemoryDevice& device = AddBasicDisk(disk);
    auto converted = Must(ConvertDisk(device, group ? &*group : nullptr, {.groupName = name}), "ConvertDisk");
    group = std::move(converted.group);
    disks.push_back(converted.disk);
  }
}

MemoryGroup::MemoryGroup(std::size_t count, const std::string& name)
    : MemoryGroup(std::vector<TestDisk>(count), name) {}

MemoryDevice& MemoryGroup::AddBasicDisk(const TestDisk& disk) {
  devices.push_back(
      std::make_unique<MemoryDevice>(DiskGeometry{.sizeBytes = disk.bytes, .bytesPerSector = disk.sector}));
  Must(InitializeStyle(*devices.back(),
                       {.style = disk.style, .microsoftReserved = disk.style == PartitionStyle::kGpt}),
       "InitializeStyle");
  return *devices.back();
}

ObjectId MemoryGroup::Join(MemoryDevice& device) {
  auto converted = Must(ConvertDisk(device, &*group, {}), "ConvertDisk");
  group = std::move(converted.group);
  disks.push_back(converted.disk);
  return converted.disk;
}

void MemoryGroup::Commit(Database next) {
  const auto done = group->Commit(std::move(next));
  ASSERT_TRUE(done) << done.error().ToString();
  ASSERT_TRUE(done->failed.empty());
}

void MemoryGroup::Reload(std::vector<MemoryDevice*> from) {
  if (from.empty()) {
    for (const auto& device : devices) from.push_back(device.get());
  }
  std::vector<Member> members;
  for (MemoryDevice* device : from) {
    auto member = Must(OpenMember(*device), "OpenMember");
    if (member) members.push_back(std::move(*member));
  }
  group = Must(DiskGroup::Load(std::move(members)), "Load");
}

MemoryDevice& MemoryGroup::DeviceOf(ObjectId disk) {
  const Member* member = group->MemberOf(disk);
  if (member == nullptr) throw std::runtime_error("the disk is no member");
  return *dynamic_cast<MemoryDevice*>(member->device);
}

ObjectId MemoryGroup::Make(VolumeLayout layout, std::vector<ObjectId> members, std::uint64_t blocks) {
  VolumeRequest request{.layout = layout};
  for (const ObjectId disk : members) request.members.push_back({.disk = disk, .blocks = blocks});
  auto change = Must(CreateVolume(Now(), Spaces(), request), "CreateVolume");
  Commit(std::move(change.after));
  return change.volume;
}

void ExpectSound(const DiskGroup& group) {
  const auto checked = group.Current().Check();
  EXPECT_TRUE(checked) << checked.error().ToString();
  for (const Member& member : group.Members()) {
    const auto faults = CheckMember(member);
    ASSERT_TRUE(faults) << faults.error().ToString();
    for (const std::string& fault : *faults) ADD_FAILURE() << fault;
    std::vector<RetainedExtent> retained = RetainedExtentsOf(group.Current(), member);
    const PrivateHeader& header = member.header;
    const auto tiles = TilePublicRegion(
        {header.publicStart, header.publicSize, header.privateStart, header.privateSize}, retained);
    ASSERT_TRUE(tiles) << tiles.error().ToString();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> wanted;
    for (const Tile& tile : *tiles) wanted.emplace_back(tile.start, tile.sectors);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    for (const Region& region : LayoutOf(*member.device).regions) {
      if (region.mbrType != kMbrTypeLdm && region.gptType != kGptTypeLdmData) continue;
      found.emplace_back(region.start / header.bytesPerSector, region.length / header.bytesPerSector);
    }
    EXPECT_EQ(found, wanted);
  }
}

bool HasLdmtool() { return std::filesystem::exists("/usr/bin/ldmtool"); }

std::vector<SeenGroup> SeenByLdmtool(const std::vector<const MemoryDevice*>& devices) {
  std::vector<std::unique_ptr<ScratchImage>> images;
  for (const MemoryDevice* device : devices) images.push_back(std::make_unique<ScratchImage>(*device));
  const std::string arguments = ArgumentsOf(images);
  std::vector<SeenGroup> groups;
  const auto guids = Ldmtool(arguments, "scan");
  EXPECT_TRUE(guids.is_array()) << guids.dump();
  for (const auto& guid : guids) {
    SeenGroup& group = groups.emplace_back();
    group.guid = guid.get<std::string>();
    const auto shown = Ldmtool(arguments, "show diskgroup " + group.guid);
    EXPECT_TRUE(shown.is_object()) << shown.dump();
    if (!shown.is_object()) continue;
    group.name = shown.at("name").get<std::string>();
    for (const auto& name : shown.at("volumes")) {
      const auto one =
          Ldmtool(arguments, fmt::format("show volume {} {}", group.guid, name.get<std::string>()));
      SeenVolume& volume = group.volumes[name.get<std::string>()];
      volume = {
          .type = one.at("type").get<std::string>(),
          .blocks = one.at("size").get<std::uint64_t>(),
          .chunk = one.at("chunk-size").get<std::uint64_t>(),
          .hint = one.value("hint", nlohmann::json()).is_string() ? one.at("hint").get<std::string>() : "",
          .partitions = one.at("partitions").get<std::vector<std::string>>()};
      for (const std::string& partition : volume.partitions) {
        const auto part = Ldmtool(arguments, fmt::format("show partition {} {}", group.guid, partition));
        group.subdisks[partition] = {.start = part.at("start").get<std::uint64_t>(),
                                     .blocks = part.at("size").get<std::uint64_t>(),
                                     .disk = part.at("disk").get<std::string>()};
      }
    }
    for (const auto& name : shown.at("disks")) {
      const auto one =
          Ldmtool(arguments, fmt::format("show disk {} {}", group.guid, name.get<std::string>()));
      group.disks[name.get<std::string>()] = one.at("present").get<bool>();
    }
  }
  return groups;
}

SeenGroup AsSeen(const DiskGroup& group) {
  const Database& database = group.Current();
  SeenGroup seen{.guid = database.group.guid.ToString(),
                 .name = database.group.name,
                 .volumes = {},
                 .subdisks = {},
                 .disks = {}};
  for (const VolumeRecord& volume : database.volumes) {
    SeenVolume& one = seen.volumes[volume.name];
    one.blocks = volume.size;
    one.hint = volume.hint.value_or("");
    switch (LayoutOf(database, volume.id)) {
      case VolumeLayout::kSimple:
      case VolumeLayout::kSpanned:
        one.type = "spanned";
        break;
      case VolumeLayout::kStriped:
        one.type = "striped";
        break;
      case VolumeLayout::kMirrored:
        one.type = "mirrored";
        break;
      case VolumeLayout::kRaid5:
        one.type = "RAID5";
        break;
    }
    for (const PlexRecord* plex : database.PlexesOf(volume.id)) {
      if (plex->stripe) one.chunk = plex->stripe->size;
      for (const SubdiskRecord* subdisk : database.SubdisksOf(plex->id)) {
        one.partitions.push_back(subdisk->name);
        seen.subdisks[subdisk->name] = {subdisk->start, subdisk->size,
                                        database.FindDisk(subdisk->diskId)->name};
      }
    }
    if (one.partitions.size() == 1 && one.type == "spanned") one.type = "simple";
  }
  for (const DiskRecord& disk : database.disks) seen.disks[disk.name] = group.MemberOf(disk.id) != nullptr;
  return seen;
}

void ExpectLdmtoolAgrees(const DiskGroup& group) {
  if (!HasLdmtool()) return;
  std::vector<const MemoryDevice*> devices;
  for (const Member& member : group.Members()) {
    devices.push_back(dynamic_cast<const MemoryDevice*>(member.device));
    ASSERT_NE(devices.back(), nullptr);
  }
  const std::vector<SeenGroup> seen = SeenByLdmtool(devices);
  ASSERT_EQ(seen.size(), 1u);
  const SeenGroup wanted = AsSeen(group);
  EXPECT_EQ(seen[0].guid, wanted.guid);
  EXPECT_EQ(seen[0].name, wanted.name);
  EXPECT_EQ(seen[0].disks, wanted.disks);
  EXPECT_EQ(seen[0].subdisks, wanted.subdisks);
  ASSERT_EQ(seen[0].volumes.size(), wanted.volumes.size());
  for (const auto& [name, volume] : wanted.volumes) {
    ASSERT_TRUE(seen[0].volumes.contains(name)) << name;
    SeenVolume other = seen[0].volumes.at(name);
    EXPECT_EQ(other.type, volume.type) << name;
    EXPECT_EQ(other.blocks, volume.blocks) << name;
    EXPECT_EQ(other.chunk, volume.chunk) << name;
    EXPECT_EQ(other.hint, volume.hint) << name;
    std::vector<std::string> sorted = volume.partitions;
    if (other.type == "mirrored") {
      // The order of mirrors means nothing.
      std::ranges::sort(other.partitions);
      std::ranges::sort(sorted);
    }
    EXPECT_EQ(other.partitions, sorted) << name;
  }
}

}  // namespace dmrp::server::ldm
