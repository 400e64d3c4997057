// What tests and fuzz targets put in the place of sockets.
#pragma once

#include "protocol/rpc/client_session.hpp"
#include "protocol/rpc/server_session.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::rpc {

/// Random octets and time that repeat a recorded exchange.
inline NtlmEnvironment FixedEnvironment() {
  NtlmEnvironment environment;
  environment.random = [](std::span<std::byte> out) {
    static constexpr std::uint8_t kChallenge[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = std::byte{kChallenge[i % 8]};
    }
  };
  environment.filetime = [] { return 0x01dab7a3c6d20000U; };
  return environment;
}

/// A server around one session: keeps what is sent and dispatched.
class FakeServerHost final : public ServerSession::Host {
 public:
  struct Dispatched {
    std::uint64_t ticket = 0;
    CallContext call{};
    Bytes stub{};
  };

  std::optional<Interface> FindInterface(const SyntaxId& id) override {
    return knows(id) ? std::optional<Interface>(interface) : std::nullopt;
  }
  std::optional<std::uint32_t> JoinGroup(std::uint32_t requested) override {
    return requested == 0 || requested == 0x53f0 ? std::optional<std::uint32_t>(0x53f0) : std::nullopt;
  }
  void Send(Bytes pdu, std::span<const std::byte> /*clear_stub*/) override { sent.push_back(std::move(pdu)); }
  void Dispatch(std::uint64_t ticket, Interface /*entry*/, CallContext call, Bytes stub) override {
    dispatched.push_back({ticket, std::move(call), std::move(stub)});
  }
  void Close(std::string reason) override { closed = std::move(reason); }
  void Refused(std::string reason) override { refused.push_back(std::move(reason)); }
  [[nodiscard]] bool observing() const override { return true; }
  void Observe(std::span<const std::byte> pdu, std::span<const std::byte> clear_stub) override {
    observed.emplace_back(pdu.begin(), pdu.end());
    clear.emplace_back(clear_stub.begin(), clear_stub.end());
  }

  std::function<bool(const SyntaxId&)> knows = [](const SyntaxId&) { return true; };
  Interface interface{};
  std::vector<Bytes> sent;
  std::vector<Dispatched> dispatched;
  std::optional<std::string> closed;
  std::vector<std::string> refused;
  std::vector<Bytes> observed;
  std::vector<Bytes> clear;
};

/// A client around one session.
class FakeClientHost final : public ClientSession::Host {
 public:
  void Send(Bytes octets, std::span<const std::byte> /*clear_stub*/) override {
    sent.push_back(std::move(octets));
  }
  void Unmatched(Bytes pdu) override { unmatched.push_back(std::move(pdu)); }
  void Close(const Error& reason) override { closed = reason; }
  [[nodiscard]] bool observing() const override { return false; }
  void Observe(std::span<const std::byte> /*pdu*/, std::span<const std::byte> /*clear_stub*/) override {}

  std::vector<Bytes> sent;
  std::vector<Bytes> unmatched;
  std::optional<Error> closed;
};

}  // namespace dmrp::rpc
