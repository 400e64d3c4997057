#include "harness/client/rule_monitor.hpp"

#include "dmrp/interfaces/print.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

constexpr std::uint32_t kDeviceStateBits = 0x3FF;
constexpr std::uint32_t kRegionFlagsFirst =
    REGION_FORMAT_IN_PROGRESS | REGION_IS_SYSTEM_PARTITION | REGION_HAS_PAGEFILE | REGION_HAD_BOOT_INI;
constexpr std::uint32_t kRegionFlagsThird = kRegionFlagsFirst | REGION_HIDDEN;
constexpr std::uint32_t kDiskFlagsThird =
    DISK_AUDIO_CD | DISK_FORMATTABLE_DVD | DISK_MEMORY_STICK | DISK_NTFS_NOT_SUPPORTED;

bool EndsWithNull(const std::optional<std::u16string>& text) { return !text || text->ends_with(u'\0'); }
bool EndsWithNull(const std::optional<Bytes>& text) {
  return !text || (!text->empty() && text->back() == std::byte{});
}

std::string_view Noun(DMNOTIFY_INFO_TYPE type) {
  switch (type) {
    case DMNOTIFY_DISK_INFO:
      return "disk";
    case DMNOTIFY_REGION_INFO:
      return "region";
    case DMNOTIFY_VOLUME_INFO:
      return "volume";
    case DMNOTIFY_TASK_INFO:
      return "task";
    case DMNOTIFY_DL_INFO:
      return "drive letter";
    case DMNOTIFY_FS_INFO:
      return "file system";
    default:
      return "object";
  }
}

std::string_view Verb(LDMACTION action) {
  switch (action) {
    case LDMACTION_CREATED:
      return "CREATED";
    case LDMACTION_DELETED:
      return "DELETED";
    case LDMACTION_MODIFIED:
      return "MODIFIED";
    case LDMACTION_FAILED:
      return "FAILED";
    default:
      return "UNKNOWN";
  }
}

// Whether a view shows the object of a frame; nothing for what views do not hold.
std::optional<bool> Listed(const StorageView& view, const ReceivedObject& object) {
  switch (object.type) {
    case DMNOTIFY_DISK_INFO:
      return view.FindDisk(object.id) != nullptr;
    case DMNOTIFY_REGION_INFO:
      return view.FindRegion(object.id) != nullptr;
    case DMNOTIFY_FS_INFO:
      if (!view.file_systems) return std::nullopt;
      return view.FindFileSystem(object.id) != nullptr;
    case DMNOTIFY_VOLUME_INFO:
      if (!view.volumes) return std::nullopt;
      return view.FindVolume(object.id) != nullptr;
    case DMNOTIFY_DL_INFO:
      if (!view.letters) return std::nullopt;
      return view.FindLetter(static_cast<char16_t>(object.id)) != nullptr;
    default:
      return std::nullopt;
  }
}

double Milliseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

std::string ReceivedObject::ToString() const { return fmt::format("{} {} {}", Noun(type), Verb(action), id); }

std::string_view RuleMonitor::KindName(Kind kind) {
  switch (kind) {
    case Kind::kDisk:
      return "disk";
    case Kind::kRegion:
      return "region";
    case Kind::kFileSystem:
      return "file system";
    case Kind::kVolume:
      return "volume";
    case Kind::kTask:
      return "task";
    case Kind::kClient:
      return "client";
  }
  return "object";
}

void RuleMonitor::Watch(const std::shared_ptr<NotificationSink>& sink) {
  std::lock_guard lock(mutex_);
  if (std::ranges::find(sinks_, sink) == sinks_.end()) sinks_.push_back(sink);
  if (std::ranges::find(all_sinks_, sink) == all_sinks_.end()) all_sinks_.push_back(sink);
}

void RuleMonitor::Unwatch(const NotificationSink& sink) {
  std::lock_guard lock(mutex_);
  std::erase_if(sinks_, [&](const auto& each) { return each.get() == &sink; });
}

std::map<const NotificationSink*, std::uint64_t> RuleMonitor::Marks() const {
  std::lock_guard lock(mutex_);
  std::map<const NotificationSink*, std::uint64_t> marks;
  for (const auto& sink : sinks_) marks.emplace(sink.get(), sink->Count());
  return marks;
}

void RuleMonitor::ServerRestarted() {
  std::lock_guard lock(mutex_);
  known_.clear();
  sink_states_.clear();
  finished_tasks_.clear();
  tasks_.clear();
  traces_.clear();
  last_file_systems_.clear();
  last_letters_.clear();
  last_volumes_.clear();
  sinks_.clear();
  all_sinks_.clear();
  last_disks_.clear();
  last_regions_.clear();
}

// Identifiers
// -------------------------------------------------------------------------------------------------------

