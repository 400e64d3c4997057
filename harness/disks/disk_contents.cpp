#include "harness/disks/disk_contents.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

constexpr std::chrono::milliseconds kToolDeadline(30'000);
constexpr std::uint64_t kGeometryPartition = 4U << 20U;  // octets; enough for any heads and sectors to show

// Where damage is done. Offsets in octets.
constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kFirstEntry = 446;
constexpr std::uint64_t kEntry = 16;
constexpr std::uint64_t kEntryStart = 8;
constexpr std::uint64_t kEntryLength = 12;
constexpr std::uint64_t kBootSignature = 510;
constexpr std::uint64_t kGptCrc = 16;               // in a header
constexpr std::uint64_t kGptFirstName = 1024 + 56;  // of the first primary entry

// What fdisk is told. With a geometry: a partition from the second track to the end of a cylinder, because
// the last head and sector of a partition are where kernels take a disk's geometry from.
std::string FdiskScript(const DiskSpec& spec) {
  if (spec.label == DiskLabel::kGpt) {
    return "g\nw\n";
  }
  if (!spec.geometry) {
    return "o\nw\n";
  }
  const std::uint64_t cylinder = std::uint64_t{spec.geometry->heads} * spec.geometry->sectors;
  const std::uint64_t wanted = std::min(kGeometryPartition, spec.size / 2) / spec.logical_sector;
  const std::uint64_t cylinders = std::max<std::uint64_t>(1, wanted / cylinder);
  return fmt::format("o\nn\np\n1\n{}\n{}\nt\n7\nw\n", spec.geometry->sectors, cylinders * cylinder - 1);
}

Result<void> WriteLabel(Launcher& launcher, const DiskSpec& spec, const std::filesystem::path& image) {
  std::vector<std::string> argv = {
      "fdisk", "-w", "always", "-W", "always", "-b", std::to_string(spec.logical_sector)};
  if (spec.geometry) {
    argv.insert(argv.end(), {"-c=dos", "-H", std::to_string(spec.geometry->heads), "-S",
                             std::to_string(spec.geometry->sectors)});
  }
  argv.push_back(image.string());
  return RunTool(launcher, argv, FdiskScript(spec), image);
}

// The sound table that is then broken: partitions of 4 MiB, for sfdisk.
std::string SfdiskScript(const DiskSpec& spec) {
  switch (spec.damage) {
    case DiskDamage::kOverlap:
      return "label: dos\nstart=2048, size=8192, type=7\nstart=10240, size=8192, type=6\n";
    case DiskDamage::kExtendedLoop:
      return "label: dos\nstart=2048, size=28672, type=f\nstart=4096, size=4096, type=7\n"
             "start=10240, size=4096, type=7\nstart=16384, size=4096, type=7\n";
    case DiskDamage::kBootSignature:
    case DiskDamage::kOutside:
      return "label: dos\nstart=2048, size=8192, type=7\n";
    default:
      return "label: gpt\nstart=2048, size=8192, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n";
  }
}

class Patch {
 public:
  explicit Patch(const std::filesystem::path& image)
      : file_(image, std::ios::in | std::ios::out | std::ios::binary) {}
  void Put(std::uint64_t offset, const std::string& octets) {
    file_.seekp(static_cast<std::streamoff>(offset));
    file_.write(octets.data(), static_cast<std::streamsize>(octets.size()));
  }
  void Put32(std::uint64_t offset, std::uint64_t value) {
    std::string octets;
    for (int i = 0; i < 4; ++i) {
      octets.push_back(static_cast<char>(value >> (8 * i)));
    }
    Put(offset, octets);
  }
  [[nodiscard]] std::uint32_t Get32(std::uint64_t offset) {
    std::array<char, 4> octets{};
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(octets.data(), octets.size());
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < octets.size(); ++i) {
      value |= std::uint32_t{static_cast<unsigned char>(octets[i])} << (8 * i);
    }
    return value;
  }
  void Flip(std::uint64_t offset) { Put32(offset, ~Get32(offset)); }
  [[nodiscard]] bool Finish() { return static_cast<bool>(file_.flush()); }

 private:
  std::fstream file_;
};

void Break(Patch& patch, const DiskSpec& spec) {
  const std::uint64_t second = kFirstEntry + kEntry;
  switch (spec.damage) {
    case DiskDamage::kNone:
      break;
    case DiskDamage::kBootSignature:
      patch.Put(kBootSignature, std::string(2, '\0'));
      break;
    case DiskDamage::kOverlap:
      patch.Put32(second + kEntryStart, 6144);
      break;
    case DiskDamage::kOutside:
      patch.Put32(kFirstEntry + kEntryLength, spec.size / kSector);
      break;
    case DiskDamage::kExtendedLoop: {
      // Each boot record's second entry names the next, counted from the start of the extended partition.
      const std::uint64_t extended = patch.Get32(kFirstEntry + kEntryStart);
      const std::uint64_t to_second = patch.Get32(extended * kSector + second + kEntryStart);
      const std::uint64_t to_third = patch.Get32((extended + to_second) * kSector + second + kEntryStart);
      const std::uint64_t last = (extended + to_third) * kSector + second;
      patch.Put(last, std::string("\0\xFE\xFF\xFF\x05\xFE\xFF\xFF", 8));
      patch.Put32(last + kEntryStart, to_second);
      patch.Put32(last + kEntryLength, 6144);
      break;
    }
    case DiskDamage::kGptHeaderCrc:
      patch.Flip(kSector + kGptCrc);
      break;
    case DiskDamage::kGptEntriesCrc:
      patch.Flip(kGptFirstName);
      break;
    case DiskDamage::kGptBackup:
      patch.Put(spec.size - kSector, std::string(kSector, '\0'));
      break;
    case DiskDamage::kGptBothHeaders:
      patch.Flip(kSector + kGptCrc);
      patch.Flip(spec.size - kSector + kGptCrc);
      break;
  }
}

