// A client host and its sessions: what the tests drive a server with.
//
//   auto host = ClientHost::Start({.server = {"10.9.0.2", 135}, .account = admin, ...}, monitor, history);
//   auto session = (*host)->Open({.revision = Revision::kIVolumeClient3});
//   auto disks = (*session)->EnumDisks();
//   auto made = (*session)->CreatePartition(spec);
#pragma once

#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/messages.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "dmrp/interfaces/print.hpp"
#include "harness/client/history.hpp"
#include "harness/client/notification_sink.hpp"
#include "harness/client/outcome.hpp"
#include "harness/client/rule_monitor.hpp"
#include "harness/client/storage_view.hpp"
#include "harness/target/target.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/rpc/types.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// Where the server is and who calls it.
struct ClientHostOptions {
  rpc::Endpoint server;  ///< host and resolver port
  Guid class_id;
  Account account;
  rpc::AuthLevel auth_level = rpc::AuthLevel::kPrivacy;
  rpc::AuthType auth_type = rpc::AuthType::kNtlm;
  std::string listen_address = "127.0.0.1";  ///< numeric address at which the server reaches this host
  std::optional<std::uint16_t> resolver_port = 0;
  /// What servers must dial to call back; empty: the address that they were reached from.
  std::string advertise;
  std::vector<Account> callback_accounts;  ///< who may call back
  std::chrono::milliseconds call_timeout{20'000};
  std::chrono::seconds ping_period{120};  ///< how often the server is told that its objects are still wanted
  std::string name = "client";            ///< in the history
};

/// How a session begins.
struct SessionOptions {
  Revision revision = Revision::kIVolumeClient3;
  bool initialize = true;
  std::uint32_t cRemote = 1;
  std::string name = "session";    ///< in the history
  std::optional<Account> account;  ///< in place of the host's
  std::optional<rpc::AuthLevel> auth_level;
};

struct DiskListReply {
  std::vector<DISK_INFO_EX> disks;
  HRESULT result = 0;
};
struct RegionListReply {
  std::vector<REGION_INFO_EX> regions;
  HRESULT result = 0;
};

class Session;

/// One client machine: a DCOM runtime of its own with its callback exporter.
class ClientHost : public std::enable_shared_from_this<ClientHost> {
 public:
  static Result<std::shared_ptr<ClientHost>> Start(ClientHostOptions options,
                                                   std::shared_ptr<RuleMonitor> monitor,
                                                   std::shared_ptr<History> history);
  ~ClientHost();

  /// Activates a server object and, unless told otherwise, calls Initialize on it. An Initialize that is
  /// refused is no failure of Open: see Session::initialized.
  Result<std::unique_ptr<Session>> Open(SessionOptions options = {});
  /// The same over an object that was reached in another way.
  std::unique_ptr<Session> Adopt(dcom::ObjectRef object, SessionOptions options = {});
  /// Only the activation, for the given interface.
  Result<dcom::ObjectRef> Activate(const Guid& iid, const SessionOptions& options = {});
  /// Calls a method of an object that is part of no session, IDMRemoteServer, and records the call. `text`
  /// says what is asked; the answer ends in the method's HRESULT.
  Result<Bytes> Call(const dcom::ObjectRef& object, const InterfaceInfo& interface, const MethodInfo& method,
                     Bytes stub, const std::string& text);

  [[nodiscard]] dcom::Runtime& runtime() { return *runtime_; }
  [[nodiscard]] const ClientHostOptions& options() const { return options_; }
  [[nodiscard]] const std::shared_ptr<RuleMonitor>& monitor() const { return monitor_; }
  [[nodiscard]] const std::shared_ptr<History>& history() const { return history_; }

  /// Drops all connections without a word, as a crash would.
  void Crash();

 private:
  friend class Session;
  struct FrameLog;
  ClientHost(ClientHostOptions options, std::shared_ptr<RuleMonitor> monitor,
             std::shared_ptr<History> history);