void RuleMonitor::Name(Kind kind, LdmObjectId id, std::uint64_t call) {
  auto [found, fresh] = known_.try_emplace(
      id, Known{.kind = kind, .first_call = call, .state = 0, .gone = false, .gone_since = {}});
  findings_->Expect(
      found->second.kind == kind, {"DMRP-0042", "DMRP-0043", "DMRP-0488", "DMRP-0514"},
      "an identifier names one object over all kinds of objects",
      [&] {
        return fmt::format("{} names a {} and was the id of a {}", id, KindName(kind),
                           KindName(found->second.kind));
      },
      call);
}

bool RuleMonitor::AppearedSince(LdmObjectId id, std::uint64_t call) const {
  std::lock_guard lock(mutex_);
  auto found = known_.find(id);
  return found != known_.end() && found->second.first_call > call;
}

void RuleMonitor::Alive(Kind kind, LdmObjectId id, const CallFacts& call) {
  Name(kind, id, call.number);
  const Known& known = known_[id];
  findings_->Expect(
      !known.gone || known.gone_since > call.sent, {"DMRP-0489", "DMRP-0490"},
      "the id of a deleted object is given to no other object",
      [&] { return fmt::format("{} {} is there again after its deletion", KindName(kind), id); },
      call.number);
}

void RuleMonitor::Rises(Kind kind, LdmObjectId id, std::int64_t state, std::uint64_t call) {
  Known& known = known_[id];
  findings_->Expect(
      state >= known.state, {"DMRP-0493", "DMRP-0494"}, "lastKnownState of an object never falls",
      [&] { return fmt::format("{} {}: {} after {}", KindName(kind), id, state, known.state); }, call);
  known.state = std::max(known.state, state);
}

// Replies
// -----------------------------------------------------------------------------------------------------------

void RuleMonitor::SawReply(const CallFacts& call, const std::optional<Error>& error, HRESULT result,
                           bool may_fault) {
  if (error) {
    if (error->kind == ErrorKind::kFault && !may_fault) {
      findings_->Expect(
          false, {"DMRP-0266", "DMRP-0428"}, "a well-formed call is answered by an HRESULT, not a fault",
          [&] { return call.text; }, call.number);
    }
    if (error->kind == ErrorKind::kMalformed) {
      findings_->Expect(
          false, {"DMRP-0022", "DMRP-0466"}, "a reply decodes as NDR of the method's signature",
          [&] { return call.text; }, call.number);
    }
    return;
  }
  if (may_fault) return;
  findings_->Expect(
      true, {"DMRP-0266", "DMRP-0428", "DMRP-0022", "DMRP-0466"}, "", [] { return ""; }, call.number);
  findings_->Expect(
      call.anomalies.empty(), {"DMRP-0022", "DMRP-0466"}, "replies are proper NDR",
      [&] {
        return fmt::format("{} at offset {}: {}; {}", call.anomalies.front().field,
                           call.anomalies.front().offset, call.anomalies.front().text, call.text);
      },
      call.number);
  findings_->Expect(
      call.trailing == 0, {"DMRP-0004"}, "nothing follows the last parameter of a reply",
      [&] { return fmt::format("{} octets behind it; {}", call.trailing, call.text); }, call.number);
  // 0 and codes without bit 31 are success; codes that are errors by name only show up as a success that
  // changed nothing, which the method's own tests see.
  if (call.interface == "IVolumeClient") findings_->Expect(true, {"DMRP-0581"}, "", [] { return ""; });
  if (call.interface == "IVolumeClient2") findings_->Expect(true, {"DMRP-1518"}, "", [] { return ""; });
  if (call.interface == "IVolumeClient3") findings_->Expect(true, {"DMRP-1533"}, "", [] { return ""; });
  if (call.interface == "IVolumeClient4") findings_->Expect(true, {"DMRP-1858"}, "", [] { return ""; });
  const bool named_error = (static_cast<std::uint32_t>(result) & 0xFFFFFF00U) == 0x41000000U;
  findings_->Expect(
      !named_error, {"DMRP-0027"}, "an HRESULT that stands for an error has its top bit set",
      [&] { return fmt::format("{:#x}; {}", static_cast<std::uint32_t>(result), call.text); }, call.number);
}

