// The programs behind ReadDynamicLayout, CheckLdmInvariants and TestDiskWarnings.
#include "harness/layout/dynamic_layout.hpp"
#include "harness/layout/reader_internal.hpp"
#include "harness/layout/script_reader.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

using internal::Document;
using internal::kProgramDeadline;
using internal::NotUnderstood;
using internal::RunScript;
using internal::VolumeTypeOf;
using nlohmann::json;

constexpr std::uint64_t kBlock = 512;  // what libldm counts in

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// ---- libldm ----

/// A path as ldmtool's command line takes it; not every one can be said there.
Result<std::string> Quoted(const std::filesystem::path& path) {
  const std::string text = path.string();
  const bool plain = std::ranges::none_of(
      text, [](unsigned char c) { return c < ' ' || c == '"' || c == '\\' || c == '\''; });
  if (!plain) return Fail(ErrorKind::kUnsupported, text + " cannot be named to ldmtool");
  return '"' + text + '"';
}

/// What ldmtool answers to each of the commands, after the scan of the images.
class Ldmtool {
 public:
  static Result<Ldmtool> Open(const std::vector<DynamicImage>& images) {
    std::string scan = "scan";
    for (const DynamicImage& image : images) {
      if (image.sector_bytes != kBlock) {
        return Fail(ErrorKind::kUnsupported,
                    fmt::format("libldm reads no sectors of {} octets", image.sector_bytes));
      }
      auto quoted = Quoted(image.path);
      if (!quoted) return tl::unexpected(quoted.error());
      scan += ' ' + *quoted;
    }
    return Ldmtool(std::move(scan));
  }

  /// One document for each command; null where it answered nothing.
  Result<std::vector<json>> Ask(const std::vector<std::string>& commands) {
    std::vector<std::string> argv{"sh", "-c", "printf '%s\\n' \"$@\" | ldmtool", "ldmtool", scan_};
    argv.insert(argv.end(), commands.begin(), commands.end());
    auto output = internal::RunProgram(argv, kProgramDeadline);
    if (!output) return tl::unexpected(output.error());
    if (output->exit_status != 0) return NotUnderstood("ldmtool", output->err);
    Note(output->err);
    // The prompt and the command stand before each answer.
    std::vector<json> answers;
    std::string current;
    bool open = false;
    const auto close = [&] {
      if (open) answers.push_back(current.empty() ? json() : json::parse(current, nullptr, false));
      current.clear();
    };
    for (const std::string& line : Lines(output->out)) {
      if (line.starts_with("ldm> ")) {
        close();
        open = line.size() > 5;
      } else {
        current += line + '\n';
      }
    }
    close();
    const bool discarded =
        std::ranges::any_of(answers, [](const json& answer) { return answer.is_discarded(); });
    if (discarded || answers.size() != commands.size() + 1) return NotUnderstood("ldmtool", output->out);
    return answers;
  }

  std::vector<std::string> problems;

 private:
  explicit Ldmtool(std::string scan) : scan_(std::move(scan)) {}

  /// Files have no sector size of their own, and reading needs no device-mapper.
  void Note(std::string_view errors) {
    for (const std::string& line : Lines(errors)) {
      const bool harmless = line.empty() || line.starts_with("Unable to determine sector size of ") ||
                            line.find("dm_task_create") != line.npos;
      if (!harmless && std::ranges::find(problems, line) == problems.end()) problems.push_back(line);
    }
  }

  std::string scan_;
};

struct LdmtoolVolume {
  DynamicVolume volume;
  std::vector<std::string> partitions;
  std::uint64_t chunk = 0;
};

Result<LdmtoolVolume> ParseLdmtoolVolume(const json& answer) {
  Document document(answer);
  LdmtoolVolume parsed;
  parsed.volume.name = document.Get<std::string>("name");
  parsed.volume.guid = document.GetGuid("guid");
  parsed.volume.size = document.Get<std::uint64_t>("size") * kBlock;
  parsed.volume.hint = document.Find<std::string>("hint");
  parsed.chunk = document.Get<std::uint64_t>("chunk-size") * kBlock;
  auto type = VolumeTypeOf(document.Get<std::string>("type"));
  if (!type) return tl::unexpected(type.error());
  parsed.volume.type = *type;
  parsed.partitions = document.Strings("partitions");
  if (!document.good()) return NotUnderstood("ldmtool", answer.dump());
  return parsed;
}

