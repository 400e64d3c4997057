#include "protocol/dcom/activation_properties.hpp"

#include "dmrp/dcom_interfaces/codec.hpp"
#include "protocol/dcom/objref.hpp"
#include "protocol/dcom/packed.hpp"
#include "protocol/dcom/status.hpp"
#include "protocol/ndr/type_serialization.hpp"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

/// GUIDs that OLE reserved: 000001ab-0000-0000-c000-000000000046 and the like ([MS-DCOM] 1.9).
constexpr Guid OleGuid(std::uint32_t number) { return {number, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}}; }

constexpr Guid IID_IActivationPropertiesIn = OleGuid(0x1a2);
constexpr Guid IID_IActivationPropertiesOut = OleGuid(0x1a3);
constexpr Guid CLSID_ActivationPropertiesIn = OleGuid(0x338);
constexpr Guid CLSID_ActivationPropertiesOut = OleGuid(0x339);
constexpr Guid CLSID_InstantiationInfo = OleGuid(0x1ab);
constexpr Guid CLSID_ActivationContextInfo = OleGuid(0x1a5);
constexpr Guid CLSID_ServerLocationInfo = OleGuid(0x1a4);
constexpr Guid CLSID_ScmRequestInfo = OleGuid(0x1aa);
constexpr Guid CLSID_InstanceInfo = OleGuid(0x1ad);
constexpr Guid CLSID_PropsOutInfo = OleGuid(0x339);
constexpr Guid CLSID_ScmReplyInfo = OleGuid(0x1b6);

constexpr std::uint32_t kDifferentMachine = 2;  // CustomHeader.destCtx

/// dwSize and a reserved word before the custom header.
constexpr std::size_t kBlobPrefix = 8;

tl::unexpected<Error> Invalid(std::string why) {
  return Fail(ErrorKind::kMalformed, "activation properties: " + std::move(why), E_INVALIDARG);
}

template <typename T>
Result<T> Deserialize(std::span<const std::byte> part, std::string_view name) {
  auto value = ndr::DeserializeType<T>(part);
  if (!value) return Invalid(fmt::format("{}: {}", name, value.error().message));
  return value;
}

struct Part {
  Guid clsid;
  Bytes octets;
};

Result<Bytes> Assemble(const Guid& iid, const Guid& clsid, const std::vector<Part>& parts) {
  wire::CustomHeader header;
  header.destCtx = kDifferentMachine;
  header.pclsid.emplace();
  header.pSizes.emplace();
  std::size_t total = 0;
  for (const Part& part : parts) {
    header.pclsid->push_back(part.clsid);
    header.pSizes->push_back(static_cast<std::uint32_t>(part.octets.size()));
    total += part.octets.size();
  }
  auto encoded_header = ndr::SerializeType(header);
  if (!encoded_header) return tl::unexpected(encoded_header.error());
  header.headerSize = static_cast<std::uint32_t>(encoded_header->size());
  header.totalSize = static_cast<std::uint32_t>(encoded_header->size() + total);
  encoded_header = ndr::SerializeType(header);
  if (!encoded_header) return tl::unexpected(encoded_header.error());

  PackedWriter blob;
  blob.Write(header.totalSize);
  blob.Write(std::uint32_t{0});
  blob.Write(std::span<const std::byte>(*encoded_header));
  for (const Part& part : parts) blob.Write(std::span<const std::byte>(part.octets));
  return EncodeObjref(
      {.iid = iid,
       .u_objref = OBJREF_CUSTOM{.clsid = clsid, .cbExtension = 0, .pObjectData = std::move(blob).Take()}});
}

struct PartView {
  Guid clsid;
  std::span<const std::byte> octets;
};

/// The properties of a blob; `objref` keeps what the views show.
Result<std::vector<PartView>> Disassemble(const OBJREF& objref, const Guid& clsid) {
  const auto* custom = std::get_if<OBJREF_CUSTOM>(&objref.u_objref);
  if (custom == nullptr) return Invalid("not in a custom OBJREF");
  if (custom->clsid != clsid) return Invalid("unmarshaled by " + custom->clsid.ToString());
  const std::span<const std::byte> data = custom->pObjectData;
  if (data.size() < kBlobPrefix) return Invalid(fmt::format("{} octets", data.size()));
  const auto blob = data.subspan(kBlobPrefix);
  auto header = Deserialize<wire::CustomHeader>(blob, "CustomHeader");
  if (!header) return tl::unexpected(header.error());
  if (!header->pclsid || !header->pSizes || header->pclsid->size() != header->pSizes->size()) {
    return Invalid("CustomHeader without a list of classes and one of sizes");
  }
  const std::size_t count = header->pclsid->size();
  if (count < wire::MIN_ACTPROP_LIMIT || count > wire::MAX_ACTPROP_LIMIT) {
    return Invalid(fmt::format("{} properties, allowed are {} to {}", count, wire::MIN_ACTPROP_LIMIT,
                               wire::MAX_ACTPROP_LIMIT));
  }
  if (header->headerSize > blob.size()) {
    return Invalid(fmt::format("headerSize {} exceeds {} octets", header->headerSize, blob.size()));
  }
  std::vector<PartView> parts;
  auto rest = blob.subspan(header->headerSize);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = (*header->pSizes)[i];
    if (size > rest.size()) {
      return Invalid(fmt::format("property {} has {} octets, {} are left", i, size, rest.size()));
    }
    parts.push_back({(*header->pclsid)[i], rest.first(size)});
    rest = rest.subspan(size);
  }
  return parts;
}

