// The rules of the rule monitor about volumes.
#include "dmrp/interfaces/print.hpp"
#include "harness/client/rule_monitor.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

// 2.2.11: the flags of VOLUME_INFO.
constexpr DWORD kVolumeFlags = VOLUME_FORMAT_IN_PROGRESS | VOLUME_HAS_PAGEFILE | VOLUME_IS_BOOT_VOLUME |
                               VOLUME_IS_RESTARTABLE | VOLUME_IS_SYSTEM_VOLUME | VOLUME_HAS_RETAIN_PARTITION |
                               VOLUME_HAD_BOOT_INI | VOLUME_CORRUPT | VOLUME_HAS_CRASHDUMP |
                               VOLUME_IS_CURR_BOOT_VOLUME | VOLUME_HAS_HIBERNATION;

}  // namespace

void RuleMonitor::SawVolumes(const CallFacts& call, VOLUMETYPE type,
                             const std::vector<VOLUME_INFO>& volumes) {
  std::lock_guard lock(mutex_);
  std::set<LdmObjectId> ids;
  for (const VOLUME_INFO& volume : volumes) {
    auto expect = [&](bool holds, Findings::Ids rules, std::string_view statement) {
      findings_->Expect(holds, rules, statement, [&] { return ToText(volume); }, call.number);
    };
    expect(volume.id != 0 && ids.insert(volume.id).second, {"DMRP-0043", "DMRP-0052"},
           "each volume is listed once under an id of its own");
    expect(volume.type == type, {"DMRP-0034", "DMRP-0053"},
           "EnumVolumes lists dynamic volumes, FTEnumVolumes fault-tolerant sets");
    expect(volume.layout >= VOLUMELAYOUT_SIMPLE && volume.layout <= VOLUMELAYOUT_RAID5,
           {"DMRP-0035", "DMRP-0054"}, "layout is one of VOLUMELAYOUT that such a volume can have");
    expect(volume.length > 0, {"DMRP-0055"}, "a volume has a length");
    expect(volume.status > VOLUME_STATUS_UNKNOWN && volume.status <= VOLUME_STATUS_FORMATTING,
           {"DMRP-0040", "DMRP-0058"}, "status is one of VOLUMESTATUS");
    expect((volume.vflags & ~kVolumeFlags) == 0, {"DMRP-0023", "DMRP-0061"}, "vflags has defined bits only");
    expect(AtWork(volume.taskId, call), {"DMRP-0060", "DMRP-0280", "DMRP-0497"},
           "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0051"}, "");
    Alive(Kind::kVolume, volume.id, call);
    Rises(Kind::kVolume, volume.id, volume.lastKnownState, call.number);
    if (auto found = last_volumes_.find(volume.id); found != last_volumes_.end()) {
      VOLUME_INFO same_state = volume;
      same_state.lastKnownState = found->second.lastKnownState;
      findings_->Expect(
          same_state == found->second || volume.lastKnownState > found->second.lastKnownState,
          {"DMRP-0059", "DMRP-0494", "DMRP-0527"}, "lastKnownState of a volume rises when the volume changes",
          [&] { return fmt::format("volume {}: {}", volume.id, DifferenceText(found->second, volume)); },
          call.number);
    }
    last_volumes_[volume.id] = volume;
  }
}

void RuleMonitor::SawLinksOfVolumes(const CallFacts& call, const StorageView& view) {
  if (!view.volumes) return;
  const bool third = view.seen_through == Revision::kIVolumeClient3;
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement, const std::string& text) {
    findings_->Expect(holds, ids, statement, [&] { return text; }, call.number);
  };
  for (const VOLUME_INFO& volume : *view.volumes) {
    const std::vector<REGION_INFO_EX> regions = view.RegionsOfVolume(volume.id);
    const std::string text = ToText(volume);
    expect(volume.memberCount == regions.size(), {"DMRP-0057"},
           "memberCount is the number of regions that name the volume", text);
    if (auto members = view.members.find(volume.id); members != view.members.end()) {
      std::set<LdmObjectId> told(members->second.begin(), members->second.end());
      const bool same = told.size() == members->second.size() && told.size() == regions.size() &&
                        std::ranges::all_of(
                            regions, [&](const REGION_INFO_EX& region) { return told.contains(region.id); });
      expect(same, {"DMRP-0282"}, "the members of a volume are the regions that name it", text);
    }
    if (volume.fsId != 0 && view.file_systems) {
      const FILE_SYSTEM_INFO* file_system = view.FindFileSystem(volume.fsId);
      expect(file_system != nullptr && file_system->storageId == volume.id, {"DMRP-0056", "DMRP-0278"},
             "fsId of a volume is the id of a file system listed that names the volume", text);
    }
    if (view.letters) {
      const auto letters = std::ranges::count_if(*view.letters, [&](const DRIVE_LETTER_INFO& letter) {
        return letter.isUsed && letter.storageId == volume.id;
      });
      expect(letters <= 1, {"DMRP-0281"}, "a volume has one letter at most", text);
    }
  }
  for (const auto& [disk, regions] : view.regions) {
    for (const REGION_INFO_EX& region : regions) {
      if (region.volId == 0) continue;
      const bool listed = view.FindVolume(region.volId) != nullptr;
      const std::string text = ToText(region);
      expect(listed, {"DMRP-0275"}, "volId of a region is the id of a volume listed", text);
      if (third) expect(listed, {"DMRP-0221"}, "volId of a region is the id of a volume listed", text);
      if (!third) expect(listed, {"DMRP-0165"}, "volId of a region is the id of a volume listed", text);
    }
  }
}

}  // namespace dmrp::harness