Result<DynamicMember> ParseLdmtoolDisk(const json& answer) {
  Document document(answer);
  DynamicMember disk;
  disk.name = document.Get<std::string>("name");
  disk.guid = document.GetGuid("guid");
  disk.present = document.Get<bool>("present");
  if (disk.present) {
    disk.image = document.Get<std::string>("device");
    disk.data_start = document.Get<std::uint64_t>("data-start") * kBlock;
    disk.data_length = document.Get<std::uint64_t>("data-size") * kBlock;
    disk.metadata_start = document.Get<std::uint64_t>("metadata-start") * kBlock;
    disk.metadata_length = document.Get<std::uint64_t>("metadata-size") * kBlock;
  }
  if (!document.good()) return NotUnderstood("ldmtool", answer.dump());
  return disk;
}

Result<DynamicExtent> ParseLdmtoolPartition(const json& answer) {
  Document document(answer);
  DynamicExtent extent;
  extent.name = document.Get<std::string>("name");
  extent.disk = document.Get<std::string>("disk");
  extent.public_start = document.Get<std::uint64_t>("start") * kBlock;
  extent.length = document.Get<std::uint64_t>("size") * kBlock;
  if (!document.good()) return NotUnderstood("ldmtool", answer.dump());
  return extent;
}

/// libldm knows no plexes: a mirror has one for each partition, every other volume has one.
void Arrange(LdmtoolVolume& parsed, std::vector<DynamicExtent> extents) {
  DynamicVolume& volume = parsed.volume;
  DynamicPlex plex;
  plex.stripe = parsed.chunk;
  plex.layout = volume.type == DynamicVolumeType::kStriped ? DynamicPlex::Layout::kStripe
                : volume.type == DynamicVolumeType::kRaid5 ? DynamicPlex::Layout::kRaid5
                                                           : DynamicPlex::Layout::kConcat;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (plex.layout != DynamicPlex::Layout::kConcat) extents[i].column = i;
    plex.extents.push_back(std::move(extents[i]));
    if (volume.type == DynamicVolumeType::kMirrored) {
      volume.plexes.push_back(plex);
      plex.extents.clear();
    }
  }
  if (volume.type != DynamicVolumeType::kMirrored) volume.plexes.push_back(std::move(plex));
}

Result<DynamicGroup> ReadLdmtoolGroup(Ldmtool& tool, const std::string& guid) {
  auto shown = tool.Ask({"show diskgroup " + guid});
  if (!shown) return tl::unexpected(shown.error());
  Document document((*shown)[1]);
  DynamicGroup group;
  group.name = document.Get<std::string>("name");
  group.guid = document.GetGuid("guid");
  std::vector<std::string> commands;
  const std::vector<json> disks = document.List("disks");
  const std::vector<json> volumes = document.List("volumes");
  if (!document.good()) return NotUnderstood("ldmtool", (*shown)[1].dump());
  for (const json& disk : disks) commands.push_back(fmt::format("show disk {} {}", guid, disk.dump()));
  for (const json& volume : volumes)
    commands.push_back(fmt::format("show volume {} {}", guid, volume.dump()));
  auto answers = tool.Ask(commands);
  if (!answers) return tl::unexpected(answers.error());
  for (std::size_t i = 0; i < disks.size(); ++i) {
    auto disk = ParseLdmtoolDisk((*answers)[1 + i]);
    if (!disk) return tl::unexpected(disk.error());
    group.disks.push_back(std::move(*disk));
  }
  std::ranges::sort(group.disks, {}, &DynamicMember::name);
  std::vector<LdmtoolVolume> parsed;
  std::vector<std::string> questions;
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    auto volume = ParseLdmtoolVolume((*answers)[1 + disks.size() + i]);
    if (!volume) return tl::unexpected(volume.error());
    for (const std::string& name : volume->partitions) {
      questions.push_back(fmt::format("show partition {} {}", guid, json(name).dump()));
    }
    parsed.push_back(std::move(*volume));
  }
  auto partitions = tool.Ask(questions);
  if (!partitions) return tl::unexpected(partitions.error());
  std::size_t next = 1;
  for (LdmtoolVolume& volume : parsed) {
    std::vector<DynamicExtent> extents;
    for (std::size_t i = 0; i < volume.partitions.size(); ++i) {
      auto extent = ParseLdmtoolPartition((*partitions)[next++]);
      if (!extent) return tl::unexpected(extent.error());
      const DynamicMember* disk = group.FindDisk(extent->disk);
      if (disk != nullptr && disk->present) extent->start = disk->data_start + extent->public_start;
      extents.push_back(std::move(*extent));
    }
    Arrange(volume, std::move(extents));
    group.volumes.push_back(std::move(volume.volume));
  }
  std::ranges::sort(group.volumes, {}, &DynamicVolume::name);
  return group;
}

