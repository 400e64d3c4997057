#include "harness/target/machine_registry.hpp"

#include "harness/guest/guest.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::harness {

namespace {

constexpr const char* kHiveInGuest = "/system/WINNT/system32/config/system";
constexpr std::uint32_t kHiveLimit = 4U << 20U;

// A file of this process's own that goes away with the value.
class ScratchFile {
 public:
  static Result<ScratchFile> With(std::string_view content) {
    std::string name = (std::filesystem::temp_directory_path() / "dmrp-hive-XXXXXX").string();
    const int descriptor = mkstemp(name.data());
    if (descriptor < 0) return FailErrno("make " + name, errno);
    ::close(descriptor);
    ScratchFile file(name);
    std::ofstream(name, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return file;
  }
  ScratchFile(ScratchFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~ScratchFile() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// The machine's hive as a file here; nothing while it has none.
Result<std::optional<ScratchFile>> HiveOf(TestBed& bed) {
  if (bed.guest() == nullptr) {
    return Fail(ErrorKind::kUnsupported, "the registry of the target's machine cannot be read");
  }
  AgentClient& agent = bed.guest()->agent();
  auto there = agent.Exec({"/bin/busybox", "test", "-e", kHiveInGuest});
  if (!there) return tl::unexpected(there.error());
  if (there->status != 0) return std::nullopt;
  auto octets = agent.ReadFile(kHiveInGuest, 0, kHiveLimit);
  if (!octets) return tl::unexpected(octets.error());
  auto file = ScratchFile::With(*octets);
  if (!file) return tl::unexpected(file.error());
  return std::optional(*std::move(file));
}

}  // namespace

Result<MountedDevices> ReadMountedDevices(TestBed& bed) {
  auto hive = HiveOf(bed);
  if (!hive) return tl::unexpected(hive.error());
  if (!*hive) return MountedDevices{};
  return MountedDevices::ReadFile((*hive)->path());
}

Result<void> EditMountedDevices(TestBed& bed, const std::map<std::string, Bytes>& set,
                                const std::vector<std::string>& remove) {
  auto hive = HiveOf(bed);
  if (!hive) return tl::unexpected(hive.error());
  if (!*hive) return Fail(ErrorKind::kUnavailable, "the target's machine has no hive yet");
  const std::filesystem::path& file = (*hive)->path();
  if (auto edited = EditMountedDevices(file, set, remove); !edited) return edited;
  std::ifstream written(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(written), {}};
  AgentClient& agent = bed.guest()->agent();
  const std::string aside = std::string(kHiveInGuest) + ".edited";
  if (auto done = agent.WriteFile(aside, content); !done) return done;
  auto moved = agent.Shell(fmt::format("mv -f '{}' '{}'", aside, kHiveInGuest));
  if (!moved) return tl::unexpected(moved.error());
  return {};
}

}  // namespace dmrp::harness
