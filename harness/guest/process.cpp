#include "harness/guest/process.hpp"

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

// Runs in the child between fork and exec: only async-signal-safe calls.
[[noreturn]] void BecomeProgram(char* const* argv, const std::vector<int>& inherit, const char* log,
                                const char* input, pid_t parent, int report) {
  const auto fail = [report] {
    const int code = errno;
    [[maybe_unused]] const auto written = write(report, &code, sizeof code);
    _exit(127);
  };
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(127);
  }
  // A group of its own: Ctrl-C reaches the harness, which then ends its guests in order.
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int in = open(input, O_RDONLY);
  const int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (in < 0 || out < 0) {
    fail();
  }
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  for (const int fd : inherit) {
    if (fcntl(fd, F_SETFD, 0) != 0) {
      fail();
    }
  }
  execvp(argv[0], argv);
  fail();
  _exit(127);
}

Result<std::pair<pid_t, int>> Fork(const ProcessOptions& options) {
  std::vector<char*> argv;
  argv.reserve(options.argv.size() + 1);
  for (const auto& argument : options.argv) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const std::string log = options.log.empty() ? "/dev/null" : options.log.string();
  const std::string input = options.input.empty() ? "/dev/null" : options.input.string();
  std::array<int, 2> report{};
  if (pipe2(report.data(), O_CLOEXEC) != 0) {
    return FailErrno("pipe", errno);
  }
  FileDescriptor reader(report[0]);
  FileDescriptor writer(report[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return FailErrno("fork", errno);
  }
  if (pid == 0) {
    BecomeProgram(argv.data(), options.inherit, log.c_str(), input.c_str(), parent, report[1]);
  }
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  writer.Reset();
  int code = 0;
  if (read(reader.Get(), &code, sizeof code) == static_cast<ssize_t>(sizeof code)) {
    waitpid(pid, nullptr, 0);
    if (handle >= 0) {
      close(handle);
    }
    return FailErrno(fmt::format("cannot run {}", options.argv.front()), code);
  }
  return std::pair{pid, handle};
}

}  // namespace

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      reaped_(std::exchange(other.reaped_, true)),
      handle_(std::move(other.handle_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    Kill();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
    reaped_ = std::exchange(other.reaped_, true);
    handle_ = std::move(other.handle_);
  }
  return *this;
}

Process::~Process() { Kill(); }

bool Process::running() {
  if (!reaped_ && waitpid(pid_, &status_, WNOHANG) == pid_) {
    reaped_ = true;
  }
  return !reaped_;
}

Result<int> Process::Wait(std::chrono::milliseconds deadline) {
  if (running()) {
    pollfd polled{handle_.Get(), POLLIN, 0};
    if (poll(&polled, 1, static_cast<int>(deadline.count())) <= 0 || running()) {
      return Fail(ErrorKind::kTimeout,
                  fmt::format("process {} did not end within {} ms", pid_, deadline.count()));
    }
  }
  return status_;
}

void Process::Kill() {
  if (!reaped_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
    reaped_ = true;
  }
}

struct Launcher::State {
  std::mutex mutex;
  std::condition_variable changed;
  const ProcessOptions* request = nullptr;
  std::optional<Result<std::pair<pid_t, int>>> answer;
  std::mutex one_at_a_time;
  bool ending = false;
  std::thread thread;

  void Run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return ending || request != nullptr; });
      if (ending) {
        return;
      }
      answer = Fork(*request);
      request = nullptr;
      changed.notify_all();
    }
  }
};

Launcher::Launcher() : state_(std::make_unique<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->Run(); });
}

Launcher::~Launcher() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

Result<Process> Launcher::Start(const ProcessOptions& options) {
  const std::lock_guard only(state_->one_at_a_time);
  std::unique_lock lock(state_->mutex);
  state_->answer.reset();
  state_->request = &options;
  state_->changed.notify_all();
  state_->changed.wait(lock, [this] { return state_->answer.has_value(); });
  if (!*state_->answer) {
    return tl::unexpected(state_->answer->error());
  }
  Process process;
  process.pid_ = (*state_->answer)->first;
  process.handle_ = FileDescriptor((*state_->answer)->second);
  process.reaped_ = false;
  return process;
}

}  // namespace dmrp::harness
