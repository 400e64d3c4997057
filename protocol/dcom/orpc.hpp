// ORPCTHIS and ORPCTHAT ([MS-DCOM] 2.2.13): what stands before the parameters of every ORPC call and reply.
#pragma once

#include "dmrp/dcom_interfaces/codec.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/call_context.hpp"

#include <span>

namespace dmrp::dcom {

/// Reads the header, steps over its extensions and answers the octets behind: the parameters, as a stream of
/// its own. Extensions whose length is no multiple of 8 would shift the alignment of the parameters; no known
/// peer sends such, and they are refused as kMalformed.
template <typename Header>
Result<std::span<const std::byte>> StripHeader(std::span<const std::byte> stub, Header& header) {
  ndr::Reader reader(stub);
  Decode(reader, header);
  if (!reader.ok()) return tl::unexpected(*reader.error());
  if (reader.offset() % 8 != 0) {
    return Fail(ErrorKind::kMalformed, "ORPC extensions end at an offset that is no multiple of 8");
  }
  return stub.subspan(reader.offset());
}

/// The header with `parameters` behind it.
template <typename Header>
Result<Bytes> PrependHeader(const Header& header, std::span<const std::byte> parameters) {
  ndr::Writer writer;
  Encode(writer, header);
  writer.PutBytes(parameters);
  return std::move(writer).Take();
}

/// Whether a side of version `own` takes a call of version `peer` ([MS-DCOM] 3.1.1.5.4): a lower minor is
/// fine, a higher one is not.
[[nodiscard]] constexpr bool IsCompatible(const COMVERSION& own, const COMVERSION& peer) {
  return peer.MajorVersion == own.MajorVersion && peer.MinorVersion <= own.MinorVersion;
}

}  // namespace dmrp::dcom