void RuleMonitor::CheckDisk(const CallFacts& call, Revision revision, const DISK_INFO_EX& disk) {
  auto text = [&] { return ToText(disk); };
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, text, call.number);
  };
  const bool third = revision == Revision::kIVolumeClient3;
  const bool empty = (disk.deviceState & DEVICESTATE_NO_MEDIA) != 0;
  expect((disk.length > 0 || (empty && disk.length == 0)) && disk.freeBytes >= 0 &&
             disk.freeBytes <= disk.length,
         {"DMRP-0588"}, "a disk has a length, unless its drive is empty, and no more free octets than that");
  if (third) {
    expect(disk.busType <= BUSTYPE_1394, {"DMRP-0189"}, "busType is one of the values listed");
    expect(disk.deviceType <= DEVICETYPE_DVD, {"DMRP-0187"}, "deviceType is one of the values listed");
    expect((disk.deviceState & ~kDeviceStateBits) == 0, {"DMRP-0023", "DMRP-0188"},
           "deviceState has defined bits only");
    expect((disk.dflags & ~kDiskFlagsThird) == 0, {"DMRP-0023", "DMRP-0186"}, "dflags has defined bits only");
    expect((disk.dflags & DISK_NEC98) == 0, {"DMRP-0215"}, "DISK_NEC98 is not returned");
    expect((disk.attributes & ~DEVICEATTR_RDONLY) == 0, {"DMRP-0190"},
           "attributes has DEVICEATTR_RDONLY or nothing");
    expect(disk.partitionStyle <= PARTITIONSTYLE_GPT, {"DMRP-0177"}, "partitionStyle is of PARTITIONSTYLE");
    expect(disk.mbr.has_value() == (disk.partitionStyle == PARTITIONSTYLE_MBR) &&
               disk.gpt.has_value() == (disk.partitionStyle == PARTITIONSTYLE_GPT),
           {"DMRP-0195"}, "the union has the arm that partitionStyle selects");
    expect(EndsWithNull(disk.name), {"DMRP-0203", "DMRP-0209"}, "name ends in a null");
    expect(EndsWithNull(disk.vendor), {"DMRP-0204", "DMRP-0210"}, "vendor ends in a null");
    expect(EndsWithNull(disk.dgid), {"DMRP-0205"}, "dgid ends in a null");
    expect(EndsWithNull(disk.adapterName), {"DMRP-0206", "DMRP-0212"}, "adapterName ends in a null");
    expect(EndsWithNull(disk.dgName), {"DMRP-0207"}, "dgName ends in a null");
    expect(EndsWithNull(disk.devInstId), {"DMRP-0208", "DMRP-0214"}, "devInstId ends in a null");
    expect(AtWork(disk.taskId, call), {"DMRP-0202", "DMRP-0497"}, "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0178", "DMRP-0179", "DMRP-0201"}, "");
  } else {
    expect(disk.busType <= BUSTYPE_1394, {"DMRP-0143"}, "busType is one of the values listed");
    expect(disk.deviceType <= DEVICETYPE_DVD, {"DMRP-0141"}, "deviceType is one of the values listed");
    expect((disk.deviceState & ~kDeviceStateBits) == 0, {"DMRP-0023", "DMRP-0142"},
           "deviceState has defined bits only");
    expect((disk.dflags & ~DISK_AUDIO_CD) == 0, {"DMRP-0023", "DMRP-0140"}, "dflags has defined bits only");
    expect((disk.dflags & DISK_NEC98) == 0, {"DMRP-0161"}, "DISK_NEC98 is not used");
    expect((disk.attributes & ~DEVICEATTR_RDONLY) == 0, {"DMRP-0144"},
           "attributes has DEVICEATTR_RDONLY or nothing");
    expect(EndsWithNull(disk.name), {"DMRP-0151", "DMRP-0156"}, "name ends in a null");
    expect(EndsWithNull(disk.vendor), {"DMRP-0152", "DMRP-0157"}, "vendor ends in a null");
    expect(EndsWithNull(disk.dgid), {"DMRP-0153"}, "dgid ends in a null");
    expect(EndsWithNull(disk.adapterName), {"DMRP-0154", "DMRP-0159"}, "adapterName ends in a null");
    expect(EndsWithNull(disk.dgName), {"DMRP-0155"}, "dgName ends in a null");
    expect(AtWork(disk.taskId, call), {"DMRP-0150", "DMRP-0497"}, "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0132", "DMRP-0133", "DMRP-0149"}, "");
  }
}

void RuleMonitor::SawDisks(const CallFacts& call, Revision revision, const std::vector<DISK_INFO_EX>& disks) {
  std::lock_guard lock(mutex_);
  std::set<LdmObjectId> seen;
  for (const DISK_INFO_EX& disk : disks) {
    CheckDisk(call, revision, disk);
    findings_->Expect(
        seen.insert(disk.id).second && disk.id != 0, {"DMRP-0043", "DMRP-0586"},
        "each disk is listed once under an id of its own",
        [&] { return fmt::format("disk {} in {}", disk.id, call.text); }, call.number);
    Alive(Kind::kDisk, disk.id, call);
    Rises(Kind::kDisk, disk.id, disk.lastKnownState, call.number);
    auto& last = last_disks_[revision];
    if (auto found = last.find(disk.id); found != last.end()) {
      DISK_INFO_EX same_state = disk;
      same_state.lastKnownState = found->second.lastKnownState;
      const bool changed = !(same_state == found->second);
      findings_->Expect(
          !changed || disk.lastKnownState > found->second.lastKnownState, {"DMRP-0494", "DMRP-0527"},
          "lastKnownState of a disk rises when the disk changes",
          [&] { return fmt::format("disk {}: {}", disk.id, DifferenceText(found->second, disk)); },
          call.number);
    }
    last[disk.id] = disk;
  }
}

