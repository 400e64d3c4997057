#include "reference_server/objects/reconcile.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace dmrp::server {
namespace {

bool SamePartition(const REGION_INFO_EX& known, const REGION_INFO_EX& seen) {
  if (known.regionType != seen.regionType || known.start != seen.start) {
    return false;
  }
  // A member of a volume is that of its records, whichever entry of the table covers it.
  const bool both_gpt = known.gpt.has_value() && seen.gpt.has_value() && seen.regionType != REGION_SUBDISK;
  return !both_gpt || known.gpt->partitionId == seen.gpt->partitionId;
}

LONGLONG Overlap(const REGION_INFO_EX& left, const REGION_INFO_EX& right) {
  const LONGLONG start = std::max(left.start, right.start);
  const LONGLONG end = std::min(left.start + left.length, right.start + right.length);
  return std::max<LONGLONG>(0, end - start);
}

// For each observed region the index of the known region that it continues, or nullopt for a new one.
std::vector<std::optional<std::size_t>> MatchRegions(const std::vector<RegionObject>& known,
                                                     const std::vector<ObservedRegion>& observed) {
  std::vector<std::optional<std::size_t>> match(observed.size());
  std::vector<bool> taken(known.size(), false);
  for (std::size_t i = 0; i < observed.size(); ++i) {
    for (std::size_t j = 0; j < known.size() && !match[i]; ++j) {
      if (!taken[j] && SamePartition(known[j].info, observed[i].info)) {
        match[i] = j;
        taken[j] = true;
      }
    }
  }
  for (std::size_t i = 0; i < observed.size(); ++i) {
    const REGION_INFO_EX& seen = observed[i].info;
    if (match[i] || !IsFree(seen.regionType)) {
      continue;
    }
    LONGLONG best = 0;
    for (std::size_t j = 0; j < known.size(); ++j) {
      const bool candidate = !taken[j] && known[j].info.regionType == seen.regionType;
      if (candidate && Overlap(known[j].info, seen) > best) {
        best = Overlap(known[j].info, seen);
        match[i] = j;
      }
    }
    if (match[i]) {
      taken[*match[i]] = true;
    }
  }
  return match;
}

// Formatting begins with a new file system object (3.2.4.4.1.23), which what was made then belongs to.
bool SameFileSystem(const FileSystemObject& known, const FileSystemObject& seen) {
  if (seen.in_the_making && !known.in_the_making) return false;
  return known.in_the_making || (known.identity == seen.identity && known.info.fsType == seen.info.fsType);
}

// The changes of one disk or volume, by the groups in which they are notified.
struct Changes {
  std::vector<ObjectChange> disk;
  std::vector<ObjectChange> regions_gone;
  std::vector<ObjectChange> regions;
  std::vector<ObjectChange> systems_gone;
  std::vector<ObjectChange> systems;
  std::vector<std::pair<char16_t, LdmObjectId>> letters;  // which region has which letter now
};

void Append(ChangeSet& set, const std::vector<ObjectChange>& changes) {
  for (const ObjectChange& change : changes) {
    switch (change.action) {
      case LDMACTION_CREATED:
        set.Create(change.object);
        break;
      case LDMACTION_DELETED:
        set.Delete(change.object);
        break;
      default:
        set.Modify(change.object);
        break;
    }
  }
}

// Compares the file system of one region or volume and returns the identifier that it has to name (0 for
// none).
LdmObjectId CompareFileSystem(const FileSystemObject* known, const std::optional<FileSystemObject>& seen,
                              LdmObjectId storage_id, ChangeSet& set, Changes& changes) {
  if (known != nullptr && (!seen || !SameFileSystem(*known, *seen))) {
    changes.systems_gone.push_back({LDMACTION_DELETED, *known});
    known = nullptr;
  }
  if (!seen) {
    return 0;
  }
  FileSystemObject now = *seen;
  now.info.storageId = storage_id;
  if (known == nullptr) {
    now.info.id = set.NewId();
    now.info.taskId = 0;
    changes.systems.push_back({LDMACTION_CREATED, now});
    return now.info.id;
  }
  now.info.id = known->info.id;
  now.info.lastKnownState = known->info.lastKnownState;
  now.info.taskId = known->info.taskId;
  if (now.info != known->info || now.in_the_making != known->in_the_making) {
    changes.systems.push_back({LDMACTION_MODIFIED, now});
  }
  return now.info.id;
}

bool IsDynamic(const DISK_INFO_EX& disk) { return disk.deviceType == DEVICETYPE_VM; }

// File systems of partitions that became volumes where they lie (3.2.4.4.1.45), by the keys of these: they
// stay the same objects.
using Adopted = std::map<std::string, const FileSystemObject*>;

Adopted AdoptedFileSystems(const ObjectState& state, const std::vector<ObservedDisk>& observed) {
  Adopted adopted;
  for (const ObservedDisk& seen : observed) {
    const DiskObject* before = state.FindDiskByKey(seen.key);
    if (before == nullptr || IsDynamic(before->info) || !IsDynamic(seen.info)) {
      continue;
    }
    for (const RegionObject& known : state.RegionsOf(before->info.id)) {
      // The file system of an FT volume lies on the volume.
      const auto* set = state.FindAs<VolumeObject>(known.info.volId);
      const FileSystemObject* system = state.FileSystemOn(set == nullptr ? known.info.id : set->info.id);
      const auto member = std::ranges::find_if(seen.regions, [&known](const ObservedRegion& region) {
        return region.info.start == known.info.start && !IsFree(region.info.regionType);
      });
      if (system == nullptr || member == seen.regions.end() || member->volume_key.empty() ||
          state.FindVolumeByKey(member->volume_key) != nullptr) {
        continue;
      }
      adopted.emplace(member->volume_key, system);
    }
  }
  return adopted;
}

bool IsAdopted(const Adopted& adopted, const FileSystemObject& system) {
  return std::ranges::any_of(adopted,
                             [&](const auto& entry) { return entry.second->info.id == system.info.id; });
}

// The identifier of a volume by its key, 0 for none.
using VolumeIds = std::function<LdmObjectId(const std::string& key)>;

void CompareRegions(const ObjectState& state, LdmObjectId disk_id, const ObservedDisk& observed,
                    bool converted, const VolumeIds& volume_ids, const Adopted& adopted, ChangeSet& set,
                    Changes& changes) {
  const std::vector<RegionObject> known = state.RegionsOf(disk_id);
  const auto match = converted ? std::vector<std::optional<std::size_t>>(observed.regions.size())
                               : MatchRegions(known, observed.regions);
  for (std::size_t j = 0; j < known.size(); ++j) {
    if (std::ranges::find(match, std::optional(j)) == match.end()) {
      changes.regions_gone.push_back({LDMACTION_DELETED, known[j]});
      const FileSystemObject* system = state.FileSystemOn(known[j].info.id);
      if (system != nullptr && !IsAdopted(adopted, *system)) {
        changes.systems_gone.push_back({LDMACTION_DELETED, *system});
      }
    }
  }
  for (std::size_t i = 0; i < observed.regions.size(); ++i) {
    const RegionObject* before = match[i] ? &known[*match[i]] : nullptr;
    RegionObject now{observed.regions[i].info};
    now.info.id = before != nullptr ? before->info.id : set.NewId();
    now.info.diskId = disk_id;
    now.info.volId = volume_ids(observed.regions[i].volume_key);
    now.info.taskId = before != nullptr ? before->info.taskId : 0;
    now.info.lastKnownState = before != nullptr ? before->info.lastKnownState : 0;
    const FileSystemObject* system = before != nullptr ? state.FileSystemOn(before->info.id) : nullptr;
    now.info.fsId = CompareFileSystem(system, observed.regions[i].file_system, now.info.id, set, changes);
    if (observed.regions[i].letter != 0) {
      changes.letters.emplace_back(observed.regions[i].letter, now.info.id);
    }
    if (before == nullptr) {
      changes.regions.push_back({LDMACTION_CREATED, now});
    } else if (now.info != before->info) {
      changes.regions.push_back({LDMACTION_MODIFIED, now});
    }
  }
}

std::u16string LettersOf(const std::vector<ObservedDisk>& observed,
                         const std::vector<ObservedVolume>& volumes = {}) {
  std::u16string letters;
  for (const ObservedVolume& volume : volumes) {
    if (volume.letter != 0) {
      letters.push_back(volume.letter);
    }
  }
  for (const ObservedDisk& disk : observed) {
    if (disk.letter != 0) {
      letters.push_back(disk.letter);
    }
    for (const ObservedRegion& region : disk.regions) {
      if (region.letter != 0) {
        letters.push_back(region.letter);
      }
    }
  }
  return letters;
}

// Gives letters to the objects that have them now, and frees the others that led to `owned` objects, except
// those that are `taken`: other objects have got them, and are compared with those.
void CompareLetters(const ObjectState& state, const std::function<bool(LdmObjectId)>& owned,
                    const std::vector<std::pair<char16_t, LdmObjectId>>& wanted, const std::u16string& taken,
                    ChangeSet& set) {
  for (DriveLetterObject letter : state.DriveLetters()) {
    const auto found =
        std::ranges::find(wanted, letter.info.letter, &std::pair<char16_t, LdmObjectId>::first);
    const bool freed = letter.info.storageId != 0 && owned(letter.info.storageId) &&
                       taken.find(letter.info.letter) == std::u16string::npos;
    if (found == wanted.end() && !freed) {
      continue;
    }
    const LdmObjectId storage = found == wanted.end() ? 0 : found->second;
    if (storage != letter.info.storageId) {
      letter.info.storageId = storage;
      letter.info.isUsed = storage != 0;
      set.Modify(letter);
    }
  }
}

// Whether an object is the disk or one of its regions.
std::function<bool(LdmObjectId)> OfDisk(const ObjectState& state, LdmObjectId disk_id) {
  return [&state, disk_id](LdmObjectId id) {
    const auto* region = state.FindAs<RegionObject>(id);
    return id == disk_id || (region != nullptr && region->info.diskId == disk_id);
  };
}

void CompareDisk(const ObjectState& state, const ObservedDisk& observed, const std::u16string& taken,
                 const VolumeIds& volume_ids, const Adopted& adopted, ChangeSet& set) {
  Changes changes;
  const DiskObject* before = state.FindDiskByKey(observed.key);
  DiskObject now{observed.info, observed.key};
  now.info.id = before != nullptr ? before->info.id : set.NewId();
  now.info.taskId = before != nullptr ? before->info.taskId : 0;
  now.info.lastKnownState = before != nullptr ? before->info.lastKnownState : 0;
  if (before == nullptr) {
    changes.disk.push_back({LDMACTION_CREATED, now});
  } else if (now.info != before->info) {
    changes.disk.push_back({LDMACTION_MODIFIED, now});
  }
  const bool converted = before != nullptr && IsDynamic(before->info) != IsDynamic(now.info);
  CompareRegions(state, now.info.id, observed, converted, volume_ids, adopted, set, changes);

  const bool medium_left = before != nullptr && (before->info.deviceState & DEVICESTATE_NO_MEDIA) == 0 &&
                           (now.info.deviceState & DEVICESTATE_NO_MEDIA) != 0;
  if (!medium_left) {
    Append(set, changes.disk);
  }
  Append(set, changes.regions_gone);
  Append(set, changes.regions);
  Append(set, changes.systems_gone);
  Append(set, changes.systems);
  if (observed.letter != 0) {
    changes.letters.emplace_back(observed.letter, now.info.id);
  }
  CompareLetters(state, OfDisk(state, now.info.id), changes.letters, taken, set);
  if (medium_left) {
    Append(set, changes.disk);
  }
}

void CompareVolume(const ObjectState& state, const ObservedVolume& observed, LdmObjectId id,
                   const std::u16string& taken, const Adopted& adopted, ChangeSet& set) {
  Changes changes;
  const auto* before = state.FindAs<VolumeObject>(id);
  VolumeObject now{observed.info, observed.key};
  now.info.id = id;
  now.info.taskId = before != nullptr ? before->info.taskId : 0;
  now.info.lastKnownState = before != nullptr ? before->info.lastKnownState : 0;
  const auto brought = adopted.find(observed.key);
  const FileSystemObject* system = before != nullptr          ? state.FileSystemOn(id)
                                   : brought != adopted.end() ? brought->second
                                                              : nullptr;
  now.info.fsId = CompareFileSystem(system, observed.file_system, id, set, changes);
  if (before == nullptr) {
    set.Create(now);
  } else if (now.info != before->info) {
    set.Modify(now);
  }
  Append(set, changes.systems_gone);
  Append(set, changes.systems);
  if (observed.letter != 0) {
    changes.letters.emplace_back(observed.letter, id);
  }
  CompareLetters(state, [id](LdmObjectId owner) { return owner == id; }, changes.letters, taken, set);
}

void RemoveVolume(const ObjectState& state, const VolumeObject& volume, const std::u16string& taken,
                  const Adopted& adopted, ChangeSet& set) {
  const LdmObjectId id = volume.info.id;
  CompareLetters(state, [id](LdmObjectId owner) { return owner == id; }, {}, taken, set);
  const FileSystemObject* system = state.FileSystemOn(id);
  if (system != nullptr && !IsAdopted(adopted, *system)) {
    set.Delete(*system);
  }
  set.Delete(volume);
}

void RemoveContents(const ObjectState& state, const DiskObject& disk, const std::u16string& taken,
                    ChangeSet& set) {
  CompareLetters(state, OfDisk(state, disk.info.id), {}, taken, set);
  const std::vector<RegionObject> regions = state.RegionsOf(disk.info.id);
  for (const RegionObject& region : regions) {
    if (const FileSystemObject* system = state.FileSystemOn(region.info.id)) {
      set.Delete(*system);
    }
  }
  for (const RegionObject& region : regions) {
    set.Delete(region);
  }
}

LdmObjectId KnownVolume(const ObjectState& state, const std::string& key) {
  const VolumeObject* volume = key.empty() ? nullptr : state.FindVolumeByKey(key);
  return volume == nullptr ? 0 : volume->info.id;
}

}  // namespace

