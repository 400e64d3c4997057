// Octets put into the private regions of a good group of two disks: anything may be said by a header, a TOC,
// a VMDB, a slot or a log. Opening and loading must not fail otherwise than by an error, what loads must be
// the same when it is loaded again, and it must bear a change.
//
// Input: one octet of choices, then pieces: where (an index into the structures), offset (u16,
// little-endian), length (u8), octets. Checksums are made good afterwards when the choices say so.
#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/ldm/big_endian.hpp"
#include "reference_server/storage/ldm/copy_state.hpp"
#include "reference_server/storage/ldm/disk_group.hpp"
#include "reference_server/storage/mbr.hpp"

#include <array>
#include <cstdlib>

namespace {

using namespace dmrp;
using namespace dmrp::server;
using namespace dmrp::server::ldm;

constexpr std::uint64_t kDiskBytes = 3 << 20;
constexpr std::uint64_t kTime = 0x01C2F4E1'00000000;

Guid Numbered(std::uint8_t number) { return {.Data1 = number, .Data2 = 1, .Data3 = 2, .Data4 = {3}}; }

/// A spanned volume and a mirror over two disks; few slots, so that reading is fast.
Database MakeRecords() {
  Database database = Database::ForNewGroup("FuzzDg0", Numbered(1));
  for (std::uint8_t i = 0; i < 2; ++i) {
    DiskRecord disk;
    disk.name = database.FreeDiskName();
    disk.guid = Numbered(static_cast<std::uint8_t>(10 + i));
    disk.id = database.TakeId();
    // Long enough for two fragments.
    disk.lastDeviceName = std::string(70, 'D');
    database.disks.push_back(disk);
  }
  for (std::uint8_t i = 0; i < 2; ++i) {
    const bool mirror = i == 1;
    VolumeRecord volume;
    volume.name = database.FreeVolumeName();
    volume.type = kVolumeGeneric;
    volume.state = kStateActive;
    volume.id = database.TakeId();
    volume.volumeNumber = *database.FreeVolumeNumber();
    volume.guid = Numbered(static_cast<std::uint8_t>(20 + i));
    volume.size = mirror ? 64 : 128;
    ObjectId plex_id = 0;
    for (std::size_t j = 0; j < 2; ++j) {
      if (j == 0 || mirror) {
        PlexRecord plex;
        plex.name = database.FreePlexName(volume.name);
        plex.state = kStateActive;
        plex.id = plex_id = database.TakeId();
        plex.volumeId = volume.id;
        database.plexes.push_back(plex);
      }
      SubdiskRecord subdisk;
      subdisk.name = database.FreeSubdiskName(database.disks[j].name);
      subdisk.id = database.TakeId();
      subdisk.start = i * 64U;
      subdisk.offset = mirror ? 0 : j * 64;
      subdisk.size = 64;
      subdisk.plexId = plex_id;
      subdisk.diskId = database.disks[j].id;
      database.subdisks.push_back(subdisk);
    }
    database.volumes.push_back(volume);
  }
  database.UpdateCounts();
  database.committedTransaction = database.NextTransaction();
  return database;
}

std::array<MemoryDevice, 2> MakeDisks(std::uint32_t bytes_per_sector) {
  const DiskGeometry geometry{.sizeBytes = kDiskBytes, .bytesPerSector = bytes_per_sector};
  std::array<MemoryDevice, 2> disks{MemoryDevice(geometry), MemoryDevice(geometry)};
  const Database database = MakeRecords();
  auto table = ConfigTable::Make(RestingHeader(database, 64));
  if (!table) std::abort();
  std::uint32_t group_number = 0;
  const auto store = [&](const auto& record) {
    if (!table->Store(record, RecordStatus::kActive, ++group_number)) std::abort();
  };
  store(database.group);
  for (const auto& one : database.disks) store(one);
  for (const auto& one : database.volumes) store(one);
  for (const auto& one : database.plexes) store(one);
  for (const auto& one : database.subdisks) store(one);
  const LogRegion log = LogRegion::Make(database.committedTransaction);
  for (std::size_t i = 0; i < disks.size(); ++i) {
    PrivateHeader header = MakePrivateHeader(geometry,
                                             {.diskGuid = database.disks[i].guid,
                                              .publicSize = MbrPrivateStart(geometry) - kMbrPublicStart,
                                              .privateStart = MbrPrivateStart(geometry),
                                              .minorVersion = 12},
                                             kTime);
    header.groupGuid = database.group.guid;
    header.groupName = database.group.name;
    if (!WriteNewPrivateRegion(disks[i], false, header, table->Octets(), log.Octets())) std::abort();
    Bytes mbr(bytes_per_sector);
    SetEntry(mbr, 0,
             {.type = kMbrTypeLdm,
              .start = static_cast<std::uint32_t>(header.publicStart),
              .sectors = static_cast<std::uint32_t>(header.publicSize)},
             header.publicStart, geometry);
    SetBootMark(mbr);
    disks[i].Poke(0, mbr);
  }
  return disks;
}

struct Places {
  std::vector<std::uint64_t> structures;  ///< octets from the start of the disk
  std::vector<std::uint64_t> checksummed;
};

Places PlacesOf(MemoryDevice disk) {
  const auto opened = OpenMember(disk);
  if (!opened || !*opened) std::abort();
  const Member& member = **opened;
  Places places;
  const PrivateHeader& header = member.header;
  places.checksummed = {kMbrHeaderSector * header.bytesPerSector, member.RelativeOffset(header.primaryAt),
                        member.RelativeOffset(header.backupAt), member.RelativeOffset(header.primaryTocAt),
                        member.RelativeOffset(header.secondaryTocAt)};
  places.structures = places.checksummed;
  const std::uint64_t config = member.RelativeOffset(member.Config().start);
  for (std::uint64_t slot = 0; slot < 64; ++slot) {
    if (slot == 0 || slot >= kFirstSlot) places.structures.push_back(config + slot * kSlotBytes);
  }
  places.structures.push_back(member.RelativeOffset(member.Log().start));
  return places;
}

void MendChecksum(MemoryDevice& disk, std::uint64_t at) {
  Bytes sector = *disk.Read(at, kHeaderBytes);
  StoreBe(std::span(sector), 8, OctetSum(sector, 8));
  disk.Poke(at, sector);
}

std::vector<Member> Open(std::array<MemoryDevice, 2>& disks, bool check = false) {
  std::vector<Member> members;
  for (MemoryDevice& disk : disks) {
    auto member = OpenMember(disk);
    if (!member || !*member) continue;
    if (check) (void)CheckMember(**member);
    if (members.empty() || members.front().header.groupGuid == (*member)->header.groupGuid) {
      members.push_back(std::move(**member));
    }
  }
  return members;
}

bool Same(Database a, const Database& b) {
  a.lastTaken = b.lastTaken;
  return a == b;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array<std::array<MemoryDevice, 2>, 2> kBases{MakeDisks(512), MakeDisks(4096)};
  if (size == 0 || size > 4096) return 0;
  const std::uint8_t choices = data[0];
  std::array<MemoryDevice, 2> disks = kBases[choices & 1];
  static const std::array<Places, 2> kPlaces{PlacesOf(kBases[0][0]), PlacesOf(kBases[1][0])};
  const Places& places = kPlaces[choices & 1];
  const bool both = (choices & 2) != 0;
  for (std::size_t at = 1; at + 4 <= size;) {
    const std::uint64_t base = places.structures[data[at] % places.structures.size()];
    const std::uint64_t offset = base + (data[at + 1] | (data[at + 2] & 1) << 8);
    const std::size_t length = std::min<std::size_t>(data[at + 3], size - at - 4);
    const auto octets = std::as_bytes(std::span(data + at + 4, length));
    if (offset + length <= kDiskBytes) {
      disks[0].Poke(offset, octets);
      if (both) disks[1].Poke(offset, octets);
    }
    at += 4 + length;
  }
  if ((choices & 4) != 0) {
    for (const std::uint64_t at : places.checksummed) {
      MendChecksum(disks[0], at);
      if (both) MendChecksum(disks[1], at);
    }
  }

  const auto seen = DiskGroup::Inspect(Open(disks, (choices & 8) != 0));
  auto group = DiskGroup::Load(Open(disks));
  if (seen.has_value() != group.has_value()) std::abort();
  if (!group) return 0;
  if (!Same(group->Current(), seen->Current())) std::abort();
  if (!group->Current().Check()) std::abort();
  const Database loaded = group->Current();
  const auto again = DiskGroup::Inspect(Open(disks));
  if (!again || !Same(again->Current(), loaded)) std::abort();
  for (const CopyReport& copy : again->Copies()) {
    if (again->MemberOf(copy.member.header.diskGuid) != nullptr && copy.state != CopyState::kCurrent)
      std::abort();
  }
  if (group->Members().empty()) return 0;

  Database next = loaded;
  if (next.volumes.empty()) return 0;
  next.volumes.front().hint = next.volumes.front().hint == "Q:" ? "P:" : "Q:";
  next.EraseVolume(next.volumes.back().id);
  const auto report = group->Commit(next, kTime + 1);
  if (!report) return 0;  // no room, or no number is left
  if (!report->written || !report->failed.empty()) std::abort();
  const auto changed = DiskGroup::Inspect(Open(disks));
  if (!changed || !Same(changed->Current(), group->Current())) std::abort();
  return 0;
}
