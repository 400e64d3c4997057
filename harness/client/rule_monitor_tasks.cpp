// The rules of the rule monitor about asynchronous tasks, file systems and drive letters.
#include "dmrp/interfaces/print.hpp"
#include "harness/client/rule_monitor.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

using Clock = std::chrono::steady_clock;

// What a task does last may be told of just after its final frame.
constexpr std::chrono::milliseconds kAftermath{1000};
// "Not flooding the client" (3.2.4.3) has no number of its own. What Windows sends, one frame every ten
// percent (note 18) and the end, is none however fast the task is.
constexpr double kMostFramesPerSecond = 10;
constexpr double kFramesAtOnce = 12;

bool IsFinal(REQSTATUS status) {
  return status == REQ_COMPLETED || status == REQ_ABORTED || status == REQ_FAILED;
}

bool Formats(std::string_view method) {
  return method == "Format" || method.find("AndFormat") != std::string_view::npos;
}

}  // namespace

bool MayBeAsynchronous(std::string_view method) {
  static constexpr std::array<std::string_view, 8> kMethods = {"CreatePartitionAssignAndFormat",
                                                               "CreatePartitionAssignAndFormatEx",
                                                               "Format",
                                                               "CreateVolumeAssignAndFormat",
                                                               "CreateVolumeAssignAndFormatEx",
                                                               "ImportDiskGroup",
                                                               "UninitializeDisk",
                                                               "ReConnectDisk"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

bool RuleMonitor::AtWork(LdmObjectId task, const CallFacts& call) const {
  if (task == 0) return true;
  auto found = tasks_.find(task);
  return found != tasks_.end() &&
         (!found->second.final_seen || *found->second.final_seen + kAftermath > call.sent);
}

bool RuleMonitor::TasksRanDuring(const CallFacts& call) const {
  return std::ranges::any_of(tasks_, [&](const auto& entry) {
    return !entry.second.final_seen || *entry.second.final_seen + kAftermath > call.sent;
  });
}

// Tasks
// -------------------------------------------------------------------------------------------------------------

void RuleMonitor::CheckTask(const TASK_INFO& task, const Findings::Describe& text, std::uint64_t call) {
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, text, call);
  };
  expect(task.id != 0, {"DMRP-0104"}, "a task has an identifier");
  expect(task.createTime == 0, {"DMRP-0111"}, "createTime is 0");
  expect(task.tflag == 0, {"DMRP-0114"}, "tflag is 0");
  expect(task.percentComplete <= 100, {"DMRP-0113"}, "percentComplete lies between 0 and 100");
  expect(task.type <= PROGRESS_SYNCHING, {"DMRP-0119"}, "type is of DMPROGRESS_TYPE");
  auto client = known_.find(task.clientID);
  expect(task.clientID == 0 || (client != known_.end() && client->second.kind == Kind::kClient),
         {"DMRP-0106", "DMRP-0502"}, "clientID is 0 or the id of a client");
}

void RuleMonitor::CheckStartedTask(const CallFacts& call, const TASK_INFO& task, LdmObjectId client) {
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, [&] { return call.text; }, call.number);
  };
  expect(true, {"DMRP-0037", "DMRP-0108", "DMRP-0566", "DMRP-0568"}, "");
  expect(task.createTime == 0, {"DMRP-0111", "DMRP-0567"}, "createTime is 0");
  expect(task.tflag == 0, {"DMRP-0114", "DMRP-0567"}, "tflag is 0");
  expect(task.percentComplete == 0 && task.type == PROGRESS_UNKNOWN, {"DMRP-0567"},
         "progress members of the first reply are 0");
  expect(task.error == 0, {"DMRP-0110", "DMRP-0567"}, "error of a task that goes on is 0");
  expect(task.clientID == 0 || task.clientID == client, {"DMRP-0106", "DMRP-0502"},
         "clientID is 0 or the caller's id");
  Task& record = tasks_[task.id];
  record.method = call.method;
  record.call = call;
  record.sinks = sinks_;
}

