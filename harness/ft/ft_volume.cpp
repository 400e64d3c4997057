#include "harness/ft/ft_volume.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

constexpr std::uint64_t kUnit = 65536;
constexpr std::uint32_t kMirror = 0;
constexpr std::uint32_t kStripe = 1;
constexpr std::uint32_t kParity = 2;

std::uint64_t UsedOf(const FtRecordMember& member) {
  const FtRecordPartition& partition = member.partition;
  return partition.ft_length != 0 ? partition.ft_length : partition.length;
}

}  // namespace

FtVolumeView AsVolume(const FtRecordSet& set, const std::map<std::uint32_t, std::filesystem::path>& images,
                      FtMembers members) {
  FtVolumeView view;
  view.group.name = "ft";
  view.volume.name = fmt::format("{}-{}", set.type, set.group());
  for (const auto& [signature, image] : images) {
    DynamicMember disk;
    disk.name = fmt::format("{:08x}", signature);
    disk.present = true;
    disk.image = image;
    view.group.disks.push_back(std::move(disk));
  }
  std::ranges::sort(view.group.disks, {}, &DynamicMember::name);

  std::uint64_t smallest = set.members.empty() ? 0 : UsedOf(set.members.front());
  std::uint64_t sum = 0;
  for (const FtRecordMember& member : set.members) {
    smallest = std::min(smallest, UsedOf(member));
    sum += UsedOf(member);
  }
  const bool striped = set.type == kStripe || set.type == kParity;
  const std::uint64_t column = smallest / kUnit * kUnit;
  const std::uint64_t count = set.members.size();

  DynamicPlex plex;
  for (std::uint64_t place = 0; place < count; ++place) {
    const FtRecordMember& member = set.members[place];
    DynamicExtent extent;
    extent.name = fmt::format("member {}", place);
    extent.disk = fmt::format("{:08x}", member.partition.signature);
    extent.length = striped ? column : set.type == kMirror ? smallest : UsedOf(member);
    if (images.contains(member.partition.signature) && (members == FtMembers::kAll || member.state == 0)) {
      extent.start = member.partition.start;
    }
    if (striped) extent.column = place;
    plex.extents.push_back(std::move(extent));
    if (set.type == kMirror) view.volume.plexes.push_back(std::exchange(plex, {}));
  }
  switch (set.type) {
    case kMirror:
      view.volume.type = DynamicVolumeType::kMirrored;
      view.volume.size = smallest;
      return view;
    case kStripe:
      view.volume.type = DynamicVolumeType::kStriped;
      view.volume.size = column * count;
      plex.layout = DynamicPlex::Layout::kStripe;
      break;
    case kParity:
      view.volume.type = DynamicVolumeType::kRaid5;
      view.volume.size = column * (count - std::min<std::uint64_t>(count, 1));
      plex.layout = DynamicPlex::Layout::kRaid5;
      break;
    default:
      view.volume.type = DynamicVolumeType::kSpanned;
      view.volume.size = sum;
  }
  if (striped) plex.stripe = kUnit;
  view.volume.plexes.push_back(std::move(plex));
  return view;
}

}  // namespace dmrp::harness
