#include "reference_server/methods/volume_client.hpp"

#include "dmrp/interfaces/method_table.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "reference_server/methods/disk_initialization.hpp"
#include "reference_server/methods/drive_letters.hpp"
#include "reference_server/methods/formatting.hpp"
#include "reference_server/methods/partitions.hpp"
#include "reference_server/methods/revision_rules.hpp"

#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// Stores the message for HrGetErrorData and logs what was wrong.
void ReportRefusal(DiskManagementServer& server, std::uint64_t tag, std::string_view method,
                   const Refusal& refusal) {
  server.model().errors().Record(tag, refusal.hr, MessageFor(refusal));
  server.Log(fmt::format("{} refused with {}: {}", method, HresultName(refusal.hr), refusal.reason));
}

}  // namespace

VolumeClient::VolumeClient(std::shared_ptr<DiskManagementServer> server)
    : server_(std::move(server)), tag_(server_->NewClientTag()) {}

VolumeClient::~VolumeClient() { ClientGone(); }

void VolumeClient::ClientGone() { Leave(Session::kGone); }

void VolumeClient::Leave(Session session) {
  LdmObjectId id = 0;
  {
    const std::scoped_lock lock(mutex_);
    id = std::exchange(client_id_, 0);
    session_ = session;
  }
  if (id != 0) {
    server_->model().RemoveClient(id);
  }
}

bool VolumeClient::IsUninitialized() const {
  const std::scoped_lock lock(mutex_);
  return session_ == Session::kUninitialized || session_ == Session::kGone;
}

HRESULT VolumeClient::CreatePartition(dcom::CallContext& call, const CreatePartitionRequest& request,
                                      CreatePartitionReply& reply) {
  return RunTask("CreatePartition", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::CreatePartition(*server_, operation, RevisionOf(call), request.partitionSpec);
  });
}

HRESULT VolumeClient::DeletePartition(dcom::CallContext& call, const DeletePartitionRequest& request,
                                      DeletePartitionReply& reply) {
  return RunTask("DeletePartition", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::DeletePartition(*server_, operation, RevisionOf(call), request.partitionSpec,
                                   request.force);
  });
}

HRESULT VolumeClient::MarkActivePartition(dcom::CallContext& /*call*/,
                                          const MarkActivePartitionRequest& request,
                                          MarkActivePartitionReply& reply) {
  return RunTask("MarkActivePartition", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::MarkActivePartition(*server_, operation, request.regionId, request.regionLastKnownState);
  });
}

HRESULT VolumeClient::WriteSignature(dcom::CallContext& /*call*/, const WriteSignatureRequest& request,
                                     WriteSignatureReply& reply) {
  return RunTask("WriteSignature", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::WriteSignature(*server_, operation, request.diskId, request.diskLastKnownState);
  });
}

HRESULT VolumeClient::InitializeDiskStyle(dcom::CallContext& /*call*/,
                                          const InitializeDiskStyleRequest& request,
                                          InitializeDiskStyleReply& reply) {
  return RunTask("InitializeDiskStyle", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::InitializeDiskStyle(*server_, operation, request.diskId, request.style,
                                       request.diskLastKnownState);
  });
}

HRESULT VolumeClient::CreatePartitionAssignAndFormat(dcom::CallContext& call,
                                                     const CreatePartitionAssignAndFormatRequest& request,
                                                     CreatePartitionAssignAndFormatReply& reply) {
  CreatePartitionAssignAndFormatExRequest extended;
  extended.partitionSpec = request.partitionSpec;
  extended.letter = request.letter;
  extended.letterLastKnownState = request.letterLastKnownState;
  extended.fsSpec = request.fsSpec;
  extended.quickFormat = request.quickFormat;
  return StartTask(
      call, "CreatePartitionAssignAndFormat", reply.tinfo, [&](const StorageModel::Operation& operation) {
        return server::CreatePartitionAssignAndFormat(*server_, operation, RevisionOf(call), extended);
      });
}

HRESULT VolumeClient::CreatePartitionAssignAndFormatEx(dcom::CallContext& call,
                                                       const CreatePartitionAssignAndFormatExRequest& request,
                                                       CreatePartitionAssignAndFormatExReply& reply) {
  return StartTask(
      call, "CreatePartitionAssignAndFormatEx", reply.tinfo, [&](const StorageModel::Operation& operation) {
        return server::CreatePartitionAssignAndFormat(*server_, operation, RevisionOf(call), request);
      });
}

HRESULT VolumeClient::Format(dcom::CallContext& call, const dmrp::FormatRequest& request,
                             FormatReply& reply) {
  return StartTask(call, "Format", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::Format(*server_, operation, request);
  });
}

HRESULT VolumeClient::AssignDriveLetter(dcom::CallContext& /*call*/, const AssignDriveLetterRequest& request,
                                        AssignDriveLetterReply& reply) {
  return RunTask("AssignDriveLetter", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::AssignDriveLetter(*server_, operation, request);
  });
}

HRESULT VolumeClient::FreeDriveLetter(dcom::CallContext& /*call*/, const FreeDriveLetterRequest& request,
                                      FreeDriveLetterReply& reply) {
  return RunTask("FreeDriveLetter", reply.tinfo, [&](const StorageModel::Operation& operation) {
    return server::FreeDriveLetter(*server_, operation, request);
  });
}

HRESULT VolumeClient::Refresh(dcom::CallContext& /*call*/, const RefreshRequest& /*request*/,
                              RefreshReply& /*reply*/) {
  return RefreshDisks(false);
}