void RuleMonitor::SawTaskFrame(const NotificationSink& sink, const ReceivedObject& object,
                               Clock::time_point received) {
  if (!object.task) return;
  const TASK_INFO& task = *object.task;
  auto text = [&] { return fmt::format("sink {}: {}", sink.name(), ToText(task)); };
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, text);
  };
  CheckTask(task, text, 0);
  expect(task.status > REQ_UNKNOWN && task.status <= REQ_FAILED, {"DMRP-0037", "DMRP-0108", "DMRP-0437"},
         "the status of a task frame is of REQSTATUS and tells something");
  expect((task.status == REQ_FAILED) == (task.error < 0), {"DMRP-0110", "DMRP-0443"},
         "error is an error code in a task that failed, and in no other");
  expect(true, {"DMRP-0458"}, "");
  Task& record = tasks_[task.id];
  if (!record.first_seen) record.first_seen = received;
  Trace& trace = traces_[&sink][task.id];
  expect(trace.finals == 0, {"DMRP-0442", "DMRP-0573"}, "nothing follows the final frame of a task");
  trace.last = received;
  if (IsFinal(task.status)) {
    expect(object.action == LDMACTION_MODIFIED, {"DMRP-0574"}, "a final frame has LDMACTION_MODIFIED");
    ++trace.finals;
    trace.final_status = task.status;
    if (!record.final_seen || received < *record.final_seen) record.final_seen = received;
    return;
  }
  ++trace.progress;
  expect(object.action == LDMACTION_MODIFIED, {"DMRP-0571"}, "a progress frame has LDMACTION_MODIFIED");
  expect(task.percentComplete >= trace.percent, {"DMRP-0107", "DMRP-0572"},
         "percentComplete of a task never falls");
  trace.percent = std::max(trace.percent, task.percentComplete);
  if (task.percentComplete == 0) return;
  if (record.method.empty()) return;
  expect(!Formats(record.method) || task.type == PROGRESS_FORMAT, {"DMRP-0109", "DMRP-0119"},
         "type of a format's progress is PROGRESS_FORMAT");
}

void RuleMonitor::SawTaskList(const CallFacts& call, const std::vector<TASK_INFO>& tasks) {
  std::vector<std::pair<LdmObjectId, std::shared_ptr<NotificationSink>>> missing;
  {
    std::lock_guard lock(mutex_);
    auto text = [&] { return call.text; };
    auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
      findings_->Expect(holds, ids, statement, text, call.number);
    };
    std::set<LdmObjectId> seen;
    for (const TASK_INFO& task : tasks) {
      CheckTask(task, text, call.number);
      Name(Kind::kTask, task.id, call.number);
      expect(seen.insert(task.id).second, {"DMRP-0117", "DMRP-1373"}, "each task is listed once");
      expect(task.status == REQ_STARTED || task.status == REQ_IN_PROGRESS, {"DMRP-1373", "DMRP-1375"},
             "a task in the list is one that runs");
      Task& record = tasks_[task.id];
      if (!record.first_seen) record.first_seen = call.sent;
      expect(!record.final_seen || *record.final_seen > call.sent, {"DMRP-0511", "DMRP-0576"},
             "a task is off the list once its final frame has come");
      expect(!finished_tasks_.contains(task.id), {"DMRP-0560"}, "synchronous tasks are not listed");
    }
    for (const auto& [id, record] : tasks_) {
      if (record.method.empty() || record.call.replied > call.sent || record.final_seen ||
          seen.contains(id) || record.sinks.empty()) {
        continue;
      }
      missing.emplace_back(id, record.sinks.front());
    }
  }
  // A task that is not listed has ended: its final frame is on its way.
  for (const auto& [id, sink] : missing) {
    const auto final_frame = sink->WaitFor(
        [id = id](const ReceivedObject& object) {
          return object.task && object.id == id && IsFinal(object.task->status);
        },
        notification_limit_);
    findings_->Expect(
        final_frame.has_value(), {"DMRP-0569", "DMRP-1373"}, "a task that runs is in the list",
        [&, id = id] { return fmt::format("task {}: {}", id, call.text); }, call.number);
  }
}

void RuleMonitor::SawTaskDetail(const CallFacts& call, LdmObjectId asked, const TASK_INFO& task) {
  std::lock_guard lock(mutex_);
  auto text = [&] { return call.text; };
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement) {
    findings_->Expect(holds, ids, statement, text, call.number);
  };
  CheckTask(task, text, call.number);
  expect(task.id == asked, {"DMRP-0508", "DMRP-1386"}, "the detail is of the task asked for");
  expect(task.status == REQ_STARTED || task.status == REQ_IN_PROGRESS, {"DMRP-1386"},
         "a task with details is one that runs");
  auto found = tasks_.find(task.id);
  expect(found != tasks_.end() && (!found->second.final_seen || *found->second.final_seen > call.sent),
         {"DMRP-0576", "DMRP-1383"}, "only tasks that run have details");
}