  const ClientHostOptions options_;
  const std::shared_ptr<RuleMonitor> monitor_;
  const std::shared_ptr<History> history_;
  const std::shared_ptr<FrameLog> frames_;
  std::unique_ptr<dcom::Runtime> runtime_;
};

/// One activated server object, used through one revision of the volume interface. Every call is recorded and
/// watched.
class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] Revision revision() const { return options_.revision; }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] NotificationSink& sink() { return *sink_; }
  [[nodiscard]] const std::shared_ptr<NotificationSink>& shared_sink() const { return sink_; }
  [[nodiscard]] LdmObjectId client_id() const { return client_id_; }
  [[nodiscard]] bool initialized() const { return initialized_; }
  [[nodiscard]] ClientHost& host() { return *host_; }
  /// The interface of this session's revision.
  [[nodiscard]] const InterfaceInfo& interface() const;

  /// The reference to an interface of the object; asks for it once.
  Result<dcom::ObjectRef> Interface(const Guid& iid);

  // Methods of the disk and partition family, through the interface of the session's revision where both have
  // them.

  Outcome<InitializeReply> Initialize();
  Outcome<InitializeReply> Initialize(const InitializeRequest& request);
  Outcome<UninitializeReply> Uninitialize();
  /// EnumDisks or EnumDisksEx.
  Outcome<DiskListReply> EnumDisks();
  /// EnumDiskRegions or EnumDiskRegionsEx; `numRegions` is the in-value of the count.
  Outcome<RegionListReply> EnumDiskRegions(LdmObjectId diskId, std::uint32_t numRegions = 0);
  Outcome<CreatePartitionReply> CreatePartition(const REGION_SPEC& spec);
  Outcome<DeletePartitionReply> DeletePartition(const REGION_SPEC& spec, bool force = false);
  Outcome<WriteSignatureReply> WriteSignature(LdmObjectId diskId, std::int64_t diskLastKnownState);
  Outcome<InitializeDiskStyleReply> InitializeDiskStyle(LdmObjectId diskId, PARTITIONSTYLE style,
                                                        std::int64_t diskLastKnownState);
  Outcome<MarkActivePartitionReply> MarkActivePartition(LdmObjectId regionId,
                                                        std::int64_t regionLastKnownState);
  Outcome<RefreshReply> Refresh();
  Outcome<RefreshFileSysReply> RefreshFileSys();
  Outcome<RescanDisksReply> RescanDisks();
  Outcome<RefreshExReply> RefreshEx();
  Outcome<EnumTasksReply> EnumTasks(std::uint32_t taskCount = 0);
  Outcome<GetTaskDetailReply> GetTaskDetail(LdmObjectId id, const TASK_INFO& tinfo = {});
  Outcome<AbortTaskReply> AbortTask(LdmObjectId id);
  Outcome<HrGetErrorDataReply> HrGetErrorData(HRESULT hr, DWORD dwFlags);

  // Methods of the file system family.

  Outcome<EnumLocalFileSystemsReply> EnumLocalFileSystems();
  Outcome<GetInstalledFileSystemsReply> GetInstalledFileSystems();
  Outcome<EnumDriveLettersReply> EnumDriveLetters(std::uint32_t driveLetterCount = 0);
  /// Dynamic volumes.
  Outcome<EnumVolumesReply> EnumVolumes(std::uint32_t volumeCount = 0);
  Outcome<EnumVolumeMembersReply> EnumVolumeMembers(LdmObjectId volumeId, std::uint32_t memberCount = 0);
  /// Fault-tolerant sets of NT 4.0.
  Outcome<FTEnumVolumesReply> FTEnumVolumes(std::uint32_t volumeCount = 0);
  Outcome<FTEnumLogicalDiskMembersReply> FTEnumLogicalDiskMembers(LdmObjectId volumeId,
                                                                  std::uint32_t memberCount = 0);
  Outcome<FormatReply> Format(const FormatRequest& request);
  Outcome<CreatePartitionAssignAndFormatReply> CreatePartitionAssignAndFormat(
      const CreatePartitionAssignAndFormatRequest& request);
  Outcome<CreatePartitionAssignAndFormatExReply> CreatePartitionAssignAndFormatEx(
      const CreatePartitionAssignAndFormatExRequest& request);

  /// Any method: recorded, and watched as a reply; not as a change.
  template <typename Reply, typename Request>
  Outcome<Reply> Call(const InterfaceInfo& interface, std::string_view method, const Request& request);
  /// Any method that may change storage: enumerations before and after are compared with the notifications.
  template <typename Reply, typename Request>
  Outcome<Reply> Change(const InterfaceInfo& interface, std::string_view method, const Request& request);

  /// Any operation number with any stub; the answer's stub behind ORPCTHAT. Recorded.
  Outcome<struct RawReply> CallRaw(const InterfaceInfo& interface, std::uint16_t opnum, Bytes stub);

  /// All disks, regions, file systems and drive letters, by this session's enumerations.
  Result<StorageView> View();

 private:
  friend class ClientHost;
  Session(std::shared_ptr<ClientHost> host, SessionOptions options, dcom::ObjectRef object);

  Result<Bytes> Exchange(const InterfaceInfo& interface, const MethodInfo& method, Bytes stub,
                         CallFacts& call);
  void Record(const CallFacts& call, nlohmann::json request, nlohmann::json reply,
              const std::optional<Error>& error, HRESULT result);
  template <typename Reply>
  void Watch(const Outcome<Reply>& outcome);
  StorageView ViewForMonitor();
  Result<StorageView> TakeView(CallFacts& first_call);

  const std::shared_ptr<ClientHost> host_;
  const SessionOptions options_;
  dcom::ObjectRef object_;
  std::map<Guid, dcom::ObjectRef> interfaces_;
  std::shared_ptr<NotificationSink> sink_;
  LdmObjectId client_id_ = 0;
  bool initialized_ = false;
};

