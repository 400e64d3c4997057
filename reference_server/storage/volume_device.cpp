#include "reference_server/storage/volume_device.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/partition_use.hpp"
#include "reference_server/platform/ram_device.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace dmrp::server {
namespace {

/// For each member of a raid: a superblock and a bitmap of at most 2^21 regions.
constexpr std::uint64_t kRaidMemory = std::uint64_t{1} << 20;

/// How often an activation begins anew because members failed or were rebuilt meanwhile.
constexpr int kAttempts = 8;

/// How long a member that waits to be rebuilt may do so without the kernel beginning.
constexpr std::chrono::seconds kPatience{5};

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

/// The table of a raid: "raid1 3 0 rebuild 1 2 7:0 254:0 7:1 254:1".
struct RaidTable {
  std::set<std::size_t> rebuild;
  std::vector<std::string> devices;  ///< of the data; "-" where one is missing
  std::string type;
  std::string chunk;
};

std::optional<RaidTable> ParseRaidTable(const MappedTable& table) {
  if (table.size() != 1 || table.front().type != "raid") return std::nullopt;
  const std::vector<std::string> words = Words(table.front().arguments);
  if (words.size() < 4) return std::nullopt;
  const auto parameters = ParseDecimal(words[1]);
  if (!parameters || *parameters < 1 || *parameters > words.size() - 3) return std::nullopt;
  RaidTable raid{.rebuild = {}, .devices = {}, .type = words[0], .chunk = words[2]};
  const std::size_t behind = 2 + *parameters;
  for (std::size_t i = 3; i + 1 < behind; ++i) {
    if (words[i] != "rebuild") continue;
    if (const auto member = ParseDecimal(words[i + 1])) raid.rebuild.insert(*member);
  }
  for (std::size_t i = behind + 2; i < words.size(); i += 2) raid.devices.push_back(words[i]);
  return raid;
}

struct RaidStatus {
  std::vector<MemberState> members;
  std::string action;
  std::uint64_t done = 0;   ///< sectors
  std::uint64_t total = 0;  ///< sectors
};

/// "raid1 2 Aa 5248/81920 recover 0 0 -"
std::optional<RaidStatus> ParseRaidStatus(const MappedTable& status) {
  if (status.size() != 1 || status.front().type != "raid") return std::nullopt;
  const std::vector<std::string> words = Words(status.front().arguments);
  if (words.size() < 5) return std::nullopt;
  RaidStatus raid;
  for (const char c : words[2]) {
    switch (c) {
      case 'A':
        raid.members.push_back(MemberState::kInSync);
        break;
      case 'a':
        raid.members.push_back(MemberState::kRebuilding);
        break;
      case 'D':
        raid.members.push_back(MemberState::kFailed);
        break;
      default:
        raid.members.push_back(MemberState::kMissing);
        break;
    }
  }
  const auto slash = words[3].find('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto done = ParseDecimal(std::string_view(words[3]).substr(0, slash));
  const auto total = ParseDecimal(std::string_view(words[3]).substr(slash + 1));
  if (!done || !total) return std::nullopt;
  raid.done = *done;
  raid.total = *total;
  raid.action = words[4];
  return raid;
}

std::optional<std::string> DeviceNumber(const std::filesystem::path& node) {
  struct stat info{};
  if (::stat(node.c_str(), &info) != 0 || !S_ISBLK(info.st_mode)) return std::nullopt;
  return fmt::format("{}:{}", gnu_dev_major(info.st_rdev), gnu_dev_minor(info.st_rdev));
}

/// The size of a device's sectors in octets; 0 when it cannot be asked.
std::uint32_t LogicalSector(const std::filesystem::path& node) {
  const FileDescriptor fd(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
  int size = 0;
  return fd && ::ioctl(fd.Get(), BLKSSZGET, &size) == 0 ? static_cast<std::uint32_t>(size) : 0;
}

/// The table with "major:minor" for every "@name" and device node, as the kernel tells it afterwards; "#0"
/// and the like stay.
Result<MappedTable> Resolved(const DeviceMapper& mapper, const MappedTable& table) {
  MappedTable resolved = table;
  for (MappedTarget& target : resolved) {
    std::string arguments;
    for (const std::string& word : Words(target.arguments)) {
      std::string number = word;
      if (word.starts_with('@')) {
        const auto device = mapper.Find(word.substr(1));
        if (!device) return tl::unexpected(device.error());
        number = device->Number();
      } else if (word.starts_with('/')) {
        auto known = DeviceNumber(word);
        if (!known) return Fail(ErrorKind::kUnavailable, fmt::format("{} is no block device", word), ENODEV);
        number = std::move(*known);
      }
      arguments += (arguments.empty() ? "" : " ") + number;
    }
    target.arguments = std::move(arguments);
  }
  return resolved;
}

/// What the raid keeps about its members while it runs. Without it the kernel would take the members for ones
/// whose state another program keeps, and wait for that one for ever when a member fails. The disks have no
/// place for it, so it lies in memory; a raid over nothing but zeros of the same shape, all of whose members
/// are in sync, fills it in.
Result<std::vector<RamDevice>> MakeRaidMemory(const DeviceMapper& mapper, const std::string& name,
                                              std::uint64_t sectors, const RaidTable& raid) {
  const std::size_t count = raid.devices.size();
  std::vector<RamDevice> memory;
  for (std::size_t i = 0; i < count; ++i) {
    auto made = RamDevice::Make(kRaidMemory);
    if (!made) return tl::unexpected(made.error());
    memory.push_back(std::move(*made));
  }
  const std::uint64_t member = raid.type == "raid1" ? sectors : sectors / (count - 1);
  const std::string zero_name = name + ".zero";
  const std::string blank_name = name + ".blank";
  for (const std::string& left : {blank_name, zero_name}) std::ignore = mapper.Remove(left);
  const auto zero =
      mapper.Create(zero_name, {}, {{.start = 0, .length = member, .type = "zero", .arguments = {}}});
  if (!zero) return tl::unexpected(zero.error());
  std::string arguments = fmt::format("{} 2 {} nosync {}", raid.type, raid.chunk, count);
  for (const RamDevice& device : memory) {
    arguments += fmt::format(" {} {}", device.Node().string(), zero->Number());
  }
  const auto blank = mapper.Create(
      blank_name, {}, {{.start = 0, .length = sectors, .type = "raid", .arguments = std::move(arguments)}});
  const auto blank_removed = blank ? mapper.Remove(blank_name) : Result<void>{};
  const auto zero_removed = mapper.Remove(zero_name);
  if (!blank) return tl::unexpected(blank.error());
  if (!blank_removed) return tl::unexpected(blank_removed.error());
  if (!zero_removed) return tl::unexpected(zero_removed.error());
  return memory;
}

/// Puts the nodes of the memory in the place of "#0", "#1" and so on.
void NameRaidMemory(MappedTarget& target, const std::vector<RamDevice>& memory) {
  std::string arguments;
  for (const std::string& word : Words(target.arguments)) {
    std::size_t member = memory.size();
    if (word.starts_with('#')) member = ParseDecimal(std::string_view(word).substr(1)).value_or(member);
    arguments += arguments.empty() ? "" : " ";
    arguments += member < memory.size() ? memory[member].Node().string() : word;
  }
  target.arguments = std::move(arguments);
}

/// Where a part begins: "8:16 63".
std::optional<std::string> FirstOctets(const std::map<std::string, MappedTable>& parts,
                                       const std::string& number) {
  const auto part = parts.find(number);
  if (part == parts.end() || part->second.empty()) return std::nullopt;
  const MappedTarget& target = part->second.front();
  const std::vector<std::string> words = Words(target.arguments);
  const std::size_t at = target.type == "striped" ? 2 : 0;
  if (words.size() < at + 2) return std::nullopt;
  if (parts.contains(words[at])) return FirstOctets(parts, words[at]);
  return words[at] + " " + words[at + 1];
}

bool IsMissing(const Error& error) { return error.kind == ErrorKind::kSystem && error.status == ENXIO; }

}  // namespace

bool VolumeStatus::Has(MemberState state) const { return std::ranges::find(members, state) != members.end(); }

Result<std::vector<std::string>> VolumeDevices::Parts(const std::string& name) const {
  return mapper_.List(name + ".");
}

Result<std::vector<std::string>> VolumeDevices::List() const {
  auto names = mapper_.List("dmrp-");
  if (names) std::erase_if(*names, [](const std::string& name) { return name.find('.') != name.npos; });
  return names;
}

void VolumeDevices::RemoveParts(const std::string& name, const VolumePlan& except) const {
  auto parts = Parts(name);
  if (!parts) return;
  std::erase_if(*parts, [&](const std::string& part) {
    return std::ranges::any_of(except, [&](const PlannedDevice& planned) { return planned.name == part; });
  });
  // A plex may stand on its columns: each round frees the next.
  for (std::size_t round = 0, before = 0; !parts->empty() && parts->size() != before && round < 4; ++round) {
    before = parts->size();
    std::erase_if(*parts, [&](const std::string& part) { return mapper_.Remove(part).has_value(); });
  }
}

Result<VolumeMap> VolumeDevices::KeepWhatTheDeviceKnows(const VolumeMap& map,
                                                        const std::vector<MemberState>& members) const {
  const auto table = mapper_.Table(map.name);
  if (!table) return tl::unexpected(table.error());
  const auto running = ParseRaidTable(*table);
  if (!running || running->devices.size() != members.size()) return map;
  const auto names = Parts(map.name);
  if (!names) return tl::unexpected(names.error());
  std::map<std::string, MappedTable> parts;
  for (const std::string& name : *names) {
    const auto device = mapper_.Find(name);
    auto part = mapper_.Table(name);
    if (device && part) parts[device->Number()] = std::move(*part);
  }

  VolumeMap kept = map;
  for (std::size_t member = 0; member < MemberCount(map); ++member) {
    const ExtentState wanted = MemberExtentState(map, member);
    const std::vector<VolumeExtent> extents = MemberExtents(map, member);
    if (wanted == ExtentState::kMissing || extents.empty()) continue;
    const auto number = DeviceNumber(extents.front().device);
    if (!number) continue;
    const std::string first = fmt::format("{} {}", *number, extents.front().offset / kMapperSector);
    for (std::size_t i = 0; i < running->devices.size(); ++i) {
      if (FirstOctets(parts, running->devices[i]) != first) continue;
      if (wanted == ExtentState::kOnline && members[i] == MemberState::kFailed) {
        SetMemberExtentState(kept, member, ExtentState::kMissing);
      } else if (wanted == ExtentState::kOnline && members[i] == MemberState::kRebuilding) {
        SetMemberExtentState(kept, member, ExtentState::kStale);
      } else if (wanted == ExtentState::kStale && members[i] == MemberState::kInSync &&
                 running->rebuild.contains(i)) {
        SetMemberExtentState(kept, member, ExtentState::kOnline);
      }
    }
  }
  return kept;
}

Result<bool> VolumeDevices::IsAsPlanned(const PlannedDevice& planned) const {
  const auto running = mapper_.Table(planned.name);
  if (!running) return tl::unexpected(running.error());
  const auto wanted = Resolved(mapper_, planned.table);
  if (!wanted) return false;
  const auto wanted_raid = ParseRaidTable(*wanted);
  const auto running_raid = ParseRaidTable(*running);
  if (!wanted_raid || !running_raid) return *wanted == *running;
  if (std::tie(wanted_raid->type, wanted_raid->chunk, wanted_raid->devices) !=
          std::tie(running_raid->type, running_raid->chunk, running_raid->devices) ||
      wanted->front().length != running->front().length) {
    return false;
  }
  const auto answer = mapper_.Status(planned.name);
  if (!answer) return tl::unexpected(answer.error());
  const auto status = ParseRaidStatus(*answer);
  if (!status || status->members.size() != wanted_raid->devices.size()) return false;
  for (std::size_t i = 0; i < status->members.size(); ++i) {
    const MemberState fits = wanted_raid->devices[i] == "-"     ? MemberState::kMissing
                             : wanted_raid->rebuild.contains(i) ? MemberState::kRebuilding
                                                                : MemberState::kInSync;
    if (status->members[i] != fits) return false;
  }
  return true;
}

Result<MappedDevice> VolumeDevices::Activate(const VolumeMap& map) const {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto device = TryActivate(map);
    if (!device) return tl::unexpected(device.error());
    if (*device) return std::move(**device);
  }
  return Fail(ErrorKind::kUnavailable,
              fmt::format("the members of {} change faster than its device", map.name));
}

Result<std::optional<MappedDevice>> VolumeDevices::TryActivate(const VolumeMap& map) const {
  const auto present = mapper_.Find(map.name);
  if (!present && !IsMissing(present.error())) return tl::unexpected(present.error());
  const bool runs = present && present->active;
  const auto before = runs ? Status(map.name) : Result<VolumeStatus>(VolumeStatus{});
  if (!before) return tl::unexpected(before.error());
  const auto kept = runs ? KeepWhatTheDeviceKnows(map, before->members) : Result<VolumeMap>(map);
  if (!kept) return tl::unexpected(kept.error());
  const auto plan = PlanVolume(*kept);
  if (!plan) return tl::unexpected(plan.error());
  if (runs && present->openCount > 0) {
    const std::uint32_t sector = LogicalSector(present->Node());
    for (const VolumePlex& plex : kept->plexes) {
      for (const VolumeColumn& column : plex.columns) {
        for (const VolumeExtent& extent : column) {
          if (extent.state == ExtentState::kMissing || LogicalSector(extent.device) <= sector) continue;
          return Fail(ErrorKind::kUnsupported, fmt::format("{} has bigger sectors than {}, which is in use",
                                                           extent.device.string(), map.name));
        }
      }
    }
  }

  const auto undo = [&](const Error& error) {
    // Parts that the running table stands on are in use and so stay.
    RemoveParts(map.name, {});
    return tl::unexpected(error);
  };
  for (std::size_t i = 0; i + 1 < plan->size(); ++i) {
    const PlannedDevice& part = (*plan)[i];
    const auto table = Resolved(mapper_, part.table);
    if (!table) return undo(table.error());
    if (mapper_.Find(part.name)) {
      const auto running = mapper_.Table(part.name);
      if (running && *running == *table) continue;
      if (auto removed = mapper_.Remove(part.name); !removed) return undo(removed.error());
    }
    const auto made = mapper_.Create(part.name, "DMRP-" + part.name.substr(5), *table, map.readOnly);
    if (!made) return undo(made.error());
  }
  const PlannedDevice& whole = plan->back();
  if (runs) {
    const auto same = IsAsPlanned(whole);
    if (!same) return undo(same.error());
    if (*same) {
      RemoveParts(map.name, *plan);
      return *present;
    }
  }
  auto table = Resolved(mapper_, whole.table);
  if (!table) return undo(table.error());
  std::vector<RamDevice> memory;
  if (const auto raid = ParseRaidTable(*table)) {
    auto made = MakeRaidMemory(mapper_, map.name, table->front().length, *raid);
    if (!made) return undo(made.error());
    memory = std::move(*made);
    NameRaidMemory(table->front(), memory);
  }
  if (!present) {
    auto made = mapper_.Create(whole.name, "DMRP-" + whole.name.substr(5), *table, map.readOnly);
    if (!made) return undo(made.error());
    RemoveParts(map.name, *plan);
    return std::move(*made);
  }
  // A member that fails between the first look and this one would be trusted by the new table.
  const auto still = [&] {
    const auto now = runs ? Status(map.name) : before;
    return now && now->members == before->members;
  };
  auto device = mapper_.Replace(whole.name, *table, map.readOnly, still);
  if (!device) return undo(device.error());
  RemoveParts(map.name, *device ? *plan : VolumePlan{});
  return device;
}

Result<void> VolumeDevices::Deactivate(const std::string& name) const {
  const auto device = mapper_.Find(name);
  if (device) {
    if (auto removed = mapper_.Remove(name); !removed) {
      Error error = removed.error();
      const auto use = FindUse(device->Node().filename().string());
      if (error.status == EBUSY && use && use->InUse()) error.message += " (" + use->ToString() + ")";
      return tl::unexpected(std::move(error));
    }
  } else if (!IsMissing(device.error())) {
    return tl::unexpected(device.error());
  }
  RemoveParts(name, {});
  const auto left = Parts(name);
  if (!left) return tl::unexpected(left.error());
  if (!left->empty()) {
    return Fail(ErrorKind::kSystem, fmt::format("{}, a part of {}, is in use", left->front(), name), EBUSY);
  }
  return {};
}

Result<VolumeStatus> VolumeDevices::Status(const std::string& name) const {
  // The event number of before the look: what happens meanwhile is new to a wait that starts from this.
  auto device = mapper_.Find(name);
  if (!device) return tl::unexpected(device.error());
  const auto answer = mapper_.Status(name);
  if (!answer) return tl::unexpected(answer.error());
  VolumeStatus status;
  status.device = std::move(*device);
  for (const MappedTarget& target : *answer) status.length += target.length * kMapperSector;
  const auto raid = ParseRaidStatus(*answer);
  if (!raid) return status;
  status.members = raid->members;
  status.syncedBytes = raid->done * kMapperSector;
  status.syncBytes = raid->total * kMapperSector;
  if (raid->action == "recover") {
    status.sync = SyncKind::kRebuild;
  } else if (raid->action == "resync" || raid->action == "repair") {
    status.sync = SyncKind::kResync;
  }
  return status;
}

Result<void> VolumeDevices::Resynchronise(const std::string& name) const {
  const auto status = mapper_.Status(name);
  if (!status) return tl::unexpected(status.error());
  if (!ParseRaidStatus(*status)) {
    return Fail(ErrorKind::kUsage, fmt::format("{} has no redundancy to synchronise", name));
  }
  return mapper_.Message(name, "repair");
}

SyncWatch::Standing SyncWatch::Look(const VolumeStatus& status, std::chrono::steady_clock::time_point now) {
  const std::ptrdiff_t taking_part = std::ranges::count_if(status.members, [](MemberState state) {
    return state == MemberState::kInSync || state == MemberState::kRebuilding;
  });
  if (!first_ || status.sync != SyncKind::kNone) working_ = now;
  if (!first_) first_ = {.event = status.device.event, .taking_part = taking_part};
  if (status.sync != SyncKind::kNone) return Standing::kGoingOn;
  if (taking_part < first_->taking_part) return Standing::kGivenUp;
  if (!status.Has(MemberState::kRebuilding)) return Standing::kDone;
  // Between its start and its first block the kernel calls a rebuild idle, too.
  const bool given_up = status.device.event != first_->event || now - working_ > kPatience;
  return given_up ? Standing::kGivenUp : Standing::kGoingOn;
}

Result<VolumeStatus> VolumeDevices::WaitSynchronised(const std::string& name,
                                                     const std::function<void(const VolumeStatus&)>& progress,
                                                     std::chrono::milliseconds deadline,
                                                     const std::stop_token& stop) const {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + deadline;
  SyncWatch watch;
  while (true) {
    auto status = Status(name);
    if (!status) return status;
    if (progress) progress(*status);
    const Clock::time_point now = Clock::now();
    if (watch.Look(*status, now) != SyncWatch::Standing::kGoingOn || now >= end || stop.stop_requested()) {
      return status;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now);
    const auto event = mapper_.WaitEvent(name, status->device.event, std::min(left, kSyncLook), stop);
    if (!event) return tl::unexpected(event.error());
  }
}

Result<VolumeStatus> VolumeDevices::WaitChange(const VolumeStatus& seen, std::chrono::milliseconds deadline,
                                               const std::stop_token& stop) const {
  const auto event = mapper_.WaitEvent(seen.device.name, seen.device.event, deadline, stop);
  if (!event) return tl::unexpected(event.error());
  return Status(seen.device.name);
}

}  // namespace dmrp::server
