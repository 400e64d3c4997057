// GPT fdisk and GNU Parted, run as processes: other projects than util-linux, so truly other eyes.
#include "harness/layout/reader_internal.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

namespace dmrp::harness::internal {
namespace {

std::vector<std::string_view> Split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The text behind "key: " on a line of its own.
std::optional<std::string_view> Value(std::string_view text, std::string_view key) {
  for (std::string_view line : Split(text, '\n')) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return std::nullopt;
}

template <typename T>
std::optional<T> Number(std::optional<std::string_view> text, int base = 10) {
  if (!text) return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value, base);
  return error == std::errc{} && end != text->data() ? std::optional(value) : std::nullopt;
}

std::optional<Guid> LeadingGuid(std::optional<std::string_view> text) {
  if (!text) return std::nullopt;
  auto parsed = Guid::Parse(text->substr(0, 36));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

std::uint64_t FileSize(const std::filesystem::path& image) {
  std::error_code ignored;
  return std::filesystem::file_size(image, ignored);
}

tl::unexpected<Error> Unreadable(const ProgramOutput& output, std::string_view program) {
  return Fail(ErrorKind::kUnsupported,
              fmt::format("{} ended with {}: {}{}", program, output.exit_status, output.out, output.err));
}

Result<DiskPartition> SgdiskPartition(const std::filesystem::path& image, unsigned number) {
  auto output = RunProgram({"sgdisk", "-i", std::to_string(number), image.string()});
  if (!output) return tl::unexpected(output.error());
  const std::string_view text = output->out;
  const auto first = Number<std::uint64_t>(Value(text, "First sector: "));
  const auto last = Number<std::uint64_t>(Value(text, "Last sector: "));
  if (output->exit_status != 0 || !first || !last || *last < *first) return Unreadable(*output, "sgdisk -i");
  DiskPartition partition;
  partition.number = number;
  partition.start = *first * 512;
  partition.length = (*last - *first + 1) * 512;
  partition.gpt_type = LeadingGuid(Value(text, "Partition GUID code: "));
  partition.guid = LeadingGuid(Value(text, "Partition unique GUID: "));
  partition.attributes = Number<std::uint64_t>(Value(text, "Attribute flags: "), 16);
  if (auto name = Value(text, "Partition name: "); name && name->size() >= 2) {
    partition.name = std::string(name->substr(1, name->size() - 2));
  }
  return partition;
}

}  // namespace

Result<DiskLayout> ReadWithSgdisk(const std::filesystem::path& image, std::uint32_t sector_bytes) {
  if (sector_bytes != 512)
    return Fail(ErrorKind::kUnsupported, "sgdisk reads files in sectors of 512 bytes only");
  auto output = RunProgram({"sgdisk", "-p", image.string()});
  if (!output) return tl::unexpected(output.error());
  DiskLayout layout;
  layout.reader = "sgdisk";
  layout.size_bytes = FileSize(image);
  const std::string_view text = output->out;
  // On any other disk it shows the GPT that it would make of it.
  if (text.find("Creating new GPT entries") != std::string_view::npos) return layout;
  if (text.find("converting MBR to GPT") != std::string_view::npos) {
    return Fail(ErrorKind::kUnsupported, "sgdisk reads GPT disks only");
  }
  layout.disk_guid = LeadingGuid(Value(text, "Disk identifier (GUID): "));
  if (output->exit_status != 0 || !layout.disk_guid) return Unreadable(*output, "sgdisk -p");
  layout.style = TableStyle::kGpt;
  const std::size_t table = text.find("\nNumber ");
  const std::vector<std::string_view> lines =
      Split(table == std::string_view::npos ? "" : text.substr(table + 1), '\n');
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::size_t digit = std::min(lines[i].find_first_not_of(' '), lines[i].size());
    const auto number = Number<unsigned>(lines[i].substr(digit));
    if (!number) continue;
    auto partition = SgdiskPartition(image, *number);
    if (!partition) return tl::unexpected(partition.error());
    layout.partitions.push_back(std::move(*partition));
  }
  auto verified = RunProgram({"sgdisk", "-v", image.string()});
  if (!verified) return tl::unexpected(verified.error());
  for (std::string_view line : Split(verified->out, '\n')) {
    if (line.starts_with("Problem:") || line.starts_with("Caution:") || line.starts_with("Error:")) {
      layout.problems.emplace_back(line);
    }
  }
  return layout;
}

Result<DiskLayout> ReadWithParted(const std::filesystem::path& image, std::uint32_t sector_bytes) {
  if (sector_bytes != 512)
    return Fail(ErrorKind::kUnsupported, "parted reads files in sectors of 512 bytes only");
  auto output = RunProgram({"parted", "-sm", image.string(), "unit", "B", "print"});
  if (!output) return tl::unexpected(output.error());
  DiskLayout layout;
  layout.reader = "parted";
  layout.size_bytes = FileSize(image);
  for (std::string_view line : Split(output->out, '\n')) {
    if (line.starts_with("Error:") || line.starts_with("Warning:")) {
      if (line.find("unrecognised disk label") != std::string_view::npos) continue;
      layout.problems.emplace_back(line);
    }
  }
  const std::vector<std::string_view> lines = Split(output->out, '\n');
  const auto disk =
      std::ranges::find_if(lines, [](std::string_view line) { return line.find(":file:") != line.npos; });
  if (disk == lines.end()) return Unreadable(*output, "parted");
  // PATH:SIZE:file:SECTOR:SECTOR:LABEL:MODEL:FLAGS;
  const std::vector<std::string_view> fields = Split(disk->substr(disk->find(":file:") + 6), ':');
  if (fields.size() < 3) return Unreadable(*output, "parted");
  if (fields[2] == "unknown" || fields[2] == "loop") return layout;
  if (fields[2] != "msdos")
    return Fail(ErrorKind::kUnsupported, fmt::format("parted sees a {} table", fields[2]));
  layout.style = TableStyle::kMbr;
  for (auto line = disk + 1; line != lines.end(); ++line) {
    // NUMBER:START:END:SIZE:FILE SYSTEM:NAME:FLAGS;
    const std::vector<std::string_view> values = Split(*line, ':');
    if (values.size() < 7) continue;
    const auto number = Number<unsigned>(values[0]);
    const auto start = Number<std::uint64_t>(values[1]);
    const auto length = Number<std::uint64_t>(values[3]);
    if (!number || !start || !length) return Unreadable(*output, "parted");
    DiskPartition partition;
    partition.number = *number;
    partition.start = *start;
    partition.length = *length;
    partition.logical = *number > 4;
    partition.active = (", " + std::string(values[6])).find(", boot") != std::string::npos;
    layout.partitions.push_back(std::move(partition));
  }
  std::ranges::sort(layout.partitions, {}, &DiskPartition::number);
  return layout;
}

}  // namespace dmrp::harness::internal
