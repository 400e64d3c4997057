#include "reference_server/platform/process.hpp"

#include "protocol/base/file_descriptor.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kOutputLimit = std::size_t{64} << 10;
constexpr std::size_t kQuotedOutput = 400;
constexpr std::array kProgramFolders{"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

/// posix_spawn's two parameter objects.
struct SpawnSettings {
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

Result<pid_t> Spawn(const ProcessRequest& request, int output) {
  std::string program = request.program.string();
  std::vector<std::string> words = request.arguments;
  std::vector<char*> argv{program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string locale = "LC_ALL=C";
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  const std::array<char*, 3> environment{locale.data(), path.data(), nullptr};

  SpawnSettings settings;
  auto* actions = &settings.actions;
  ::posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions, output, 1);
  ::posix_spawn_file_actions_adddup2(actions, output, 2);
  if (request.descriptor >= 0) {
    ::posix_spawn_file_actions_adddup2(actions, request.descriptor, kChildDescriptor);
  }
  ::posix_spawn_file_actions_addclosefrom_np(actions, request.descriptor >= 0 ? kChildDescriptor + 1 : 3);

  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setsigdefault(&settings.attributes, &all);
  ::posix_spawnattr_setpgroup(&settings.attributes, 0);
  ::posix_spawnattr_setflags(&settings.attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, program.c_str(), actions, &settings.attributes, argv.data(), environment.data());
  if (error != 0) return FailErrno(fmt::format("running {}", program), error);
  return pid;
}

/// Appends what a non-blocking descriptor has; false at its end.
bool Drain(int fd, std::string& output) {
  std::array<char, 4096> part{};
  while (true) {
    const ssize_t count = ::read(fd, part.data(), part.size());
    if (count > 0) {
      output.append(part.data(), static_cast<std::size_t>(count));
      if (output.size() > kOutputLimit) output.erase(0, output.size() - kOutputLimit);
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
}

Result<void> Reap(pid_t pid, ProcessOutcome& outcome) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno(fmt::format("waiting for process {}", pid), errno);
  }
  if (WIFEXITED(status)) outcome.exitCode = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  return {};
}

}  // namespace

std::string ProcessOutcome::ToString() const {
  std::string tail = output;
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == ' ')) tail.pop_back();
  if (tail.size() > kQuotedOutput) tail.erase(0, tail.size() - kQuotedOutput);
  const std::string end =
      signal != 0 ? fmt::format("signal {}", signal) : fmt::format("exit code {}", exitCode);
  return tail.empty() ? end : fmt::format("{}: {}", end, tail);
}

Result<std::filesystem::path> FindProgram(std::string_view name) {
  for (const char* folder : kProgramFolders) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(ErrorKind::kUnavailable,
              fmt::format("no program {} in {}", name, "/usr/sbin, /usr/bin, /sbin, /bin"));
}

Result<ProcessOutcome> RunProcess(const ProcessRequest& request, const std::stop_token& stop) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("making a pipe", errno);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  ::fcntl(reader.Get(), F_SETFL, O_NONBLOCK);
  const FileDescriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return FailErrno("making an event descriptor", errno);

  const auto pid = Spawn(request, writer.Get());
  if (!pid) return tl::unexpected(pid.error());
  writer = {};
  ProcessOutcome outcome;
  const FileDescriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  {
    const std::stop_callback waker(stop, [&wake] {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(wake.Get(), &one, sizeof one);
    });
    std::array<pollfd, 3> polled{
        {{handle.Get(), POLLIN, 0}, {reader.Get(), POLLIN, 0}, {wake.Get(), POLLIN, 0}}};
    while (handle && polled[0].revents == 0) {
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
      if ((polled[1].revents != 0) && !Drain(reader.Get(), outcome.output)) polled[1].fd = -1;
      if (polled[2].revents != 0 && polled[0].revents == 0) {
        outcome.stopped = true;
        break;
      }
    }
    // Without a handle, or when poll failed, there is no way to hear of a stop: the program is not left
    // alone.
    const bool ended = polled[0].revents != 0;
    if (!ended) ::kill(-*pid, SIGKILL);
  }
  if (auto reaped = Reap(*pid, outcome); !reaped) return tl::unexpected(reaped.error());
  Drain(reader.Get(), outcome.output);
  return outcome;
}

}  // namespace dmrp::server
