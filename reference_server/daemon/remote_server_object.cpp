#include "reference_server/daemon/remote_server_object.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/skeleton.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/peer_error.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// DNS names have up to 253 characters.
constexpr std::size_t kLongestName = 255;
// A call that is passed on lasts as long as its caller waits, who can cancel it; this is the end of patience.
constexpr auto kForwardTimeout = std::chrono::hours(1);

// The text counts cMax characters, max_is(cMax) in the IDL one more; a stub that counts as the text does is
// made into one that counts as the IDL does.
Bytes WithIdlCount(std::span<const std::byte> stub) {
  Bytes copy(stub.begin(), stub.end());
  std::array<std::uint32_t, 2> counts{};  // cMax and the length of the array
  if (copy.size() >= sizeof(counts)) {
    std::memcpy(counts.data(), copy.data(), sizeof(counts));
    if (counts[0] == counts[1] && counts[0] != 0) {
      --counts[0];
      std::memcpy(copy.data(), counts.data(), sizeof(counts[0]));
    }
  }
  return copy;
}

std::uint32_t FaultOf(const Error& error) {
  return error.kind == ErrorKind::kFault && error.status != 0
             ? error.status
             : static_cast<std::uint32_t>(HresultOfPeer(error));
}

}  // namespace

Result<std::string> ParseComputerName(std::u16string_view name) {
  const std::size_t end = name.find(u'\0');
  if (end == std::u16string_view::npos) {
    return Fail(ErrorKind::kMalformed, "RemoteComputerName is not terminated");
  }
  name = name.substr(0, end);
  if (name.starts_with(u"\\\\")) {
    name.remove_prefix(2);
  }
  const std::string text = ToUtf8(name);
  const auto printable = [](char c) { return c > ' ' && c != '\\' && c != '/' && c != '\x7f'; };
  if (text.empty() || text.size() > kLongestName || !std::ranges::all_of(text, printable)) {
    return Fail(ErrorKind::kMalformed, "RemoteComputerName names no computer");
  }
  return text;
}

// What one object knows of the other machine's server. Shared with the dispatch functions of its interfaces.
class RemoteServerObject::Connection final : public IDMRemoteServerHandler {
 public:
  Connection(std::shared_ptr<const ObjectSettings> settings, std::shared_ptr<const RemoteSettings> remote)
      : settings_(std::move(settings)), remote_(std::move(remote)) {}

  HRESULT CreateRemoteObject(dcom::CallContext& call, const CreateRemoteObjectRequest& request,
                             CreateRemoteObjectReply& /*reply*/) override {
    const auto name = ParseComputerName(request.RemoteComputerName);
    if (!name) {
      Log(call, "", name.error().ToString());
      return E_INVALIDARG;
    }
    {
      const std::scoped_lock lock(mutex_);
      if (busy_ || !interfaces_.empty()) {
        Log(call, *name, "refused: the object leads to a server already");
        return HresultFromWin32(1247);  // ERROR_ALREADY_INITIALIZED
      }
      busy_ = true;
    }
    auto interfaces = Activate(call, *name);
    const std::scoped_lock lock(mutex_);
    busy_ = false;
    if (!interfaces) {
      Log(call, *name, interfaces.error().ToString());
      return HresultOfPeer(interfaces.error());
    }
    if (!gone_) {
      interfaces_ = *std::move(interfaces);
    }
    Log(call, *name, "connected");
    return 0;
  }

  // The other server's interface, the empty reference without one.
  dcom::ObjectRef Find(const Guid& iid) const {
    const std::scoped_lock lock(mutex_);
    const auto found = interfaces_.find(iid);
    return found == interfaces_.end() ? dcom::ObjectRef() : found->second;
  }

  void Leave() {
    std::map<Guid, dcom::ObjectRef> released;
    const std::scoped_lock lock(mutex_);
    gone_ = true;
    released.swap(interfaces_);
  }

