#include "harness/layout/dynamic_layout.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

template <typename T>
const T* FindByName(const std::vector<T>& values, std::string_view name) {
  const auto found = std::ranges::find(values, name, &T::name);
  return found == values.end() ? nullptr : &*found;
}

/// Collects the points in which two accounts differ.
class Comparison {
 public:
  Comparison(const std::string& one, const std::string& other) : one_(one), other_(other) {}

  template <typename T>
  void Same(const std::string& what, const T& one, const T& other) {
    if (one == other) return;
    dissents.push_back(fmt::format("{}: {} says {}, {} says {}", what, one_, Text(one), other_, Text(other)));
  }
  template <typename T>
  void Presence(const std::string& what, const std::vector<T>& one, const std::vector<T>& other) {
    for (const T& each : one) {
      if (!FindByName(other, each.name))
        dissents.push_back(fmt::format("{} {}: {} has none", what, each.name, other_));
    }
    for (const T& each : other) {
      if (!FindByName(one, each.name))
        dissents.push_back(fmt::format("{} {}: {} has none", what, each.name, one_));
    }
  }

  std::vector<std::string> dissents;

 private:
  static std::string Text(const std::string& text) { return '"' + text + '"'; }
  static std::string Text(std::string_view text) { return Text(std::string(text)); }
  static std::string Text(bool value) { return value ? "yes" : "no"; }
  static std::string Text(std::uint64_t value) { return std::to_string(value); }
  static std::string Text(const Guid& guid) { return guid.ToString(); }

  std::string one_, other_;
};

std::string ExtentText(const DynamicExtent& extent) {
  return fmt::format("{} on {} at {} + {}", extent.name, extent.disk, extent.public_start, extent.length);
}

std::string ExtentsText(const DynamicPlex& plex, bool ordered) {
  std::vector<std::string> texts;
  for (const DynamicExtent& extent : plex.extents) texts.push_back(ExtentText(extent));
  if (!ordered) std::ranges::sort(texts);
  return fmt::format("{} stripe {}: {}", static_cast<int>(plex.layout), plex.stripe, fmt::join(texts, ", "));
}

/// A mirror's legs have no order of their own; a span's members have one that libldm does not always keep.
std::string PlexesText(const DynamicVolume& volume) {
  const bool ordered = volume.type == DynamicVolumeType::kStriped || volume.type == DynamicVolumeType::kRaid5;
  std::vector<std::string> texts;
  for (const DynamicPlex& plex : volume.plexes) texts.push_back(ExtentsText(plex, ordered));
  std::ranges::sort(texts);
  return fmt::format("{}", fmt::join(texts, "; "));
}

void CompareDisks(Comparison& comparison, const DynamicMember& one, const DynamicMember& other) {
  const std::string name = "disk " + one.name;
  comparison.Same(name + ", GUID", one.guid, other.guid);
  comparison.Same(name + ", present", one.present, other.present);
  if (!one.present || !other.present) return;
  comparison.Same(name + ", image", one.image.string(), other.image.string());
  comparison.Same(name + ", start of its data", one.data_start, other.data_start);
  comparison.Same(name + ", length of its data", one.data_length, other.data_length);
  comparison.Same(name + ", start of its metadata", one.metadata_start, other.metadata_start);
  comparison.Same(name + ", length of its metadata", one.metadata_length, other.metadata_length);
}

void CompareVolumes(Comparison& comparison, const DynamicVolume& one, const DynamicVolume& other) {
  const std::string name = "volume " + one.name;
  comparison.Same(name + ", GUID", one.guid, other.guid);
  comparison.Same(name + ", type", DynamicVolumeTypeName(one.type), DynamicVolumeTypeName(other.type));
  comparison.Same(name + ", size", one.size, other.size);
  comparison.Same(name + ", hint", one.hint.value_or(""), other.hint.value_or(""));
  comparison.Same(name + ", members", PlexesText(one), PlexesText(other));
}

nlohmann::json ToJson(const DynamicExtent& extent) {
  nlohmann::json json{{"name", extent.name},
                      {"disk", extent.disk},
                      {"public_start", extent.public_start},
                      {"length", extent.length},
                      {"column", extent.column}};
  if (extent.start) json["start"] = *extent.start;
  if (extent.flags) json["flags"] = *extent.flags;
  return json;
}

nlohmann::json ToJson(const DynamicVolume& volume) {
  nlohmann::json plexes = nlohmann::json::array();
  for (const DynamicPlex& plex : volume.plexes) {
    nlohmann::json extents = nlohmann::json::array();
    for (const DynamicExtent& extent : plex.extents) extents.push_back(ToJson(extent));
    plexes.push_back({{"stripe", plex.stripe}, {"state", plex.state}, {"extents", std::move(extents)}});
  }
  nlohmann::json json{{"name", volume.name},
                      {"guid", volume.guid.ToString()},
                      {"type", DynamicVolumeTypeName(volume.type)},
                      {"size", volume.size},
                      {"plexes", std::move(plexes)}};
  if (volume.hint) json["hint"] = *volume.hint;
  if (volume.state) json["state"] = *volume.state;
  if (volume.flags) json["flags"] = *volume.flags;
  return json;
}

