#include "protocol/ndr/type_serialization.hpp"

#include <algorithm>
#include <string>

namespace dmrp::ndr {
namespace {

constexpr std::size_t RoundUp8(std::size_t size) { return (size + 7) & ~std::size_t{7}; }

}  // namespace

Bytes WrapSerializedType(Bytes body) {
  body.resize(RoundUp8(body.size()));
  Writer writer;
  writer.Put(std::uint8_t{1});     // Version
  writer.Put(std::uint8_t{0x10});  // Endianness: little
  writer.Put(std::uint16_t{8});    // CommonHeaderLength
  writer.Put(std::uint32_t{0xCCCCCCCC});
  writer.PutCount<std::uint32_t>(body.size(), "ObjectBufferLength");
  writer.Put(std::uint32_t{0});
  writer.PutBytes(body);
  return std::move(writer).Take().value_or(Bytes{});
}

Result<std::span<const std::byte>> UnwrapSerializedType(std::span<const std::byte> part) {
  Reader reader(part);
  std::uint8_t version = 0;
  std::uint8_t endianness = 0;
  std::uint16_t header_length = 0;
  std::uint32_t filler = 0;
  std::uint32_t length = 0;
  reader.Get(version, "common header, Version");
  reader.Get(endianness, "common header, Endianness");
  reader.Get(header_length, "common header, CommonHeaderLength");
  reader.Get(filler, "common header, Filler");
  reader.Get(length, "private header, ObjectBufferLength");
  reader.Get(filler, "private header, Filler");
  if (!reader.ok()) return tl::unexpected(*reader.error());
  if (version != 1 || endianness != 0x10 || header_length != 8) {
    return Fail(ErrorKind::kMalformed,
                "no little-endian type serialization version 1: Version " + std::to_string(version) +
                    ", Endianness " + std::to_string(endianness) + ", CommonHeaderLength " +
                    std::to_string(header_length),
                RPC_X_BAD_STUB_DATA);
  }
  if (length > reader.remaining()) {
    return Fail(ErrorKind::kMalformed,
                "private header, ObjectBufferLength: " + std::to_string(length) + " exceeds the " +
                    std::to_string(reader.remaining()) + " octets left",
                RPC_X_BAD_STUB_DATA);
  }
  return part.subspan(kTypeHeaderSize, std::min(RoundUp8(length), reader.remaining()));
}

}  // namespace dmrp::ndr
