#include "reference_server/storage/ldm/database.hpp"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

/// Where Server 2003 begins to count in a new group.
constexpr std::uint64_t kFirstNumber2003 = 1023;

template <typename Vector>
auto* FindById(Vector& records, ObjectId id) {
  const auto found =
      std::find_if(records.begin(), records.end(), [&](const auto& one) { return one.id == id; });
  return found == records.end() ? nullptr : &*found;
}

template <typename Record>
const Record* FindByGuid(const std::vector<Record>& records, const Guid& guid) {
  const auto found =
      std::find_if(records.begin(), records.end(), [&](const Record& one) { return one.guid == guid; });
  return found == records.end() ? nullptr : &*found;
}

/// Calls `visit` with each record of a database.
template <typename Visit>
void ForEachRecord(const Database& database, Visit&& visit) {
  visit(database.group);
  for (const auto& one : database.disks) visit(one);
  for (const auto& one : database.volumes) visit(one);
  for (const auto& one : database.plexes) visit(one);
  for (const auto& one : database.subdisks) visit(one);
}

template <typename Record>
std::unordered_set<std::string_view> NamesOf(const std::vector<Record>& records) {
  std::unordered_set<std::string_view> names;
  for (const Record& one : records) names.insert(one.name);
  return names;
}

/// The first of prefix1, prefix2, ... that is not taken; `format` has one field for the number.
template <typename Format>
std::string FirstFree(const std::unordered_set<std::string_view>& taken, Format&& format) {
  for (std::size_t number = 1;; ++number) {
    std::string name = format(number);
    if (!taken.contains(name)) return name;
  }
}

}  // namespace

const DiskRecord* Database::FindDisk(ObjectId id) const { return FindById(disks, id); }
const DiskRecord* Database::FindDisk(const Guid& guid) const { return FindByGuid(disks, guid); }
const VolumeRecord* Database::FindVolume(ObjectId id) const { return FindById(volumes, id); }
const VolumeRecord* Database::FindVolume(const Guid& guid) const { return FindByGuid(volumes, guid); }
const PlexRecord* Database::FindPlex(ObjectId id) const { return FindById(plexes, id); }
const SubdiskRecord* Database::FindSubdisk(ObjectId id) const { return FindById(subdisks, id); }
DiskRecord* Database::FindDisk(ObjectId id) { return FindById(disks, id); }
VolumeRecord* Database::FindVolume(ObjectId id) { return FindById(volumes, id); }
PlexRecord* Database::FindPlex(ObjectId id) { return FindById(plexes, id); }
SubdiskRecord* Database::FindSubdisk(ObjectId id) { return FindById(subdisks, id); }

std::vector<const PlexRecord*> Database::PlexesOf(ObjectId volume) const {
  std::vector<const PlexRecord*> found;
  for (const PlexRecord& plex : plexes) {
    if (plex.volumeId == volume) found.push_back(&plex);
  }
  std::sort(found.begin(), found.end(),
            [](const PlexRecord* a, const PlexRecord* b) { return a->name < b->name; });
  return found;
}

std::vector<const SubdiskRecord*> Database::SubdisksOf(ObjectId plex) const {
  std::vector<const SubdiskRecord*> found;
  for (const SubdiskRecord& subdisk : subdisks) {
    if (subdisk.plexId == plex) found.push_back(&subdisk);
  }
  std::sort(found.begin(), found.end(), [](const SubdiskRecord* a, const SubdiskRecord* b) {
    return std::tie(a->column, a->offset) < std::tie(b->column, b->offset);
  });
  return found;
}

std::vector<const SubdiskRecord*> Database::SubdisksOn(ObjectId disk) const {
  std::vector<const SubdiskRecord*> found;
  for (const SubdiskRecord& subdisk : subdisks) {
    if (subdisk.diskId == disk) found.push_back(&subdisk);
  }
  std::sort(found.begin(), found.end(),
            [](const SubdiskRecord* a, const SubdiskRecord* b) { return a->start < b->start; });
  return found;
}