void RuleMonitor::CheckRegion(const CallFacts& call, Revision revision, const REGION_INFO_EX& region) {
  auto text = [&] { return ToText(region); };
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, text, call.number);
  };
  const bool third = revision == Revision::kIVolumeClient3;
  expect(region.regionType <= REGION_REMOVABLE, {"DMRP-0033"}, "regionType is of REGIONTYPE");
  expect(region.status <= REGIONSTATUS_NEEDSRESYNC, {"DMRP-0038"}, "status is of REGIONSTATUS");
  if (third) {
    expect(region.partitionStyle <= PARTITIONSTYLE_GPT, {"DMRP-0177"}, "partitionStyle is of PARTITIONSTYLE");
    expect(region.mbr.has_value() == (region.partitionStyle == PARTITIONSTYLE_MBR) &&
               region.gpt.has_value() == (region.partitionStyle == PARTITIONSTYLE_GPT),
           {"DMRP-0227"}, "the union has the arm that partitionStyle selects");
    expect((region.rflags & ~kRegionFlagsThird) == 0, {"DMRP-0023", "DMRP-0236"},
           "rflags has defined bits only");
    expect(EndsWithNull(region.name), {"DMRP-0238", "DMRP-0239"}, "name ends in a null");
    expect(AtWork(region.taskId, call), {"DMRP-0235", "DMRP-0241", "DMRP-0497"},
           "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0218", "DMRP-0219", "DMRP-0233", "DMRP-0234"}, "");
    if (IsFree(region)) {
      expect(region.volId == 0 && region.fsId == 0, {"DMRP-0221", "DMRP-0222"},
             "free space has neither volume nor file system");
    }
  } else {
    expect((region.rflags & ~kRegionFlagsFirst) == 0, {"DMRP-0023", "DMRP-0175"},
           "rflags has defined bits only");
    expect(AtWork(region.taskId, call), {"DMRP-0174", "DMRP-0497", "DMRP-0600"},
           "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0162", "DMRP-0163", "DMRP-0172", "DMRP-0173"}, "");
    if (IsFree(region)) {
      expect(region.volId == 0 && region.fsId == 0, {"DMRP-0165", "DMRP-0166", "DMRP-0600"},
             "free space has neither volume nor file system");
      expect(region.currentPartitionNumber == 0, {"DMRP-0176"}, "free space has no partition number");
    }
  }
}

void RuleMonitor::SawRegions(const CallFacts& call, Revision revision, LdmObjectId disk,
                             const std::vector<REGION_INFO_EX>& regions) {
  std::lock_guard lock(mutex_);
  const bool third = revision == Revision::kIVolumeClient3;
  std::set<LdmObjectId> seen;
  std::int64_t last_start = -1;
  std::int64_t end_of_last = 0;
  std::int64_t end_of_extended = 0;
  for (const REGION_INFO_EX& region : regions) {
    CheckRegion(call, revision, region);
    auto text = [&] { return fmt::format("region {} of disk {}: {}", region.id, disk, ToText(region)); };
    if (third) {
      findings_->Expect(region.diskId == disk, {"DMRP-0220", "DMRP-0276"},
                        "diskId is the disk that was asked for", text, call.number);
      findings_->Expect(
          region.start > last_start || (region.start == last_start && last_start < end_of_extended),
          {"DMRP-1554"}, "regions ascend by their start", text, call.number);
    } else {
      findings_->Expect(region.diskId == disk, {"DMRP-0164", "DMRP-0276"},
                        "diskId is the disk that was asked for", text, call.number);
      findings_->Expect(
          region.start > last_start || (region.start == last_start && last_start < end_of_extended),
          {"DMRP-0599"}, "regions ascend by their start", text, call.number);
    }
    findings_->Expect(seen.insert(region.id).second && region.id != 0, {"DMRP-0043"},
                      "each region is listed once under an id of its own", text, call.number);
    const bool inside = region.start < end_of_extended;
    findings_->Expect(
        region.length > 0 && (region.start >= end_of_last || inside), {"DMRP-0597", "DMRP-1552"},
        "regions do not overlap, except those that lie in the extended partition", text, call.number);
    if (region.regionType == REGION_EXTENDED) end_of_extended = region.start + region.length;
    if (inside) {
      findings_->Expect(region.start + region.length <= end_of_extended, {"DMRP-0597", "DMRP-1552"},
                        "what begins in the extended partition ends there", text, call.number);
    } else {
      end_of_last = region.start + region.length;
    }
    last_start = region.start;
    Alive(Kind::kRegion, region.id, call);
    Rises(Kind::kRegion, region.id, region.lastKnownState, call.number);
    if (region.fsId != 0) Name(Kind::kFileSystem, region.fsId, call.number);
    auto& last = last_regions_[revision];
    if (auto found = last.find(region.id); found != last.end()) {
      REGION_INFO_EX same_state = region;
      same_state.lastKnownState = found->second.lastKnownState;
      const bool changed = !(same_state == found->second);
      findings_->Expect(
          !changed || region.lastKnownState > found->second.lastKnownState, {"DMRP-0494", "DMRP-0527"},
          "lastKnownState of a region rises when the region changes",
          [&] { return fmt::format("region {}: {}", region.id, DifferenceText(found->second, region)); },
          call.number);
    }
    last[region.id] = region;
  }
}

