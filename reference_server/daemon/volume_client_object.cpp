#include "reference_server/daemon/volume_client_object.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/skeleton.hpp"
#include "protocol/dmrp/hresult.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

using DispatchFunction = tl::expected<Bytes, std::uint32_t> (*)(DiskManagementHandler&, dcom::CallContext&,
                                                                std::uint16_t, std::span<const std::byte>,
                                                                ndr::ByteOrder);

char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsIgnoringCase(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, {}, ToLower, ToLower);
}

// Every method of these interfaces ends its reply with the HRESULT.
std::span<std::byte, 4> ResultOf(Bytes& reply) {
  return std::span<std::byte, 4>(&reply[reply.size() - 4], 4);
}

HRESULT GetResult(Bytes& reply) {
  HRESULT result = 0;
  std::memcpy(&result, ResultOf(reply).data(), sizeof(result));
  return result;
}

void SetResult(Bytes& reply, HRESULT result) { std::memcpy(ResultOf(reply).data(), &result, sizeof(result)); }

bool IsSessionMethod(const MethodInfo* method) {
  return method != nullptr && (method->name == "Initialize" || method->name == "Uninitialize");
}

// After Uninitialize messages are to be ignored (3.2.4.4.1.55). DCOM wants an answer to each, so they get the
// empty reply of an object that implements nothing, with an error.
dcom::DispatchResult Ignore(DispatchFunction dispatch, dcom::CallContext& call, std::uint16_t opnum,
                            std::span<const std::byte> stub) {
  DiskManagementHandler nothing;
  dcom::DispatchResult reply = dispatch(nothing, call, opnum, stub, ndr::ByteOrder::kLittle);
  if (reply) {
    SetResult(*reply, RPC_E_DISCONNECTED);
  }
  return reply;
}

dcom::DispatchResult Serve(VolumeClient& client, const ObjectSettings& settings,
                           const InterfaceInfo& interface, DispatchFunction dispatch, dcom::CallContext& call,
                           std::uint16_t opnum, std::span<const std::byte> stub) {
  const auto start = std::chrono::steady_clock::now();
  const MethodInfo* method = interface.Find(opnum);
  dcom::DispatchResult reply;
  if (!MayManage(call, settings.managers)) {
    reply = tl::unexpected(static_cast<std::uint32_t>(E_ACCESSDENIED));
  } else if (client.IsUninitialized() && !IsSessionMethod(method)) {
    reply = Ignore(dispatch, call, opnum, stub);
  } else {
    reply = dispatch(client, call, opnum, stub, ndr::ByteOrder::kLittle);
  }
  if (settings.log_call) {
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    settings.log_call(fmt::format(
        "call user={}\\{} peer={} {}::{} result={} ms={:.1f}", call.domain,
        call.user.empty() ? "(anonymous)" : call.user, call.peer.ToString(), interface.name,
        method == nullptr ? fmt::format("opnum {}", opnum) : std::string(method->name),
        reply ? HresultName(GetResult(*reply)) : "fault " + FaultText(reply.error()), elapsed.count()));
  }
  return reply;
}

struct Served {
  const InterfaceInfo& interface;
  DispatchFunction dispatch;
};

constexpr Served kServed[] = {{kIVolumeClient, &DispatchIVolumeClient},
                              {kIVolumeClient2, &DispatchIVolumeClient2},
                              {kIVolumeClient3, &DispatchIVolumeClient3},
                              {kIVolumeClient4, &DispatchIVolumeClient4}};

}  // namespace

bool MayManage(const rpc::CallContext& call, const std::vector<std::string>& managers) {
  return !call.anonymous && std::ranges::any_of(call.groups, [&](const std::string& group) {
    return std::ranges::any_of(managers,
                               [&](const std::string& name) { return EqualsIgnoringCase(name, group); });
  });
}

VolumeClientObject::VolumeClientObject(std::shared_ptr<DiskManagementServer> server,
                                       std::shared_ptr<const ObjectSettings> settings)
    : client_(std::make_shared<VolumeClient>(std::move(server))), settings_(std::move(settings)) {}

dcom::Dispatch VolumeClientObject::QueryInterface(const Guid& iid) {
  for (const Served& served : kServed) {
    if (served.interface.iid == iid) {
      return [client = client_, settings = settings_, served](dcom::CallContext& call, std::uint16_t opnum,
                                                              std::span<const std::byte> stub) {
        return Serve(*client, *settings, served.interface, served.dispatch, call, opnum, stub);
      };
    }
  }
  return {};
}

void VolumeClientObject::OnUnreferenced(dcom::Unreferenced /*why*/) { client_->ClientGone(); }

}  // namespace dmrp::server
