// Database::Check: the invariants that everything which reads a database rests on.
#include "reference_server/storage/ldm/database.hpp"
#include "reference_server/storage/ldm/privhead.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::size_t kMaxMembers = 32;  ///< plexes of a volume, columns of a plex
/// Places and sizes stay below this, so that sums of them fit: 2^54 blocks.
constexpr std::uint64_t kMaxBlocks = std::uint64_t{1} << 54;

class Checker {
 public:
  explicit Checker(const Database& database) : db_(database) {}

  Result<void> Run() {
    Index();
    CheckGroup();
    for (const DiskRecord& disk : db_.disks) CheckCommon(disk, names_of_disks_);
    CheckGuids(db_.disks);
    for (const VolumeRecord& volume : db_.volumes) CheckVolume(volume);
    CheckGuids(db_.volumes);
    for (const PlexRecord& plex : db_.plexes) CheckPlex(plex);
    for (const SubdiskRecord& subdisk : db_.subdisks) CheckSubdisk(subdisk);
    if (fault_.empty()) CheckShapes();
    if (fault_.empty()) CheckOverlaps();
    if (!fault_.empty()) return Fail(ErrorKind::kMalformed, fault_);
    return {};
  }

 private:
  template <typename R, typename... Args>
  void Fault(const R& record, fmt::format_string<Args...> format, Args&&... args) {
    if (fault_.empty()) fault_ = Describe(record) + ": " + fmt::format(format, std::forward<Args>(args)...);
  }

  void Index() {
    for (const DiskRecord& disk : db_.disks) disks_.insert(disk.id);
    for (const VolumeRecord& volume : db_.volumes) volumes_.emplace(volume.id, &volume);
    for (const PlexRecord& plex : db_.plexes) {
      plexes_.insert(plex.id);
      plexes_of_[plex.volumeId].push_back(&plex);
    }
    for (const SubdiskRecord& subdisk : db_.subdisks) {
      subdisks_of_[subdisk.plexId].push_back(&subdisk);
      subdisks_on_[subdisk.diskId].push_back(&subdisk);
    }
  }

  template <typename R>
  void CheckCommon(const R& record, std::unordered_set<std::string_view>& names) {
    if (record.id == 0 || record.id > std::numeric_limits<std::uint32_t>::max()) {
      Fault(record, "id {} is none", record.id);
    }
    if (!ids_.insert(record.id).second) Fault(record, "id is used twice");
    if (record.name.empty() ||
        !std::all_of(record.name.begin(), record.name.end(), [](char c) { return c >= 0x20 && c < 0x7F; })) {
      Fault(record, "name is empty or not printable");
    }
    if (!names.insert(record.name).second) Fault(record, "name is used twice");
    if (record.commitTransaction > db_.committedTransaction) {
      Fault(record, "commitTransaction {} lies after the committed one {}", record.commitTransaction,
            db_.committedTransaction);
    }
  }

  template <typename R>
  void CheckGuids(const std::vector<R>& records) {
    std::unordered_set<Guid> seen;
    for (const R& record : records) {
      if (record.guid.IsNull() || !seen.insert(record.guid).second) {
        Fault(record, "guid {} is null or used twice", record.guid.ToString());
      }
    }
  }

  void CheckGroup() {
    std::unordered_set<std::string_view> names;
    CheckCommon(db_.group, names);
    if (db_.group.guid.IsNull()) Fault(db_.group, "guid is null");
    if (db_.group.name.size() > kMaxGroupName) {
      Fault(db_.group, "name is longer than {} octets", kMaxGroupName);
    }
  }

  void CheckVolume(const VolumeRecord& volume) {
    CheckCommon(volume, names_of_volumes_);
    const bool raid5 = volume.type == kVolumeRaid5;
    if (!raid5 && volume.type != kVolumeGeneric) Fault(volume, "type '{}'", volume.type);
    if (volume.size == 0 || volume.size > kMaxBlocks) Fault(volume, "size {}", volume.size);
    if (volume.updateId > volume.commitTransaction) {
      Fault(volume, "updateId {} lies after commitTransaction {}", volume.updateId, volume.commitTransaction);
    }
    const auto& plexes = plexes_of_[volume.id];
    if (plexes.empty() || plexes.size() > kMaxMembers || (raid5 && plexes.size() != 1)) {
      Fault(volume, "has {} plexes", plexes.size());
    }
    if (volume.plexCount != plexes.size()) {
      Fault(volume, "plexCount {}, but {} plexes name it", volume.plexCount, plexes.size());
    }
    for (const PlexRecord* plex : plexes) {
      if ((plex->layout == PlexLayout::kRaid5) != raid5) {
        Fault(*plex, "layout {} in a volume of type '{}'", static_cast<int>(plex->layout), volume.type);
      }
    }
  }

