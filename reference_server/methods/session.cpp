// VolumeClient: Initialize and Uninitialize ([MS-DMRP] 3.2.4.4.1.54, .55).
#include "dmrp/interfaces/method_table.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/peer_error.hpp"
#include "reference_server/methods/volume_client.hpp"

#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr HRESULT kAlreadyInitialized = HresultFromWin32(1247);  // ERROR_ALREADY_INITIALIZED

constexpr std::uint32_t kServerFlags = SYSFLAG_SERVER;

}  // namespace

Outcome<LdmObjectId> VolumeClient::Connect(dcom::CallContext& call, const InitializeRequest& request) {
  if (!server_->connect_sink()) {
    return Reject(E_FAIL, "this server cannot call clients back");
  }
  auto sink = server_->connect_sink()(call, *request.notificationInterface);
  if (!sink) {
    return Reject(HresultOfPeer(sink.error()), "notificationInterface: " + sink.error().ToString());
  }
  const bool early = call.iid == IID_IVolumeClient || call.iid == IID_IVolumeClient2;
  return server_->model().AddClient(early ? Revision::kIVolumeClient : Revision::kIVolumeClient3,
                                    std::move(*sink));
}

HRESULT VolumeClient::Initialize(dcom::CallContext& call, const InitializeRequest& request,
                                 InitializeReply& reply) {
  Session before = Session::kNew;
  {
    const std::scoped_lock lock(mutex_);
    // A client that left the list, by Uninitialize or because it could not be notified, is a new one.
    const bool listed = client_id_ != 0 && server_->model().HasClient(client_id_);
    const auto valid = Validate({
        {E_POINTER, "notificationInterface is not null",
         [&] { return request.notificationInterface.has_value(); }},
        {kAlreadyInitialized, "the client is not in the list of connected clients",
         [&] { return !listed && session_ != Session::kInitializing && session_ != Session::kGone; }},
    });
    if (!valid) {
      return Report("Initialize", valid.error());
    }
    before = std::exchange(session_, Session::kInitializing);
  }
  const auto id = Connect(call, request);
  bool gone = false;
  {
    const std::scoped_lock lock(mutex_);
    gone = session_ != Session::kInitializing;
    if (!gone) {
      session_ = id ? Session::kInitialized : before;
      client_id_ = id.value_or(0);
    }
  }
  if (!id) {
    return Report("Initialize", id.error());
  }
  if (gone) {
    server_->model().RemoveClient(*id);
    return Report("Initialize", Refusal{RPC_E_DISCONNECTED, "the client left"});
  }
  reply.ulIDLVersion = kIdlVersion;
  reply.pdwFlags = kServerFlags;
  reply.clientId = *id;
  return 0;
}

HRESULT VolumeClient::Uninitialize(dcom::CallContext& /*call*/, const UninitializeRequest& /*request*/,
                                   UninitializeReply& /*reply*/) {
  LdmObjectId id = 0;
  {
    const std::scoped_lock lock(mutex_);
    id = client_id_;
  }
  const auto valid = Validate({{LDM_E_NORECORD, "the client is in the list of connected clients",
                                [&] { return id != 0 && server_->model().HasClient(id); }}});
  if (!valid) {
    return Report("Uninitialize", valid.error());
  }
  Leave(Session::kUninitialized);
  return 0;
}

}  // namespace dmrp::server
