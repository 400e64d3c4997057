#include "harness/client/session.hpp"

#include "protocol/base/text.hpp"

#include <atomic>
#include <cstring>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

constexpr std::uint8_t kRequest = 0;
constexpr std::uint8_t kResponse = 2;
constexpr std::uint8_t kFault = 3;

nlohmann::json ErrorJson(const Error& error) {
  return {{"kind", ErrorKindName(error.kind)},
          {"status", fmt::format("{:#010x}", error.status)},
          {"text", error.ToString()}};
}

const InterfaceInfo& InterfaceOf(Revision revision) {
  return revision == Revision::kIVolumeClient ? kIVolumeClient : kIVolumeClient3;
}

template <typename To, typename From>
Outcome<To> Rewrap(Outcome<From> outcome) {
  Outcome<To> result;
  result.call = std::move(outcome.call);
  result.error = std::move(outcome.error);
  result.value.result = outcome.value.result;
  return result;
}

}  // namespace

// What went over the wire of one runtime, and when.
struct ClientHost::FrameLog {
  explicit FrameLog(std::shared_ptr<History> history) : history(std::move(history)) {}

  void Add(const rpc::Frame& frame) {
    const bool received = frame.direction == rpc::Frame::Direction::kReceived;
    const std::uint64_t number = history->NextFrame();
    {
      std::lock_guard lock(mutex);
      numbers.push_back(number);
      if (received && (frame.packet_type == kResponse || frame.packet_type == kFault))
        last_answer = frame.time;
      if (received && frame.packet_type == kRequest) last_request = frame.time;
    }
    nlohmann::json record{{"n", number},
                          {"conn", frame.connection_id},
                          {"dir", received ? "received" : "sent"},
                          {"local", frame.local->ToString()},
                          {"peer", frame.peer->ToString()},
                          {"ptype", frame.packet_type},
                          {"call_id", frame.call_id},
                          {"hex", ToHex(frame.octets)}};
    if (!frame.clear_stub.empty()) record["stub"] = ToHex(frame.clear_stub);
    history->WriteAt(frame.time, "frame", std::move(record));
  }

  std::size_t Position() {
    std::lock_guard lock(mutex);
    return numbers.size();
  }
  std::vector<std::uint64_t> Since(std::size_t position) {
    std::lock_guard lock(mutex);
    return {numbers.begin() + static_cast<std::ptrdiff_t>(position), numbers.end()};
  }

  const std::shared_ptr<History> history;
  std::mutex mutex;
  std::vector<std::uint64_t> numbers;
  std::chrono::steady_clock::time_point last_answer;
  std::chrono::steady_clock::time_point last_request;
};

ClientHost::ClientHost(ClientHostOptions options, std::shared_ptr<RuleMonitor> monitor,
                       std::shared_ptr<History> history)
    : options_(std::move(options)),
      monitor_(std::move(monitor)),
      history_(std::move(history)),
      frames_(std::make_shared<FrameLog>(history_)) {}

ClientHost::~ClientHost() = default;

Result<std::shared_ptr<ClientHost>> ClientHost::Start(ClientHostOptions options,
                                                      std::shared_ptr<RuleMonitor> monitor,
                                                      std::shared_ptr<History> history) {
  std::shared_ptr<ClientHost> host(
      new ClientHost(std::move(options), std::move(monitor), std::move(history)));
  dcom::Options runtime;
  runtime.credentials = rpc::Credentials{.user = host->options_.account.user,
                                         .domain = host->options_.account.domain,
                                         .password = host->options_.account.password,
                                         .workstation = "DMRP-HARNESS"};
  runtime.auth_type = host->options_.auth_type;
  runtime.auth_level = host->options_.auth_level;
  runtime.call_timeout = host->options_.call_timeout;
  runtime.timers.ping_period = host->options_.ping_period;
  std::vector<rpc::Account> callers;
  for (const Account& account : host->options_.callback_accounts) {
    auto hash = rpc::HashPassword(account.password);
    if (!hash) return tl::unexpected(hash.error());
    callers.push_back({account.user, "", *hash, {}});
  }
  runtime.accounts = rpc::MakeAccountStore(std::move(callers));
  runtime.allow_anonymous = true;
  // What a server may use towards its clients is the server's choice; the rules of the protocol do not bind
  // it.
  runtime.minimum_call_level = rpc::AuthLevel::kNone;
  runtime.minimum_activation_level = rpc::AuthLevel::kPrivacy;
  runtime.listen_address = host->options_.listen_address;
  runtime.resolver_port = host->options_.resolver_port;
  if (!host->options_.advertise.empty()) runtime.advertised = {{host->options_.advertise, 0}};
  runtime.computer_name = "DMRP-HARNESS";
  runtime.frame_observer = [log = host->frames_](const rpc::Frame& frame) { log->Add(frame); };
  auto started = dcom::Runtime::Start(std::move(runtime));
  if (!started) return tl::unexpected(started.error());
  host->runtime_ = *std::move(started);
  return host;
}