bool Database::Erase(ObjectId id) {
  const auto erase = [&](auto& records) {
    return std::erase_if(records, [&](const auto& one) { return one.id == id; }) != 0;
  };
  return erase(disks) || erase(volumes) || erase(plexes) || erase(subdisks);
}

void Database::EraseVolume(ObjectId volume) {
  for (const PlexRecord* plex : PlexesOf(volume)) {
    std::erase_if(subdisks, [&](const SubdiskRecord& one) { return one.plexId == plex->id; });
  }
  std::erase_if(plexes, [&](const PlexRecord& one) { return one.volumeId == volume; });
  std::erase_if(volumes, [&](const VolumeRecord& one) { return one.id == volume; });
}

void Database::ErasePlex(ObjectId plex) {
  std::erase_if(subdisks, [&](const SubdiskRecord& one) { return one.plexId == plex; });
  std::erase_if(plexes, [&](const PlexRecord& one) { return one.id == plex; });
}

namespace {

/// The highest number in use, of ids and transactions alike.
std::uint64_t HighestNumber(const Database& database) {
  std::uint64_t highest = std::max(database.committedTransaction, database.lastTaken);
  ForEachRecord(database,
                [&](const auto& one) { highest = std::max({highest, one.id, one.commitTransaction}); });
  return highest;
}

}  // namespace

Database Database::ForNewGroup(std::string name, const Guid& guid, Convention convention) {
  Database database;
  database.group.name = std::move(name);
  database.group.guid = guid;
  if (convention == Convention::k2003) database.group.copies = {.config = kAllCopies, .log = kAllCopies};
  database.group.id = database.TakeId();
  return database;
}

ObjectId Database::TakeId() {
  lastTaken = std::max(HighestNumber(*this), Style() == Convention::k2003 ? kFirstNumber2003 : 0) + 2;
  return lastTaken;
}

std::uint64_t Database::NextTransaction() const { return HighestNumber(*this) + 1; }

std::string Database::FreeDiskName() const {
  return FirstFree(NamesOf(disks), [](std::size_t number) { return fmt::format("Disk{}", number); });
}

std::string Database::FreeVolumeName(std::string_view prefix) const {
  return FirstFree(NamesOf(volumes), [&](std::size_t number) { return fmt::format("{}{}", prefix, number); });
}

std::string Database::FreePlexName(std::string_view volume) const {
  return FirstFree(NamesOf(plexes),
                   [&](std::size_t number) { return fmt::format("{}-{:02}", volume, number); });
}

std::string Database::FreeSubdiskName(std::string_view disk) const {
  return FirstFree(NamesOf(subdisks),
                   [&](std::size_t number) { return fmt::format("{}-{:02}", disk, number); });
}

std::optional<std::uint64_t> Database::FreeVolumeNumber() const {
  std::unordered_set<std::uint64_t> taken;
  for (const VolumeRecord& volume : volumes) taken.insert(volume.volumeNumber);
  for (std::uint64_t number = Style() == Convention::k2003 ? 5 : 1; number <= 255; ++number) {
    if (!taken.contains(number)) return number;
  }
  return std::nullopt;
}

void Database::UpdateCounts() {
  std::unordered_map<ObjectId, std::uint64_t> children;
  for (const PlexRecord& plex : plexes) ++children[plex.volumeId];
  for (const SubdiskRecord& subdisk : subdisks) ++children[subdisk.plexId];
  const auto count = [&](ObjectId id) {
    const auto found = children.find(id);
    return found == children.end() ? 0 : found->second;
  };
  for (VolumeRecord& volume : volumes) volume.plexCount = count(volume.id);
  for (PlexRecord& plex : plexes) plex.subdiskCount = count(plex.id);
}

std::uint64_t FileTimeNow() {
  // 1601-01-01 lies 134774 days before 1970-01-01.
  constexpr std::uint64_t kEpoch = std::uint64_t{134774} * 86400 * 10'000'000;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return kEpoch +
         static_cast<std::uint64_t>(
             std::chrono::duration_cast<std::chrono::duration<std::int64_t, std::ratio<1, 10'000'000>>>(now)
                 .count());
}

}  // namespace dmrp::server::ldm