 private:
  // 4.2, steps 6 and 8: asks for IUnknown, then for all volume interfaces that the other server has.
  Result<std::map<Guid, dcom::ObjectRef>> Activate(const dcom::CallContext& call, const std::string& name) {
    if (call.runtime == nullptr) {
      return Fail(ErrorKind::kUsage, "no runtime to call out with");
    }
    dcom::ActivationRequest request;
    request.server = {name, remote_->port};
    request.clsid = remote_->class_id;
    request.iids = {dcom::IID_IUnknown};
    request.auth_level = remote_->level;
    request.credentials = remote_->credentials;
    request.timeout = remote_->deadline;
    auto activation = call.runtime->Activate(request);
    if (!activation) {
      return tl::unexpected(activation.error());
    }
    const auto& unknown = activation->interfaces.front();
    if (!unknown) {
      return tl::unexpected(unknown.error());
    }
    dcom::CallOptions options;
    options.causality_id = call.causality_id;
    options.timeout = remote_->deadline;
    options.cancel = call.cancelled;
    std::map<Guid, dcom::ObjectRef> interfaces;
    std::optional<Error> failure;
    for (const Guid& iid : {IID_IVolumeClient, IID_IVolumeClient2, IID_IVolumeClient3, IID_IVolumeClient4}) {
      auto found = unknown->QueryInterface(iid, options);
      if (found) {
        interfaces.emplace(iid, *std::move(found));
      } else {
        failure = found.error();
      }
    }
    if (interfaces.empty()) {
      return tl::unexpected(*failure);
    }
    return interfaces;
  }

  void Log(const dcom::CallContext& call, std::string_view name, std::string_view what) const {
    if (settings_->log_call) {
      settings_->log_call(
          fmt::format("call user={}\\{} peer={} IDMRemoteServer::CreateRemoteObject \"{}\": {}", call.domain,
                      call.user, call.peer.ToString(), name, what));
    }
  }

  const std::shared_ptr<const ObjectSettings> settings_;
  const std::shared_ptr<const RemoteSettings> remote_;
  mutable std::mutex mutex_;
  std::map<Guid, dcom::ObjectRef> interfaces_;
  bool busy_ = false;
  bool gone_ = false;
};

RemoteServerObject::RemoteServerObject(std::shared_ptr<const ObjectSettings> settings,
                                       std::shared_ptr<const RemoteSettings> remote)
    : settings_(settings),
      connection_(std::make_shared<Connection>(std::move(settings), std::move(remote))) {}

RemoteServerObject::~RemoteServerObject() = default;

dcom::Dispatch RemoteServerObject::QueryInterface(const Guid& iid) {
  if (iid == IID_IDMRemoteServer) {
    return [connection = connection_](dcom::CallContext& call, std::uint16_t opnum,
                                      std::span<const std::byte> stub) -> dcom::DispatchResult {
      if (call.anonymous) {
        return tl::unexpected(static_cast<std::uint32_t>(E_ACCESSDENIED));
      }
      return DispatchIDMRemoteServer(*connection, call, opnum, WithIdlCount(stub), ndr::ByteOrder::kLittle);
    };
  }
  if (!connection_->Find(iid)) {
    return {};
  }
  return [connection = connection_, settings = settings_, iid](
             dcom::CallContext& call, std::uint16_t opnum,
             std::span<const std::byte> stub) -> dcom::DispatchResult {
    if (!MayManage(call, settings->managers)) {
      return tl::unexpected(static_cast<std::uint32_t>(E_ACCESSDENIED));
    }
    const dcom::ObjectRef remote = connection->Find(iid);
    if (!remote) {
      return tl::unexpected(static_cast<std::uint32_t>(RPC_E_DISCONNECTED));
    }
    dcom::CallOptions options;
    options.causality_id = call.causality_id;
    options.timeout = kForwardTimeout;
    options.cancel = call.cancelled;
    auto reply = remote.Call(opnum, Bytes(stub.begin(), stub.end()), options);
    if (!reply) {
      return tl::unexpected(FaultOf(reply.error()));
    }
    return *std::move(reply);
  };
}

void RemoteServerObject::OnUnreferenced(dcom::Unreferenced /*why*/) { connection_->Leave(); }

}  // namespace dmrp::server
