// The guest agent: runs commands, moves files, reports uevents and exits of what it spawned. It is the only
// channel between the harness and a guest that does not depend on the network or on the server under test.
#include "harness/guest/agent_protocol.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using dmrp::harness::agent::FrameKind;
using dmrp::harness::agent::FrameReader;
using dmrp::harness::agent::FrameSplitter;
using dmrp::harness::agent::FrameWriter;
using dmrp::harness::agent::kMaxPayload;
using dmrp::harness::agent::kPortName;
using dmrp::harness::agent::kReadyDescriptor;

constexpr std::size_t kMaxOutput = kMaxPayload / 4;

std::uint64_t Nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

void Close(int& fd) {
  if (fd >= 0) {
    close(fd);
  }
  fd = -1;
}

struct Child {
  std::uint32_t request = 0;  // 0: spawned, its exit is an event
  int in = -1;
  int out = -1;
  int err = -1;
  int ready = -1;
  std::string input;
  std::string output;
  std::string errors;
  bool ended = false;
  int status = 0;
};

class Agent {
 public:
  Agent(int port, int signals, int uevents) : port_(port), signals_(signals), uevents_(uevents) {}

  [[noreturn]] void Run() {
    for (;;) {
      std::vector<pollfd> polled{{signals_, POLLIN, 0}, {uevents_, POLLIN, 0}};
      if (connected_) {
        polled.push_back({port_, static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT)), 0});
      }
      for (auto& [pid, child] : children_) {
        for (const int fd : {child.out, child.err, child.ready}) {
          if (fd >= 0) {
            polled.push_back({fd, POLLIN, 0});
          }
        }
        if (child.in >= 0) {
          polled.push_back({child.in, POLLOUT, 0});
        }
      }
      if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
        std::perror("agent: poll");
        std::abort();
      }
      if ((polled[0].revents & POLLIN) != 0) {
        TakeSignals();
      }
      if ((polled[1].revents & POLLIN) != 0) {
        TakeUevents();
      }
      MoveChildren();
      TakeRequests();
      Flush();
    }
  }

 private:
  void Send(FrameWriter&& frame) {
    if (connected_) {
      outgoing_ += std::move(frame).Finish();
    }
  }
  void SendError(std::uint32_t id, int code, std::string_view what) {
    FrameWriter frame(FrameKind::kError, id);
    frame.U32(static_cast<std::uint32_t>(code)).String(std::string(what) + ": " + std::strerror(code));
    Send(std::move(frame));
  }
  void SendDone(std::uint32_t id) { Send(FrameWriter(FrameKind::kReply, id)); }

  void Flush() {
    while (connected_ && !outgoing_.empty()) {
      const ssize_t sent = write(port_, outgoing_.data(), std::min<std::size_t>(outgoing_.size(), 32768));
      if (sent < 0) {
        return;  // EAGAIN: poll says when to go on; a host that left is noticed by the next read
      }
      outgoing_.erase(0, static_cast<std::size_t>(sent));
    }
  }

  void TakeRequests() {
    std::array<char, 32768> buffer;
    while (connected_) {
      const ssize_t got = read(port_, buffer.data(), buffer.size());
      if (got < 0) {
        break;
      }
      if (got == 0) {  // no host at the other end; SIGIO tells when one arrives
        connected_ = false;
        listening_ = false;
        outgoing_.clear();
        incoming_ = {};
        break;
      }
      incoming_.Append({buffer.data(), static_cast<std::size_t>(got)});
    }
    while (auto payload = incoming_.Next()) {
      Serve(*payload);
    }
    if (incoming_.broken()) {
      incoming_ = {};
      SendError(0, EMSGSIZE, "agent: frame");
    }
  }

  void TakeSignals() {
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGIO) {
        connected_ = true;
      }
    }
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (const auto found = children_.find(pid); found != children_.end()) {
        found->second.ended = true;
        found->second.status = status;
      }
    }
  }

  void TakeUevents() {
    std::array<char, 16384> buffer;
    for (ssize_t got = 0; (got = recv(uevents_, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;) {
      const std::string_view message(buffer.data(), static_cast<std::size_t>(got));
      const auto header = message.find('\0');  // "add@/devices/...", repeated by the records behind it
      if (!listening_ || header == std::string_view::npos) {
        continue;
      }
      FrameWriter frame(FrameKind::kUevent, 0);
      frame.U64(Nanoseconds(CLOCK_MONOTONIC)).String(message.substr(header + 1));
      Send(std::move(frame));
    }
  }

  static void Drain(int& fd, std::string& into) {
    std::array<char, 16384> buffer;
    while (fd >= 0) {
      const ssize_t got = read(fd, buffer.data(), buffer.size());
      if (got > 0) {
        const auto room = kMaxOutput - std::min(into.size(), kMaxOutput);
        into.append(buffer.data(), std::min(static_cast<std::size_t>(got), room));
      } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        Close(fd);
      } else if (errno == EAGAIN) {
        return;
      }
    }
  }

  void MoveChildren() {
    for (auto at = children_.begin(); at != children_.end();) {
      auto& [pid, child] = *at;
      Drain(child.out, child.output);
      Drain(child.err, child.errors);
      std::string told;
      Drain(child.ready, told);
      if (!told.empty()) {
        FrameWriter frame(FrameKind::kReady, 0);
        frame.U32(static_cast<std::uint32_t>(pid)).String(told);
        Send(std::move(frame));
      }
      while (child.in >= 0) {
        const ssize_t sent = write(child.in, child.input.data(), child.input.size());
        if (sent < 0 && errno == EAGAIN) {
          break;
        }
        child.input.erase(0, sent > 0 ? static_cast<std::size_t>(sent) : child.input.size());
        if (child.input.empty()) {
          Close(child.in);
        }
      }
      if (!child.ended || child.out >= 0 || child.err >= 0) {
        ++at;
        continue;
      }
      Close(child.in);
      Close(child.ready);
      if (child.request != 0) {
        FrameWriter frame(FrameKind::kReply, child.request);
        frame.U32(static_cast<std::uint32_t>(child.status)).String(child.output).String(child.errors);
        Send(std::move(frame));
      } else {
        FrameWriter frame(FrameKind::kExited, 0);
        frame.U32(static_cast<std::uint32_t>(pid)).U32(static_cast<std::uint32_t>(child.status));
        Send(std::move(frame));
      }
      at = children_.erase(at);
    }
  }

  // Starts argv with the given standard streams; a failed exec ends the child with status 127.
  static pid_t Launch(const std::vector<std::string>& argv, int in, int out, int err, int ready = -1) {
    std::vector<char*> pointers;
    for (const auto& argument : argv) {
      pointers.push_back(const_cast<char*>(argument.c_str()));
    }
    pointers.push_back(nullptr);
    const pid_t pid = vfork();
    if (pid != 0) {
      return pid;
    }
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (ready >= 0) {
      dup2(ready, kReadyDescriptor);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(pointers[0], pointers.data());
    _exit(127);
  }

  void Exec(std::uint32_t id, FrameReader& fields) {
    const auto argv = fields.Strings();
    Child child;
    child.request = id;
    child.input = fields.String();
    if (!fields.ok() || argv.empty()) {
      return SendError(id, EINVAL, "exec");
    }
    std::array<int, 2> in{-1, -1};
    std::array<int, 2> out{-1, -1};
    std::array<int, 2> err{-1, -1};
    if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0 ||
        pipe2(err.data(), O_CLOEXEC) != 0) {
      return SendError(id, errno, "exec: pipe");
    }
    const pid_t pid = Launch(argv, in[0], out[1], err[1]);
    const int code = errno;
    Close(in[0]);
    Close(out[1]);
    Close(err[1]);
    child.in = in[1];
    child.out = out[0];
    child.err = err[0];
    for (const int fd : {child.in, child.out, child.err}) {
      fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    if (child.input.empty()) {
      Close(child.in);
    }
    if (pid < 0) {
      return SendError(id, code, "exec: fork");
    }
    children_.emplace(pid, std::move(child));
  }

  void Spawn(std::uint32_t id, FrameReader& fields) {
    const auto argv = fields.Strings();
    const auto log = fields.String();
    if (!fields.ok() || argv.empty()) {
      return SendError(id, EINVAL, "spawn");
    }
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    // Far above the number it gets in the child, where dup2 onto itself would leave it to be closed by exec.
    std::array<int, 2> ready{-1, -1};
    int told = -1;
    if (pipe2(ready.data(), O_CLOEXEC) == 0) {
      told = fcntl(ready[1], F_DUPFD_CLOEXEC, 64);
      fcntl(ready[0], F_SETFL, O_NONBLOCK);
      Close(ready[1]);
    }
    if (in < 0 || out < 0 || told < 0) {
      SendError(id, errno, "spawn: " + log);
      for (int* fd : {&in, &out, &told, &ready[0]}) {
        Close(*fd);
      }
      return;
    }
    const pid_t pid = Launch(argv, in, out, out, told);
    const int code = errno;
    Close(in);
    Close(out);
    Close(told);
    if (pid < 0) {
      Close(ready[0]);
      return SendError(id, code, "spawn: fork");
    }
    Child child;
    child.ready = ready[0];
    children_.emplace(pid, std::move(child));
    FrameWriter frame(FrameKind::kReply, id);
    frame.U32(static_cast<std::uint32_t>(pid));
    Send(std::move(frame));
  }

  void ReadFile(std::uint32_t id, FrameReader& fields) {
    const auto path = fields.String();
    const auto offset = fields.U64();
    const auto limit = fields.U32();
    if (!fields.ok()) {
      return SendError(id, EINVAL, "read");
    }
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
      return SendError(id, errno, path);
    }
    std::string data(std::min<std::size_t>(limit, kMaxOutput), '\0');
    std::size_t have = 0;
    while (have < data.size()) {
      const ssize_t got = offset + have == 0 && have == 0 ? read(fd, data.data(), data.size())
                                                          : pread(fd, data.data() + have, data.size() - have,
                                                                  static_cast<off_t>(offset + have));
      if (got < 0) {
        SendError(id, errno, path);
        return Close(fd);
      }
      if (got == 0) {
        break;
      }
      have += static_cast<std::size_t>(got);
    }
    Close(fd);
    data.resize(have);
    FrameWriter frame(FrameKind::kReply, id);
    frame.String(data);
    Send(std::move(frame));
  }

  void WriteFile(std::uint32_t id, FrameReader& fields) {
    const auto path = fields.String();
    const auto mode = fields.U32();
    const auto data = fields.String();
    if (!fields.ok()) {
      return SendError(id, EINVAL, "write");
    }
    int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0) {
      return SendError(id, errno, path);
    }
    std::size_t done = 0;
    while (done < data.size()) {
      const ssize_t sent = write(fd, data.data() + done, data.size() - done);
      if (sent < 0) {
        SendError(id, errno, path);
        return Close(fd);
      }
      done += static_cast<std::size_t>(sent);
    }
    Close(fd);
    SendDone(id);
  }

  void Signal(std::uint32_t id, FrameReader& fields) {
    const auto pid = static_cast<pid_t>(fields.U32());
    const auto number = static_cast<int>(fields.U32());
    if (!fields.ok() || kill(pid, number) != 0) {
      return SendError(id, fields.ok() ? errno : EINVAL, "signal");
    }
    SendDone(id);
  }

  // A restored clone wakes with the template's clock and no address: this gives it its own.
  void Identity(std::uint32_t id, FrameReader& fields) {
    const auto now = fields.U64();
    const auto mac = fields.String();
    const auto address = fields.String();
    const auto prefix = fields.U32();
    const auto gateway = fields.String();
    std::array<unsigned, 6> octets{};
    if (!fields.ok() || prefix > 32 ||
        std::sscanf(mac.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &octets[0], &octets[1], &octets[2], &octets[3],
                    &octets[4], &octets[5]) != 6) {
      return SendError(id, EINVAL, "identity");
    }
    const timespec clock{static_cast<time_t>(now / 1'000'000'000U), static_cast<long>(now % 1'000'000'000U)};
    if (clock_settime(CLOCK_REALTIME, &clock) != 0) {
      return SendError(id, errno, "identity: clock");
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "eth0");
    auto set_address = [&request](std::uint32_t network_order) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_addr.s_addr = network_order;
      std::memcpy(&request.ifr_addr, &in, sizeof in);
    };
    auto fail = [&](const char* what) {
      SendError(id, errno, std::string("identity: ") + what);
      Close(fd);
    };
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    for (std::size_t i = 0; i < octets.size(); ++i) {
      request.ifr_hwaddr.sa_data[i] = static_cast<char>(octets[i]);
    }
    if (ioctl(fd, SIOCSIFHWADDR, &request) != 0) {
      return fail("mac");
    }
    in_addr parsed{};
    if (inet_pton(AF_INET, address.c_str(), &parsed) != 1) {
      errno = EINVAL;
      return fail("address");
    }
    set_address(parsed.s_addr);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0) {
      return fail("address");
    }
    set_address(htonl(prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix)));
    if (ioctl(fd, SIOCSIFNETMASK, &request) != 0) {
      return fail("netmask");
    }
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) {
      return fail("up");
    }
    if (!gateway.empty()) {
      if (inet_pton(AF_INET, gateway.c_str(), &parsed) != 1) {
        errno = EINVAL;
        return fail("gateway");
      }
      rtentry route{};
      auto put = [](sockaddr& to, std::uint32_t network_order) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = network_order;
        std::memcpy(&to, &in, sizeof in);
      };
      put(route.rt_dst, 0);
      put(route.rt_genmask, 0);
      put(route.rt_gateway, parsed.s_addr);
      route.rt_flags = RTF_UP | RTF_GATEWAY;
      if (ioctl(fd, SIOCADDRT, &route) != 0 && errno != EEXIST) {
        return fail("route");
      }
    }
    Close(fd);
    SendDone(id);
  }

  void Serve(const std::string& payload) {
    FrameReader fields(payload);
    const FrameKind kind = fields.Kind();
    const std::uint32_t id = fields.U32();
    switch (kind) {
      case FrameKind::kPing: {
        FrameWriter frame(FrameKind::kReply, id);
        frame.U64(Nanoseconds(CLOCK_MONOTONIC)).U64(Nanoseconds(CLOCK_REALTIME));
        return Send(std::move(frame));
      }
      case FrameKind::kExec:
        return Exec(id, fields);
      case FrameKind::kReadFile:
        return ReadFile(id, fields);
      case FrameKind::kWriteFile:
        return WriteFile(id, fields);
      case FrameKind::kSpawn:
        return Spawn(id, fields);
      case FrameKind::kSignal:
        return Signal(id, fields);
      case FrameKind::kIdentity:
        return Identity(id, fields);
      case FrameKind::kListen:
        listening_ = true;
        return SendDone(id);
      default:
        return SendError(id, ENOSYS, "agent: request kind");
    }
  }

  int port_;
  int signals_;
  int uevents_;
  bool connected_ = true;
  bool listening_ = false;
  FrameSplitter incoming_;
  std::string outgoing_;
  std::map<pid_t, Child> children_;
};

