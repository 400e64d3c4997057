#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include "reference_server/storage/gpt.hpp"
#include "reference_server/storage/mbr.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

namespace fs = std::filesystem;

MemoryDevice LoadImage(const fs::path& path) {
  MemoryDevice device({.sizeBytes = fs::file_size(path)});
  std::ifstream file(path, std::ios::binary);
  Bytes block(64 * 1024);
  const Bytes nothing(block.size());
  for (std::uint64_t at = 0;
       file.read(reinterpret_cast<char*>(block.data()), static_cast<std::streamsize>(block.size()));
       at += block.size()) {
    if (block != nothing) device.Poke(at, block);
  }
  return device;
}

std::vector<std::pair<std::string, MemoryDevice>> LoadWindowsDisks() {
  fs::path place;
  if (const char* named = std::getenv("DMRP_LDM_FIXTURES")) {
    place = named;
  } else {
    const fs::path project = fs::path(__FILE__).parent_path().parent_path().parent_path().parent_path();
    place = project.parent_path() / "shared/fixtures/ldm-2003r2.tar.xz";
  }
  std::vector<std::pair<std::string, MemoryDevice>> disks;
  if (!fs::exists(place)) return disks;
  fs::path unpacked;
  if (!fs::is_directory(place)) {
    std::string pattern = (fs::temp_directory_path() / "ldm-fixtures-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return disks;
    unpacked = pattern;
    RunTool(fmt::format("tar -xSf '{}' -C '{}'", place.string(), unpacked.string()));
    place = unpacked;
  }
  for (const auto& entry : fs::directory_iterator(place)) {
    if (entry.path().extension() != ".img") continue;
    disks.emplace_back(entry.path().stem().string(), LoadImage(entry.path()));
  }
  std::sort(disks.begin(), disks.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (!unpacked.empty()) fs::remove_all(unpacked);
  return disks;
}

}  // namespace

const std::vector<std::pair<std::string, MemoryDevice>>& WindowsDisks() {
  static const auto disks = LoadWindowsDisks();
  return disks;
}

Member Opened(BlockDevice& device) {
  auto member = OpenMember(device);
  if (!member || !*member) {
    throw std::runtime_error(member ? "the disk is not dynamic" : member.error().ToString());
  }
  return std::move(**member);
}

std::vector<Member> OpenAll(Disks& disks) {
  std::vector<Member> members;
  for (MemoryDevice& disk : disks) members.push_back(Opened(disk));
  return members;
}

void WriteDynamicTable(MemoryDevice& device, const PrivateHeader& header, bool gpt) {
  const DiskGeometry& geometry = device.Geometry();
  Bytes mbr(geometry.bytesPerSector);
  if (!gpt) {
    SetSignature(mbr, 0x901CE95F);
    SetEntry(mbr, 0,
             {.type = kMbrTypeLdm,
              .start = static_cast<std::uint32_t>(header.publicStart),
              .sectors = static_cast<std::uint32_t>(header.publicSize)},
             header.publicStart, geometry);
    SetBootMark(mbr);
    device.Poke(0, mbr);
    return;
  }
  auto table = MakeGpt(geometry);
  ASSERT_TRUE(table);
  table->SetEntry(0, {.type = kGptTypeLdmMetadata,
                      .id = Guid::Random(),
                      .firstSector = header.privateStart,
                      .lastSector = header.privateStart + header.privateSize - 1,
                      .name = u"LDM metadata partition"});
  table->SetEntry(1, {.type = kGptTypeLdmData,
                      .id = Guid::Random(),
                      .firstSector = header.publicStart,
                      .lastSector = header.publicStart + header.publicSize - 1,
                      .name = u"LDM data partition"});
  MakeProtective(mbr, geometry);
  device.Poke(0, mbr);
  ASSERT_TRUE(WriteNewGpt(device, *table));
}

NewDisk PrepareDisk(MemoryDevice& device, const DiskShape& shape, Database& database) {
  DiskRecord& record = database.disks.emplace_back();
  record.id = database.TakeId();
  record.name = database.FreeDiskName();
  record.guid = Guid::Random();
  record.lastDeviceName = database.Style() == Convention::k2003
                              ? "SCSI\\DISK&VEN_QEMU&PROD_HARDDISK&REV_2.5+\\4&35110308&0&000000"
                              : "";
  NewMember member{.diskGuid = record.guid};
  member.minorVersion = database.Style() == Convention::k2003 ? 11 : 12;
  const DiskGeometry& geometry = device.Geometry();
  if (shape.gpt) {
    const auto table = MakeGpt(geometry);
    EXPECT_TRUE(table);
    member.privateStart = table->firstUsable;
    member.publicStart = table->firstUsable + kPrivateRegionBytes / geometry.bytesPerSector;
    member.publicSize = table->lastUsable + 1 - member.publicStart;
  } else {
    member.privateStart = MbrPrivateStart(geometry);
    member.publicSize = MbrPublicEnd(geometry, member.minorVersion) - member.publicStart;
  }
  return {.device = &device, .gpt = shape.gpt, .header = MakePrivateHeader(geometry, member, kTestTime)};
}

Disks MakeGroup(const std::vector<DiskShape>& shapes, Convention convention) {
  Disks disks;
  Database database = Database::ForNewGroup("TestDg0", Guid::Random(), convention);
  std::vector<NewDisk> fresh;
  for (const DiskShape& shape : shapes) {
    disks.emplace_back(DiskGeometry{.sizeBytes = shape.sizeBytes, .bytesPerSector = shape.bytesPerSector});
    fresh.push_back(PrepareDisk(disks.back(), shape, database));
  }
  const auto group = DiskGroup::Create(fresh, database, kTestTime);
  EXPECT_TRUE(group) << group.error().ToString();
  for (std::size_t i = 0; i < shapes.size(); ++i) WriteDynamicTable(disks[i], fresh[i].header, shapes[i].gpt);
  return disks;
}

ObjectId AddVolume(Database& database, VolumeShape shape, const std::vector<ObjectId>& disks,
                   std::uint64_t start, std::uint64_t blocks) {
  const bool raid5 = shape == VolumeShape::kRaid5;
  const bool columns = raid5 || shape == VolumeShape::kStripe;
  VolumeRecord volume;
  volume.id = database.TakeId();
  volume.name = database.FreeVolumeName(raid5 ? kRaidPrefix : columns ? kStripePrefix : kVolumePrefix);
  volume.type = raid5 ? kVolumeRaid5 : kVolumeGeneric;
  volume.state = kStateActive;
  volume.readPolicy = raid5 ? kReadRaid : kReadSelect;
  volume.volumeNumber = database.FreeVolumeNumber().value_or(0);
  volume.flags = kVolumeAlways | kVolumeWriteBack;
  volume.partitionType = 7;
  volume.guid = Guid::Random();
  const std::uint64_t members = disks.size();
  volume.size = blocks * (shape == VolumeShape::kMirror ? 1 : raid5 ? members - 1 : members);
  std::vector<PlexRecord> plexes;
  const auto add_plex = [&] {
    PlexRecord plex;
    plex.id = database.TakeId();
    plex.name = database.FreePlexName(volume.name);
    plex.state = kStateActive;
    plex.layout = raid5 ? PlexLayout::kRaid5 : columns ? PlexLayout::kStripe : PlexLayout::kConcat;
    plex.volumeId = volume.id;
    if (columns) plex.stripe = PlexRecord::Stripe{.size = 128, .columns = members};
    database.plexes.push_back(plex);
    return plex.id;
  };
  ObjectId plex = 0;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    if (i == 0 || shape == VolumeShape::kMirror) plex = add_plex();
    SubdiskRecord subdisk;
    subdisk.id = database.TakeId();
    subdisk.name = database.FreeSubdiskName(database.FindDisk(disks[i])->name);
    subdisk.start = start;
    subdisk.offset = shape == VolumeShape::kConcat ? i * blocks : 0;
    subdisk.size = blocks;
    subdisk.plexId = plex;
    subdisk.diskId = disks[i];
    subdisk.column = columns ? i : 0;
    database.subdisks.push_back(subdisk);
  }
  const ObjectId id = volume.id;
  database.volumes.push_back(std::move(volume));
  return id;
}

