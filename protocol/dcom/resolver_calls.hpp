// Calls of plain RPC interfaces (resolver, activators) through the generated proxies.
#pragma once

#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/ndr/dispatch.hpp"
#include "protocol/rpc/client.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace dmrp::dcom {

/// What a generated proxy calls through: `interface` on `connection`, without an object.
inline ndr::Invoker PlainInvoker(std::shared_ptr<rpc::ClientConnection> connection,
                                 const InterfaceInfo& interface,
                                 std::optional<std::chrono::milliseconds> timeout) {
  return [connection = std::move(connection), syntax = SyntaxOf(interface), timeout](
             std::uint16_t opnum, Bytes stub) -> Result<Bytes> {
    rpc::CallOptions options;
    options.timeout = timeout;
    auto reply = connection->Call(syntax, opnum, std::move(stub), std::nullopt, options);
    if (!reply && reply.error().kind == ErrorKind::kFault) {
      return FailStatus(fmt::format("operation {} of {}", opnum, syntax.ToString()), reply.error().status);
    }
    return reply;
  };
}

/// An authentication level as servers hint it; anything out of range means none.
[[nodiscard]] constexpr rpc::AuthLevel HintToLevel(std::uint32_t hint) {
  return hint >= 1 && hint <= 6 ? static_cast<rpc::AuthLevel>(hint) : rpc::AuthLevel::kNone;
}

}  // namespace dmrp::dcom
