// Type serialization version 1 ([MS-RPCE] 2.2.6): one NDR value with headers of its own, as DCOM's activation
// properties travel.
#pragma once

#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <cstddef>
#include <span>
#include <utility>

namespace dmrp::ndr {

/// Octets of the common and the private header together.
inline constexpr std::size_t kTypeHeaderSize = 16;

/// Puts both headers before an NDR body and pads it to a multiple of 8.
Bytes WrapSerializedType(Bytes body);

/// The body of one serialized type. The private header's length may leave out the padding (impacket does).
/// kMalformed when a header is none, or when its length exceeds `part`.
Result<std::span<const std::byte>> UnwrapSerializedType(std::span<const std::byte> part);

/// A value with its headers; the size is a multiple of 8.
template <typename T>
Result<Bytes> SerializeType(const T& value) {
  Writer writer;
  Encode(writer, value);
  Result<Bytes> body = std::move(writer).Take();
  if (!body) return body;
  return WrapSerializedType(*std::move(body));
}

/// The value that `part`, headers included, holds. Octets behind it are legal.
template <typename T>
Result<T> DeserializeType(std::span<const std::byte> part) {
  const Result<std::span<const std::byte>> body = UnwrapSerializedType(part);
  if (!body) return tl::unexpected(body.error());
  Reader reader(*body);
  T value;
  Decode(reader, value);
  if (!reader.ok()) return tl::unexpected(*reader.error());
  return value;
}

}  // namespace dmrp::ndr