std::string Essence(const Database& database) {
  std::string text;
  const auto add = [&](const auto& record) {
    text += fmt::format("{} {}\n", Describe(record), ToHex(*SerializeRecord(record)));
  };
  add(database.group);
  std::for_each(database.disks.begin(), database.disks.end(), add);
  std::for_each(database.volumes.begin(), database.volumes.end(), add);
  std::for_each(database.plexes.begin(), database.plexes.end(), add);
  std::for_each(database.subdisks.begin(), database.subdisks.end(), add);
  return text + fmt::format("committed {}", database.committedTransaction);
}

Bytes ConfigOf(const Member& member) {
  return *member.device->Read(member.RelativeOffset(member.Config().start),
                              member.Config().size * member.header.bytesPerSector);
}

Result<void> JournalDevice::DoWrite(std::uint64_t offset, std::span<const std::byte> data) {
  const std::size_t sector = Geometry().bytesPerSector;
  for (std::size_t at = 0; at < data.size(); at += sector) {
    if (fail_after_ && *fail_after_ == 0) return FailErrno("write", EIO);
    if (fail_after_) --*fail_after_;
    const auto part = data.subspan(at, sector);
    if (auto written = inner_.Write(offset + at, part); !written) return written;
    journal_.push_back({.disk = disk_, .offset = offset + at, .data = Bytes(part.begin(), part.end())});
  }
  return {};
}

Result<void> JournalDevice::DoFlush() {
  if (fail_after_ && *fail_after_ == 0) return FailErrno("flush", EIO);
  journal_.push_back({.disk = disk_, .barrier = true});
  return inner_.Flush();
}

}  // namespace dmrp::server::ldm
