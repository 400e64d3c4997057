#include "reference_server/daemon/remote_server_object.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/skeleton.hpp"
#include "protocol/dmrp/hresult.hpp"

namespace dmrp::server {

dcom::Dispatch RemoteServerObject::QueryInterface(const Guid& iid) {
  if (iid != IID_IDMRemoteServer) {
    return {};
  }
  return [settings = settings_](dcom::CallContext& call, std::uint16_t opnum,
                                std::span<const std::byte> stub) -> dcom::DispatchResult {
    if (!MayManage(call, settings->managers)) {
      return tl::unexpected(static_cast<std::uint32_t>(E_ACCESSDENIED));
    }
    IDMRemoteServerHandler handler;
    return DispatchIDMRemoteServer(handler, call, opnum, stub, ndr::ByteOrder::kLittle);
  };
}

}  // namespace dmrp::server
