// One call, from stub to stub, on either side. The generated skeletons and proxies are made of these.
#pragma once

#include "protocol/ndr/interface_info.hpp"
#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace dmrp::ndr {

/// The fault of a server whose reply cannot be encoded.
inline constexpr std::uint32_t kReplyNotEncodable = 0x80004005;

/// Sends a request stub for an operation and yields the reply stub, both without ORPCTHIS and ORPCTHAT.
using Invoker = std::function<Result<Bytes>(std::uint16_t opnum, Bytes stub)>;
/// Told of what a reply should not have contained.
using AnomalySink = std::function<void(const MethodInfo& method, const std::vector<Anomaly>& anomalies)>;

/// Decodes a request, lets `handle(request, reply)` work and encodes the reply with its return value.
template <typename Request, typename Reply, typename Handle>
tl::expected<Bytes, std::uint32_t> Serve(std::span<const std::byte> stub, ByteOrder order, Handle&& handle) {
  Request request;
  Reader reader(stub, order);
  Decode(reader, request);
  if (!reader.ok()) return tl::unexpected(RPC_X_BAD_STUB_DATA);
  Reply reply;
  reply.result = handle(std::as_const(request), reply);
  Writer writer;
  Encode(writer, reply);
  Result<Bytes> encoded = std::move(writer).Take();
  if (!encoded) return tl::unexpected(kReplyNotEncodable);
  return *std::move(encoded);
}

/// Encodes a request, invokes the operation and decodes the reply.
template <typename Reply, typename Request>
Result<Reply> Call(const Invoker& invoke, const AnomalySink& sink, const MethodInfo& method,
                   const Request& request) {
  Writer writer;
  Encode(writer, request);
  Result<Bytes> stub = std::move(writer).Take();
  if (!stub) return tl::unexpected(std::move(stub.error()));
  Result<Bytes> answer = invoke(method.opnum, *std::move(stub));
  if (!answer) return tl::unexpected(std::move(answer.error()));
  Reply reply;
  Reader reader(*answer);
  Decode(reader, reply);
  if (sink && !reader.anomalies().empty()) sink(method, reader.anomalies());
  if (!reader.ok()) return tl::unexpected(*reader.error());
  return reply;
}

}  // namespace dmrp::ndr
