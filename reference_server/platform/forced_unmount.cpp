#include "reference_server/platform/forced_unmount.hpp"

#include "reference_server/platform/file_descriptor.hpp"
#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace dmrp::server {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kTermGrace = std::chrono::seconds(10);  // to write out what a file system in user space holds
constexpr auto kKillGrace = std::chrono::seconds(5);
constexpr int kAttempts = 3;  // processes may open files while others are being ended

/// The numbers of all processes but the first and this one.
std::vector<pid_t> OtherProcesses(const SystemRoots& roots) {
  std::vector<pid_t> processes;
  for (const std::string& name : ListDirectory(roots.proc)) {
    const auto pid = ParseDecimal(name);
    if (pid && *pid > 1 && static_cast<pid_t>(*pid) != ::getpid()) {
      processes.push_back(static_cast<pid_t>(*pid));
    }
  }
  return processes;
}

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
  std::vector<std::pair<pid_t, FileDescriptor>> ending;
  for (const pid_t pid : processes) {
    FileDescriptor fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (fd && ::syscall(SYS_pidfd_send_signal, fd.Get(), signal, nullptr, 0) == 0) {
      ending.emplace_back(pid, std::move(fd));
    }
  }
  std::vector<pid_t> left;
  const auto deadline = Clock::now() + grace;
  for (const auto& [pid, fd] : ending) {
    pollfd waited{.fd = fd.Get(), .events = POLLIN, .revents = 0};
    int ready = -1;
    do {
      const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      ready = ::poll(&waited, 1, static_cast<int>(std::max<std::int64_t>(0, rest.count())));
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) left.push_back(pid);
  }
  return left;
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
