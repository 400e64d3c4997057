// The agent client against a scripted guest.
#include "harness/guest/agent_client.hpp"

#include <array>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace dmrp::harness {
namespace {

using agent::FrameKind;
using agent::FrameReader;
using agent::FrameSplitter;
using agent::FrameWriter;
using std::chrono::milliseconds;
using testing::HasSubstr;

class AgentClientTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_ = std::make_unique<AgentClient>(FileDescriptor(ends[0]));
    guest_ = FileDescriptor(ends[1]);
  }
  // The next request's payload.
  std::string Take() {
    for (;;) {
      if (auto payload = splitter_.Next()) {
        return *payload;
      }
      std::array<char, 4096> chunk;
      const ssize_t got = recv(guest_.Get(), chunk.data(), chunk.size(), 0);
      if (got <= 0) {
        return {};
      }
      splitter_.Append({chunk.data(), static_cast<std::size_t>(got)});
    }
  }
  void Send(FrameWriter&& writer) {
    const auto frame = std::move(writer).Finish();
    ASSERT_EQ(send(guest_.Get(), frame.data(), frame.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(frame.size()));
  }
  static std::uint32_t IdOf(const std::string& payload) {
    FrameReader reader(payload);
    (void)reader.Kind();
    return reader.U32();
  }
  FileDescriptor guest_;
  FrameSplitter splitter_;
  std::unique_ptr<AgentClient> client_;
};

TEST_F(AgentClientTest, ExecCarriesArgumentsAndBringsStatusAndStreams) {
  std::thread guest([this] {
    const auto payload = Take();
    FrameReader request(payload);
    EXPECT_EQ(request.Kind(), FrameKind::kExec);
    const auto id = request.U32();
    EXPECT_EQ(request.Strings(), (std::vector<std::string>{"ls", "-l"}));
    EXPECT_EQ(request.String(), "input");
    FrameWriter reply(FrameKind::kReply, id);
    reply.U32(256).String("out").String("err");
    Send(std::move(reply));
  });
  const auto result = client_->Exec({"ls", "-l"}, "input");
  guest.join();
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->status, 256);
  EXPECT_EQ(result->output, "out");
  EXPECT_EQ(result->errors, "err");
}

TEST_F(AgentClientTest, AFailedShellCommandTellsItsStatusAndError) {
  std::thread guest([this] {
    FrameWriter reply(FrameKind::kReply, IdOf(Take()));
    reply.U32(2 << 8).String("").String("no such thing");
    Send(std::move(reply));
  });
  const auto result = client_->Shell("false");
  guest.join();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().status, 2U);
  EXPECT_THAT(result.error().message, HasSubstr("no such thing"));
}

TEST_F(AgentClientTest, AnErrorKeepsTheGuestsErrno) {
  std::thread guest([this] {
    FrameWriter reply(FrameKind::kError, IdOf(Take()));
    reply.U32(2).String("/x: No such file or directory");
    Send(std::move(reply));
  });
  const auto text = client_->ReadFile("/x");
  guest.join();
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().status, 2U);
}

TEST_F(AgentClientTest, AReplyCutShortIsMalformed) {
  std::thread guest([this] {
    FrameWriter reply(FrameKind::kReply, IdOf(Take()));
    reply.U32(100);  // a string of 100 octets that does not follow
    Send(std::move(reply));
  });
  const auto text = client_->ReadFile("/x");
  guest.join();
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().kind, ErrorKind::kMalformed);
}

TEST_F(AgentClientTest, UeventsAreSplitIntoTheirRecords) {
  const auto mark = client_->Mark();
  FrameWriter event(FrameKind::kUevent, 0);
  event.U64(5).String(std::string("ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda\0", 39));
  Send(std::move(event));
  const auto seen = client_->WaitUevent(mark, [](const Uevent& one) { return one.Get("DEVNAME") == "sda"; });
  ASSERT_TRUE(seen.has_value()) << seen.error().message;
  EXPECT_EQ(seen->Get("ACTION"), "add");
  EXPECT_EQ(seen->monotonic_ns, 5U);
  EXPECT_FALSE(client_->WaitUevent(
                          seen->position + 1, [](const Uevent&) { return true; }, milliseconds(20))
                   .has_value());
}

TEST_F(AgentClientTest, AnExitIsKeptUntilAskedFor) {
  FrameWriter event(FrameKind::kExited, 0);
  event.U32(77).U32(9);
  Send(std::move(event));
  const auto status = client_->WaitExit(77);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(*status, 9);
  EXPECT_EQ(client_->ExitStatus(78), std::nullopt);
}

TEST_F(AgentClientTest, ReadinessIsHeardOrTheEndThatCameInstead) {
  FrameWriter ready(FrameKind::kReady, 0);
  ready.U32(5).String("ready on 135\n");
  Send(std::move(ready));
  EXPECT_EQ(client_->WaitReady(5).value_or(""), "ready on 135\n");
  FrameWriter ended(FrameKind::kExited, 0);
  ended.U32(6).U32(256);
  Send(std::move(ended));
  const auto never = client_->WaitReady(6);
  ASSERT_FALSE(never.has_value());
  EXPECT_EQ(never.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(client_->WaitReady(7, milliseconds(20)).error().kind, ErrorKind::kTimeout);
}

TEST_F(AgentClientTest, AGuestThatGoesEndsEveryWait) {
  guest_.Reset();
  EXPECT_EQ(client_->Ping().error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(client_->WaitExit(1).error().kind, ErrorKind::kUnavailable);
}

TEST_F(AgentClientTest, AnImpossibleLengthEndsTheConnection) {
  const std::string broken = "\xff\xff\xff\xff";
  ASSERT_EQ(send(guest_.Get(), broken.data(), broken.size(), MSG_NOSIGNAL), 4);
  EXPECT_EQ(client_->WaitExit(1, milliseconds(5000)).error().kind, ErrorKind::kUnavailable);
}

TEST_F(AgentClientTest, ARequestBeyondTheLimitIsRefusedHere) {
  const auto done = client_->WriteFile("/x", std::string(agent::kMaxPayload, 'x'));
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, ErrorKind::kLimit);
}

}  // namespace
}  // namespace dmrp::harness
