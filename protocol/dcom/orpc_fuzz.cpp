// ORPCTHIS, ORPCTHAT and their extents, and the requests of the runtime's own interfaces.
#include "dmrp/dcom_interfaces/codec.hpp"
#include "protocol/dcom/orpc.hpp"

#include <cstdlib>

namespace {

template <typename T>
void DecodeAs(std::span<const std::byte> octets) {
  dmrp::ndr::Reader reader(octets);
  T value;
  Decode(reader, value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::dcom;
  const auto octets = std::as_bytes(std::span(data, size));
  wire::ORPCTHIS header;
  const auto parameters = StripHeader(octets, header);
  if (parameters) {
    if (parameters->size() > octets.size()) std::abort();
    DecodeAs<wire::RemQueryInterfaceRequest>(*parameters);
    DecodeAs<wire::RemQueryInterface2Request>(*parameters);
    DecodeAs<wire::RemAddRefRequest>(*parameters);
    DecodeAs<wire::RemReleaseRequest>(*parameters);
  }
  wire::ORPCTHAT reply;
  (void)StripHeader(octets, reply);
  DecodeAs<wire::RemoteActivationRequest>(octets);
  DecodeAs<wire::RemoteActivationReply>(octets);
  DecodeAs<wire::RemoteCreateInstanceRequest>(octets);
  DecodeAs<wire::ComplexPingRequest>(octets);
  DecodeAs<wire::ResolveOxid2Request>(octets);
  DecodeAs<wire::ResolveOxid2Reply>(octets);
  return 0;
}
