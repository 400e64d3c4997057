#include "harness/layout/file_system_reader.hpp"

#include "harness/layout/reader_internal.hpp"
#include "harness/layout/volume_copy.hpp"

#include <regex>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

constexpr std::chrono::seconds kDeadline{60};

struct Ended {
  int status = 0;  ///< exit status
  std::string output;
};

Result<Ended> Run(std::vector<std::string> argv, const std::filesystem::path& volume) {
  argv.push_back(volume.string());
  auto ended = internal::RunProgram(argv, kDeadline);
  if (!ended) return tl::unexpected(ended.error());
  return Ended{ended->exit_status, ended->out + ended->err};
}

std::string Match(const std::string& text, const char* pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[1].str() : std::string();
}

std::uint64_t Number(const std::string& text, const char* pattern) {
  const std::string digits = Match(text, pattern);
  return digits.empty() ? 0 : std::stoull(digits);
}

constexpr int kBlkidFoundNothing = 2;

// One value of blkid's low-level probe; empty where there is none.
Result<std::string> Probe(const char* tag, const std::filesystem::path& volume) {
  auto ended = Run({"blkid", "-p", "-o", "value", "-s", tag}, volume);
  if (!ended) return tl::unexpected(ended.error());
  if (ended->status == kBlkidFoundNothing) return std::string();
  if (ended->status != 0) {
    return Fail(ErrorKind::kMalformed, fmt::format("blkid ended with {}: {}", ended->status, ended->output));
  }
  if (ended->output.ends_with('\n')) ended->output.pop_back();
  return ended->output;
}

Result<void> ReadFat(const std::filesystem::path& volume, FileSystemOnDisk& seen) {
  auto check = Run({"fsck.fat", "-n", "-v"}, volume);
  if (!check) return tl::unexpected(check.error());
  seen.account += check->output;
  if (check->status != 0) seen.problems.push_back("fsck.fat: " + check->output);
  seen.unit = static_cast<std::uint32_t>(Number(check->output, "([0-9]+) bytes per cluster"));
  const std::uint64_t used = Number(check->output, "files, ([0-9]+)/[0-9]+ clusters");
  seen.units = Number(check->output, "files, [0-9]+/([0-9]+) clusters");
  seen.units_free = seen.units - used;
  return {};
}

Result<void> ReadNtfs(const std::filesystem::path& volume, FileSystemOnDisk& seen) {
  auto info = Run({"ntfsinfo", "-m", "-f"}, volume);
  if (!info) return tl::unexpected(info.error());
  auto root = Run({"ntfsinfo", "-i", "5", "-f"}, volume);
  if (!root) return tl::unexpected(root.error());
  auto sizes = Run({"ntfsresize", "-i", "-f", "-P"}, volume);
  if (!sizes) return tl::unexpected(sizes.error());
  auto fix = Run({"ntfsfix", "-n"}, volume);
  if (!fix) return tl::unexpected(fix.error());
  for (const auto* each : {&*info, &*sizes, &*fix}) {
    seen.account += each->output;
    if (each->status != 0) seen.problems.push_back(each->output);
  }
  seen.unit = static_cast<std::uint32_t>(Number(info->output, "Cluster Size: ([0-9]+)"));
  seen.units = Number(info->output, "Volume Size in Clusters: ([0-9]+)");
  seen.units_free = Number(info->output, "Free Clusters: ([0-9]+)");
  const std::string flags = Match(root->output, "File attributes:([^(\n]*)");
  seen.compressed = flags.find("COMPRESSED") != std::string::npos;
  seen.bad_units = Number(sizes->output, "([0-9]+) bad sector");
  return {};
}

}  // namespace

Result<FileSystemOnDisk> ReadFileSystem(const std::filesystem::path& image, std::uint64_t offset,
                                        std::uint64_t length) {
  auto copy = internal::VolumeCopy::Make(image, offset, length);
  if (!copy) return tl::unexpected(copy.error());
  const std::filesystem::path& volume = copy->path();
  auto type = Probe("TYPE", volume);
  if (!type) return tl::unexpected(type.error());
  FileSystemOnDisk seen;
  if (type->empty()) return seen;
  auto label = Probe("LABEL", volume);
  if (!label) return tl::unexpected(label.error());
  seen.label = *label;
  seen.account = fmt::format("blkid: {} \"{}\"\n", *type, *label);
  using Type = FileSystemOnDisk::Type;
  Result<void> read;
  if (*type == "vfat") {
    auto version = Probe("VERSION", volume);
    if (!version) return tl::unexpected(version.error());
    seen.type = *version == "FAT12" ? Type::kFat12 : *version == "FAT16" ? Type::kFat16 : Type::kFat32;
    read = ReadFat(volume, seen);
  } else if (*type == "ntfs") {
    seen.type = Type::kNtfs;
    read = ReadNtfs(volume, seen);
  } else {
    seen.type = Type::kOther;
  }
  if (!read) return tl::unexpected(read.error());
  return seen;
}

}  // namespace dmrp::harness
