#include "reference_server/platform/uevent.hpp"

#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kLargestDatagram = 65536;
constexpr int kReceiveBuffer = 4 << 20;
constexpr unsigned kKernelGroup = 1;

UeventAction ActionOf(std::string_view text) {
  if (text == "add") return UeventAction::kAdd;
  if (text == "remove") return UeventAction::kRemove;
  if (text == "change") return UeventAction::kChange;
  return UeventAction::kOther;
}

}  // namespace

Result<Uevent> ParseUevent(std::span<const std::byte> datagram) {
  std::string_view text(reinterpret_cast<const char*>(datagram.data()), datagram.size());
  if (text.size() > kLargestDatagram) {
    return Fail(ErrorKind::kLimit,
                fmt::format("uevent of {} octets, more than {}", text.size(), kLargestDatagram));
  }
  const std::string_view head = text.substr(0, text.find('\0'));
  const auto at = head.find('@');
  if (at == std::string_view::npos || at == 0) {
    return Fail(ErrorKind::kMalformed, "uevent does not begin with ACTION@DEVPATH");
  }
  Uevent event;
  for (text.remove_prefix(std::min(text.size(), head.size() + 1)); !text.empty();) {
    const std::string_view pair = text.substr(0, text.find('\0'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) {
      return Fail(ErrorKind::kMalformed, fmt::format("uevent variable without a value: {}", pair));
    }
    event.variables.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  const auto variable = [&](const char* name) {
    const auto found = event.variables.find(name);
    return found == event.variables.end() ? std::string() : found->second;
  };
  if (variable("ACTION") != head.substr(0, at) || variable("DEVPATH") != head.substr(at + 1)) {
    return Fail(ErrorKind::kMalformed, fmt::format("uevent head {} differs from its variables", head));
  }
  event.action = ActionOf(head.substr(0, at));
  event.devicePath = variable("DEVPATH");
  event.subsystem = variable("SUBSYSTEM");
  event.deviceName = variable("DEVNAME");
  event.partition = variable("DEVTYPE") == "partition";
  event.diskSequence = ParseDecimal(variable("DISKSEQ")).value_or(0);
  event.mediaChange = variable("DISK_MEDIA_CHANGE") == "1";
  event.ejectRequest = variable("DISK_EJECT_REQUEST") == "1";
  event.resized = variable("RESIZE") == "1";
  return event;
}

Result<UeventListener> UeventListener::Open() {
  const int fd = ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  if (fd < 0) return FailErrno("opening a netlink socket for uevents", errno);
  UeventListener listener(fd);
  // Losing events costs a full scan; a bigger buffer is worth asking for, but not worth failing for.
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelGroup;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return FailErrno("binding the netlink socket for uevents", errno);
  }
  return listener;
}

UeventListener::UeventListener(UeventListener&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

UeventListener& UeventListener::operator=(UeventListener&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

UeventListener::~UeventListener() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::vector<Uevent>> UeventListener::Take() {
  std::vector<Uevent> events;
  std::vector<std::byte> datagram(kLargestDatagram);
  while (true) {
    sockaddr_nl sender{};
    socklen_t size = sizeof(sender);
    const ssize_t count =
        ::recvfrom(fd_, datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&sender), &size);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return events;
      if (errno == ENOBUFS) return Fail(ErrorKind::kUnavailable, "uevents were lost", ENOBUFS);
      return FailErrno("receiving uevents", errno);
    }
    if (sender.nl_pid != 0) continue;  // not from the kernel
    auto event = ParseUevent(std::span(datagram).first(static_cast<std::size_t>(count)));
    if (event && event->subsystem == "block") events.push_back(std::move(*event));
  }
}

Result<void> EnableMediaPolling(std::uint32_t milliseconds) {
  // Absent without a CD driver; then there is no tray to close either.
  (void)WriteAttribute("/proc/sys/dev/cdrom/autoclose", "0");
  const std::filesystem::path period = "/sys/module/block/parameters/events_dfl_poll_msecs";
  if (const auto now = ReadNumber(period); now && *now != 0 && *now <= milliseconds) {
    return {};
  }
  return WriteAttribute(period, fmt::format("{}", milliseconds));
}

}  // namespace dmrp::server
