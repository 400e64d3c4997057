// Watching PDUs go by: what a recorder of runs hooks into.
#pragma once

#include "protocol/rpc/types.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace dmrp::rpc {

/// One PDU as it stood on the wire. The spans are valid only during the observer's call.
struct Frame {
  enum class Direction { kSent, kReceived };

  Direction direction = Direction::kSent;
  std::chrono::steady_clock::time_point time{};  ///< when the PDU was queued for sending, or fully received
  const Endpoint* local = nullptr;               ///< never null
  const Endpoint* peer = nullptr;                ///< never null
  std::uint64_t connection_id = 0;               ///< unique within the process
  std::uint8_t packet_type = 0;                  ///< PTYPE: 0 request, 2 response, 3 fault, 11 bind, ...
  std::uint32_t call_id = 0;
  std::span<const std::byte> octets{};  ///< the whole PDU, encrypted where the connection encrypts
  std::span<const std::byte>
      clear_stub{};  ///< request and response: this fragment's stub decrypted; else empty
};

/// Called once per PDU, from the runtime's threads, in the order of each connection's stream; several
/// connections may call at the same time. Must not block and must not call back into the connection.
using FrameObserver = std::function<void(const Frame&)>;

}  // namespace dmrp::rpc
