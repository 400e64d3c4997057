#include "harness/guest/agent_client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>

namespace dmrp::harness {

using agent::FrameKind;
using agent::FrameReader;
using agent::FrameSplitter;
using agent::FrameWriter;

namespace {

constexpr std::size_t kKeptUevents = 4096;

Uevent ParseUevent(FrameReader& fields) {
  Uevent event;
  event.monotonic_ns = fields.U64();
  const std::string records = fields.String();
  for (std::size_t start = 0; start < records.size();) {
    const auto end = std::min(records.find('\0', start), records.size());
    const std::string record = records.substr(start, end - start);
    const auto equals = record.find('=');
    if (equals != std::string::npos) {
      event.values[record.substr(0, equals)] = record.substr(equals + 1);
    }
    start = end + 1;
  }
  return event;
}

Error Malformed(std::string_view what) {
  return Error{ErrorKind::kMalformed, 0, fmt::format("guest agent: {}: the answer is cut short", what)};
}

}  // namespace

std::string Uevent::Get(const std::string& key) const {
  const auto found = values.find(key);
  return found == values.end() ? std::string() : found->second;
}

struct AgentClient::State {
  FileDescriptor socket;
  mutable std::mutex mutex;
  std::mutex sending;
  std::condition_variable changed;
  bool closed = false;
  std::uint32_t next_id = 1;
  std::map<std::uint32_t, std::optional<std::string>> pending;
  std::deque<Uevent> events;
  std::uint64_t dropped = 0;
  std::map<std::uint32_t, int> exits;
  std::map<std::uint32_t, std::string> told;
  std::thread reader;

  void Take(std::string payload) {
    FrameReader fields(payload);
    const FrameKind kind = fields.Kind();
    const std::uint32_t id = fields.U32();
    const std::lock_guard lock(mutex);
    if (kind == FrameKind::kUevent) {
      events.push_back(ParseUevent(fields));
      events.back().position = dropped + events.size() - 1;
      if (events.size() > kKeptUevents) {
        events.pop_front();
        ++dropped;
      }
    } else if (kind == FrameKind::kExited) {
      const std::uint32_t pid = fields.U32();
      exits[pid] = static_cast<int>(fields.U32());
    } else if (kind == FrameKind::kReady) {
      const std::uint32_t pid = fields.U32();
      told[pid] += fields.String();
    } else if (const auto found = pending.find(id); found != pending.end()) {
      found->second = std::move(payload);
    }
    changed.notify_all();
  }

  void Read() {
    FrameSplitter splitter;
    std::array<char, 65536> chunk;
    while (!splitter.broken()) {
      const ssize_t got = recv(socket.Get(), chunk.data(), chunk.size(), 0);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        break;
      }
      splitter.Append({chunk.data(), static_cast<std::size_t>(got)});
      while (auto payload = splitter.Next()) {
        Take(std::move(*payload));
      }
    }
    const std::lock_guard lock(mutex);
    closed = true;
    changed.notify_all();
  }

  // Sends one request and gives the payload of its reply.
  Result<std::string> Request(FrameKind kind, std::string_view what,
                              const std::function<void(FrameWriter&)>& fill, Deadline deadline) {
    std::uint32_t id = 0;
    {
      const std::lock_guard lock(mutex);
      if (closed) {
        return Fail(ErrorKind::kUnavailable, fmt::format("guest agent: {}: the guest is gone", what));
      }
      id = next_id++;
      pending.emplace(id, std::nullopt);
    }
    FrameWriter writer(kind, id);
    fill(writer);
    const std::string frame = std::move(writer).Finish();
    const auto forget = [&] {
      const std::lock_guard lock(mutex);
      pending.erase(id);
    };
    if (frame.size() - 4 > agent::kMaxPayload) {
      forget();
      return Fail(ErrorKind::kLimit, fmt::format("guest agent: {}: {} octets exceed the limit of {}", what,
                                                 frame.size() - 4, agent::kMaxPayload));
    }
    {
      const std::lock_guard one(sending);
      for (std::size_t done = 0; done < frame.size();) {
        const ssize_t sent = send(socket.Get(), frame.data() + done, frame.size() - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
          forget();
          return Fail(ErrorKind::kUnavailable, fmt::format("guest agent: {}: the guest is gone", what));
        }
        done += sent > 0 ? static_cast<std::size_t>(sent) : 0;
      }
    }
    std::unique_lock lock(mutex);
    const bool heard = changed.wait_for(lock, deadline, [&] { return pending[id] || closed; });
    auto answer = std::exchange(pending[id], std::nullopt);
    pending.erase(id);
    if (!answer) {
      return heard ? Fail(ErrorKind::kUnavailable, fmt::format("guest agent: {}: the guest went away", what))
                   : Fail(ErrorKind::kTimeout,
                          fmt::format("guest agent: {}: no answer within {} ms", what, deadline.count()));
    }
    FrameReader fields(*answer);
    const FrameKind answered = fields.Kind();
    (void)fields.U32();
    if (answered == FrameKind::kError) {
      const std::uint32_t code = fields.U32();
      return Fail(ErrorKind::kSystem, fmt::format("guest: {}", fields.String()), code);
    }
    return answer->substr(5);
  }
};