void RuleMonitor::SawView(const CallFacts& call, const StorageView& view) {
  for (const DISK_INFO_EX& disk : view.disks) {
    auto found = view.regions.find(disk.id);
    if (found == view.regions.end()) continue;
    const auto& regions = found->second;
    std::int64_t free = 0;
    for (const REGION_INFO_EX& region : regions) {
      if (IsFree(region)) free += region.length;
    }
    auto text = [&] {
      return fmt::format(
          "disk {}: regionCount {} and {} regions listed, freeBytes {} and {} octets in free regions",
          disk.id, disk.regionCount, regions.size(), disk.freeBytes, free);
    };
    if (view.seen_through == Revision::kIVolumeClient3) {
      findings_->Expect(disk.regionCount == regions.size(), {"DMRP-0185", "DMRP-1557"},
                        "regionCount is the number of regions", text, call.number);
      findings_->Expect(disk.freeBytes == free, {"DMRP-0181"},
                        "freeBytes is what the free regions have together", text, call.number);
    } else {
      findings_->Expect(disk.regionCount == regions.size(), {"DMRP-0139", "DMRP-0603"},
                        "regionCount is the number of regions", text, call.number);
      findings_->Expect(disk.freeBytes == free, {"DMRP-0135"},
                        "freeBytes is what the free regions have together", text, call.number);
    }
  }
  SawLinks(call, view);
}

void RuleMonitor::SawClient(const CallFacts& call, LdmObjectId client) {
  std::lock_guard lock(mutex_);
  findings_->Expect(
      client != 0 && !known_.contains(client), {"DMRP-0501", "DMRP-0503", "DMRP-1432"},
      "each client gets an id that was never used before", [&] { return call.text; }, call.number);
  Name(Kind::kClient, client, call.number);
}

void RuleMonitor::SawTask(const CallFacts& call, const TASK_INFO& task, HRESULT result, LdmObjectId client) {
  std::lock_guard lock(mutex_);
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, [&] { return call.text; }, call.number);
  };
  // A refused call may come back without a task: its parameters were refused before there was one.
  if (result < 0 && task.id == 0) return;
  expect(true, {"DMRP-0103", "DMRP-0116", "DMRP-0555"}, "");
  // Frames of the task may be here before the reply.
  auto seen = tasks_.find(task.id);
  const bool fresh = !known_.contains(task.id) || (seen != tasks_.end() && seen->second.method.empty() &&
                                                   seen->second.first_seen >= call.sent);
  expect(task.id != 0 && fresh, {"DMRP-0104", "DMRP-0117", "DMRP-0507", "DMRP-0509"},
         "tinfo.id is an identifier never used before");
  Name(Kind::kTask, task.id, call.number);
  if (result >= 0 && MayBeAsynchronous(call.method) && task.status == REQ_STARTED) {
    expect(task.id != 0 && fresh, {"DMRP-0565"}, "tinfo.id is an identifier never used before");
    CheckStartedTask(call, task, client);
    return;
  }
  expect(true, {"DMRP-0559"}, "");
  expect(task.id != 0 && fresh, {"DMRP-0556"}, "tinfo.id is an identifier never used before");
  expect(task.status <= REQ_FAILED, {"DMRP-0037"}, "tinfo.status is of REQSTATUS");
  expect(task.status != REQ_STARTED && task.status != REQ_IN_PROGRESS, {"DMRP-0551"},
         "a synchronous method reports no task that goes on");
  if (result < 0) {
    expect(task.status == REQ_FAILED, {"DMRP-0108", "DMRP-0557"}, "a failed task has status REQ_FAILED");
    expect(task.error < 0, {"DMRP-0110"}, "tinfo.error of a failed task is an error code");
  } else {
    expect(task.status == REQ_COMPLETED, {"DMRP-0108", "DMRP-0557"},
           "a successful task has status REQ_COMPLETED");
    expect(task.error == 0, {"DMRP-0110"}, "tinfo.error is 0 when the task succeeded");
  }
  expect(task.createTime == 0, {"DMRP-0111", "DMRP-0558"}, "createTime is 0");
  expect(task.tflag == 0, {"DMRP-0114", "DMRP-0558"}, "tflag is 0");
  expect(task.percentComplete <= 100, {"DMRP-0113"}, "percentComplete lies between 0 and 100");
  expect(task.percentComplete == 0 && task.type == PROGRESS_UNKNOWN, {"DMRP-0558"},
         "progress members of a synchronous task are 0");
  expect(task.clientID == 0 || task.clientID == client, {"DMRP-0106", "DMRP-0502"},
         "clientID is 0 or the caller's id");
  finished_tasks_[task.id] = task.status;
}