std::string FindPort() {
  const char* directory = "/sys/class/virtio-ports";
  DIR* ports = opendir(directory);
  if (ports == nullptr) {
    return {};
  }
  std::string found;
  while (const dirent* entry = readdir(ports)) {
    const std::string name = entry->d_name;
    char text[64] = {};
    if (FILE* file = std::fopen((std::string(directory) + "/" + name + "/name").c_str(), "r")) {
      if (std::fgets(text, sizeof text, file) != nullptr) {
        text[std::strcspn(text, "\n")] = '\0';
      }
      std::fclose(file);
    }
    if (std::string_view(text) == kPortName) {
      found = "/dev/" + name;
    }
  }
  closedir(ports);
  return found;
}

}  // namespace

int main() {
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGCHLD);
  sigaddset(&handled, SIGIO);
  sigprocmask(SIG_BLOCK, &handled, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const int signals = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);

  const int uevents = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;
  const int room = 4 << 20;
  setsockopt(uevents, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (bind(uevents, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    std::perror("agent: uevents");
    return 1;
  }
  const std::string path = FindPort();
  const int port = path.empty() ? -1 : open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (port < 0) {
    std::fprintf(stderr, "agent: no virtio-serial port named %s\n", kPortName);
    return 1;
  }
  fcntl(port, F_SETOWN, getpid());
  fcntl(port, F_SETFL, O_NONBLOCK | O_ASYNC);
  Agent(port, signals, uevents).Run();
}