/// Decodes a part into `value` and notes that it came.
template <typename T>
Result<void> Take(const PartView& part, std::string_view name, T& value, bool& came) {
  auto decoded = Deserialize<T>(part.octets, name);
  if (!decoded) return tl::unexpected(decoded.error());
  value = std::move(*decoded);
  came = true;
  return {};
}

}  // namespace

Result<Bytes> EncodeActivationProperties(const ActivationPropertiesIn& properties) {
  std::vector<Part> parts;
  Error failure;
  const auto add = [&](const Guid& clsid, Result<Bytes> octets) {
    if (octets) {
      parts.push_back({clsid, std::move(*octets)});
    } else {
      failure = std::move(octets.error());
    }
    return octets.has_value();
  };
  const bool added =
      add(CLSID_InstantiationInfo, ndr::SerializeType(properties.instantiation)) &&
      add(CLSID_ActivationContextInfo, ndr::SerializeType(properties.context)) &&
      add(CLSID_ServerLocationInfo, ndr::SerializeType(properties.location)) &&
      (!properties.instance || add(CLSID_InstanceInfo, ndr::SerializeType(*properties.instance))) &&
      add(CLSID_ScmRequestInfo, ndr::SerializeType(properties.scm_request));
  if (!added) return tl::unexpected(std::move(failure));
  return Assemble(IID_IActivationPropertiesIn, CLSID_ActivationPropertiesIn, parts);
}

Result<Bytes> EncodeActivationProperties(const ActivationPropertiesOut& properties) {
  auto props_out = ndr::SerializeType(properties.props_out);
  if (!props_out) return tl::unexpected(props_out.error());
  auto scm_reply = ndr::SerializeType(properties.scm_reply);
  if (!scm_reply) return tl::unexpected(scm_reply.error());
  // In this order: impacket reads them by position.
  return Assemble(IID_IActivationPropertiesOut, CLSID_ActivationPropertiesOut,
                  {{CLSID_PropsOutInfo, std::move(*props_out)}, {CLSID_ScmReplyInfo, std::move(*scm_reply)}});
}

Result<ActivationPropertiesIn> DecodeActivationPropertiesIn(std::span<const std::byte> objref) {
  auto decoded = DecodeObjref(objref);
  if (!decoded) return tl::unexpected(decoded.error());
  auto parts = Disassemble(*decoded, CLSID_ActivationPropertiesIn);
  if (!parts) return tl::unexpected(parts.error());
  ActivationPropertiesIn in;
  bool instantiation = false;
  bool scm_request = false;
  bool location = false;
  bool context = false;
  for (const PartView& part : *parts) {
    Result<void> taken;
    if (part.clsid == CLSID_InstantiationInfo) {
      taken = Take(part, "InstantiationInfoData", in.instantiation, instantiation);
    } else if (part.clsid == CLSID_ScmRequestInfo) {
      taken = Take(part, "ScmRequestInfoData", in.scm_request, scm_request);
    } else if (part.clsid == CLSID_ServerLocationInfo) {
      taken = Take(part, "LocationInfoData", in.location, location);
    } else if (part.clsid == CLSID_ActivationContextInfo) {
      taken = Take(part, "ActivationContextInfoData", in.context, context);
    } else if (part.clsid == CLSID_InstanceInfo) {
      bool came = false;
      taken = Take(part, "InstanceInfoData", in.instance.emplace(), came);
    }
    if (!taken) return tl::unexpected(taken.error());
  }
  if (!instantiation) return Invalid("InstantiationInfoData is missing");
  if (!scm_request) return Invalid("ScmRequestInfoData is missing");
  if (!location) return Invalid("LocationInfoData is missing");
  return in;
}

Result<ActivationPropertiesOut> DecodeActivationPropertiesOut(std::span<const std::byte> objref) {
  auto decoded = DecodeObjref(objref);
  if (!decoded) return tl::unexpected(decoded.error());
  auto parts = Disassemble(*decoded, CLSID_ActivationPropertiesOut);
  if (!parts) return tl::unexpected(parts.error());
  ActivationPropertiesOut out;
  bool props_out = false;
  bool scm_reply = false;
  for (const PartView& part : *parts) {
    Result<void> taken;
    if (part.clsid == CLSID_PropsOutInfo) {
      taken = Take(part, "PropsOutInfo", out.props_out, props_out);
    } else if (part.clsid == CLSID_ScmReplyInfo) {
      taken = Take(part, "ScmReplyInfoData", out.scm_reply, scm_reply);
    }
    if (!taken) return tl::unexpected(taken.error());
  }
  if (!props_out) return Invalid("PropsOutInfo is missing");
  if (!scm_reply) return Invalid("ScmReplyInfoData is missing");
  return out;
}

}  // namespace dmrp::dcom
