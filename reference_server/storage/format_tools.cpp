#include "reference_server/storage/format_tools.hpp"

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "reference_server/platform/process.hpp"

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::uint32_t kFatTables = 2;
constexpr std::uint8_t kFixedMedia = 0xF8;
constexpr std::uint8_t kFixedDrive = 0x80;
constexpr std::uint32_t kBackupBootSector = 6;
constexpr std::uint32_t kGreatestHeads = 255;
constexpr std::uint32_t kGreatestSectors = 63;

std::vector<std::string> FatCommand(const FormatPlan& plan, const FormatVolume& volume) {
  const int bits = plan.type == FileSystemType::kFat12 ? 12 : plan.type == FileSystemType::kFat16 ? 16 : 32;
  std::uint32_t heads = std::min(volume.geometry.heads, kGreatestHeads);
  std::uint32_t sectors = std::min(volume.geometry.sectorsPerTrack, kGreatestSectors);
  std::uint8_t media = kFixedMedia;
  std::uint8_t drive = kFixedDrive;
  const FloppyFormat* floppy = FindFloppyFormat(volume.length);
  if (floppy != nullptr && volume.hiddenSectors == 0 && bits == 12) {
    heads = 2;
    sectors = floppy->sectorsPerTrack;
    media = floppy->media;
    drive = 0;
  }
  std::vector<std::string> words{"mkfs.fat",
                                 "-a",
                                 "-I",
                                 "-F",
                                 fmt::format("{}", bits),
                                 "-S",
                                 fmt::format("{}", volume.geometry.bytesPerSector),
                                 "-s",
                                 fmt::format("{}", plan.allocationUnitSize / volume.geometry.bytesPerSector),
                                 "-f",
                                 fmt::format("{}", kFatTables),
                                 "-R",
                                 fmt::format("{}", plan.reservedSectors),
                                 "-h",
                                 fmt::format("{}", volume.hiddenSectors),
                                 "-g",
                                 fmt::format("{}/{}", heads, sectors),
                                 "-M",
                                 fmt::format("0x{:02x}", media),
                                 "-D",
                                 fmt::format("0x{:02x}", drive),
                                 "-i",
                                 fmt::format("{:08x}", Guid::Random().Data1)};
  if (bits == 32) {
    words.insert(words.end(), {"-b", fmt::format("{}", kBackupBootSector)});
  } else {
    words.insert(words.end(), {"-r", fmt::format("{}", plan.rootEntries)});
  }
  if (!plan.label.empty()) words.insert(words.end(), {"-n", ToUtf8(plan.label)});
  return words;
}

std::vector<std::string> NtfsCommand(const FormatPlan& plan, const FormatVolume& volume) {
  std::vector<std::string> words{"mkntfs", "-q",
                                 "-F",     "-Q",
                                 "-c",     fmt::format("{}", plan.allocationUnitSize),
                                 "-s",     fmt::format("{}", volume.geometry.bytesPerSector),
                                 "-p",     fmt::format("{}", volume.hiddenSectors),
                                 "-H",     fmt::format("{}", volume.geometry.heads),
                                 "-S",     fmt::format("{}", volume.geometry.sectorsPerTrack)};
  if (plan.compression) words.emplace_back("-C");
  if (!plan.label.empty()) words.insert(words.end(), {"-L", ToUtf8(plan.label)});
  return words;
}

}  // namespace

std::vector<std::string> FormatCommand(const FormatPlan& plan, const FormatVolume& volume,
                                       const std::filesystem::path& path) {
  auto words = plan.type == FileSystemType::kNtfs ? NtfsCommand(plan, volume) : FatCommand(plan, volume);
  words.push_back(path.string());
  return words;
}

StorageResult<void> RunFormatCommand(const std::vector<std::string>& command, int descriptor,
                                     const std::stop_token& stop) {
  const auto program = FindProgram(command.front());
  if (!program) return Refuse(StorageErrorCode::kToolFailed, program.error().ToString());
  const auto outcome = RunProcess({*program, {command.begin() + 1, command.end()}, descriptor}, stop);
  if (!outcome) return Refuse(StorageErrorCode::kToolFailed, outcome.error().ToString());
  if (outcome->stopped) return Refuse(StorageErrorCode::kAborted, command.front() + " was stopped");
  if (!outcome->Succeeded()) {
    return Refuse(StorageErrorCode::kToolFailed,
                  fmt::format("{} ended with {}", command.front(), outcome->ToString()));
  }
  return {};
}

}  // namespace dmrp::server