// Notifications
// -----------------------------------------------------------------------------------------------------

void RuleMonitor::SawNotification(const NotificationSink& sink, const ReceivedNotification& notification) {
  std::lock_guard lock(mutex_);
  auto stream = [&] { return ToHex(notification.stream); };
  findings_->Expect(notification.problems.empty(),
                    {"DMRP-0452", "DMRP-0453", "DMRP-0455", "DMRP-0456", "DMRP-0464", "DMRP-0467",
                     "DMRP-0468", "DMRP-0469", "DMRP-0470", "DMRP-0471", "DMRP-0472"},
                    "the byte stream is a row of whole frames",
                    [&] { return fmt::format("{}; stream {}", notification.problems.front(), stream()); });
  findings_->Expect(!notification.objects.empty(), {"DMRP-0453"}, "a stream holds one or more frames",
                    stream);
  auto& states = sink_states_[&sink];
  for (const ReceivedObject& object : notification.objects) {
    findings_->Expect(object.type > DMNOTIFY_UNKNOWN_INFO && object.type <= DMNOTIFY_SYSTEM_INFO,
                      {"DMRP-0248"}, "the type of a frame is one of those listed", stream);
    findings_->Expect(object.action > LDMACTION_UNKNOWN && object.action <= LDMACTION_FAILED, {"DMRP-0249"},
                      "the action of a frame is one of those listed", stream);
    std::optional<Kind> kind;
    switch (object.type) {
      case DMNOTIFY_DISK_INFO:
        kind = Kind::kDisk;
        break;
      case DMNOTIFY_REGION_INFO:
        kind = Kind::kRegion;
        break;
      case DMNOTIFY_FS_INFO:
        kind = Kind::kFileSystem;
        break;
      case DMNOTIFY_VOLUME_INFO:
        kind = Kind::kVolume;
        break;
      case DMNOTIFY_TASK_INFO:
        kind = Kind::kTask;
        break;
      default:
        break;
    }
    if (!kind && object.type != DMNOTIFY_DL_INFO) continue;
    if (kind) Name(*kind, object.id, 0);
    if (kind == Kind::kTask) {
      SawTaskFrame(sink, object, notification.received);
      continue;
    }
    // Letters are no identifiers: they are kept apart from those.
    const LdmObjectId key = kind ? object.id : -object.id;
    auto before = states.find(key);
    if (object.action == LDMACTION_MODIFIED && before != states.end()) {
      findings_->Expect(object.lastKnownState > before->second, {"DMRP-0494", "DMRP-0527"},
                        "a modified object has a greater lastKnownState than before", [&] {
                          return fmt::format("{}: {} after {}", object.ToString(), object.lastKnownState,
                                             before->second);
                        });
    }
    if (object.action == LDMACTION_CREATED) {
      findings_->Expect(before == states.end(), {"DMRP-0490", "DMRP-0525"}, "a new object has a new id",
                        [&] { return object.ToString() + " is known already"; });
    }
    if (object.action != LDMACTION_DELETED) states[key] = object.lastKnownState;
  }
}

namespace {

// Methods that give the members of a volume entries in the partition table, or take these away, have to
// modify the disks for it (3.2.4.4.3.32, 3.2.4.4.3.33), and no member of a disk tells of its entries.
bool ShowsInNoMember(const Mutation& mutation, const ObjectDifference& difference) {
  return difference.type == DMNOTIFY_DISK_INFO && (mutation.call.method == "CreatePartitionsForVolume" ||
                                                   mutation.call.method == "DeletePartitionsForVolume");
}

}  // namespace

