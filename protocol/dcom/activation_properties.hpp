// Activation properties ([MS-DCOM] 2.2.22): the blob inside the custom OBJREF that IRemoteSCMActivator takes
// and answers, a header and properties, each a type serialization of version 1 ([MS-RPCE] 2.2.6).
#pragma once

#include "dmrp/dcom_interfaces/types.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <optional>
#include <span>

namespace dmrp::dcom {

/// What a client asks for. The location property is always sent and must always come.
struct ActivationPropertiesIn {
  wire::InstantiationInfoData instantiation;
  wire::ScmRequestInfoData scm_request;
  wire::LocationInfoData location;
  wire::ActivationContextInfoData context;
  std::optional<wire::InstanceInfoData> instance;  ///< asks for a persistent object

  friend bool operator==(const ActivationPropertiesIn&, const ActivationPropertiesIn&) = default;
};

/// What a server answers.
struct ActivationPropertiesOut {
  wire::PropsOutInfo props_out;
  wire::ScmReplyInfoData scm_reply;

  friend bool operator==(const ActivationPropertiesOut&, const ActivationPropertiesOut&) = default;
};

/// The octets of the custom OBJREF.
Result<Bytes> EncodeActivationProperties(const ActivationPropertiesIn& properties);
Result<Bytes> EncodeActivationProperties(const ActivationPropertiesOut& properties);

/// Properties are told apart by their class, unknown ones are passed over. kMalformed, with the HRESULT to
/// answer in `status`, when a length contradicts another, a property does not decode, or a required one is
/// missing.
Result<ActivationPropertiesIn> DecodeActivationPropertiesIn(std::span<const std::byte> objref);
Result<ActivationPropertiesOut> DecodeActivationPropertiesOut(std::span<const std::byte> objref);

}  // namespace dmrp::dcom