AgentClient::AgentClient(FileDescriptor socket) : state_(std::make_unique<State>()) {
  state_->socket = std::move(socket);
  state_->reader = std::thread([state = state_.get()] { state->Read(); });
}

AgentClient::~AgentClient() {
  shutdown(state_->socket.Get(), SHUT_RDWR);
  state_->reader.join();
}

Result<void> AgentClient::Ping(Deadline deadline) {
  return state_->Request(FrameKind::kPing, "ping", [](FrameWriter&) {}, deadline).map([](const auto&) {});
}

Result<ExecResult> AgentClient::Exec(const std::vector<std::string>& argv, std::string_view input,
                                     Deadline deadline) {
  const std::string what = argv.empty() ? "exec" : "exec " + argv.front();
  auto reply = state_->Request(
      FrameKind::kExec, what, [&](FrameWriter& frame) { frame.Strings(argv).String(input); }, deadline);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  FrameReader fields(*reply);
  ExecResult result;
  result.status = static_cast<int>(fields.U32());
  result.output = fields.String();
  result.errors = fields.String();
  if (!fields.ok()) {
    return tl::unexpected(Malformed(what));
  }
  return result;
}

Result<std::string> AgentClient::Shell(const std::string& script, Deadline deadline) {
  auto done = Exec({"sh", "-c", script}, {}, deadline);
  if (!done) {
    return tl::unexpected(done.error());
  }
  if (done->status != 0) {
    const int code = WIFEXITED(done->status) ? WEXITSTATUS(done->status) : 128 + WTERMSIG(done->status);
    return Fail(ErrorKind::kFault,
                fmt::format("guest: \"{}\" ended with status {}: {}", script, code, done->errors),
                static_cast<std::uint32_t>(code));
  }
  return std::move(done->output);
}

Result<std::string> AgentClient::ReadFile(const std::string& path, std::uint64_t offset, std::uint32_t limit,
                                          Deadline deadline) {
  auto reply = state_->Request(
      FrameKind::kReadFile, "read " + path,
      [&](FrameWriter& frame) { frame.String(path).U64(offset).U32(limit); }, deadline);
  if (!reply) {
    return reply;
  }
  FrameReader fields(*reply);
  auto data = fields.String();
  if (!fields.ok()) {
    return tl::unexpected(Malformed("read " + path));
  }
  return data;
}

Result<void> AgentClient::WriteFile(const std::string& path, std::string_view data, std::uint32_t mode,
                                    Deadline deadline) {
  return state_
      ->Request(
          FrameKind::kWriteFile, "write " + path,
          [&](FrameWriter& frame) { frame.String(path).U32(mode).String(data); }, deadline)
      .map([](const auto&) {});
}

Result<std::uint32_t> AgentClient::Spawn(const std::vector<std::string>& argv, const std::string& log,
                                         Deadline deadline) {
  auto reply = state_->Request(
      FrameKind::kSpawn, "spawn", [&](FrameWriter& frame) { frame.Strings(argv).String(log); }, deadline);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  FrameReader fields(*reply);
  const std::uint32_t pid = fields.U32();
  if (!fields.ok()) {
    return tl::unexpected(Malformed("spawn"));
  }
  return pid;
}

