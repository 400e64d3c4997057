#include "harness/disks/disk_image.hpp"

#include "harness/guest/process.hpp"
#include "protocol/base/guid.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>
#include <sys/wait.h>

namespace dmrp::harness {
namespace {

constexpr std::chrono::milliseconds kToolDeadline(30'000);
constexpr std::uint64_t kGeometryPartition = 4U << 20U;  // octets; enough for any heads and sectors to show

std::string FreshSerial() {
  std::string text = Guid::Random().ToString();
  text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
  text.resize(10);
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return "DM" + text;
}

Result<void> RunTool(Launcher& launcher, const std::vector<std::string>& argv, const std::string& input,
                     const std::filesystem::path& beside) {
  const std::filesystem::path input_file = beside.string() + ".input";
  const std::filesystem::path log = beside.string() + ".log";
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

}  // namespace

Result<DiskImage> CreateDiskImage(const DiskSpec& spec, const std::filesystem::path& directory) {
  if (auto valid = Validate(spec); !valid) {
    return tl::unexpected(valid.error());
  }
  DiskImage image{.spec = spec, .path = {}};
  if (image.spec.serial.empty()) {
    image.spec.serial = FreshSerial();
  }
  const std::string stem = (spec.name.empty() ? "disk" : spec.name) + "-" + image.spec.serial;
  const auto raw = directory / (stem + ".raw");
  const auto qcow2 = directory / (stem + ".qcow2");
  image.path = spec.format == DiskFormat::kRaw ? raw : qcow2;
  std::error_code trouble;
  if (std::filesystem::exists(image.path, trouble)) {
    return Fail(ErrorKind::kUsage, fmt::format("{} exists already", image.path.string()));
  }
  Launcher launcher;
  if (spec.label != DiskLabel::kNone || spec.format == DiskFormat::kRaw) {
    std::ofstream(raw, std::ios::binary).close();
    std::filesystem::resize_file(raw, spec.size, trouble);
    if (trouble) {
      return FailErrno(fmt::format("making {} of {} octets", raw.string(), spec.size), trouble.value());
    }
  }
  if (spec.label != DiskLabel::kNone) {
    if (auto done = WriteLabel(launcher, spec, raw); !done) {
      return tl::unexpected(done.error());
    }
  }
  if (spec.format == DiskFormat::kQcow2) {
    const std::vector<std::string> argv =
        spec.label == DiskLabel::kNone
            ? std::vector<std::string>{"qemu-img",
                                       "create",
                                       "-q",
                                       "-f",
                                       "qcow2",
                                       qcow2.string(),
                                       std::to_string(spec.size)}
            : std::vector<std::string>{"qemu-img", "convert", "-f",         "raw",
                                       "-O",       "qcow2",   raw.string(), qcow2.string()};
    auto done = RunTool(launcher, argv, "", qcow2);
    std::error_code ignored;
    std::filesystem::remove(raw, ignored);
    if (!done) {
      return tl::unexpected(done.error());
    }
  }
  return image;
}

}  // namespace dmrp::harness