ChangeSet InitialDriveLetters() {
  ChangeSet set;
  for (char16_t letter = u'C'; letter <= u'Z'; ++letter) {
    DriveLetterObject object;
    object.object_id = set.NewId();
    object.info.letter = letter;
    set.Create(object);
  }
  return set;
}

ChangeSet ReconcileSystem(const ObjectState& state, const std::vector<ObservedDisk>& observed,
                          const std::vector<ObservedVolume>& observed_volumes) {
  ChangeSet set;
  const std::u16string letters = LettersOf(observed, observed_volumes);
  std::map<std::string, LdmObjectId> volumes;
  for (const ObservedVolume& seen : observed_volumes) {
    const LdmObjectId known = KnownVolume(state, seen.key);
    volumes[seen.key] = known != 0 ? known : set.NewId();
  }
  const auto volume_id = [&volumes](const std::string& key) {
    const auto found = volumes.find(key);
    return found == volumes.end() ? 0 : found->second;
  };
  std::vector<DiskObject> gone;
  for (const DiskObject& disk : state.Disks()) {
    const bool present =
        std::ranges::any_of(observed, [&](const ObservedDisk& seen) { return seen.key == disk.key; });
    if (!present) {
      RemoveContents(state, disk, letters, set);
      gone.push_back(disk);
    }
  }
  const Adopted adopted = AdoptedFileSystems(state, observed);
  for (const ObservedDisk& seen : observed) {
    CompareDisk(state, seen, letters, volume_id, adopted, set);
  }
  for (const VolumeObject& volume : state.Volumes()) {
    if (!volumes.contains(volume.key)) {
      RemoveVolume(state, volume, letters, adopted, set);
    }
  }
  for (const ObservedVolume& seen : observed_volumes) {
    CompareVolume(state, seen, volumes.at(seen.key), letters, adopted, set);
  }
  for (const DiskObject& disk : gone) {
    set.Delete(disk);
  }
  return set;
}

ChangeSet ReconcileDisk(const ObjectState& state, const ObservedDisk& observed) {
  ChangeSet set;
  CompareDisk(
      state, observed, LettersOf({observed}),
      [&state](const std::string& key) { return KnownVolume(state, key); }, {}, set);
  return set;
}

ChangeSet RemoveDisk(const ObjectState& state, LdmObjectId disk_id) {
  ChangeSet set;
  if (const DiskObject* disk = state.FindAs<DiskObject>(disk_id)) {
    RemoveContents(state, *disk, {}, set);
    set.Delete(*disk);
  }
  return set;
}

}  // namespace dmrp::server
