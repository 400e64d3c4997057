#include "reference_server/platform/shutdown.hpp"

#include "reference_server/platform/process_watch.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string_view>

#include <linux/capability.h>
#include <mntent.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

// How long other processes get to end by themselves, as file systems in user space must to be written out.
constexpr auto kGrace = std::chrono::seconds(3);

// Calls `each(source, mount point)` for the lines of a table of mounts or of swap space.
template <typename Each>
void ForEachEntry(const std::filesystem::path& table, Each each) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(setmntent(table.c_str(), "re"), &endmntent);
  mntent entry{};
  std::array<char, 4096> text{};
  while (file && getmntent_r(file.get(), &entry, text.data(), static_cast<int>(text.size())) != nullptr) {
    each(std::string_view(entry.mnt_fsname), std::string(entry.mnt_dir));
  }
}

bool UnmountAll() {
  for (const std::string& point : BlockMountPoints()) {
    (void)::umount2(point.c_str(), 0);
  }
  return BlockMountPoints().empty();
}

}  // namespace

Result<void> MayShutDown() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) {
    return FailErrno("asking for this process's capabilities", errno);
  }
  if ((data[0].effective & (1U << CAP_SYS_BOOT)) == 0) {
    return Fail(ErrorKind::kDenied, "this process may not restart the machine");
  }
  return {};
}

std::vector<std::string> BlockMountPoints(const SystemRoots& roots) {
  std::vector<std::string> points;
  ForEachEntry(roots.proc / "self" / "mounts", [&](std::string_view source, std::string point) {
    if (source.starts_with("/dev/")) points.push_back(std::move(point));
  });
  std::ranges::reverse(points);
  return points;
}

Result<void> ShutDownMachine(ShutdownKind kind) {
  ::sync();
  const bool idle = UnmountAll();
  ProcessWatch others(OtherProcesses());
  ::kill(-1, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kGrace;
  // With each process that ends a file system may have lost its last user.
  while (!idle && !UnmountAll() && others.AwaitEnd(deadline)) {
  }
  ::kill(-1, SIGKILL);
  ForEachEntry("/proc/swaps", [](std::string_view source, const std::string& /*kind*/) {
    if (source.starts_with("/dev/")) ::swapoff(std::string(source).c_str());
  });
  if (!UnmountAll()) {
    for (const std::string& point : BlockMountPoints()) {
      (void)::umount2(point.c_str(), MNT_DETACH);
    }
  }
  ::sync();
  (void)::reboot(kind == ShutdownKind::kReboot ? RB_AUTOBOOT : RB_POWER_OFF);
  return FailErrno("reboot", errno);
}

}  // namespace dmrp::server
