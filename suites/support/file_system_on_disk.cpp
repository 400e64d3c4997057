#include "suites/support/file_system_on_disk.hpp"

#include "dmrp/interfaces/types.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <regex>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::suites {

namespace {

// A copy of a part of a file, with its holes; gone with this value.
class Part {
 public:
  static Result<std::unique_ptr<Part>> Copy(const std::filesystem::path& image, std::uint64_t offset,
                                            std::uint64_t length) {
    std::unique_ptr<Part> part(new Part);
    std::string name = (std::filesystem::temp_directory_path() / "dmrp-volume-XXXXXX").string();
    const int to = mkstemp(name.data());
    if (to < 0) return FailErrno("make " + name, errno);
    part->path_ = name;
    const int from = open(image.c_str(), O_RDONLY | O_CLOEXEC);
    const bool copied = from >= 0 && ftruncate(to, static_cast<off_t>(length)) == 0 &&
                        CopyData(from, to, static_cast<off_t>(offset), static_cast<off_t>(length));
    const int failure = errno;
    if (from >= 0) close(from);
    close(to);
    if (!copied) return FailErrno("copy a volume of " + image.string(), failure);
    return part;
  }
  ~Part() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  Part() = default;
  static bool CopyData(int from, int to, off_t offset, off_t length) {
    std::vector<char> buffer(1U << 20U);
    const off_t end = offset + length;
    off_t at = offset;
    while (at < end) {
      const off_t data = lseek(from, at, SEEK_DATA);
      if (data < 0) return errno == ENXIO;
      if (data >= end) return true;
      const off_t hole = std::min(lseek(from, data, SEEK_HOLE), end);
      for (at = data; at < hole;) {
        const auto want = std::min<off_t>(static_cast<off_t>(buffer.size()), hole - at);
        const ssize_t got = pread(from, buffer.data(), static_cast<std::size_t>(want), at);
        if (got <= 0) return false;
        if (pwrite(to, buffer.data(), static_cast<std::size_t>(got), at - offset) != got) return false;
        at += got;
      }
    }
    return true;
  }
  std::filesystem::path path_;
};

struct Ended {
  int status = 0;  ///< exit status
  std::string output;
};

Result<Ended> Run(const std::string& program, const std::filesystem::path& volume) {
  const std::string command =
      fmt::format("LC_ALL=C.UTF-8 PATH=\"$PATH:/usr/sbin:/sbin\" {} '{}' 2>&1", program, volume.string());
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return FailErrno("start " + program, errno);
  Ended ended;
  std::array<char, 4096> buffer{};
  std::size_t got = 0;
  while ((got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0)
    ended.output.append(buffer.data(), got);
  const int status = pclose(pipe);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (ended.status == 127) return Fail(ErrorKind::kSystem, "not there: " + program);
  return ended;
}

std::string Match(const std::string& text, const char* pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[1].str() : std::string();
}

std::uint64_t Number(const std::string& text, const char* pattern) {
  const std::string digits = Match(text, pattern);
  return digits.empty() ? 0 : std::stoull(digits);
}

// One value of blkid's low-level probe; empty where there is none.
Result<std::string> Probe(const char* tag, const std::filesystem::path& volume) {
  auto ended = Run(fmt::format("blkid -p -o value -s {}", tag), volume);
  if (!ended) return tl::unexpected(ended.error());
  if (ended->status != 0) return std::string();
  if (ended->output.ends_with('\n')) ended->output.pop_back();
  return ended->output;
}

Result<void> ReadFat(const std::filesystem::path& volume, FileSystemOnDisk& seen) {
  auto check = Run("fsck.fat -n -v", volume);
  if (!check) return tl::unexpected(check.error());
  seen.account += check->output;
  if (check->status != 0) seen.problems.push_back("fsck.fat: " + check->output);
  seen.unit = static_cast<std::uint32_t>(Number(check->output, "([0-9]+) bytes per cluster"));
  const std::uint64_t used = Number(check->output, "files, ([0-9]+)/[0-9]+ clusters");
  seen.units = Number(check->output, "files, [0-9]+/([0-9]+) clusters");
  seen.units_free = seen.units - used;
  // fsck.fat says so with -v for each one.
  static const std::regex kBad("luster [0-9]+ is marked bad|bad cluster", std::regex::icase);
  seen.bad_units = static_cast<std::uint64_t>(
      std::distance(std::sregex_iterator(check->output.begin(), check->output.end(), kBad), {}));
  return {};
}

Result<void> ReadNtfs(const std::filesystem::path& volume, FileSystemOnDisk& seen) {
  auto info = Run("ntfsinfo -m -f", volume);
  if (!info) return tl::unexpected(info.error());
  auto root = Run("ntfsinfo -i 5 -f", volume);
  if (!root) return tl::unexpected(root.error());
  auto sizes = Run("ntfsresize -i -f -P", volume);
  if (!sizes) return tl::unexpected(sizes.error());
  auto fix = Run("ntfsfix -n", volume);
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

std::int32_t FileSystemOnDisk::fs_type() const {
  switch (type) {
    case Type::kNone:
      return FSTYPE_UNKNOWN;
    case Type::kFat12:
    case Type::kFat16:
      return FSTYPE_FAT;
    case Type::kFat32:
      return FSTYPE_FAT32;
    case Type::kNtfs:
      return FSTYPE_NTFS;
    case Type::kOther:
      break;
  }
  return FSTYPE_OTHER;
}

Result<FileSystemOnDisk> ReadFileSystem(const std::filesystem::path& image, std::uint64_t offset,
                                        std::uint64_t length) {
  auto part = Part::Copy(image, offset, length);
  if (!part) return tl::unexpected(part.error());
  const std::filesystem::path& volume = (*part)->path();
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

}  // namespace dmrp::suites