/// What a raw call brought back.
struct RawReply {
  Bytes stub;
  HRESULT result = 0;  ///< the last four octets, where there are so many
};

template <typename Reply, typename Request>
Outcome<Reply> Session::Call(const InterfaceInfo& interface, std::string_view method_name,
                             const Request& request) {
  Outcome<Reply> outcome;
  const MethodInfo* method = interface.Find(method_name);
  outcome.call.interface = interface.name;
  outcome.call.method = method_name;
  if (method == nullptr) {
    outcome.error = Error{ErrorKind::kUsage, 0, std::string(interface.name) + " has no such method"};
    return outcome;
  }
  outcome.call.opnum = method->opnum;
  ndr::Writer writer;
  Encode(writer, request);
  Result<Bytes> stub = std::move(writer).Take();
  Result<Bytes> answer =
      stub ? Exchange(interface, *method, *std::move(stub), outcome.call) : std::move(stub);
  if (answer) {
    ndr::Reader reader(*answer);
    Decode(reader, outcome.value);
    outcome.call.anomalies = reader.anomalies();
    outcome.call.trailing = reader.remaining();
    if (!reader.ok()) {
      outcome.error = *reader.error();
      outcome.value = {};
    }
  } else {
    outcome.error = answer.error();
  }
  // "CreatePartitionRequest {...}" without the name of its type, which the method's name says already.
  const std::string arguments =
      ToText(request).substr(method_name.size() + std::string_view("Request").size());
  outcome.call.text = std::string(interface.name) + "::" + std::string(method_name) + arguments + " -> " +
                      (outcome.error ? outcome.error->ToString() : ToText(outcome.value));
  Record(outcome.call, ToJson(request), outcome.error ? nlohmann::json() : ToJson(outcome.value),
         outcome.error, outcome.value.result);
  Watch(outcome);
  return outcome;
}

template <typename Reply, typename Request>
Outcome<Reply> Session::Change(const InterfaceInfo& interface, std::string_view method,
                               const Request& request) {
  Mutation mutation;
  mutation.last_call_before = host_->history()->LastCall();
  mutation.before = ViewForMonitor();
  mutation.marks = host_->monitor()->Marks();
  Outcome<Reply> outcome = Call<Reply>(interface, method, request);
  mutation.after = ViewForMonitor();
  mutation.call = outcome.call;
  mutation.succeeded = outcome.succeeded();
  if constexpr (requires { outcome.value.tinfo; }) {
    mutation.asynchronous = outcome.succeeded() && outcome.value.tinfo.status == REQ_STARTED;
  }
  host_->monitor()->SawMutation(mutation);
  return outcome;
}

template <typename Reply>
void Session::Watch(const Outcome<Reply>& outcome) {
  host_->monitor()->SawReply(outcome.call, outcome.error, outcome.value.result, false);
  if (outcome.error) return;
  if constexpr (requires { outcome.value.tinfo; } && !std::is_same_v<Reply, GetTaskDetailReply>) {
    host_->monitor()->SawTask(outcome.call, outcome.value.tinfo, outcome.value.result, client_id_);
  }
}

}  // namespace dmrp::harness