void ClientHost::Crash() {
  runtime_->Abandon();
  runtime_.reset();
}

Result<dcom::ObjectRef> ClientHost::Activate(const Guid& iid, const SessionOptions& options) {
  dcom::ActivationRequest request;
  request.server = options_.server;
  request.clsid = options_.class_id;
  request.iids = {iid};
  request.auth_level = options.auth_level;
  request.timeout = options_.call_timeout;
  if (options.account) {
    request.credentials = rpc::Credentials{.user = options.account->user,
                                           .domain = options.account->domain,
                                           .password = options.account->password,
                                           .workstation = "DMRP-HARNESS"};
  }
  const std::size_t first_frame = frames_->Position();
  auto activation = runtime_->Activate(request);
  Result<dcom::ObjectRef> object =
      activation ? std::move(activation->interfaces.front()) : tl::unexpected(activation.error());
  nlohmann::json record{
      {"test", history_->test()},
      {"seq", history_->NextCall()},
      {"session", options.name},
      {"interface", "IRemoteSCMActivator"},
      {"method", "Activate"},
      {"request", {{"clsid", options_.class_id.ToString()}, {"iid", iid.ToString()}}},
      {"text", fmt::format("activate {} for {}", options_.class_id.ToString(), iid.ToString())},
      {"frames", frames_->Since(first_frame)}};
  if (!object) record["error"] = ErrorJson(object.error());
  history_->Write("call", std::move(record));
  return object;
}

Result<Bytes> ClientHost::Call(const dcom::ObjectRef& object, const InterfaceInfo& interface,
                               const MethodInfo& method, Bytes stub, const std::string& text) {
  const std::size_t first_frame = frames_->Position();
  const std::string request = ToHex(stub);
  auto answer = object.Call(method.opnum, std::move(stub));
  nlohmann::json record{{"test", history_->test()},
                        {"seq", history_->NextCall()},
                        {"interface", interface.name},
                        {"method", method.name},
                        {"opnum", method.opnum},
                        {"request", {{"stub", request}}},
                        {"text", fmt::format("{}::{} {}", interface.name, method.name, text)},
                        {"frames", frames_->Since(first_frame)}};
  std::uint32_t result = 0;
  if (!answer) {
    record["error"] = ErrorJson(answer.error());
  } else if (answer->size() >= sizeof(result)) {
    std::memcpy(&result, &(*answer)[answer->size() - sizeof(result)], sizeof(result));
    record["reply"] = {{"stub", ToHex(*answer)}};
    record["hresult"] = fmt::format("{:#010x}", result);
  }
  history_->Write("call", std::move(record));
  return answer;
}

Result<std::unique_ptr<Session>> ClientHost::Open(SessionOptions options) {
  auto object = Activate(InterfaceOf(options.revision).iid, options);
  if (!object) return tl::unexpected(object.error());
  return Adopt(*std::move(object), std::move(options));
}

std::unique_ptr<Session> ClientHost::Adopt(dcom::ObjectRef object, SessionOptions options) {
  const bool initialize = options.initialize;
  std::unique_ptr<Session> session(new Session(shared_from_this(), std::move(options), std::move(object)));
  if (initialize) session->Initialize();
  return session;
}

Session::Session(std::shared_ptr<ClientHost> host, SessionOptions options, dcom::ObjectRef object)
    : host_(std::move(host)), options_(std::move(options)), object_(std::move(object)) {
  interfaces_.emplace(interface().iid, object_);
  sink_ = std::make_shared<NotificationSink>(options_.revision, options_.name, host_->history());
  sink_->SetArrivalClock([log = host_->frames_] {
    std::lock_guard lock(log->mutex);
    return log->last_request;
  });
  sink_->OnNotification(
      [monitor = host_->monitor(), sink = sink_.get()](const ReceivedNotification& notification) {
        monitor->SawNotification(*sink, notification);
      });
}

