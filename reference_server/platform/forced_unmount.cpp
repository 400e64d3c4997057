#include "reference_server/platform/forced_unmount.hpp"

#include "reference_server/platform/process_watch.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>

namespace dmrp::server {
namespace fs = std::filesystem;
namespace {

constexpr auto kTermGrace = std::chrono::seconds(10);  // to write out what a file system in user space holds
constexpr auto kKillGrace = std::chrono::seconds(5);
constexpr int kAttempts = 3;  // processes may open files while others are being ended

std::string TargetOf(const fs::path& link) {
  std::error_code error;
  return fs::read_symlink(link, error).string();
}

/// Whether an open file keeps a file system from becoming read-only.
bool HoldsWritable(const fs::path& process, const std::string& fd, const std::vector<DeviceMount>& mounts) {
  std::istringstream lines(ReadWholeFile(process / "fdinfo" / fd));
  bool on_it = false;
  bool writable = false;
  for (std::string name, value; lines >> name >> value;) {
    if (name == "mnt_id:") {
      const auto id = ParseDecimal(value);
      on_it = id && std::ranges::find(mounts, *id, &DeviceMount::id) != mounts.end();
    } else if (name == "flags:") {
      writable = (std::strtoul(value.c_str(), nullptr, 8) & O_ACCMODE) != O_RDONLY;
    }
  }
  return on_it && (writable || TargetOf(process / "fd" / fd).ends_with(" (deleted)"));
}

/// Whether a process has a file of the device mapped so that what it stores there is written.
bool MapsWritable(const fs::path& process, const std::string& device_number) {
  unsigned major = 0;
  unsigned minor = 0;
  if (std::sscanf(device_number.c_str(), "%u:%u", &major, &minor) != 2) return false;
  const std::string device = fmt::format("{:02x}:{:02x}", major, minor);
  std::istringstream lines(ReadWholeFile(process / "maps"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string range, rights, offset, number;
    words >> range >> rights >> offset >> number;
    if (number == device && rights.size() == 4 && rights[1] == 'w' && rights[3] == 's') return true;
  }
  return false;
}

std::vector<pid_t> Writers(const std::vector<DeviceMount>& mounts, const std::string& device_number,
                           const SystemRoots& roots) {
  std::vector<pid_t> writers;
  for (const pid_t pid : OtherProcesses(roots)) {
    const fs::path process = roots.proc / std::to_string(pid);
    const auto files = ListDirectory(process / "fd");
    if (std::ranges::any_of(files, [&](const auto& fd) { return HoldsWritable(process, fd, mounts); }) ||
        MapsWritable(process, device_number)) {
      writers.push_back(pid);
    }
  }
  return writers;
}

/// The programs that serve a file system in user space from this node.
std::vector<pid_t> Daemons(const fs::path& node, const SystemRoots& roots) {
  std::vector<pid_t> daemons;
  for (const pid_t pid : OtherProcesses(roots)) {
    const fs::path files = roots.proc / std::to_string(pid) / "fd";
    bool has_node = false;
    bool has_fuse = false;
    for (const std::string& fd : ListDirectory(files)) {
      const std::string target = TargetOf(files / fd);
      has_node = has_node || target == node.string();
      has_fuse = has_fuse || target == "/dev/fuse";
    }
    if (has_node && has_fuse) daemons.push_back(pid);
  }
  return daemons;
}

/// Signals processes and waits for their ends; returns those that are still there after `grace`.
std::vector<pid_t> End(const std::vector<pid_t>& processes, int signal, std::chrono::milliseconds grace) {
  ProcessWatch watch(processes);
  watch.Signal(signal);
  const auto deadline = std::chrono::steady_clock::now() + grace;
  while (watch.AwaitEnd(deadline)) {
  }
  return watch.Left();
}

Result<void> Detach(const std::vector<DeviceMount>& mounts) {
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    // EINVAL: gone together with the mount that it lay on.
    if (::umount2(mount->point.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT) {
      return FailErrno(fmt::format("unmounting {}", mount->point), errno);
    }
  }
  return {};
}

/// Those of the mounts that do not end by themselves.
std::vector<DeviceMount> Unmount(const std::vector<DeviceMount>& mounts) {
  std::vector<DeviceMount> busy;
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    if (::umount2(mount->point.c_str(), 0) != 0 && errno != EINVAL && errno != ENOENT) {
      busy.insert(busy.begin(), *mount);
    }
  }
  return busy;
}

/// `signal` 0 waits only: a daemon whose mount has ended is on its way out.
Result<void> EndDaemons(const fs::path& node, int signal, const SystemRoots& roots) {
  const auto stubborn = End(Daemons(node, roots), signal, kTermGrace);
  if (const auto left = End(stubborn, SIGKILL, kKillGrace); !left.empty()) {
    return Fail(ErrorKind::kUnavailable,
                fmt::format("process {} serves {} and does not end", left.front(), node.string()));
  }
  return {};
}

/// One mount is enough to make the whole file system read-only.
Result<void> MakeReadOnly(const std::vector<DeviceMount>& mounts, const std::string& device_number,
                          const SystemRoots& roots) {
  int error = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (::mount(nullptr, mounts.front().point.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0)
      return {};
    error = errno;
    if (error != EBUSY) break;
    End(Writers(mounts, device_number, roots), SIGKILL, kKillGrace);
  }
  return Fail(ErrorKind::kUnavailable, fmt::format("{} stays writable", mounts.front().point),
              static_cast<std::uint32_t>(error));
}

}  // namespace

Result<void> UnmountByForce(const std::vector<DeviceMount>& mounts, const std::string& device_number,
                            const fs::path& node, const SystemRoots& roots) {
  const std::vector<DeviceMount> busy = Unmount(mounts);
  const bool in_user_space =
      std::ranges::any_of(mounts, [](const DeviceMount& mount) { return mount.type.starts_with("fuse"); });
  if (!busy.empty()) {
    if (!in_user_space) {
      if (auto done = MakeReadOnly(busy, device_number, roots); !done) return done;
    }
    if (auto done = Detach(busy); !done) return done;
  }
  return in_user_space ? EndDaemons(node, busy.empty() ? 0 : SIGTERM, roots) : Result<void>();
}

}  // namespace dmrp::server