Result<void> AgentClient::Signal(std::uint32_t pid, int number, Deadline deadline) {
  return state_
      ->Request(
          FrameKind::kSignal, "signal",
          [&](FrameWriter& frame) { frame.U32(pid).U32(static_cast<std::uint32_t>(number)); }, deadline)
      .map([](const auto&) {});
}

Result<void> AgentClient::SetIdentity(const GuestIdentity& identity, Deadline deadline) {
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return state_
      ->Request(
          FrameKind::kIdentity, "identity",
          [&](FrameWriter& frame) {
            frame.U64(static_cast<std::uint64_t>(now.count()))
                .String(identity.mac)
                .String(identity.address)
                .U32(identity.prefix_length)
                .String(identity.gateway);
          },
          deadline)
      .map([](const auto&) {});
}

Result<void> AgentClient::Listen(Deadline deadline) {
  return state_->Request(FrameKind::kListen, "listen", [](FrameWriter&) {}, deadline).map([](const auto&) {});
}

std::uint64_t AgentClient::Mark() const {
  const std::lock_guard lock(state_->mutex);
  return state_->dropped + state_->events.size();
}

Result<Uevent> AgentClient::WaitUevent(std::uint64_t mark, const std::function<bool(const Uevent&)>& matches,
                                       Deadline deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  std::string others;
  std::uint64_t next = mark;
  std::unique_lock lock(state_->mutex);
  for (;;) {
    for (next = std::max(next, state_->dropped); next < state_->dropped + state_->events.size(); ++next) {
      const auto& event = state_->events[next - state_->dropped];
      if (matches(event)) {
        return event;
      }
      others += fmt::format(" {}@{}", event.Get("ACTION"), event.Get("DEVPATH"));
    }
    if (state_->closed) {
      return Fail(ErrorKind::kUnavailable, "waiting for a uevent: the guest went away");
    }
    if (state_->changed.wait_until(lock, until) == std::cv_status::timeout &&
        next == state_->dropped + state_->events.size()) {
      return Fail(ErrorKind::kTimeout,
                  fmt::format("the awaited uevent did not come within {} ms; came instead:{}",
                              deadline.count(), others.empty() ? " nothing" : others));
    }
  }
}

std::optional<int> AgentClient::ExitStatus(std::uint32_t pid) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->exits.find(pid);
  return found == state_->exits.end() ? std::nullopt : std::optional(found->second);
}

Result<int> AgentClient::WaitExit(std::uint32_t pid, Deadline deadline) {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, deadline, [&] { return state_->exits.contains(pid) || state_->closed; });
  if (const auto found = state_->exits.find(pid); found != state_->exits.end()) {
    return found->second;
  }
  return state_->closed
             ? Fail(ErrorKind::kUnavailable, "waiting for an exit: the guest went away")
             : Fail(ErrorKind::kTimeout,
                    fmt::format("process {} of the guest did not end within {} ms", pid, deadline.count()));
}

Result<std::string> AgentClient::WaitReady(std::uint32_t pid, Deadline deadline) {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, deadline, [&] {
    return state_->told.contains(pid) || state_->exits.contains(pid) || state_->closed;
  });
  if (const auto found = state_->told.find(pid); found != state_->told.end()) {
    return found->second;
  }
  if (const auto found = state_->exits.find(pid); found != state_->exits.end()) {
    return Fail(ErrorKind::kUnavailable,
                fmt::format("process {} of the guest ended with wait status {} before it was ready", pid,
                            found->second));
  }
  return state_->closed
             ? Fail(ErrorKind::kUnavailable, "waiting for a program to be ready: the guest went away")
             : Fail(ErrorKind::kTimeout,
                    fmt::format("process {} of the guest was not ready within {} ms", pid, deadline.count()));
}

bool AgentClient::connected() const {
  const std::lock_guard lock(state_->mutex);
  return !state_->closed;
}

}  // namespace dmrp::harness