Result<DynamicLayout> ReadWithLibldm(const std::vector<DynamicImage>& images) {
  auto tool = Ldmtool::Open(images);
  if (!tool) return tl::unexpected(tool.error());
  auto scanned = tool->Ask({});
  if (!scanned) return tl::unexpected(scanned.error());
  DynamicLayout layout;
  layout.reader = "libldm";
  for (const json& guid : scanned->front()) {
    auto group = ReadLdmtoolGroup(*tool, guid.is_string() ? guid.get<std::string>() : "");
    if (!group) return tl::unexpected(group.error());
    layout.groups.push_back(std::move(*group));
  }
  layout.problems = tool->problems;
  return layout;
}

// ---- ldm_layout.py ----

std::vector<std::string> Arguments(const std::vector<DynamicImage>& images) {
  std::vector<std::string> arguments;
  for (const DynamicImage& image : images) {
    arguments.push_back(fmt::format("{}:{}", image.path.string(), image.sector_bytes));
  }
  return arguments;
}

DynamicExtent ParseExtent(Document& parent, const json& value) {
  Document document(value);
  DynamicExtent extent;
  extent.name = document.Get<std::string>("name");
  extent.disk = document.Get<std::string>("disk");
  extent.public_start = document.Get<std::uint64_t>("public_start");
  extent.start = document.Find<std::uint64_t>("start");
  extent.length = document.Get<std::uint64_t>("length");
  extent.column = document.Get<std::uint64_t>("column");
  extent.flags = document.Get<std::uint32_t>("flags");
  parent.Require(document.good());
  return extent;
}

DynamicVolume ParseVolume(Document& parent, const json& value) {
  Document document(value);
  DynamicVolume volume;
  volume.name = document.Get<std::string>("name");
  volume.guid = document.GetGuid("guid");
  const auto type = VolumeTypeOf(document.Get<std::string>("type"));
  document.Require(type.has_value());
  volume.type = type.value_or(DynamicVolumeType::kSimple);
  volume.size = document.Get<std::uint64_t>("size");
  volume.hint = document.Find<std::string>("hint");
  volume.state = document.Get<std::string>("state");
  volume.flags = document.Get<std::uint32_t>("flags");
  volume.partition_type = document.Get<std::uint8_t>("partition_type");
  for (const json& each : document.List("plexes")) {
    Document told(each);
    DynamicPlex plex;
    plex.name = told.Get<std::string>("name");
    plex.state = told.Get<std::string>("state");
    plex.flags = told.Get<std::uint32_t>("flags");
    plex.stripe = told.Get<std::uint64_t>("stripe");
    const std::string layout = told.Get<std::string>("layout");
    plex.layout = layout == "stripe"  ? DynamicPlex::Layout::kStripe
                  : layout == "raid5" ? DynamicPlex::Layout::kRaid5
                                      : DynamicPlex::Layout::kConcat;
    for (const json& extent : told.List("extents")) plex.extents.push_back(ParseExtent(told, extent));
    document.Require(told.good());
    volume.plexes.push_back(std::move(plex));
  }
  parent.Require(document.good());
  return volume;
}

