#include "protocol/dcom/objref.hpp"

#include "protocol/dcom/status.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

constexpr std::uint32_t kSignature = 0x574F454D;  // "MEOW"
constexpr std::uint32_t kExtendedSignature = 0x4E535956;
enum : std::uint32_t {
  kFlagStandard = 1,
  kFlagHandler = 2,
  kFlagCustom = 4,
  kFlagExtended = 8,
};

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

tl::unexpected<Error> Invalid(std::string why) {
  return Fail(ErrorKind::kMalformed, "OBJREF: " + std::move(why), RPC_E_INVALID_OBJREF);
}

std::size_t RoundUp8(std::size_t size) { return (size + 7) & ~std::size_t{7}; }

void WriteStandard(PackedWriter& writer, const STDOBJREF& std) {
  writer.Write(std.flags);
  writer.Write(std.cPublicRefs);
  writer.Write(std.oxid);
  writer.Write(std.oid);
  writer.Write(std.ipid);
}

STDOBJREF ReadStandard(PackedReader& reader) {
  STDOBJREF std;
  std.flags = reader.Read<std::uint32_t>();
  std.cPublicRefs = reader.Read<std::uint32_t>();
  std.oxid = reader.Read<std::uint64_t>();
  std.oid = reader.Read<std::uint64_t>();
  std.ipid = reader.ReadGuid();
  return std;
}

Result<DualStringArray> ReadResolverAddress(PackedReader& reader) {
  auto address = DualStringArray::Read(reader);
  if (!address) return Invalid(address.error().message);
  return address;
}

Result<OBJREF_STANDARD> ReadStandardBody(PackedReader& reader) {
  OBJREF_STANDARD body;
  body.std = ReadStandard(reader);
  auto address = ReadResolverAddress(reader);
  if (!address) return tl::unexpected(address.error());
  body.saResAddr = std::move(*address);
  return body;
}

Result<OBJREF_HANDLER> ReadHandlerBody(PackedReader& reader) {
  OBJREF_HANDLER body;
  body.std = ReadStandard(reader);
  body.clsid = reader.ReadGuid();
  auto address = ReadResolverAddress(reader);
  if (!address) return tl::unexpected(address.error());
  body.saResAddr = std::move(*address);
  return body;
}

Result<OBJREF_CUSTOM> ReadCustomBody(PackedReader& reader) {
  OBJREF_CUSTOM body;
  body.clsid = reader.ReadGuid();
  body.cbExtension = reader.Read<std::uint32_t>();
  reader.Read<std::uint32_t>();  // "reserved", never consulted
  const auto data = reader.Take(reader.Remaining());
  body.pObjectData.assign(data.begin(), data.end());
  return body;
}

Result<OBJREF_EXTENDED> ReadExtendedBody(PackedReader& reader) {
  OBJREF_EXTENDED body;
  body.std = ReadStandard(reader);
  const auto signature1 = reader.Read<std::uint32_t>();
  if (!reader.Failed() && signature1 != kExtendedSignature) {
    return Invalid(fmt::format("Signature1 is 0x{:08x}", signature1));
  }
  auto address = ReadResolverAddress(reader);
  if (!address) return tl::unexpected(address.error());
  body.saResAddr = std::move(*address);
  const auto elements = reader.Read<std::uint32_t>();
  const auto signature2 = reader.Read<std::uint32_t>();
  if (!reader.Failed() && (elements != 1 || signature2 != kExtendedSignature)) {
    return Invalid(fmt::format("nElms is {} and Signature2 0x{:08x}", elements, signature2));
  }
  body.dataID = reader.ReadGuid();
  const auto size = reader.Read<std::uint32_t>();
  const auto rounded = reader.Read<std::uint32_t>();
  if (!reader.Failed() && rounded != RoundUp8(size)) {
    return Invalid(fmt::format("DATAELEMENT has cbSize {} and cbRounded {}", size, rounded));
  }
  const auto data = reader.Take(size);
  body.Data.assign(data.begin(), data.end());
  return body;
}

