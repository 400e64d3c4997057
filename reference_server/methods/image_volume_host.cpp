#include "reference_server/methods/image_volume_host.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

bool SamePlaces(const std::vector<VolumeExtent>& left, const std::vector<VolumeExtent>& right) {
  return std::ranges::equal(left, right, [](const VolumeExtent& a, const VolumeExtent& b) {
    return a.device == b.device && a.offset == b.offset && a.length == b.length;
  });
}

// Whether a member of the map is one that was brought up to date since the volume is online.
bool IsRebuilt(const VolumeMap& online, const VolumeMap& map, std::size_t member) {
  return MemberCount(online) == MemberCount(map) &&
         MemberExtentState(online, member) == ExtentState::kOnline &&
         SamePlaces(MemberExtents(online, member), MemberExtents(map, member));
}

}  // namespace

Result<void> ImageVolumeHost::Activate(const VolumeMap& map) {
  if (const auto plan = PlanVolume(map); !plan) {
    return tl::unexpected(plan.error());
  }
  VolumeMap online = map;
  const auto known = online_.find(map.name);
  for (std::size_t i = 0; i < MemberCount(map); ++i) {
    if (MemberExtentState(map, i) != ExtentState::kStale) {
      continue;
    }
    if (known == online_.end() || !IsRebuilt(known->second, map, i)) {
      if (auto done = RebuildMember(online, i, open_); !done) {
        return done;
      }
    }
    SetMemberExtentState(online, i, ExtentState::kOnline);
  }
  online_.insert_or_assign(map.name, std::move(online));
  return {};
}

Result<void> ImageVolumeHost::Deactivate(const std::string& name, bool /*force*/) {
  online_.erase(name);
  return {};
}

std::vector<std::string> ImageVolumeHost::Active() {
  std::vector<std::string> names;
  for (const auto& [name, map] : online_) {
    names.push_back(name);
  }
  return names;
}

Result<VolumeStatus> ImageVolumeHost::Status(const std::string& name) {
  const auto found = online_.find(name);
  if (found == online_.end()) {
    return FailErrno("status of volume " + name, ENXIO);
  }
  VolumeStatus status;
  status.device.name = name;
  status.device.event = events_[name];
  status.length = found->second.length;
  for (std::size_t i = 0; i < MemberCount(found->second); ++i) {
    const bool online = MemberExtentState(found->second, i) == ExtentState::kOnline;
    status.members.push_back(online ? MemberState::kInSync : MemberState::kMissing);
  }
  return status;
}

Result<void> ImageVolumeHost::Resynchronise(const std::string& name) {
  const auto found = online_.find(name);
  if (found == online_.end()) {
    return FailErrno("synchronisation of volume " + name, ENXIO);
  }
  auto made = MakeMembersAlike(found->second, open_);
  if (made) {
    ++events_[name];
  }
  return made;
}

VolumeHost::Opener ImageVolumeHost::OpenerOf(const std::string& name, const DiskGeometry& geometry) {
  const auto found = online_.find(name);
  if (found == online_.end()) {
    return [name](bool) -> Result<std::unique_ptr<BlockDevice>> {
      return Fail(ErrorKind::kUnavailable, fmt::format("volume {} is not online", name));
    };
  }
  return [map = found->second, geometry, open = open_](bool writable) {
    return OpenSoftwareVolume(map, geometry, writable, open);
  };
}

}  // namespace dmrp::server
