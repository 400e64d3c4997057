// A server and its clients in one process, over 127.0.0.1: the fixture of this folder's tests.
#pragma once

#include "protocol/rpc/client.hpp"
#include "protocol/rpc/server.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace dmrp::rpc {

using namespace std::chrono_literals;

/// An event that threads wait for with a deadline.
class Signal {
 public:
  void Set() {
    const std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool Await(std::chrono::milliseconds timeout = 10s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

inline constexpr SyntaxId kEcho{{0x11112222, 0x3333, 0x4444, {1, 2, 3, 4, 5, 6, 7, 8}}, 1, 0};
inline constexpr SyntaxId kOther{{0x11112222, 0x3333, 0x4444, {1, 2, 3, 4, 5, 6, 7, 9}}, 0, 0};
inline constexpr SyntaxId kAbsent{{0x99992222, 0x3333, 0x4444, {1, 2, 3, 4, 5, 6, 7, 9}}, 0, 0};

inline constexpr std::uint16_t kOpEcho = 0;      ///< answers the stub
inline constexpr std::uint16_t kOpWait = 1;      ///< answers the stub once cancelled, or 20 s later
inline constexpr std::uint16_t kOpIdentity = 2;  ///< answers "domain|user|level|type|anonymous"
inline constexpr std::uint16_t kOpBadStub = 3;
inline constexpr std::uint16_t kOpThrow = 4;
inline constexpr std::uint16_t kOpHold = 5;  ///< answers once the fixture's `release` is set
inline constexpr std::uint16_t kOpCount = 6;

inline Bytes Text(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}
inline std::string AsText(const Bytes& octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}
inline Bytes Pattern(std::size_t size) {
  Bytes octets(size);
  for (std::size_t i = 0; i < size; ++i) {
    octets[i] = static_cast<std::byte>((i * 7 + i / 251) & 0xFFU);
  }
  return octets;
}

class Loopback : public ::testing::Test {
 protected:
  Loopback() {
    options_.accounts =
        MakeAccountStore({{"dmrp-admin", "DMRP", HashPassword("dmrp-Admin-1").value(), {"Administrators"}}});
  }

  void Serve() {
    server_.emplace(pool_, options_);
    const Interface entry{
        .handler = [this](const CallContext& call, Bytes stub) { return Handle(call, std::move(stub)); }};
    server_->Register(kEcho, entry);
    server_->Register(kOther, entry);
    auto endpoint = server_->Listen({"127.0.0.1", 0});
    ASSERT_TRUE(endpoint) << endpoint.error().ToString();
    endpoint_ = *endpoint;
  }

  tl::expected<Bytes, std::uint32_t> Handle(const CallContext& call, Bytes stub) {
    switch (call.opnum) {
      case kOpEcho:
        return stub;
      case kOpWait: {
        Signal cancelled;
        const std::stop_callback on_stop(call.cancelled, [&] { cancelled.Set(); });
        started_.Set();
        if (!cancelled.Await(20s)) {
          return stub;
        }
        cancelled_.Set();
        return tl::unexpected(nca_s_fault_cancel);
      }
      case kOpIdentity:
        return Text(call.domain + "|" + call.user + "|" + std::string(ToString(call.auth_level)) + "|" +
                    std::string(ToString(call.auth_type)) + "|" + (call.anonymous ? "anonymous" : "known") +
                    "|" + (call.groups.empty() ? "" : call.groups.front()) + "|" +
                    (call.object ? call.object->ToString() : ""));
      case kOpBadStub:
        return tl::unexpected(RPC_X_BAD_STUB_DATA);
      case kOpThrow:
        throw std::runtime_error("a defect");
      case kOpHold:
        started_.Set();
        if (!release_.Await(20s)) {
          return tl::unexpected(nca_s_fault_unspec);
        }
        return stub;
      default:
        return tl::unexpected(nca_s_op_rng_error);
    }
  }

  static Security Secured(AuthType type, AuthLevel level) {
    return {.type = type,
            .level = level,
            .credentials = {.user = "dmrp-admin",
                            .domain = "DMRP",
                            .password = "dmrp-Admin-1",
                            .workstation = "WS"},
            .target_name = "RPCSS/127.0.0.1"};
  }
  static Security Private() { return Secured(AuthType::kNtlm, AuthLevel::kPrivacy); }

  std::shared_ptr<ClientConnection> Connect(ConnectOptions options = {}) {
    auto client = ClientConnection::Connect(pool_, endpoint_, std::move(options));
    EXPECT_TRUE(client) << client.error().ToString();
    return client ? *client : nullptr;
  }
  std::shared_ptr<ClientConnection> ConnectPrivately() { return Connect({.security = Private()}); }

  /// The server still serves newcomers.
  void ExpectAlive() {
    auto reply = ConnectPrivately()->Call(kEcho, kOpEcho, Text("alive"));
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_EQ(AsText(*reply), "alive");
  }
  /// Waits until the server has forgotten all connections but `count`.
  [[nodiscard]] bool AwaitConnections(std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (server_->connection_count() != count) {
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }

  Signal started_;
  Signal cancelled_;
  Signal release_;
  IoPool pool_;
  ServerOptions options_;
  std::optional<Server> server_;
  Endpoint endpoint_;
};

}  // namespace dmrp::rpc