Session::~Session() { host_->monitor()->Unwatch(*sink_); }

const InterfaceInfo& Session::interface() const { return InterfaceOf(options_.revision); }

Result<dcom::ObjectRef> Session::Interface(const Guid& iid) {
  if (auto found = interfaces_.find(iid); found != interfaces_.end()) return found->second;
  auto other = object_.QueryInterface(iid);
  if (!other) return other;
  interfaces_.emplace(iid, *other);
  return other;
}

Result<Bytes> Session::Exchange(const InterfaceInfo& interface, const MethodInfo& method, Bytes stub,
                                CallFacts& call) {
  auto reference = Interface(interface.iid);
  if (!reference) return tl::unexpected(reference.error());
  call.number = host_->history()->NextCall();
  const std::size_t first_frame = host_->frames_->Position();
  dcom::CallOptions options;
  options.auth_level = options_.auth_level;
  call.sent = std::chrono::steady_clock::now();
  auto answer = reference->Call(method.opnum, std::move(stub), options);
  call.replied = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(host_->frames_->mutex);
    if (host_->frames_->last_answer > call.sent) call.replied = host_->frames_->last_answer;
  }
  call.frames = host_->frames_->Since(first_frame);
  return answer;
}

void Session::Record(const CallFacts& call, nlohmann::json request, nlohmann::json reply,
                     const std::optional<Error>& error, HRESULT result) {
  nlohmann::json record{{"test", host_->history()->test()},
                        {"seq", call.number},
                        {"session", options_.name},
                        {"interface", call.interface},
                        {"method", call.method},
                        {"opnum", call.opnum},
                        {"request", std::move(request)},
                        {"text", call.text},
                        {"frames", call.frames},
                        {"seconds", std::chrono::duration<double>(call.replied - call.sent).count()}};
  if (error) {
    record["error"] = ErrorJson(*error);
  } else {
    record["reply"] = std::move(reply);
    record["hresult"] = fmt::format("{:#010x}", static_cast<std::uint32_t>(result));
  }
  host_->history()->WriteAt(call.sent, "call", std::move(record));
}

Outcome<InitializeReply> Session::Initialize() {
  InitializeRequest request;
  auto reference = host_->runtime().Export(sink_, IID_IDMNotify);
  if (!reference) {
    Outcome<InitializeReply> failed;
    failed.error = reference.error();
    return failed;
  }
  request.notificationInterface = *std::move(reference);
  request.cRemote = options_.cRemote;
  return Initialize(request);
}

Outcome<InitializeReply> Session::Initialize(const InitializeRequest& request) {
  auto outcome = Call<InitializeReply>(interface(), "Initialize", request);
  if (outcome.succeeded()) {
    client_id_ = outcome.value.clientId;
    initialized_ = true;
    host_->monitor()->SawClient(outcome.call, client_id_);
    if (request.notificationInterface) host_->monitor()->Watch(sink_);
  }
  return outcome;
}

Outcome<UninitializeReply> Session::Uninitialize() {
  // Notifications may cease from now on, before the reply is here.
  host_->monitor()->Unwatch(*sink_);
  auto outcome = Call<UninitializeReply>(interface(), "Uninitialize", UninitializeRequest{});
  if (outcome.succeeded()) {
    initialized_ = false;
  } else if (initialized_) {
    host_->monitor()->Watch(sink_);
  }
  return outcome;
}

Outcome<DiskListReply> Session::EnumDisks() {
  Outcome<DiskListReply> result;
  if (revision() == Revision::kIVolumeClient) {
    auto outcome = Call<EnumDisksReply>(kIVolumeClient, "EnumDisks", EnumDisksRequest{});
    std::vector<DISK_INFO_EX> disks;
    for (const DISK_INFO& disk : outcome.value.diskList) disks.push_back(Widen(disk));
    result = Rewrap<DiskListReply>(std::move(outcome));
    result.value.disks = std::move(disks);
  } else {
    auto outcome = Call<EnumDisksExReply>(kIVolumeClient3, "EnumDisksEx", EnumDisksExRequest{});
    auto disks = std::move(outcome.value.diskList);
    result = Rewrap<DiskListReply>(std::move(outcome));
    result.value.disks = std::move(disks);
  }
  if (result.succeeded()) host_->monitor()->SawDisks(result.call, revision(), result.value.disks);
  return result;
}