void RuleMonitor::FinishTasks() {
  std::map<LdmObjectId, Task> tasks;
  std::vector<std::shared_ptr<NotificationSink>> registered;
  {
    std::lock_guard lock(mutex_);
    tasks = tasks_;
    registered = sinks_;
  }
  for (const auto& [id, record] : tasks) {
    if (record.method.empty()) continue;
    auto ends = [id = id](const ReceivedObject& object) {
      return object.task && object.id == id && IsFinal(object.task->status);
    };
    // A task that nobody was told the end of may still run.
    if (!record.final_seen && std::ranges::none_of(record.sinks, [&](const auto& sink) {
          return std::ranges::any_of(sink->Objects(), ends);
        })) {
      continue;
    }
    bool progress = false;
    std::optional<REQSTATUS> status;
    std::vector<std::pair<std::shared_ptr<NotificationSink>, Trace>> told;
    for (const auto& sink : record.sinks) {
      if (std::ranges::find(registered, sink) == registered.end()) continue;
      sink->WaitFor(ends, notification_limit_);
      // What the sink has, since this monitor may not have been shown the latest yet.
      Trace trace;
      for (const ReceivedNotification& notification : sink->All()) {
        for (const ReceivedObject& object : notification.objects) {
          if (!object.task || object.id != id) continue;
          trace.last = notification.received;
          if (ends(object)) {
            ++trace.finals;
            trace.final_status = object.task->status;
          } else {
            ++trace.progress;
          }
        }
      }
      progress = progress || trace.progress > 0;
      told.emplace_back(sink, trace);
    }
    for (const auto& [sink, trace] : told) {
      auto text = [&, id = id, sink = sink.get(), count = trace.finals] {
        return fmt::format("sink {}: {} final frames of task {}; {}", sink->name(), count, id,
                           record.call.text);
      };
      findings_->Expect(trace.finals == 1, {"DMRP-0573", "DMRP-0505", "DMRP-0451", "DMRP-0118", "DMRP-0508"},
                        "every client gets one final frame of an asynchronous task, with the id of the reply",
                        text, record.call.number);
      findings_->Expect(
          !progress || trace.progress > 0, {"DMRP-0570"}, "progress of a task is told to every client",
          [&, sink = sink.get()] { return sink->name() + "; " + record.call.text; }, record.call.number);
      if (trace.finals > 0) {
        findings_->Expect(!status || *status == trace.final_status, {"DMRP-0575"},
                          "all clients are told the same outcome", text, record.call.number);
        status = trace.final_status;
      }
      const double seconds = std::chrono::duration<double>(trace.last - record.call.sent).count();
      const auto frames = static_cast<double>(trace.progress + trace.finals);
      findings_->Expect(
          frames <= kMostFramesPerSecond * seconds + kFramesAtOnce, {"DMRP-0553"},
          "progress frames do not flood the client",
          [&] { return fmt::format("{} frames in {:.1f} s; {}", frames, seconds, record.call.text); },
          record.call.number);
    }
  }
}

// File systems and drive letters
// ------------------------------------------------------------------------------------

