#include "harness/guest/qmp.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

constexpr std::size_t kKeptEvents = 4096;
constexpr std::size_t kLongestLine = 64U << 20U;

}  // namespace

struct Qmp::State {
  FileDescriptor socket;
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool greeted = false;
  bool closed = false;
  std::string trouble;
  std::uint64_t next_id = 1;
  std::map<std::uint64_t, std::optional<nlohmann::json>> pending;
  std::deque<nlohmann::json> events;
  std::uint64_t dropped = 0;
  std::thread reader;

  void Take(const std::string& line) {
    auto message = nlohmann::json::parse(line, nullptr, false);
    const std::lock_guard lock(mutex);
    if (!message.is_object()) {
      trouble = "not a JSON object: " + line.substr(0, 200);
    } else if (message.contains("QMP")) {
      greeted = true;
    } else if (message.contains("event")) {
      events.push_back(std::move(message));
      if (events.size() > kKeptEvents) {
        events.pop_front();
        ++dropped;
      }
    } else if (const auto id = message.find("id"); id != message.end() && id->is_number_unsigned()) {
      if (const auto found = pending.find(id->get<std::uint64_t>()); found != pending.end()) {
        found->second = std::move(message);
      }
    } else {
      trouble = "an answer without a known id: " + line.substr(0, 200);
    }
    changed.notify_all();
  }

  void Read() {
    std::string buffer;
    std::array<char, 65536> chunk;
    for (;;) {
      const ssize_t got = recv(socket.Get(), chunk.data(), chunk.size(), 0);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0 || buffer.size() > kLongestLine) {
        break;
      }
      buffer.append(chunk.data(), static_cast<std::size_t>(got));
      std::size_t start = 0;
      for (std::size_t end = 0; (end = buffer.find('\n', start)) != std::string::npos; start = end + 1) {
        const std::string line = buffer.substr(start, end - start);
        if (line.find_first_not_of(" \r\t") != std::string::npos) {
          Take(line);
        }
      }
      buffer.erase(0, start);
    }
    const std::lock_guard lock(mutex);
    closed = true;
    changed.notify_all();
  }

  [[nodiscard]] std::string Gone() const {
    return trouble.empty() ? "QEMU closed its control socket" : "QEMU's control socket: " + trouble;
  }
};

Qmp::Qmp(std::unique_ptr<State> state) : state_(std::move(state)) {}

Qmp::~Qmp() {
  if (state_ && state_->reader.joinable()) {
    shutdown(state_->socket.Get(), SHUT_RDWR);
    state_->reader.join();
  }
}

Result<std::unique_ptr<Qmp>> Qmp::Open(FileDescriptor socket, Deadline deadline) {
  auto state = std::make_unique<State>();
  state->socket = std::move(socket);
  State& reading = *state;
  state->reader = std::thread([&reading] { reading.Read(); });
  std::unique_ptr<Qmp> qmp(new Qmp(std::move(state)));
  {
    std::unique_lock lock(reading.mutex);
    const bool heard =
        reading.changed.wait_for(lock, deadline, [&] { return reading.greeted || reading.closed; });
    if (!heard) {
      return Fail(ErrorKind::kTimeout, fmt::format("no QMP greeting within {} ms", deadline.count()));
    }
    if (!reading.greeted) {
      return Fail(ErrorKind::kUnavailable, reading.Gone());
    }
  }
  if (auto done = qmp->Execute("qmp_capabilities", nlohmann::json::object(), deadline); !done) {
    return tl::unexpected(done.error());
  }
  return qmp;
}

Result<nlohmann::json> Qmp::Execute(const std::string& command, const nlohmann::json& arguments,
                                    Deadline deadline) {
  std::unique_lock lock(state_->mutex);
  const std::uint64_t id = state_->next_id++;
  const std::string line =
      nlohmann::json{{"execute", command}, {"arguments", arguments}, {"id", id}}.dump() + "\n";
  if (state_->closed) {
    return Fail(ErrorKind::kUnavailable, fmt::format("{}: {}", command, state_->Gone()));
  }
  state_->pending.emplace(id, std::nullopt);
  // Sent under the lock, so that lines of two threads do not mix. QEMU reads at any time; lines are short.
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t sent = send(state_->socket.Get(), line.data() + done, line.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) {
      state_->pending.erase(id);
      return Fail(ErrorKind::kUnavailable, fmt::format("{}: QEMU is gone", command));
    }
    done += sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  const bool heard =
      state_->changed.wait_for(lock, deadline, [&] { return state_->pending[id] || state_->closed; });
  const auto answer = std::exchange(state_->pending[id], std::nullopt);
  state_->pending.erase(id);
  if (!answer) {
    return heard ? Fail(ErrorKind::kUnavailable, fmt::format("{}: {}", command, state_->Gone()))
                 : Fail(ErrorKind::kTimeout,
                        fmt::format("{}: QEMU did not answer within {} ms", command, deadline.count()));
  }
  if (const auto error = answer->find("error"); error != answer->end()) {
    return Fail(ErrorKind::kFault, fmt::format("{}: QEMU answered {}: {}", command,
                                               error->value("class", "an error"), error->value("desc", "")));
  }
  return answer->value("return", nlohmann::json());
}

std::uint64_t Qmp::Mark() const {
  const std::lock_guard lock(state_->mutex);
  return state_->dropped + state_->events.size();
}

Result<nlohmann::json> Qmp::WaitEvent(std::uint64_t mark, const std::string& name,
                                      const std::function<bool(const nlohmann::json&)>& matches,
                                      Deadline deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  std::string others;
  std::uint64_t next = mark;
  std::unique_lock lock(state_->mutex);
  for (;;) {
    for (next = std::max(next, state_->dropped); next < state_->dropped + state_->events.size(); ++next) {
      const auto& event = state_->events[next - state_->dropped];
      const auto data = event.value("data", nlohmann::json::object());
      if (event["event"] == name && matches(data)) {
        return data;
      }
      others += fmt::format(" {}{}", event["event"].get<std::string>(), data.dump());
    }
    if (state_->closed) {
      return Fail(ErrorKind::kUnavailable, fmt::format("waiting for {}: {}", name, state_->Gone()));
    }
    if (state_->changed.wait_until(lock, until) == std::cv_status::timeout &&
        next == state_->dropped + state_->events.size()) {
      return Fail(ErrorKind::kTimeout, fmt::format("no {} within {} ms; came instead:{}", name,
                                                   deadline.count(), others.empty() ? " nothing" : others));
    }
  }
}

bool Qmp::connected() const {
  const std::lock_guard lock(state_->mutex);
  return !state_->closed;
}

}  // namespace dmrp::harness
