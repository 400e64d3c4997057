#pragma once

#include "dmrp/interfaces/handler.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>

namespace dmrp::server {

/// LDM_IDL_VERSION: its value is published nowhere, so this is the project's own.
inline constexpr std::uint32_t kIdlVersion = 1;

// Flags of HrGetErrorData (3.2.4.4.1.53), which the IDL leaves out.
inline constexpr DWORD ERRFLAG_NOREMOVE = 0x20000;
inline constexpr DWORD ERRFLAG_IGNORETAG = 0x40000;

/// What one activated object answers: a client of [MS-DMRP] 3.2.1.2 with the methods of IVolumeClient,
/// IVolumeClient2, IVolumeClient3 and IVolumeClient4. Methods that are not overridden answer E_NOTIMPL.
/// Several calls may run at a time.
class VolumeClient final : public DiskManagementHandler {
 public:
  explicit VolumeClient(std::shared_ptr<DiskManagementServer> server);
  /// Leaves the list of clients.
  ~VolumeClient() override;
  VolumeClient(const VolumeClient&) = delete;
  VolumeClient& operator=(const VolumeClient&) = delete;

  /// The connection to the client is lost or its references are gone (3.2.4.4.1.55): it leaves the list.
  void ClientGone();
  /// True between Uninitialize and another Initialize: other messages are ignored then, which is to say
  /// refused.
  [[nodiscard]] bool IsUninitialized() const;

  HRESULT EnumDisks(dcom::CallContext& call, const EnumDisksRequest& request, EnumDisksReply& reply) override;
  HRESULT EnumDisksEx(dcom::CallContext& call, const EnumDisksExRequest& request,
                      EnumDisksExReply& reply) override;
  HRESULT EnumDiskRegions(dcom::CallContext& call, const EnumDiskRegionsRequest& request,
                          EnumDiskRegionsReply& reply) override;
  HRESULT EnumDiskRegionsEx(dcom::CallContext& call, const EnumDiskRegionsExRequest& request,
                            EnumDiskRegionsExReply& reply) override;

  HRESULT CreatePartition(dcom::CallContext& call, const CreatePartitionRequest& request,
                          CreatePartitionReply& reply) override;
  HRESULT DeletePartition(dcom::CallContext& call, const DeletePartitionRequest& request,
                          DeletePartitionReply& reply) override;
  HRESULT MarkActivePartition(dcom::CallContext& call, const MarkActivePartitionRequest& request,
                              MarkActivePartitionReply& reply) override;
  HRESULT WriteSignature(dcom::CallContext& call, const WriteSignatureRequest& request,
                         WriteSignatureReply& reply) override;
  HRESULT InitializeDiskStyle(dcom::CallContext& call, const InitializeDiskStyleRequest& request,
                              InitializeDiskStyleReply& reply) override;

  // media.cpp
  HRESULT Eject(dcom::CallContext& call, const EjectRequest& request, EjectReply& reply) override;
  // free_space.cpp
  HRESULT GetMaxAdjustedFreeSpace(dcom::CallContext& call, const GetMaxAdjustedFreeSpaceRequest& request,
                                  GetMaxAdjustedFreeSpaceReply& reply) override;
  // system.cpp
  HRESULT SecureSystemPartition(dcom::CallContext& call, const SecureSystemPartitionRequest& request,
                                SecureSystemPartitionReply& reply) override;
  HRESULT ShutDownSystem(dcom::CallContext& call, const ShutDownSystemRequest& request,
                         ShutDownSystemReply& reply) override;

  HRESULT Refresh(dcom::CallContext& call, const RefreshRequest& request, RefreshReply& reply) override;
  HRESULT RescanDisks(dcom::CallContext& call, const RescanDisksRequest& request,
                      RescanDisksReply& reply) override;
  HRESULT RefreshEx(dcom::CallContext& call, const RefreshExRequest& request, RefreshExReply& reply) override;

  HRESULT EnumTasks(dcom::CallContext& call, const EnumTasksRequest& request, EnumTasksReply& reply) override;
  HRESULT GetTaskDetail(dcom::CallContext& call, const GetTaskDetailRequest& request,
                        GetTaskDetailReply& reply) override;
  HRESULT HrGetErrorData(dcom::CallContext& call, const HrGetErrorDataRequest& request,
                         HrGetErrorDataReply& reply) override;

  HRESULT Initialize(dcom::CallContext& call, const InitializeRequest& request,
                     InitializeReply& reply) override;
  HRESULT Uninitialize(dcom::CallContext& call, const UninitializeRequest& request,
                       UninitializeReply& reply) override;

 private:
  enum class Session { kNew, kInitializing, kInitialized, kUninitialized, kGone };
  // Leaves the list of clients for good or until the next Initialize.
  void Leave(Session session);

  using TaskWork = std::function<Outcome<LdmObjectId>(const StorageModel::Operation&)>;

  // Runs a synchronous task (3.2.4.3) as the one operation and fills in its TASK_INFO.
  HRESULT RunTask(std::string_view method, TASK_INFO& tinfo, const TaskWork& work);
  // Refresh, RescanDisks and RefreshEx: `rescan` asks the system to look for devices first.
  HRESULT RefreshDisks(bool rescan);
  Outcome<LdmObjectId> Connect(dcom::CallContext& call, const InitializeRequest& request);
  // Keeps the refusal's message for HrGetErrorData, logs its reason, and returns its HRESULT.
  HRESULT Report(std::string_view method, const Refusal& refusal);

  const std::shared_ptr<DiskManagementServer> server_;
  const std::uint64_t tag_;
  mutable std::mutex mutex_;
  Session session_ = Session::kNew;
  LdmObjectId client_id_ = 0;
};

}  // namespace dmrp::server