void RuleMonitor::SawFileSystems(const CallFacts& call, const std::vector<FILE_SYSTEM_INFO>& file_systems) {
  std::lock_guard lock(mutex_);
  std::set<LdmObjectId> ids;
  std::set<LdmObjectId> storages;
  for (const FILE_SYSTEM_INFO& file_system : file_systems) {
    auto expect = [&](bool holds, Findings::Ids rules, std::string_view statement) {
      findings_->Expect(holds, rules, statement, [&] { return ToText(file_system); }, call.number);
    };
    expect(file_system.id != 0 && ids.insert(file_system.id).second, {"DMRP-0043", "DMRP-0082"},
           "each file system is listed once under an id of its own");
    expect(storages.insert(file_system.storageId).second, {"DMRP-0083", "DMRP-0871"},
           "a storage object has one file system object, never two");
    const std::int32_t type = file_system.fsType;
    expect((type >= FSTYPE_UNKNOWN && type <= FSTYPE_UDF) || type == FSTYPE_OTHER, {"DMRP-0090"},
           "fsType is one of the values listed");
    expect((file_system.fsflags & ~ENABLE_VOLUME_COMPRESSION) == 0, {"DMRP-0023", "DMRP-0087"},
           "fsflags has ENABLE_VOLUME_COMPRESSION or nothing");
    expect(!file_system.label || file_system.label->empty() || file_system.label->ends_with(u'\0'),
           {"DMRP-0091", "DMRP-0092"}, "cchLabel counts the terminating null of the label");
    expect(file_system.totalAllocationUnits >= 0 && file_system.availableAllocationUnits >= 0 &&
               file_system.availableAllocationUnits <= file_system.totalAllocationUnits,
           {"DMRP-0084", "DMRP-0085"}, "no more units are free than there are");
    const std::uint32_t unit = file_system.allocationUnitSize;
    expect(type < FSTYPE_NTFS || type > FSTYPE_FAT32 || (unit >= 512 && std::has_single_bit(unit)),
           {"DMRP-0086"}, "an allocation unit is a power of two of 512 octets or more");
    expect(AtWork(file_system.taskId, call), {"DMRP-0089"}, "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0081"}, "");
    Alive(Kind::kFileSystem, file_system.id, call);
    Rises(Kind::kFileSystem, file_system.id, file_system.lastKnownState, call.number);
    if (auto found = last_file_systems_.find(file_system.id); found != last_file_systems_.end()) {
      FILE_SYSTEM_INFO same_state = file_system;
      same_state.lastKnownState = found->second.lastKnownState;
      expect(same_state == found->second || file_system.lastKnownState > found->second.lastKnownState,
             {"DMRP-0088", "DMRP-0494", "DMRP-0527"},
             "lastKnownState of a file system rises when the file system changes");
    }
    last_file_systems_[file_system.id] = file_system;
  }
}

void RuleMonitor::SawInstalledFileSystems(const CallFacts& call,
                                          const std::vector<IFILE_SYSTEM_INFO>& installed) {
  std::set<std::int32_t> types;
  for (const IFILE_SYSTEM_INFO& each : installed) {
    auto expect = [&](bool holds, Findings::Ids rules, std::string_view statement) {
      findings_->Expect(holds, rules, statement, [&] { return ToText(each); }, call.number);
    };
    expect((each.fsType >= FSTYPE_UNKNOWN && each.fsType <= FSTYPE_UDF) || each.fsType == FSTYPE_OTHER,
           {"DMRP-0094"}, "fsType is one of the values listed");
    expect(types.insert(each.fsType).second, {"DMRP-0094", "DMRP-0882"}, "no type is listed twice");
    expect(std::ranges::find(each.fsName, u'\0') != each.fsName.end() && each.fsName.front() != u'\0',
           {"DMRP-0095"}, "fsName is a name with its terminating null");
    expect((each.fsFlags & ~FSF_FS_VALID_BITS) == 0, {"DMRP-0096", "DMRP-0101", "DMRP-0102"},
           "fsFlags has valid bits only");
    // The list of sizes for compression begins at 1 KiB, that of sizes at 512 octets.
    constexpr std::uint32_t kSizes = FSF_FS_ALLOC_SZ_512 | FSF_FS_ALLOC_SZ_1K | FSF_FS_ALLOC_SZ_2K |
                                     FSF_FS_ALLOC_SZ_4K | FSF_FS_ALLOC_SZ_8K | FSF_FS_ALLOC_SZ_16K |
                                     FSF_FS_ALLOC_SZ_32K | FSF_FS_ALLOC_SZ_64K | FSF_FS_ALLOC_SZ_128K |
                                     FSF_FS_ALLOC_SZ_256K | FSF_FS_ALLOC_SZ_OTHER;
    expect((each.fsCompressionFlags & ~(each.fsFlags & kSizes)) == 0, {"DMRP-0097"},
           "compression works with allocation units that the file system has");
    expect((each.fsCompressionFlags == 0) == ((each.fsFlags & FSF_FMT_OPTION_COMPRESS) == 0), {"DMRP-0097"},
           "sizes for compression are named by file systems with compression");
    expect(each.cchLabelLimit >= 0 && (each.cchLabelLimit > 0 || (each.fsFlags & FSF_FMT_OPTION_LABEL) == 0),
           {"DMRP-0098"}, "file systems with labels have a limit of their length");
    expect(true, {"DMRP-0093", "DMRP-0099"}, "");
  }
}