nlohmann::json ToJson(const DynamicMember& disk) {
  nlohmann::json json{{"name", disk.name}, {"guid", disk.guid.ToString()}, {"present", disk.present}};
  if (disk.present) {
    json.update({{"image", disk.image.string()},
                 {"data_start", disk.data_start},
                 {"data_length", disk.data_length},
                 {"metadata_start", disk.metadata_start},
                 {"metadata_length", disk.metadata_length}});
  }
  if (disk.stale) json["stale"] = *disk.stale;
  if (disk.flags) json["flags"] = *disk.flags;
  if (disk.record) json["record"] = *disk.record;
  return json;
}

}  // namespace

std::string_view DynamicVolumeTypeName(DynamicVolumeType type) {
  switch (type) {
    case DynamicVolumeType::kSimple:
      return "simple";
    case DynamicVolumeType::kSpanned:
      return "spanned";
    case DynamicVolumeType::kStriped:
      return "striped";
    case DynamicVolumeType::kMirrored:
      return "mirrored";
    case DynamicVolumeType::kRaid5:
      return "raid5";
  }
  return "?";
}

const DynamicMember* DynamicGroup::FindDisk(std::string_view name) const& { return FindByName(disks, name); }

const DynamicVolume* DynamicGroup::FindVolume(std::string_view name) const& {
  return FindByName(volumes, name);
}

const DynamicGroup* DynamicLayout::FindGroup(const Guid& guid) const& {
  const auto found = std::ranges::find(groups, guid, &DynamicGroup::guid);
  return found == groups.end() ? nullptr : &*found;
}

const DynamicVolume* DynamicLayout::FindVolume(const Guid& guid) const& {
  for (const DynamicGroup& group : groups) {
    const auto found = std::ranges::find(group.volumes, guid, &DynamicVolume::guid);
    if (found != group.volumes.end()) return &*found;
  }
  return nullptr;
}

std::vector<std::string> Dissents(const DynamicLayout& one, const DynamicLayout& other) {
  Comparison comparison(one.reader, other.reader);
  for (const DynamicGroup& group : other.groups) {
    if (!one.FindGroup(group.guid)) {
      comparison.dissents.push_back(fmt::format("group {}: {} has none", group.name, one.reader));
    }
  }
  for (const DynamicGroup& group : one.groups) {
    const DynamicGroup* twin = other.FindGroup(group.guid);
    if (twin == nullptr) {
      comparison.dissents.push_back(fmt::format("group {}: {} has none", group.name, other.reader));
      continue;
    }
    comparison.Same("group " + group.guid.ToString() + ", name", group.name, twin->name);
    comparison.Presence("disk", group.disks, twin->disks);
    comparison.Presence("volume", group.volumes, twin->volumes);
    for (const DynamicMember& disk : group.disks) {
      if (const DynamicMember* match = twin->FindDisk(disk.name)) CompareDisks(comparison, disk, *match);
    }
    for (const DynamicVolume& volume : group.volumes) {
      if (const DynamicVolume* match = twin->FindVolume(volume.name))
        CompareVolumes(comparison, volume, *match);
    }
  }
  return std::move(comparison.dissents);
}

Result<DynamicObservation> ObserveDynamic(const std::vector<DynamicImage>& images) {
  auto layout = ReadDynamicLayout(DynamicReader::kLdmLayout, images);
  if (!layout) return tl::unexpected(layout.error());
  DynamicObservation observation{std::move(*layout), {}, {}};
  const bool readable =
      std::ranges::all_of(images, [](const DynamicImage& image) { return image.sector_bytes == 512; });
  if (!readable) return observation;
  auto witness = ReadDynamicLayout(DynamicReader::kLibldm, images);
  if (!witness) return tl::unexpected(witness.error());
  observation.dissents = Dissents(observation.layout, *witness);
  observation.witnesses.push_back(std::move(*witness));
  return observation;
}

nlohmann::json ToJson(const DynamicLayout& layout) {
  nlohmann::json groups = nlohmann::json::array();
  for (const DynamicGroup& group : layout.groups) {
    nlohmann::json disks = nlohmann::json::array();
    for (const DynamicMember& disk : group.disks) disks.push_back(ToJson(disk));
    nlohmann::json volumes = nlohmann::json::array();
    for (const DynamicVolume& volume : group.volumes) volumes.push_back(ToJson(volume));
    nlohmann::json json{{"name", group.name},
                        {"guid", group.guid.ToString()},
                        {"disks", std::move(disks)},
                        {"volumes", std::move(volumes)}};
    if (group.committed) json["committed"] = *group.committed;
    if (group.at_rest) json["at_rest"] = *group.at_rest;
    groups.push_back(std::move(json));
  }
  return {{"reader", layout.reader}, {"groups", std::move(groups)}, {"problems", layout.problems}};
}

nlohmann::json ToJson(const DynamicObservation& observation) {
  nlohmann::json witnesses = nlohmann::json::array();
  for (const DynamicLayout& witness : observation.witnesses) witnesses.push_back(ToJson(witness));
  return {{"layout", ToJson(observation.layout)},
          {"witnesses", std::move(witnesses)},
          {"dissents", observation.dissents}};
}

}  // namespace dmrp::harness
