#include "harness/ft/machine_ft_record.hpp"

#include "harness/ft/ft_disks.hpp"
#include "harness/guest/guest.hpp"
#include "protocol/base/guid.hpp"

#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

constexpr std::string_view kHiveInGuest = "/system/WINNT/system32/config/system";
constexpr std::uint32_t kHiveLimit = 4U << 20U;

// A folder of this process's own that goes away with the value.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_(std::filesystem::temp_directory_path() / ("dmrp-hive-" + Guid::Random().ToString())) {
    std::error_code ignored;
    std::filesystem::create_directories(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path hive() const { return path_ / "system"; }

 private:
  std::filesystem::path path_;
};

// Copies the machine's hive to a file here; false while it has none.
Result<bool> Fetch(TestBed& bed, const std::filesystem::path& to) {
  if (bed.guest() == nullptr) {
    return Fail(ErrorKind::kUnsupported, "the registry of the target's machine cannot be read");
  }
  AgentClient& agent = bed.guest()->agent();
  auto there = agent.Exec({"/bin/busybox", "test", "-e", std::string(kHiveInGuest)});
  if (!there) return tl::unexpected(there.error());
  if (there->status != 0) return false;
  auto octets = agent.ReadFile(std::string(kHiveInGuest), 0, kHiveLimit);
  if (!octets) return tl::unexpected(octets.error());
  std::ofstream(to, std::ios::binary).write(octets->data(), static_cast<std::streamsize>(octets->size()));
  return true;
}

}  // namespace

Result<std::optional<FtRecord>> ReadFtRecord(TestBed& bed) {
  const ScratchFolder folder;
  auto there = Fetch(bed, folder.hive());
  if (!there) return tl::unexpected(there.error());
  if (!*there) return std::nullopt;
  return FtRecord::ReadFile(folder.hive());
}

Result<void> InstallFtRecord(TestBed& bed, const Bytes& value) {
  const ScratchFolder folder;
  if (auto there = Fetch(bed, folder.hive()); !there) return tl::unexpected(there.error());
  if (auto put = PutFtRecord(folder.hive(), value); !put) return put;
  std::ifstream written(folder.hive(), std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(written), {}};
  AgentClient& agent = bed.guest()->agent();
  const std::string aside = std::string(kHiveInGuest) + ".edited";
  if (auto done = agent.WriteFile(aside, content); !done) return done;
  auto moved = agent.Shell(fmt::format("mv -f '{}' '{}' && sync", aside, kHiveInGuest));
  if (!moved) return tl::unexpected(moved.error());
  return {};
}

}  // namespace dmrp::harness