void RuleMonitor::CompareWithSink(const Mutation& mutation, bool concurrent,
                                  const std::vector<ObjectDifference>& differences, NotificationSink& sink,
                                  std::uint64_t mark) {
  auto fits = [](const ObjectDifference& difference, const ReceivedObject& object) {
    return object.type == difference.type && object.id == difference.id && object.action == difference.action;
  };
  auto describes = [](const ObjectDifference& difference, const ReceivedObject& object) {
    return object.type == difference.type && object.id == difference.id &&
           (difference.action == LDMACTION_DELETED
                ? object.action == LDMACTION_DELETED
                : object.action == LDMACTION_CREATED || object.action == LDMACTION_MODIFIED);
  };
  auto complete = [&](const std::vector<ReceivedObject>& objects) {
    return std::ranges::all_of(differences, [&](const ObjectDifference& difference) {
      return std::ranges::any_of(objects,
                                 [&](const ReceivedObject& object) { return fits(difference, object); }) &&
             (difference.action == LDMACTION_DELETED ||
              std::ranges::any_of(objects, [&](const ReceivedObject& object) {
                return describes(difference, object) && object.lastKnownState == difference.state_after;
              }));
    });
  };
  // What is merely late is told apart from what never comes.
  sink.WaitUntil(complete, notification_limit_, mark);
  const std::vector<ReceivedNotification> notifications = sink.All();

  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement, const std::string& actual) {
    findings_->Expect(
        holds, ids, statement,
        [&] {
          return fmt::format("sink {} ({}): {}; {}", sink.name(), ToString(sink.revision()), actual,
                             mutation.call.text);
        },
        mutation.call.number);
  };
  for (const ObjectDifference& difference : differences) {
    // The object as the frames told of it last; where a task goes on meanwhile, the frame that belongs to the
    // state enumerated.
    const ReceivedObject* object = nullptr;
    const ReceivedNotification* carrier = nullptr;
    bool came = false;
    std::size_t told = 0;  // frames up to the state enumerated
    for (const ReceivedNotification& notification : notifications) {
      if (notification.number <= mark) continue;
      for (const ReceivedObject& each : notification.objects) {
        came = came || fits(difference, each);
        if (!describes(difference, each)) continue;
        if (each.lastKnownState <= difference.state_after) ++told;
        if (concurrent && object != nullptr && object->lastKnownState == difference.state_after) continue;
        object = &each;
        carrier = &notification;
      }
    }
    came = came && object != nullptr;
    expect(came, {"DMRP-0435", "DMRP-0505", "DMRP-0528"},
           "every change is notified to every registered client",
           difference.text + " without a notification");
    switch (difference.action) {
      case LDMACTION_CREATED:
        expect(came, {"DMRP-0529"}, "an added object is notified with LDMACTION_CREATED", difference.text);
        break;
      case LDMACTION_DELETED:
        expect(came, {"DMRP-0530"}, "a deleted object is notified with LDMACTION_DELETED", difference.text);
        break;
      default:
        expect(came, {"DMRP-0531"}, "a modified object is notified with LDMACTION_MODIFIED", difference.text);
        break;
    }
    if (concurrent && told == 1 && difference.action == LDMACTION_MODIFIED &&
        mutation.after.seen_through == Revision::kIVolumeClient3 && !ShowsInNoMember(mutation, difference)) {
      expect(difference.contents_changed, {"DMRP-0436"},
             "a modified object differs from before in some member", difference.text);
    }
    if (!came) continue;
    if (!concurrent) {
      expect(carrier->received <= mutation.call.replied, {"DMRP-0532"}, "notifications come before the reply",
             fmt::format("{} came {:.3f} ms after the reply", object->ToString(),
                         Milliseconds(carrier->received - mutation.call.replied)));
    }
    if (difference.action == LDMACTION_DELETED) continue;
    expect(object->lastKnownState == difference.state_after, {"DMRP-0436", "DMRP-0524"},
           "the last notification of an object has the lastKnownState that enumerations show",
           fmt::format("{}: {} in the notification, {} in the enumeration", object->ToString(),
                       object->lastKnownState, difference.state_after));
    if (object->disk && (!concurrent || object->lastKnownState == difference.state_after)) {
      if (const DISK_INFO_EX* listed = mutation.after.FindDisk(difference.id)) {
        const bool both_third = sink.revision() == Revision::kIVolumeClient3 &&
                                mutation.after.seen_through == Revision::kIVolumeClient3;
        expect(both_third ? *object->disk == *listed : Narrow(*object->disk) == Narrow(*listed),
               {"DMRP-0462"}, "a disk frame says what the enumeration says",
               DifferenceText(*object->disk, *listed));
      }
    }
    if (object->lastKnownState == difference.state_after) {
      if (const FILE_SYSTEM_INFO* listed = mutation.after.FindFileSystem(difference.id);
          object->file_system && listed != nullptr) {
        expect(*object->file_system == *listed, {"DMRP-0460"},
               "a file system frame says what the enumeration says",
               DifferenceText(*object->file_system, *listed));
      }
      if (const DRIVE_LETTER_INFO* listed = mutation.after.FindLetter(static_cast<char16_t>(difference.id));
          object->letter && listed != nullptr) {
        expect(*object->letter == *listed, {"DMRP-0459"},
               "a drive letter frame says what the enumeration says",
               DifferenceText(*object->letter, *listed));
      }
      if (const VOLUME_INFO* listed = mutation.after.FindVolume(difference.id);
          object->volume && listed != nullptr) {
        expect(*object->volume == *listed, {"DMRP-0457"}, "a volume frame says what the enumeration says",
               DifferenceText(*object->volume, *listed));
      }
    }
    if (concurrent && object->lastKnownState != difference.state_after) continue;
    if (object->region) {
      const REGION_INFO_EX* listed = mutation.after.FindRegion(difference.id);
      const bool both_third = sink.revision() == Revision::kIVolumeClient3 &&
                              mutation.after.seen_through == Revision::kIVolumeClient3;
      if (listed != nullptr && (both_third || (object->region->mbr && listed->mbr))) {
        expect(both_third ? *object->region == *listed : Narrow(*object->region) == Narrow(*listed),
               {"DMRP-0463"}, "a region frame says what the enumeration says",
               DifferenceText(*object->region, *listed));
      }
    }
  }
  if (concurrent) return;
  // The other way round: nothing is notified that did not happen.
  for (const ReceivedNotification& notification : notifications) {
    if (notification.number <= mark) continue;
    for (const ReceivedObject& object : notification.objects) {
      const auto listed_before = Listed(mutation.before, object);
      const auto listed_after = Listed(mutation.after, object);
      if (!listed_before || !listed_after) continue;
      const bool before = *listed_before;
      const bool after = *listed_after;
      switch (object.action) {
        case LDMACTION_CREATED:
          // Of a local event just before the call the list may tell sooner than the notification does.
          expect(!before || AppearedSince(object.id, mutation.last_call_before), {"DMRP-0435"},
                 "LDMACTION_CREATED is sent for objects that were not there", object.ToString());
          break;
        case LDMACTION_DELETED:
          expect(!after, {"DMRP-0435", "DMRP-0523"},
                 "LDMACTION_DELETED is sent for objects that are there no more", object.ToString());
          break;
        case LDMACTION_MODIFIED:
          expect(before || after, {"DMRP-0435"}, "LDMACTION_MODIFIED is sent for objects that exist",
                 object.ToString());
          break;
        default:
          break;
      }
    }
  }
}