  void CheckPlex(const PlexRecord& plex) {
    CheckCommon(plex, names_of_plexes_);
    if (!volumes_.contains(plex.volumeId)) Fault(plex, "volumeId {} is no volume", plex.volumeId);
    const std::size_t subdisks = subdisks_of_[plex.id].size();
    if (subdisks == 0 || plex.subdiskCount != subdisks) {
      Fault(plex, "subdiskCount {}, and {} subdisks name it", plex.subdiskCount, subdisks);
    }
    if (plex.stripe.has_value() != (plex.layout != PlexLayout::kConcat)) {
      Fault(plex, "stripe with layout {}", static_cast<int>(plex.layout));
    }
    if (!plex.stripe) return;
    if (plex.stripe->size == 0 || plex.stripe->size > kMaxBlocks)
      Fault(plex, "stripe.size {}", plex.stripe->size);
    const std::uint64_t least = plex.layout == PlexLayout::kRaid5 ? 3 : 1;
    if (plex.stripe->columns < least || plex.stripe->columns > kMaxMembers) {
      Fault(plex, "stripe.columns {}", plex.stripe->columns);
    }
  }

  void CheckSubdisk(const SubdiskRecord& subdisk) {
    CheckCommon(subdisk, names_of_subdisks_);
    if (!plexes_.contains(subdisk.plexId)) Fault(subdisk, "plexId {} is no plex", subdisk.plexId);
    if (!disks_.contains(subdisk.diskId)) Fault(subdisk, "diskId {} is no disk", subdisk.diskId);
    if (subdisk.size == 0 || subdisk.size > kMaxBlocks || subdisk.start > kMaxBlocks ||
        subdisk.offset > kMaxBlocks) {
      Fault(subdisk, "start {}, offset {}, size {}", subdisk.start, subdisk.offset, subdisk.size);
    }
  }

  /// Plexes have no holes, columns of one length, and the size of their volume.
  void CheckShapes() {
    for (const PlexRecord& plex : db_.plexes) {
      auto& subdisks = subdisks_of_[plex.id];
      std::sort(subdisks.begin(), subdisks.end(), [](const SubdiskRecord* a, const SubdiskRecord* b) {
        return std::tie(a->column, a->offset) < std::tie(b->column, b->offset);
      });
      const std::uint64_t columns = plex.stripe ? plex.stripe->columns : 1;
      std::vector<std::uint64_t> lengths(columns);
      for (const SubdiskRecord* subdisk : subdisks) {
        if (subdisk->column >= columns) return Fault(*subdisk, "column {} of {}", subdisk->column, columns);
        std::uint64_t& length = lengths[subdisk->column];
        if (subdisk->offset != length) {
          return Fault(*subdisk, "offset {}, but {} blocks lie before it", subdisk->offset, length);
        }
        length += subdisk->size;
        if (length > kMaxBlocks) return Fault(*subdisk, "its column is {} blocks long", length);
      }
      for (const std::uint64_t length : lengths) {
        if (length == 0 || length != lengths.front())
          return Fault(plex, "columns of {} and {} blocks", lengths.front(), length);
      }
      if (plex.stripe && lengths.front() % plex.stripe->size != 0) {
        return Fault(plex, "columns of {} blocks are no whole stripes of {}", lengths.front(),
                     plex.stripe->size);
      }
      const std::uint64_t data = plex.layout == PlexLayout::kRaid5 ? columns - 1 : columns;
      const std::uint64_t size = volumes_.at(plex.volumeId)->size;
      if (lengths.front() * data != size) {
        return Fault(plex, "holds {} blocks of a volume of {}", lengths.front() * data, size);
      }
    }
  }

  void CheckOverlaps() {
    for (auto& [disk, subdisks] : subdisks_on_) {
      std::sort(subdisks.begin(), subdisks.end(),
                [](const SubdiskRecord* a, const SubdiskRecord* b) { return a->start < b->start; });
      for (std::size_t i = 1; i < subdisks.size(); ++i) {
        if (subdisks[i - 1]->start + subdisks[i - 1]->size > subdisks[i]->start) {
          return Fault(*subdisks[i], "start {} lies in '{}'", subdisks[i]->start, subdisks[i - 1]->name);
        }
      }
    }
  }

  const Database& db_;
  std::string fault_;
  std::unordered_set<ObjectId> ids_;
  std::unordered_set<ObjectId> disks_;
  std::unordered_set<ObjectId> plexes_;
  std::unordered_map<ObjectId, const VolumeRecord*> volumes_;
  std::unordered_map<ObjectId, std::vector<const PlexRecord*>> plexes_of_;
  std::unordered_map<ObjectId, std::vector<const SubdiskRecord*>> subdisks_of_;
  std::unordered_map<ObjectId, std::vector<const SubdiskRecord*>> subdisks_on_;
  std::unordered_set<std::string_view> names_of_disks_;
  std::unordered_set<std::string_view> names_of_volumes_;
  std::unordered_set<std::string_view> names_of_plexes_;
  std::unordered_set<std::string_view> names_of_subdisks_;
};

}  // namespace

Result<void> Database::Check() const { return Checker(*this).Run(); }

}  // namespace dmrp::server::ldm
