#include "reference_server/platform/ram_device.hpp"

#include "reference_server/platform/process.hpp"

#include <cerrno>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr const char* kControl = "/dev/loop-control";
/// Somebody else may take the device that was free a moment ago.
constexpr int kAttempts = 16;

FileDescriptor OpenControl() {
  FileDescriptor control(::open(kControl, O_RDWR | O_CLOEXEC));
  if (control || (errno != ENOENT && errno != ENODEV)) return control;
  if (const auto modprobe = FindProgram("modprobe")) {
    std::ignore = RunProcess({.program = *modprobe, .arguments = {"loop"}}, {});
  }
  return FileDescriptor(::open(kControl, O_RDWR | O_CLOEXEC));
}

}  // namespace

Result<RamDevice> RamDevice::Make(std::uint64_t size) {
  const FileDescriptor memory(::memfd_create("dmrp", MFD_CLOEXEC));
  if (!memory || ::ftruncate(memory.Get(), static_cast<off_t>(size)) != 0) {
    return FailErrno(fmt::format("taking {} octets of memory", size), errno);
  }
  const FileDescriptor control = OpenControl();
  if (!control) return FailErrno(fmt::format("opening {}", kControl), errno);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int number = ::ioctl(control.Get(), LOOP_CTL_GET_FREE);
    if (number < 0) return FailErrno("asking for a free loop device", errno);
    std::filesystem::path node = fmt::format("/dev/loop{}", number);
    FileDescriptor device(::open(node.c_str(), O_RDWR | O_CLOEXEC));
    if (!device) return FailErrno(fmt::format("opening {}", node.string()), errno);
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(memory.Get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(device.Get(), LOOP_CONFIGURE, &config) == 0) {
      return RamDevice(std::move(device), std::move(node));
    }
    if (errno != EBUSY) return FailErrno(fmt::format("setting up {}", node.string()), errno);
  }
  return Fail(ErrorKind::kUnavailable, "every free loop device was taken by others", EBUSY);
}

}  // namespace dmrp::server