DynamicMember ParseDisk(Document& parent, const json& value) {
  Document document(value);
  DynamicMember disk;
  disk.name = document.Get<std::string>("name");
  disk.guid = document.GetGuid("guid");
  disk.record = document.Get<std::uint64_t>("record");
  disk.flags = document.Get<std::uint32_t>("flags");
  disk.present = document.Get<bool>("present");
  if (disk.present) {
    disk.image = document.Get<std::string>("image");
    disk.sector_bytes = document.Get<std::uint32_t>("sector");
    disk.stale = document.Get<bool>("stale");
    disk.data_start = document.Get<std::uint64_t>("data_start");
    disk.data_length = document.Get<std::uint64_t>("data_length");
    disk.metadata_start = document.Get<std::uint64_t>("metadata_start");
    disk.metadata_length = document.Get<std::uint64_t>("metadata_length");
  }
  parent.Require(document.good());
  return disk;
}

Result<DynamicLayout> ReadWithLdmLayout(const std::vector<DynamicImage>& images) {
  auto told = RunScript("ldm_layout.py", Arguments(images));
  if (!told) return tl::unexpected(told.error());
  Document document(*told);
  DynamicLayout layout;
  layout.reader = "ldm_layout";
  for (const json& value : document.List("groups")) {
    Document each(value);
    DynamicGroup group;
    group.name = each.Get<std::string>("name");
    group.guid = each.GetGuid("guid");
    group.committed = each.Get<std::uint64_t>("committed");
    group.at_rest = each.Get<bool>("at_rest");
    for (const json& disk : each.List("disks")) group.disks.push_back(ParseDisk(each, disk));
    for (const json& volume : each.List("volumes")) group.volumes.push_back(ParseVolume(each, volume));
    std::ranges::sort(group.disks, {}, &DynamicMember::name);
    std::ranges::sort(group.volumes, {}, &DynamicVolume::name);
    document.Require(each.good());
    layout.groups.push_back(std::move(group));
  }
  layout.problems = document.Strings("problems");
  if (!document.good()) return NotUnderstood("ldm_layout.py", told->dump());
  return layout;
}

}  // namespace

Result<DynamicLayout> ReadDynamicLayout(DynamicReader reader, const std::vector<DynamicImage>& images) {
  switch (reader) {
    case DynamicReader::kLibldm:
      return ReadWithLibldm(images);
    case DynamicReader::kLdmLayout:
      return ReadWithLdmLayout(images);
  }
  return Fail(ErrorKind::kUsage, "no such reader");
}

Result<std::vector<LdmFinding>> CheckLdmInvariants(const std::vector<DynamicImage>& images,
                                                   const LdmCheckOptions& options) {
  std::vector<std::string> arguments{"--json"};
  if (options.degraded) arguments.emplace_back("--degraded");
  if (options.complete) arguments.emplace_back("--complete");
  if (!options.data) arguments.emplace_back("--no-data");
  for (std::string& image : Arguments(images)) arguments.push_back(std::move(image));
  auto told = RunScript("ldm_invariants.py", arguments, /*findings=*/true);
  if (!told) return tl::unexpected(told.error());
  std::vector<LdmFinding> findings;
  for (const json& value : *told) {
    Document document(value);
    findings.push_back({document.Get<unsigned>("number"), document.Get<std::string>("image"),
                        document.Get<std::string>("text")});
    if (!document.good()) return NotUnderstood("ldm_invariants.py", value.dump());
  }
  return findings;
}

Result<std::vector<std::string>> TestDiskWarnings(const std::filesystem::path& image) {
  auto output = internal::RunProgram({"testdisk", "/list", image.string()}, kProgramDeadline);
  if (!output) return tl::unexpected(output.error());
  const std::vector<std::string> lines = Lines(output->out);
  auto line = std::ranges::find_if(
      lines, [](const std::string& text) { return text.starts_with("     Partition\t"); });
  if (output->exit_status != 0 || line == lines.end())
    return NotUnderstood("testdisk", output->out + output->err);
  std::vector<std::string> warnings;
  // " 1 P MS LDM Data   65570   229342   163773 [LDM data partition]": every other line is a warning.
  for (++line; line != lines.end(); ++line) {
    const bool entry =
        line->size() > 5 && std::isdigit(static_cast<unsigned char>((*line)[1])) != 0 && (*line)[2] == ' ';
    if (!line->empty() && !entry) warnings.push_back(*line);
  }
  return warnings;
}

}  // namespace dmrp::harness