Outcome<RegionListReply> Session::EnumDiskRegions(LdmObjectId diskId, std::uint32_t numRegions) {
  Outcome<RegionListReply> result;
  if (revision() == Revision::kIVolumeClient) {
    EnumDiskRegionsRequest request;
    request.diskId = diskId;
    request.numRegions = numRegions;
    auto outcome = Call<EnumDiskRegionsReply>(kIVolumeClient, "EnumDiskRegions", request);
    std::vector<REGION_INFO_EX> regions;
    for (const REGION_INFO& region : outcome.value.regionList) regions.push_back(Widen(region));
    result = Rewrap<RegionListReply>(std::move(outcome));
    result.value.regions = std::move(regions);
  } else {
    EnumDiskRegionsExRequest request;
    request.diskId = diskId;
    request.numRegions = numRegions;
    auto outcome = Call<EnumDiskRegionsExReply>(kIVolumeClient3, "EnumDiskRegionsEx", request);
    auto regions = std::move(outcome.value.regionList);
    result = Rewrap<RegionListReply>(std::move(outcome));
    result.value.regions = std::move(regions);
  }
  if (result.succeeded()) host_->monitor()->SawRegions(result.call, revision(), diskId, result.value.regions);
  return result;
}

Outcome<CreatePartitionReply> Session::CreatePartition(const REGION_SPEC& spec) {
  CreatePartitionRequest request;
  request.partitionSpec = spec;
  return Change<CreatePartitionReply>(interface(), "CreatePartition", request);
}

Outcome<DeletePartitionReply> Session::DeletePartition(const REGION_SPEC& spec, bool force) {
  DeletePartitionRequest request;
  request.partitionSpec = spec;
  request.force = force;
  return Change<DeletePartitionReply>(interface(), "DeletePartition", request);
}

Outcome<WriteSignatureReply> Session::WriteSignature(LdmObjectId diskId, std::int64_t diskLastKnownState) {
  WriteSignatureRequest request;
  request.diskId = diskId;
  request.diskLastKnownState = diskLastKnownState;
  return Change<WriteSignatureReply>(kIVolumeClient, "WriteSignature", request);
}

Outcome<InitializeDiskStyleReply> Session::InitializeDiskStyle(LdmObjectId diskId, PARTITIONSTYLE style,
                                                               std::int64_t diskLastKnownState) {
  InitializeDiskStyleRequest request;
  request.diskId = diskId;
  request.style = style;
  request.diskLastKnownState = diskLastKnownState;
  return Change<InitializeDiskStyleReply>(kIVolumeClient3, "InitializeDiskStyle", request);
}

Outcome<MarkActivePartitionReply> Session::MarkActivePartition(LdmObjectId regionId,
                                                               std::int64_t regionLastKnownState) {
  MarkActivePartitionRequest request;
  request.regionId = regionId;
  request.regionLastKnownState = regionLastKnownState;
  return Change<MarkActivePartitionReply>(interface(), "MarkActivePartition", request);
}

Outcome<RefreshReply> Session::Refresh() {
  return Change<RefreshReply>(interface(), "Refresh", RefreshRequest{});
}

Outcome<RescanDisksReply> Session::RescanDisks() {
  return Change<RescanDisksReply>(interface(), "RescanDisks", RescanDisksRequest{});
}

Outcome<RefreshExReply> Session::RefreshEx() {
  return Change<RefreshExReply>(kIVolumeClient4, "RefreshEx", RefreshExRequest{});
}

Outcome<RefreshFileSysReply> Session::RefreshFileSys() {
  return Change<RefreshFileSysReply>(interface(), "RefreshFileSys", RefreshFileSysRequest{});
}

Outcome<EnumTasksReply> Session::EnumTasks(std::uint32_t taskCount) {
  EnumTasksRequest request;
  request.taskCount = taskCount;
  auto outcome = Call<EnumTasksReply>(interface(), "EnumTasks", request);
  if (outcome.succeeded()) host_->monitor()->SawTaskList(outcome.call, outcome.value.taskList);
  return outcome;
}

