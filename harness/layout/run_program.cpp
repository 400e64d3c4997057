#include "harness/layout/reader_internal.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::harness::internal {
namespace {

struct Pipe {
  FileDescriptor read, write;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("pipe2", errno);
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::vector<std::string> EnvironmentWithPlainLocale() {
  std::vector<std::string> variables;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view variable(*each);
    if (!variable.starts_with("LC_") && !variable.starts_with("LANG")) variables.emplace_back(variable);
  }
  variables.emplace_back("LC_ALL=C.UTF-8");
  return variables;
}

// Where to look: not every user has the folders of disk tools in PATH.
std::vector<std::string> Places(const std::string& program) {
  if (program.find('/') != std::string::npos) return {program};
  return {program, "/usr/sbin/" + program, "/sbin/" + program};
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Result<ProgramOutput> RunProgram(const std::vector<std::string>& argv, std::chrono::milliseconds deadline) {
  auto out = MakePipe();
  if (!out) return tl::unexpected(out.error());
  auto err = MakePipe();
  if (!err) return tl::unexpected(err.error());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out->write.Get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err->write.Get(), STDERR_FILENO);
  std::vector<std::string> arguments = argv;
  std::vector<std::string> variables = EnvironmentWithPlainLocale();
  pid_t pid = -1;
  int failure = ENOENT;
  for (const std::string& program : Places(argv.front())) {
    failure = ::posix_spawnp(&pid, program.c_str(), &actions, nullptr, Pointers(arguments).data(),
                             Pointers(variables).data());
    if (failure != ENOENT) break;
  }
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return FailErrno("run " + argv.front(), failure);
  out->write.Reset();
  err->write.Reset();

  ProgramOutput output;
  const auto end = std::chrono::steady_clock::now() + deadline;
  std::array<pollfd, 2> waits{pollfd{out->read.Get(), POLLIN, 0}, pollfd{err->read.Get(), POLLIN, 0}};
  std::array<std::string*, 2> texts{&output.out, &output.err};
  bool late = false;
  while (waits[0].fd >= 0 || waits[1].fd >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      late = true;
      ::kill(pid, SIGKILL);
      break;
    }
    if (::poll(waits.data(), waits.size(), static_cast<int>(left)) < 0 && errno != EINTR) break;
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].fd < 0 || waits[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t count = ::read(waits[i].fd, buffer.data(), buffer.size());
      if (count > 0) texts[i]->append(buffer.data(), static_cast<std::size_t>(count));
      if (count <= 0) waits[i].fd = -1;
    }
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late)
    return Fail(ErrorKind::kTimeout, fmt::format("{} did not end in {} ms", argv.front(), deadline.count()));
  output.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return output;
}

}  // namespace dmrp::harness::internal
