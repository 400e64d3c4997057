// The QMP client against a scripted peer.
#include "harness/guest/qmp.hpp"

#include <array>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr const char* kGreeting = R"({"QMP": {"version": {}, "capabilities": []}})";

// QEMU's end of the socket.
class Peer {
 public:
  explicit Peer(FileDescriptor socket) : socket_(std::move(socket)) {}
  void Send(const std::string& line) { SendRaw(line + "\r\n"); }
  void SendRaw(const std::string& octets) {
    ASSERT_EQ(send(socket_.Get(), octets.data(), octets.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(octets.size()));
  }
  json Receive() {
    while (buffer_.find('\n') == std::string::npos) {
      std::array<char, 4096> chunk;
      const ssize_t got = recv(socket_.Get(), chunk.data(), chunk.size(), 0);
      if (got <= 0) {
        return nullptr;
      }
      buffer_.append(chunk.data(), static_cast<std::size_t>(got));
    }
    const auto end = buffer_.find('\n');
    auto message = json::parse(buffer_.substr(0, end));
    buffer_.erase(0, end + 1);
    return message;
  }
  void Answer(const json& value = json::object()) {
    const auto request = Receive();
    Send(json{{"return", value}, {"id", request["id"]}}.dump());
  }
  void Close() { socket_.Reset(); }

 private:
  FileDescriptor socket_;
  std::string buffer_;
};

std::pair<FileDescriptor, FileDescriptor> Sockets() {
  std::array<int, 2> ends{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

class QmpTest : public testing::Test {
 protected:
  void SetUp() override {
    auto [ours, theirs] = Sockets();
    peer_ = std::make_unique<Peer>(std::move(theirs));
    std::thread greeter([this] {
      peer_->Send(kGreeting);
      peer_->Answer();
    });
    auto qmp = Qmp::Open(std::move(ours), milliseconds(5000));
    greeter.join();
    ASSERT_TRUE(qmp.has_value()) << qmp.error().message;
    qmp_ = std::move(*qmp);
  }
  std::unique_ptr<Peer> peer_;
  std::unique_ptr<Qmp> qmp_;
};

const auto kAny = [](const json&) { return true; };

TEST_F(QmpTest, ACommandGetsItsAnswerAmongEvents) {
  std::thread server([this] {
    const auto request = peer_->Receive();
    EXPECT_EQ(request["execute"], "query-status");
    peer_->Send(R"({"event": "STOP", "data": {}})");
    peer_->Send(json{{"return", {{"status", "paused"}}}, {"id", request["id"]}}.dump());
  });
  const auto mark = qmp_->Mark();
  const auto answer = qmp_->Execute("query-status");
  server.join();
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ((*answer)["status"], "paused");
  EXPECT_TRUE(qmp_->WaitEvent(mark, "STOP", kAny, milliseconds(1000)).has_value());
}

TEST_F(QmpTest, AnswersInAnyOrderFindTheirCommands) {
  std::thread server([this] {
    const auto first = peer_->Receive();
    const auto second = peer_->Receive();
    for (const auto& request : {second, first}) {
      peer_->Send(json{{"return", {{"command", request["execute"]}}}, {"id", request["id"]}}.dump());
    }
  });
  Result<json> one;
  std::thread caller([&] { one = qmp_->Execute("one"); });
  const auto two = qmp_->Execute("two");
  caller.join();
  server.join();
  ASSERT_TRUE(one && two);
  EXPECT_EQ((*one)["command"], "one");
  EXPECT_EQ((*two)["command"], "two");
}

TEST_F(QmpTest, ARefusalCarriesQemusWords) {
  std::thread server([this] {
    const auto request = peer_->Receive();
    peer_->Send(json{{"error", {{"class", "DeviceNotFound"}, {"desc", "Device 'x' not found"}}},
                     {"id", request["id"]}}
                    .dump());
  });
  const auto answer = qmp_->Execute("device_del", {{"id", "x"}});
  server.join();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, ErrorKind::kFault);
  EXPECT_THAT(answer.error().message, HasSubstr("Device 'x' not found"));
}

TEST_F(QmpTest, SilenceIsATimeoutThatNamesTheCommand) {
  const auto answer = qmp_->Execute("stop", json::object(), milliseconds(30));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, ErrorKind::kTimeout);
  EXPECT_THAT(answer.error().message, HasSubstr("stop"));
}

TEST_F(QmpTest, AnAwaitedEventThatDoesNotComeTellsWhatCame) {
  const auto mark = qmp_->Mark();
  peer_->Send(R"({"event": "RESET", "data": {"guest": true}})");
  const auto event = qmp_->WaitEvent(mark, "DEVICE_DELETED", kAny, milliseconds(100));
  ASSERT_FALSE(event.has_value());
  EXPECT_EQ(event.error().kind, ErrorKind::kTimeout);
  EXPECT_THAT(event.error().message, HasSubstr("RESET"));
}

TEST_F(QmpTest, AMarkHidesEarlierEvents) {
  peer_->Send(R"({"event": "JOB", "data": {"n": 1}})");
  ASSERT_TRUE(qmp_->WaitEvent(0, "JOB", kAny, milliseconds(1000)).has_value());
  const auto mark = qmp_->Mark();
  EXPECT_FALSE(qmp_->WaitEvent(mark, "JOB", kAny, milliseconds(30)).has_value());
  peer_->Send(R"({"event": "JOB", "data": {"n": 2}})");
  const auto event = qmp_->WaitEvent(mark, "JOB", kAny, milliseconds(1000));
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ((*event)["n"], 2);
}

TEST_F(QmpTest, ADeadQemuEndsCommandsAndWaitsAtOnce) {
  std::thread server([this] {
    (void)peer_->Receive();
    peer_->Close();
  });
  const auto answer = qmp_->Execute("cont", json::object(), milliseconds(10'000));
  server.join();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(qmp_->WaitEvent(0, "STOP", kAny, milliseconds(10'000)).error().kind, ErrorKind::kUnavailable);
  EXPECT_FALSE(qmp_->connected());
}

TEST_F(QmpTest, GarbageIsIgnoredAndReportedAtTheEnd) {
  peer_->Send("no json at all");
  std::thread server([this] { peer_->Answer(); });
  EXPECT_TRUE(qmp_->Execute("stop").has_value());
  server.join();
}

TEST_F(QmpTest, LinesMayComeInPieces) {
  std::thread server([this] {
    const auto request = peer_->Receive();
    const std::string line = json{{"return", {{"a", 1}}}, {"id", request["id"]}}.dump() + "\n";
    for (const char c : line) {
      peer_->SendRaw(std::string(1, c));
    }
  });
  const auto answer = qmp_->Execute("x");
  server.join();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ((*answer)["a"], 1);
}

TEST(Qmp, APeerThatDoesNotGreetIsATimeout) {
  auto [ours, theirs] = Sockets();
  const auto qmp = Qmp::Open(std::move(ours), milliseconds(30));
  ASSERT_FALSE(qmp.has_value());
  EXPECT_EQ(qmp.error().kind, ErrorKind::kTimeout);
}

}  // namespace
}  // namespace dmrp::harness