void RuleMonitor::SawDriveLetters(const CallFacts& call, const std::vector<DRIVE_LETTER_INFO>& letters) {
  std::lock_guard lock(mutex_);
  std::set<LdmObjectId> seen;
  for (const DRIVE_LETTER_INFO& letter : letters) {
    auto expect = [&](bool holds, Findings::Ids rules, std::string_view statement) {
      findings_->Expect(holds, rules, statement, [&] { return ToText(letter); }, call.number);
    };
    const LdmObjectId id = LetterId(letter.letter);
    expect(id >= 'A' && id <= 'Z', {"DMRP-0075"}, "a drive letter is a letter");
    expect(seen.insert(id).second, {"DMRP-0075"}, "each letter is listed once");
    expect(letter.isUsed == (letter.storageId != 0), {"DMRP-0076", "DMRP-0077"},
           "a letter in use names an object, a free one none");
    expect((letter.dlflags & ~DL_PENDING_REMOVAL) == 0, {"DMRP-0023", "DMRP-0080"},
           "dlflags has DL_PENDING_REMOVAL or nothing");
    expect(AtWork(letter.taskId, call), {"DMRP-0079"}, "taskId is 0 while no request is at work");
    expect(true, {"DMRP-0074"}, "");
    if (auto found = last_letters_.find(id); found != last_letters_.end()) {
      expect(letter.lastKnownState >= found->second.lastKnownState, {"DMRP-0078", "DMRP-0493", "DMRP-0494"},
             "lastKnownState of a drive letter never falls");
      DRIVE_LETTER_INFO same_state = letter;
      same_state.lastKnownState = found->second.lastKnownState;
      expect(same_state == found->second || letter.lastKnownState > found->second.lastKnownState,
             {"DMRP-0078", "DMRP-0494", "DMRP-0527"},
             "lastKnownState of a drive letter rises when the letter changes");
    }
    last_letters_[id] = letter;
  }
}

void RuleMonitor::SawLinks(const CallFacts& call, const StorageView& view) {
  const bool third = view.seen_through == Revision::kIVolumeClient3;
  auto expect = [&](bool holds, Findings::Ids ids, std::string_view statement, const std::string& text) {
    findings_->Expect(holds, ids, statement, [&] { return text; }, call.number);
  };
  SawLinksOfVolumes(call, view);
  auto has_volume = [&](LdmObjectId id) { return view.FindVolume(id) != nullptr; };
  if (view.file_systems) {
    for (const auto& [disk, regions] : view.regions) {
      for (const REGION_INFO_EX& region : regions) {
        if (region.fsId == 0) continue;
        const FILE_SYSTEM_INFO* file_system = view.FindFileSystem(region.fsId);
        const bool listed = file_system != nullptr;
        const std::string text = ToText(region);
        expect(listed, {"DMRP-0277", "DMRP-0487"}, "fsId of a region is the id of a file system listed",
               text);
        if (third) expect(listed, {"DMRP-0222"}, "fsId of a region is the id of a file system listed", text);
        if (!third) expect(listed, {"DMRP-0166"}, "fsId of a region is the id of a file system listed", text);
      }
    }
    for (const FILE_SYSTEM_INFO& file_system : *view.file_systems) {
      const REGION_INFO_EX* region = view.FindRegion(file_system.storageId);
      expect(region != nullptr ? region->fsId == file_system.id : has_volume(file_system.storageId),
             {"DMRP-0082", "DMRP-0083"}, "a file system lies on an object that names it",
             ToText(file_system) + (region == nullptr ? "" : "; " + ToText(*region)));
    }
  }
  if (!view.letters) return;
  for (const DRIVE_LETTER_INFO& letter : *view.letters) {
    if (!letter.isUsed) continue;
    expect(view.FindRegion(letter.storageId) != nullptr || view.FindDisk(letter.storageId) != nullptr ||
               has_volume(letter.storageId),
           {"DMRP-0076"}, "a letter in use names an object that exists", ToText(letter));
  }
}

}  // namespace dmrp::harness