Outcome<GetTaskDetailReply> Session::GetTaskDetail(LdmObjectId id, const TASK_INFO& tinfo) {
  GetTaskDetailRequest request;
  request.id = id;
  request.tinfo = tinfo;
  auto outcome = Call<GetTaskDetailReply>(interface(), "GetTaskDetail", request);
  if (outcome.succeeded()) host_->monitor()->SawTaskDetail(outcome.call, id, outcome.value.tinfo);
  return outcome;
}

Outcome<AbortTaskReply> Session::AbortTask(LdmObjectId id) {
  AbortTaskRequest request;
  request.id = id;
  return Change<AbortTaskReply>(interface(), "AbortTask", request);
}

Outcome<EnumLocalFileSystemsReply> Session::EnumLocalFileSystems() {
  auto outcome =
      Call<EnumLocalFileSystemsReply>(interface(), "EnumLocalFileSystems", EnumLocalFileSystemsRequest{});
  if (outcome.succeeded()) host_->monitor()->SawFileSystems(outcome.call, outcome.value.fileSystemList);
  return outcome;
}

Outcome<GetInstalledFileSystemsReply> Session::GetInstalledFileSystems() {
  auto outcome = Call<GetInstalledFileSystemsReply>(interface(), "GetInstalledFileSystems",
                                                    GetInstalledFileSystemsRequest{});
  if (outcome.succeeded()) host_->monitor()->SawInstalledFileSystems(outcome.call, outcome.value.fsList);
  return outcome;
}

Outcome<EnumDriveLettersReply> Session::EnumDriveLetters(std::uint32_t driveLetterCount) {
  EnumDriveLettersRequest request;
  request.driveLetterCount = driveLetterCount;
  auto outcome = Call<EnumDriveLettersReply>(interface(), "EnumDriveLetters", request);
  if (outcome.succeeded()) host_->monitor()->SawDriveLetters(outcome.call, outcome.value.driveLetterList);
  return outcome;
}

Outcome<EnumVolumesReply> Session::EnumVolumes(std::uint32_t volumeCount) {
  auto outcome = Call<EnumVolumesReply>(interface(), "EnumVolumes", EnumVolumesRequest{volumeCount});
  if (outcome.succeeded()) {
    host_->monitor()->SawVolumes(outcome.call, VOLUMETYPE_VM, outcome.value.LdmVolumeList);
  }
  return outcome;
}

Outcome<EnumVolumeMembersReply> Session::EnumVolumeMembers(LdmObjectId volumeId, std::uint32_t memberCount) {
  return Call<EnumVolumeMembersReply>(interface(), "EnumVolumeMembers",
                                      EnumVolumeMembersRequest{volumeId, memberCount});
}

Outcome<FTEnumVolumesReply> Session::FTEnumVolumes(std::uint32_t volumeCount) {
  auto outcome = Call<FTEnumVolumesReply>(interface(), "FTEnumVolumes", FTEnumVolumesRequest{volumeCount});
  if (outcome.succeeded()) {
    host_->monitor()->SawVolumes(outcome.call, VOLUMETYPE_FT, outcome.value.ftVolumeList);
  }
  return outcome;
}

Outcome<FTEnumLogicalDiskMembersReply> Session::FTEnumLogicalDiskMembers(LdmObjectId volumeId,
                                                                         std::uint32_t memberCount) {
  return Call<FTEnumLogicalDiskMembersReply>(interface(), "FTEnumLogicalDiskMembers",
                                             FTEnumLogicalDiskMembersRequest{volumeId, memberCount});
}

Outcome<FormatReply> Session::Format(const FormatRequest& request) {
  return Change<FormatReply>(interface(), "Format", request);
}

Outcome<CreatePartitionAssignAndFormatReply> Session::CreatePartitionAssignAndFormat(
    const CreatePartitionAssignAndFormatRequest& request) {
  return Change<CreatePartitionAssignAndFormatReply>(interface(), "CreatePartitionAssignAndFormat", request);
}

Outcome<CreatePartitionAssignAndFormatExReply> Session::CreatePartitionAssignAndFormatEx(
    const CreatePartitionAssignAndFormatExRequest& request) {
  return Change<CreatePartitionAssignAndFormatExReply>(interface(), "CreatePartitionAssignAndFormatEx",
                                                       request);
}