void RuleMonitor::SawMutation(const Mutation& mutation) {
  const std::vector<ObjectDifference> differences = Compare(mutation.before, mutation.after);
  std::vector<std::shared_ptr<NotificationSink>> sinks;
  bool concurrent = mutation.asynchronous;
  {
    std::lock_guard lock(mutex_);
    sinks = sinks_;
    concurrent = concurrent || TasksRanDuring(mutation.call);
    for (const ObjectDifference& difference : differences) {
      auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
        findings_->Expect(
            holds, ids, statement, [&] { return difference.text + "; " + mutation.call.text; },
            mutation.call.number);
      };
      if (difference.action == LDMACTION_MODIFIED) {
        expect(difference.state_after > difference.state_before, {"DMRP-0494", "DMRP-0527"},
               "lastKnownState of a modified object is greater than before");
        // A task may have changed something and changed it back.
        if (mutation.before.seen_through == Revision::kIVolumeClient3 && !concurrent &&
            !ShowsInNoMember(mutation, difference)) {
          expect(difference.contents_changed, {"DMRP-0436"},
                 "a modified object differs from before in some member");
        }
      }
      if (difference.action == LDMACTION_DELETED && difference.type != DMNOTIFY_DL_INFO) {
        Known& known = known_[difference.id];
        known.gone = true;
        known.gone_since = std::chrono::steady_clock::now();
      }
      if (difference.action == LDMACTION_CREATED) expect(true, {"DMRP-0522", "DMRP-0525", "DMRP-0526"}, "");
    }
  }
  for (const auto& sink : sinks) {
    auto mark = mutation.marks.find(sink.get());
    if (mark != mutation.marks.end()) CompareWithSink(mutation, concurrent, differences, *sink, mark->second);
  }
}

void RuleMonitor::Finish() {
  FinishTasks();
  std::vector<std::shared_ptr<NotificationSink>> sinks;
  std::map<LdmObjectId, REQSTATUS> finished;
  {
    std::lock_guard lock(mutex_);
    sinks = all_sinks_;
    finished = finished_tasks_;
  }
  for (const auto& sink : sinks) {
    std::map<LdmObjectId, int> frames;
    for (const ReceivedObject& object : sink->Objects()) {
      if (object.type != DMNOTIFY_TASK_INFO || !finished.contains(object.id)) continue;
      // One completion notification with the status of the reply is allowed (3.2.4.3).
      const bool completion =
          object.task && object.task->status == finished[object.id] && ++frames[object.id] == 1;
      findings_->Expect(completion, {"DMRP-0439", "DMRP-0442"},
                        "no notification about a task follows its final status",
                        [&] { return object.ToString() + " " + object.object.dump(); });
    }
    if (!finished.empty())
      findings_->Expect(true, {"DMRP-0439", "DMRP-0442", "DMRP-0443"}, "", [] { return ""; });
  }
}

}  // namespace dmrp::harness
