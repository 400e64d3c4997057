#include "harness/layout/guestfs_reader.hpp"

#include "harness/layout/script_reader.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace dmrp::harness {
namespace {

using internal::Document;
using nlohmann::json;

constexpr std::string_view kScript = "guestfs_batch.py";

std::optional<std::uint8_t> ByteOf(std::string_view text) {
  std::uint8_t value = 0;
  if (!text.starts_with("0x")) return std::nullopt;
  const auto [end, failure] = std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

MountableFileSystem ParseFileSystem(Document& parent, const json& value) {
  const auto told = value.find("file_system");
  if (told == value.end() || told->is_null()) return {};
  Document document(*told);
  MountableFileSystem system{document.Get<std::string>("type"), document.Get<std::string>("label")};
  parent.Require(document.good());
  return system;
}

DiskPartition ParsePartition(Document& parent, const json& value, TableStyle style) {
  Document document(value);
  DiskPartition partition;
  partition.number = document.Get<unsigned>("number");
  partition.start = document.Get<std::uint64_t>("start");
  partition.length = document.Get<std::uint64_t>("length");
  if (style == TableStyle::kMbr) {
    partition.mbr_type = ByteOf(document.Get<std::string>("type"));
    document.Require(partition.mbr_type.has_value());
    partition.active = document.Get<bool>("active");
    partition.logical = partition.number > 4;
  } else {
    partition.gpt_type = document.GetGuid("type");
    partition.guid = document.GetGuid("guid");
  }
  parent.Require(document.good());
  return partition;
}

GuestfsDisk ParseDisk(Document& parent, const json& value) {
  Document document(value);
  GuestfsDisk disk;
  disk.layout.reader = "libguestfs";
  const std::string style = document.Get<std::string>("style");
  for (const TableStyle each : {TableStyle::kMbr, TableStyle::kGpt}) {
    if (style == TableStyleName(each)) disk.layout.style = each;
  }
  if (disk.layout.style == TableStyle::kGpt) disk.layout.disk_guid = document.GetGuid("disk_guid");
  for (const json& each : document.List("partitions")) {
    disk.layout.partitions.push_back(ParsePartition(document, each, disk.layout.style));
    auto system = ParseFileSystem(document, each);
    if (!system.type.empty())
      disk.file_systems.emplace(disk.layout.partitions.back().number, std::move(system));
  }
  std::ranges::sort(disk.layout.partitions, {}, &DiskPartition::number);
  parent.Require(document.good());
  return disk;
}

GuestfsVolume ParseVolume(Document& parent, const json& value) {
  Document document(value);
  GuestfsVolume volume;
  volume.group = document.Get<std::string>("group");
  volume.name = document.Get<std::string>("volume");
  const auto type = internal::VolumeTypeOf(document.Get<std::string>("type"));
  document.Require(type.has_value());
  volume.type = type.value_or(DynamicVolumeType::kSimple);
  volume.size = document.Get<std::uint64_t>("size");
  volume.hint = document.Get<std::string>("hint");
  volume.partitions = document.Strings("partitions");
  volume.sha256 = document.Get<std::string>("sha256");
  volume.file_system = ParseFileSystem(document, value);
  parent.Require(document.good());
  return volume;
}

}  // namespace

Result<GuestfsObservation> ReadWithLibguestfs(const std::vector<std::filesystem::path>& images) {
  std::vector<std::string> arguments{"--dynamic", "--file-systems"};
  for (const auto& image : images) arguments.push_back(image.string() + ":raw");
  auto told = internal::RunScript(kScript.data(), arguments);
  if (!told) return tl::unexpected(told.error());
  Document document(*told);
  GuestfsObservation seen;
  for (const json& each : document.List("images")) seen.disks.push_back(ParseDisk(document, each));
  document.Require(seen.disks.size() == images.size());
  const json ldm = told->value("ldm", json::object());
  Document dynamic(ldm);
  for (const json& each : dynamic.List("volumes")) seen.volumes.push_back(ParseVolume(dynamic, each));
  std::ranges::sort(seen.volumes, {},
                    [](const GuestfsVolume& volume) { return std::tie(volume.group, volume.name); });
  const json kernel = ldm.value("kernel", json::object());
  Document by_image(kernel);
  for (std::size_t i = 0; i < seen.disks.size(); ++i) {
    for (const json& each : by_image.List(images[i].c_str())) {
      Document run(each);
      seen.disks[i].kernel_partitions.push_back(
          {run.Get<std::uint64_t>("start"), run.Get<std::uint64_t>("length")});
      by_image.Require(run.good());
    }
  }
  if (!document.good() || !dynamic.good() || !by_image.good()) {
    return internal::NotUnderstood(kScript, told->dump());
  }
  return seen;
}

}  // namespace dmrp::harness
