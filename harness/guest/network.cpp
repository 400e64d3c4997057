#include "harness/guest/network.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <random>
#include <sstream>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

constexpr int kFirstNumber = 16;
constexpr int kLastNumber = 250;
constexpr const char* kBridge = "br0";

// Guest addresses are reused late, so that connections of an ended guest do not meet its successor.
int RandomStart() {
  std::random_device device;
  return std::uniform_int_distribution<>(kFirstNumber, kLastNumber)(device);
}

void SetName(ifreq& request, std::string_view name) {
  std::memset(&request, 0, sizeof request);
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
}

// A tap on the bridge. An invalid descriptor means that the name is taken.
Result<FileDescriptor> MakeTap(const std::string& name) {
  FileDescriptor tap(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!tap) {
    return FailErrno("/dev/net/tun", errno);
  }
  ifreq request;
  SetName(request, name);
  // No IFF_VNET_HDR: every frame is a real one with real checksums, as captures and a template shared with
  // the user-mode network need it.
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(tap.Get(), TUNSETIFF, &request) != 0) {
    if (errno == EBUSY) {
      return FileDescriptor();
    }
    return FailErrno("making the tap " + name, errno);
  }
  FileDescriptor control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SetName(request, kBridge);
  request.ifr_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
  if (ioctl(control.Get(), SIOCBRADDIF, &request) != 0) {
    return FailErrno(fmt::format("joining {} to {}", name, kBridge), errno);
  }
  SetName(request, name);
  request.ifr_flags = IFF_UP;
  if (ioctl(control.Get(), SIOCSIFFLAGS, &request) != 0) {
    return FailErrno(fmt::format("setting {} up", name), errno);
  }
  return tap;
}

// Abstract socket names belong to the network namespace, as the ports that they stand for do.
FileDescriptor Reserve(int number) {
  FileDescriptor holder(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string text = fmt::format("dmrp-guest-127.77.0.{}", number);
  std::memcpy(name.sun_path + 1, text.data(), text.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  if (bind(holder.Get(), reinterpret_cast<sockaddr*>(&name), length) != 0) {
    return {};
  }
  return holder;
}

std::string Setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string_view Name(NetworkKind kind) {
  switch (kind) {
    case NetworkKind::kBridge:
      return "bridge";
    case NetworkKind::kUserNamespaced:
      return "user-namespaced";
    case NetworkKind::kUserForwarded:
      return "user-forwarded";
  }
  return "unknown";
}

Result<Network> Network::Detect() {
  const std::string value = Setting("DMRP_NETWORK");
  for (const auto kind : {NetworkKind::kBridge, NetworkKind::kUserNamespaced, NetworkKind::kUserForwarded}) {
    if (value == Name(kind)) {
      return Network(kind);
    }
  }
  if (value.empty()) {
    return Network(NetworkKind::kUserForwarded);
  }
  return Fail(ErrorKind::kUsage,
              fmt::format("DMRP_NETWORK is \"{}\"; known: bridge, user-namespaced, user-forwarded", value));
}

Result<GuestLink> Network::NewLink() const {
  const int count = kLastNumber - kFirstNumber + 1;
  const int start = RandomStart();
  for (int step = 0; step < count; ++step) {
    const int number = kFirstNumber + (start - kFirstNumber + step) % count;
    GuestLink link;
    GuestAddress& address = link.address;
    address.mac = fmt::format("52:54:00:09:00:{:02x}", number);
    if (kind_ == NetworkKind::kBridge) {
      auto tap = MakeTap(fmt::format("tap{}", number));
      if (!tap) {
        return tl::unexpected(tap.error());
      }
      if (!*tap) {
        continue;
      }
      link.tap = std::move(*tap);
      link.netdev = fmt::format("tap,id=net0,fd={}", link.tap.Get());
      address.host = address.guest_address = fmt::format("10.9.0.{}", number);
      address.gateway = address.listen_address = address.callback_address = "10.9.0.1";
      std::istringstream list(Setting("DMRP_CLIENT_ADDRESSES"));
      for (std::string one; std::getline(list, one, ',');) {
        address.client_addresses.push_back(one);
      }
      return link;
    }
    link.reservation = Reserve(number);
    if (!link.reservation) {
      continue;
    }
    address.host = fmt::format("127.77.0.{}", number);
    address.port = kind_ == NetworkKind::kUserNamespaced ? 135 : 10135;
    address.guest_address = "10.0.2.15";
    address.gateway = address.callback_address = "10.0.2.2";
    address.listen_address = "127.0.0.1";
    address.server_must_advertise = true;
    link.netdev = fmt::format("user,id=net0,hostfwd=tcp:{0}:{1}-:135,hostfwd=tcp:{0}:{2}-:{2}", address.host,
                              address.port, address.exporter_port);
    return link;
  }
  return Fail(ErrorKind::kLimit, fmt::format("all {} guest addresses are taken", count));
}

Result<void> EnterNamespace(int argc, char** argv) {
  if (std::getenv("DMRP_NETWORK") != nullptr) {
    return {};
  }
  std::vector<char*> arguments;
  std::array<std::string, 3> prefix = {"/usr/bin/python3", DMRP_SOURCE_DIRECTORY "/ci/namespace.py", "--"};
  for (auto& word : prefix) {
    arguments.push_back(word.data());
  }
  std::string self = "/proc/self/exe";
  std::array<char, 4096> path{};
  if (readlink(self.c_str(), path.data(), path.size() - 1) > 0) {
    self = path.data();
  }
  arguments.push_back(self.data());
  for (int i = 1; i < argc; ++i) {
    arguments.push_back(argv[i]);
  }
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  return FailErrno(prefix[1], errno);
}

}  // namespace dmrp::harness