Outcome<HrGetErrorDataReply> Session::HrGetErrorData(HRESULT hr, DWORD dwFlags) {
  HrGetErrorDataRequest request;
  request.hr = hr;
  request.dwFlags = dwFlags;
  return Call<HrGetErrorDataReply>(interface(), "HrGetErrorData", request);
}

Outcome<RawReply> Session::CallRaw(const InterfaceInfo& interface, std::uint16_t opnum, Bytes stub) {
  Outcome<RawReply> outcome;
  MethodInfo method;
  if (const MethodInfo* known = interface.Find(opnum)) method = *known;
  method.opnum = opnum;
  outcome.call.interface = interface.name;
  outcome.call.method = method.name.empty() ? fmt::format("opnum {}", opnum) : std::string(method.name);
  outcome.call.opnum = opnum;
  const std::string hex = ToHex(stub);
  auto answer = Exchange(interface, method, std::move(stub), outcome.call);
  if (answer) {
    outcome.value.stub = *std::move(answer);
    if (outcome.value.stub.size() >= 4) {
      ndr::Reader reader(std::span(outcome.value.stub).last(4));
      reader.Get(outcome.value.result, "result");
    }
  } else {
    outcome.error = answer.error();
  }
  outcome.call.text = fmt::format("{} opnum {} stub [{}] -> {}", interface.name, opnum, hex,
                                  outcome.error ? outcome.error->ToString() : ToHex(outcome.value.stub));
  Record(outcome.call, {{"stub", hex}}, {{"stub", ToHex(outcome.value.stub)}}, outcome.error,
         outcome.value.result);
  host_->monitor()->SawReply(outcome.call, outcome.error, outcome.value.result, true);
  return outcome;
}

Result<StorageView> Session::View() {
  constexpr int kMostViews = 4;
  CallFacts call;
  Result<StorageView> view;
  // A change that fell between two of its calls is not there the next time; what is wrong stays.
  for (int taken = 0; taken < kMostViews; ++taken) {
    const std::uint64_t told = sink_->Count();
    view = TakeView(call);
    if (!view || (Contradictions(*view).empty() && sink_->Count() == told)) break;
  }
  if (view) host_->monitor()->SawView(call, *view);
  return view;
}

Result<StorageView> Session::TakeView(CallFacts& first_call) {
  StorageView view;
  view.seen_through = revision();
  auto disks = EnumDisks();
  first_call = disks.call;
  if (disks.error) return tl::unexpected(*disks.error);
  if (!disks.succeeded()) {
    return Fail(ErrorKind::kFault, disks.call.text, disks.hresult());
  }
  view.disks = std::move(disks.value.disks);
  for (const DISK_INFO_EX& disk : view.disks) {
    auto regions = EnumDiskRegions(disk.id);
    if (regions.error) return tl::unexpected(*regions.error);
    // A disk that went away between the two calls has no regions any more.
    if (regions.succeeded()) view.regions.emplace(disk.id, std::move(regions.value.regions));
  }
  if (auto file_systems = EnumLocalFileSystems(); file_systems.succeeded()) {
    view.file_systems = std::move(file_systems.value.fileSystemList);
  }
  if (auto letters = EnumDriveLetters(); letters.succeeded()) {
    view.letters = std::move(letters.value.driveLetterList);
  }
  // What a server without such volumes refuses leaves the list empty.
  if (auto dynamic = EnumVolumes(); dynamic.succeeded()) {
    view.volumes = std::move(dynamic.value.LdmVolumeList);
    for (const VOLUME_INFO& volume : *view.volumes) {
      if (auto members = EnumVolumeMembers(volume.id); members.succeeded()) {
        view.members.emplace(volume.id, std::move(members.value.memberList));
      }
    }
    if (auto sets = FTEnumVolumes(); sets.succeeded()) {
      for (const VOLUME_INFO& set : sets.value.ftVolumeList) {
        view.volumes->push_back(set);
        if (auto members = FTEnumLogicalDiskMembers(set.id); members.succeeded()) {
          view.members.emplace(set.id, std::move(members.value.memberList));
        }
      }
    }
  }
  return view;
}

StorageView Session::ViewForMonitor() {
  auto view = View();
  return view ? *std::move(view) : StorageView{.seen_through = revision(), .disks = {}, .regions = {}};
}

}  // namespace dmrp::harness