template <typename T>
Result<OBJREF> Finish(const PackedReader& reader, const Guid& iid, Result<T> body) {
  if (!body) return tl::unexpected(body.error());
  if (reader.Failed()) return Invalid(fmt::format("ends early, at offset {}", reader.Offset()));
  return OBJREF{.iid = iid, .u_objref = std::move(*body)};
}

}  // namespace

const STDOBJREF* OBJREF::Standard() const {
  return std::visit(Overloaded{[](const OBJREF_CUSTOM&) -> const STDOBJREF* { return nullptr; },
                               [](const auto& body) { return &body.std; }},
                    u_objref);
}

const DualStringArray* OBJREF::ResolverAddress() const {
  return std::visit(Overloaded{[](const OBJREF_CUSTOM&) -> const DualStringArray* { return nullptr; },
                               [](const auto& body) { return &body.saResAddr; }},
                    u_objref);
}

Bytes EncodeObjref(const OBJREF& objref) {
  PackedWriter writer;
  writer.Write(kSignature);
  const auto begin = [&](std::uint32_t flag) {
    writer.Write(flag);
    writer.Write(objref.iid);
  };
  std::visit(Overloaded{
                 [&](const OBJREF_STANDARD& body) {
                   begin(kFlagStandard);
                   WriteStandard(writer, body.std);
                   body.saResAddr.Write(writer);
                 },
                 [&](const OBJREF_HANDLER& body) {
                   begin(kFlagHandler);
                   WriteStandard(writer, body.std);
                   writer.Write(body.clsid);
                   body.saResAddr.Write(writer);
                 },
                 [&](const OBJREF_CUSTOM& body) {
                   begin(kFlagCustom);
                   writer.Write(body.clsid);
                   writer.Write(body.cbExtension);
                   writer.Write(static_cast<std::uint32_t>(body.pObjectData.size() + 8));
                   writer.Write(std::span<const std::byte>(body.pObjectData));
                 },
                 [&](const OBJREF_EXTENDED& body) {
                   begin(kFlagExtended);
                   WriteStandard(writer, body.std);
                   writer.Write(kExtendedSignature);
                   body.saResAddr.Write(writer);
                   writer.Write(std::uint32_t{1});
                   writer.Write(kExtendedSignature);
                   writer.Write(body.dataID);
                   writer.Write(static_cast<std::uint32_t>(body.Data.size()));
                   writer.Write(static_cast<std::uint32_t>(RoundUp8(body.Data.size())));
                   writer.Write(std::span<const std::byte>(body.Data));
                   const Bytes padding(RoundUp8(body.Data.size()) - body.Data.size());
                   writer.Write(std::span<const std::byte>(padding));
                 },
             },
             objref.u_objref);
  return std::move(writer).Take();
}

Result<OBJREF> DecodeObjref(std::span<const std::byte> bytes) {
  PackedReader reader(bytes);
  const auto signature = reader.Read<std::uint32_t>();
  const auto flags = reader.Read<std::uint32_t>();
  const Guid iid = reader.ReadGuid();
  if (reader.Failed()) return Invalid(fmt::format("{} octets are less than its header", bytes.size()));
  if (signature != kSignature) return Invalid(fmt::format("signature is 0x{:08x}", signature));
  switch (flags) {
    case kFlagStandard:
      return Finish(reader, iid, ReadStandardBody(reader));
    case kFlagHandler:
      return Finish(reader, iid, ReadHandlerBody(reader));
    case kFlagCustom:
      return Finish(reader, iid, ReadCustomBody(reader));
    case kFlagExtended:
      return Finish(reader, iid, ReadExtendedBody(reader));
    default:
      return Invalid(fmt::format("flags are 0x{:x}", flags));
  }
}

}  // namespace dmrp::dcom