HRESULT VolumeClient::RescanDisks(dcom::CallContext& /*call*/, const RescanDisksRequest& /*request*/,
                                  RescanDisksReply& /*reply*/) {
  return RefreshDisks(true);
}

HRESULT VolumeClient::RefreshFileSys(dcom::CallContext& /*call*/, const RefreshFileSysRequest& /*request*/,
                                     RefreshFileSysReply& /*reply*/) {
  return RefreshDisks(false);
}

// Disks that changed their length show only when the buses are asked again.
HRESULT VolumeClient::RefreshEx(dcom::CallContext& /*call*/, const RefreshExRequest& /*request*/,
                                RefreshExReply& /*reply*/) {
  return RefreshDisks(true);
}

HRESULT VolumeClient::EnumTasks(dcom::CallContext& /*call*/, const EnumTasksRequest& /*request*/,
                                EnumTasksReply& reply) {
  reply.taskList = server_->model().tasks().All();
  return 0;
}

HRESULT VolumeClient::GetTaskDetail(dcom::CallContext& /*call*/, const GetTaskDetailRequest& request,
                                    GetTaskDetailReply& reply) {
  const auto task = server_->model().tasks().Find(request.id);
  if (!task) {
    return Report("GetTaskDetail", Refusal{LDM_E_NORECORD, fmt::format("no task {} is running", request.id)});
  }
  reply.tinfo = *task;
  return 0;
}

HRESULT VolumeClient::AbortTask(dcom::CallContext& /*call*/, const AbortTaskRequest& request,
                                AbortTaskReply& /*reply*/) {
  switch (server_->tasks().Abort(request.id)) {
    case TaskRunner::AbortResult::kAborted:
      return 0;
    case TaskRunner::AbortResult::kUnknown:
      return Report("AbortTask", Refusal{LDM_E_NORECORD, fmt::format("no task {} is running", request.id)});
    case TaskRunner::AbortResult::kFinished:
      return Report("AbortTask", Refusal{LDM_E_NORECORD, fmt::format("task {} was done", request.id)});
    case TaskRunner::AbortResult::kStuck:
      break;
  }
  return Report("AbortTask", Refusal{LDM_E_BUSY, fmt::format("task {} does not end", request.id)});
}

HRESULT VolumeClient::HrGetErrorData(dcom::CallContext& /*call*/, const HrGetErrorDataRequest& request,
                                     HrGetErrorDataReply& reply) {
  const auto texts =
      server_->model().errors().Take({.hr = request.hr,
                                      .client = tag_,
                                      .every_client = (request.dwFlags & ERRFLAG_IGNORETAG) != 0,
                                      .keep = (request.dwFlags & ERRFLAG_NOREMOVE) != 0});
  reply.prgszw.assign(texts.begin(), texts.end());
  return texts.empty() ? S_FALSE : 0;
}

HRESULT VolumeClient::RunTask(std::string_view method, TASK_INFO& tinfo, const TaskWork& work) {
  tinfo = {};
  tinfo.id = server_->model().NewTaskId();
  const auto done = work(server_->model().BeginOperation());
  if (!done) {
    tinfo.status = REQ_FAILED;
    tinfo.error = done.error().hr;
    return Report(method, done.error());
  }
  tinfo.status = REQ_COMPLETED;
  tinfo.storageId = *done;
  return 0;
}

HRESULT VolumeClient::RunNotifiedTask(const dcom::CallContext& call, std::string_view method,
                                      TASK_INFO& tinfo, const NotifiedWork& work) {
  bool validated = false;
  const HRESULT result = RunTask(
      method, tinfo, [&](const StorageModel::Operation& operation) { return work(operation, validated); });
  if (validated) {
    call.Afterwards([server = server_, task = tinfo] { server->model().NotifyTask(task); });
  }
  return result;
}

HRESULT VolumeClient::StartTask(const dcom::CallContext& call, std::string_view method, TASK_INFO& tinfo,
                                const JobMaker& make) {
  auto job = make(server_->model().BeginOperation());
  if (!job) {
    tinfo = {};
    tinfo.id = server_->model().NewTaskId();
    tinfo.status = REQ_FAILED;
    tinfo.error = job.error().hr;
    return Report(method, job.error());
  }
  // The reply can say nothing of a failure that comes after it.
  job->finish = [&server = *server_, tag = tag_, name = std::string(method), finish = std::move(job->finish)](
                    const StorageModel::Operation& operation, Outcome<void> worked) {
    auto finished = finish(operation, std::move(worked));
    if (!finished && finished.error().hr != LDM_E_TASK_ABORTED) {
      ReportRefusal(server, tag, name, finished.error());
    }
    return finished;
  };
  tinfo = server_->tasks().Start(call, std::move(*job));
  return 0;
}

HRESULT VolumeClient::RefreshDisks(bool rescan) {
  const auto operation = server_->model().BeginOperation();
  if (rescan) {
    if (auto done = server_->inventory().source().RescanBuses(); !done) {
      server_->Log("the buses could not be asked for devices: " + done.error().ToString());
    }
  }
  server_->inventory().groups().Forget();
  server_->Refresh(operation);
  return 0;
}

HRESULT VolumeClient::Report(std::string_view method, const Refusal& refusal) {
  ReportRefusal(*server_, tag_, method, refusal);
  return refusal.hr;
}

}  // namespace dmrp::server