Result<void> WriteDamagedLabel(Launcher& launcher, const DiskSpec& spec, const std::filesystem::path& image) {
  const std::vector<std::string> argv = {"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel",
                                         image.string()};
  if (auto done = RunTool(launcher, argv, SfdiskScript(spec), image); !done) {
    return done;
  }
  Patch patch(image);
  Break(patch, spec);
  return patch.Finish() ? Result<void>() : FailErrno("damaging " + image.string(), errno);
}

// An ISO 9660 file system takes the size of its files: a folder with one file is given, the rest of the
// medium stays empty.
Result<void> WriteIso9660(Launcher& launcher, const DiskSpec& spec, const std::filesystem::path& image,
                          const std::string& volume) {
  const std::filesystem::path folder = image.string() + ".files";
  std::error_code trouble;
  std::filesystem::create_directories(folder, trouble);
  std::ofstream(folder / "README.TXT") << "A medium for tests.\r\n";
  auto done = RunTool(
      launcher, {"genisoimage", "-quiet", "-J", "-r", "-V", volume, "-o", image.string(), folder.string()},
      "", image);
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  if (!done) {
    return done;
  }
  if (std::filesystem::file_size(image, trouble) > spec.size) {
    return Fail(ErrorKind::kLimit, fmt::format("disk size={}: too small for iso9660", spec.size));
  }
  std::filesystem::resize_file(image, spec.size, trouble);
  return trouble ? FailErrno("resizing " + image.string(), trouble.value()) : Result<void>();
}

Result<void> WriteFileSystem(Launcher& launcher, const DiskSpec& spec, const std::filesystem::path& image) {
  const std::string sector = std::to_string(spec.logical_sector);
  const std::string path = image.string();
  const auto run = [&](std::vector<std::string> argv, const char* label_option) {
    if (!spec.volume.empty()) {
      argv.insert(argv.begin() + 1, {label_option, spec.volume});
    }
    return RunTool(launcher, argv, "", image);
  };
  switch (spec.file_system) {
    case DiskFileSystem::kNone:
      return {};
    case DiskFileSystem::kFat12:
      return run({"mkfs.fat", "-F", "12", "-S", sector, path}, "-n");
    case DiskFileSystem::kFat16:
      return run({"mkfs.fat", "-F", "16", "-S", sector, path}, "-n");
    case DiskFileSystem::kFat32:
      return run({"mkfs.fat", "-F", "32", "-S", sector, path}, "-n");
    case DiskFileSystem::kNtfs:
      return run({"mkntfs", "-F", "-Q", "-q", "-s", sector, path}, "-L");
    case DiskFileSystem::kIso9660:
      return WriteIso9660(launcher, spec, image, spec.volume.empty() ? "CDROM" : spec.volume);
    case DiskFileSystem::kUdf:
      return run({"mkudffs", "--media-type=hd", "-b", sector, path}, "-l");
  }
  return Fail(ErrorKind::kUsage, "no such file system");
}

}  // namespace

Result<void> RunTool(Launcher& launcher, const std::vector<std::string>& argv, const std::string& input,
                     const std::filesystem::path& image) {
  const std::filesystem::path input_file = image.string() + ".input";
  const std::filesystem::path log = image.string() + ".log";
  std::ofstream(input_file, std::ios::trunc) << input;
  auto process = launcher.Start({.argv = argv, .inherit = {}, .log = log, .input = input_file});
  Result<int> status = process ? process->Wait(kToolDeadline) : Result<int>(tl::unexpected(process.error()));
  std::ifstream file(log);
  const std::string output{std::istreambuf_iterator<char>(file), {}};
  std::error_code ignored;
  std::filesystem::remove(input_file, ignored);
  std::filesystem::remove(log, ignored);
  if (!status) {
    return Fail(ErrorKind::kUnavailable, fmt::format("{}: {}", argv.front(), status.error().message));
  }
  if (*status != 0) {
    return Fail(ErrorKind::kUnavailable,
                fmt::format("{} ended with wait status {}: {}", argv.front(), *status, output));
  }
  return {};
}

Result<void> WriteContents(Launcher& launcher, const DiskSpec& spec, const std::filesystem::path& image) {
  if (spec.damage != DiskDamage::kNone) {
    return WriteDamagedLabel(launcher, spec, image);
  }
  if (spec.label != DiskLabel::kNone) {
    return WriteLabel(launcher, spec, image);
  }
  return WriteFileSystem(launcher, spec, image);
}

}  // namespace dmrp::harness
