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
  // settings.cpp
  HRESULT SetDontShow(dcom::CallContext& call, const SetDontShowRequest& request,
                      SetDontShowReply& reply) override;
  HRESULT GetDontShow(dcom::CallContext& call, const GetDontShowRequest& request,
                      GetDontShowReply& reply) override;
  HRESULT QueryChangePartitionNumbers(dcom::CallContext& call,
                                      const QueryChangePartitionNumbersRequest& request,
                                      QueryChangePartitionNumbersReply& reply) override;
  HRESULT DeletePartitionNumberInfoFromRegistry(dcom::CallContext& call,
                                                const DeletePartitionNumberInfoFromRegistryRequest& request,
                                                DeletePartitionNumberInfoFromRegistryReply& reply) override;

  // dynamic_methods.cpp
  HRESULT InitializeDisk(dcom::CallContext& call, const InitializeDiskRequest& request,
                         InitializeDiskReply& reply) override;
  HRESULT InitializeDiskEx(dcom::CallContext& call, const InitializeDiskExRequest& request,
                           InitializeDiskExReply& reply) override;
  HRESULT UninitializeDisk(dcom::CallContext& call, const UninitializeDiskRequest& request,
                           UninitializeDiskReply& reply) override;
  HRESULT CreateVolume(dcom::CallContext& call, const CreateVolumeRequest& request,
                       CreateVolumeReply& reply) override;
  HRESULT CreateVolumeAssignAndFormat(dcom::CallContext& call,
                                      const CreateVolumeAssignAndFormatRequest& request,
                                      CreateVolumeAssignAndFormatReply& reply) override;
  HRESULT CreateVolumeAssignAndFormatEx(dcom::CallContext& call,
                                        const CreateVolumeAssignAndFormatExRequest& request,
                                        CreateVolumeAssignAndFormatExReply& reply) override;
  HRESULT DeleteVolume(dcom::CallContext& call, const DeleteVolumeRequest& request,
                       DeleteVolumeReply& reply) override;
  HRESULT ReAttachDisk(dcom::CallContext& call, const ReAttachDiskRequest& request,
                       ReAttachDiskReply& reply) override;
  HRESULT ReConnectDisk(dcom::CallContext& call, const ReConnectDiskRequest& request,
                        ReConnectDiskReply& reply) override;
  HRESULT RestartVolume(dcom::CallContext& call, const RestartVolumeRequest& request,
                        RestartVolumeReply& reply) override;
  HRESULT GrowVolume(dcom::CallContext& call, const GrowVolumeRequest& request,
                     GrowVolumeReply& reply) override;
  HRESULT AddMirror(dcom::CallContext& call, const AddMirrorRequest& request, AddMirrorReply& reply) override;
  HRESULT RemoveMirror(dcom::CallContext& call, const RemoveMirrorRequest& request,
                       RemoveMirrorReply& reply) override;
  HRESULT SplitMirror(dcom::CallContext& call, const SplitMirrorRequest& request,
                      SplitMirrorReply& reply) override;
  HRESULT ReplaceRaid5Column(dcom::CallContext& call, const ReplaceRaid5ColumnRequest& request,
                             ReplaceRaid5ColumnReply& reply) override;

  // ft_methods.cpp
  HRESULT FTEnumVolumes(dcom::CallContext& call, const FTEnumVolumesRequest& request,
                        FTEnumVolumesReply& reply) override;
  HRESULT FTEnumLogicalDiskMembers(dcom::CallContext& call, const FTEnumLogicalDiskMembersRequest& request,
                                   FTEnumLogicalDiskMembersReply& reply) override;
  HRESULT FTDeleteVolume(dcom::CallContext& call, const FTDeleteVolumeRequest& request,
                         FTDeleteVolumeReply& reply) override;
  HRESULT FTBreakMirror(dcom::CallContext& call, const FTBreakMirrorRequest& request,
                        FTBreakMirrorReply& reply) override;
  HRESULT FTResyncMirror(dcom::CallContext& call, const FTResyncMirrorRequest& request,
                         FTResyncMirrorReply& reply) override;
  HRESULT FTRegenerateParityStripe(dcom::CallContext& call, const FTRegenerateParityStripeRequest& request,
                                   FTRegenerateParityStripeReply& reply) override;
  HRESULT FTReplaceMirrorPartition(dcom::CallContext& call, const FTReplaceMirrorPartitionRequest& request,
                                   FTReplaceMirrorPartitionReply& reply) override;
  HRESULT FTReplaceParityStripePartition(dcom::CallContext& call,
                                         const FTReplaceParityStripePartitionRequest& request,
                                         FTReplaceParityStripePartitionReply& reply) override;

  // group_methods.cpp
  HRESULT ImportDiskGroup(dcom::CallContext& call, const ImportDiskGroupRequest& request,
                          ImportDiskGroupReply& reply) override;
  HRESULT DiskMergeQuery(dcom::CallContext& call, const DiskMergeQueryRequest& request,
                         DiskMergeQueryReply& reply) override;
  HRESULT DiskMerge(dcom::CallContext& call, const DiskMergeRequest& request, DiskMergeReply& reply) override;
  HRESULT GetEncapsulateDiskInfo(dcom::CallContext& call, const GetEncapsulateDiskInfoRequest& request,
                                 GetEncapsulateDiskInfoReply& reply) override;
  HRESULT GetEncapsulateDiskInfoEx(dcom::CallContext& call, const GetEncapsulateDiskInfoExRequest& request,
                                   GetEncapsulateDiskInfoExReply& reply) override;
  HRESULT EncapsulateDisk(dcom::CallContext& call, const EncapsulateDiskRequest& request,
                          EncapsulateDiskReply& reply) override;
  HRESULT EncapsulateDiskEx(dcom::CallContext& call, const EncapsulateDiskExRequest& request,
                            EncapsulateDiskExReply& reply) override;
  HRESULT CreatePartitionsForVolume(dcom::CallContext& call, const CreatePartitionsForVolumeRequest& request,
                                    CreatePartitionsForVolumeReply& reply) override;
  HRESULT DeletePartitionsForVolume(dcom::CallContext& call, const DeletePartitionsForVolumeRequest& request,
                                    DeletePartitionsForVolumeReply& reply) override;

  HRESULT CreatePartitionAssignAndFormat(dcom::CallContext& call,
                                         const CreatePartitionAssignAndFormatRequest& request,
                                         CreatePartitionAssignAndFormatReply& reply) override;
  HRESULT CreatePartitionAssignAndFormatEx(dcom::CallContext& call,
                                           const CreatePartitionAssignAndFormatExRequest& request,
                                           CreatePartitionAssignAndFormatExReply& reply) override;
  HRESULT Format(dcom::CallContext& call, const dmrp::FormatRequest& request, FormatReply& reply) override;
  HRESULT AssignDriveLetter(dcom::CallContext& call, const AssignDriveLetterRequest& request,
                            AssignDriveLetterReply& reply) override;
  HRESULT FreeDriveLetter(dcom::CallContext& call, const FreeDriveLetterRequest& request,
                          FreeDriveLetterReply& reply) override;

  // volumes.cpp
  HRESULT EnumDriveLetters(dcom::CallContext& call, const EnumDriveLettersRequest& request,
                           EnumDriveLettersReply& reply) override;
  HRESULT EnumLocalFileSystems(dcom::CallContext& call, const EnumLocalFileSystemsRequest& request,
                               EnumLocalFileSystemsReply& reply) override;
  HRESULT GetInstalledFileSystems(dcom::CallContext& call, const GetInstalledFileSystemsRequest& request,
                                  GetInstalledFileSystemsReply& reply) override;
  HRESULT EnumVolumes(dcom::CallContext& call, const EnumVolumesRequest& request,
                      EnumVolumesReply& reply) override;
  HRESULT EnumVolumeMembers(dcom::CallContext& call, const EnumVolumeMembersRequest& request,
                            EnumVolumeMembersReply& reply) override;
  HRESULT GetVolumeMountName(dcom::CallContext& call, const GetVolumeMountNameRequest& request,
                             GetVolumeMountNameReply& reply) override;
  HRESULT GetVolumeDeviceName(dcom::CallContext& call, const GetVolumeDeviceNameRequest& request,
                              GetVolumeDeviceNameReply& reply) override;
  HRESULT EnumAccessPath(dcom::CallContext& call, const EnumAccessPathRequest& request,
                         EnumAccessPathReply& reply) override;
  HRESULT EnumAccessPathForVolume(dcom::CallContext& call, const EnumAccessPathForVolumeRequest& request,
                                  EnumAccessPathForVolumeReply& reply) override;
  HRESULT AddAccessPath(dcom::CallContext& call, const AddAccessPathRequest& request,
                        AddAccessPathReply& reply) override;
  HRESULT DeleteAccessPath(dcom::CallContext& call, const DeleteAccessPathRequest& request,
                           DeleteAccessPathReply& reply) override;

  HRESULT Refresh(dcom::CallContext& call, const RefreshRequest& request, RefreshReply& reply) override;
  HRESULT RescanDisks(dcom::CallContext& call, const RescanDisksRequest& request,
                      RescanDisksReply& reply) override;
  HRESULT RefreshFileSys(dcom::CallContext& call, const RefreshFileSysRequest& request,
                         RefreshFileSysReply& reply) override;
  HRESULT RefreshEx(dcom::CallContext& call, const RefreshExRequest& request, RefreshExReply& reply) override;

  HRESULT EnumTasks(dcom::CallContext& call, const EnumTasksRequest& request, EnumTasksReply& reply) override;
  HRESULT GetTaskDetail(dcom::CallContext& call, const GetTaskDetailRequest& request,
                        GetTaskDetailReply& reply) override;
  HRESULT AbortTask(dcom::CallContext& call, const AbortTaskRequest& request, AbortTaskReply& reply) override;
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
  using NotifiedWork = std::function<Outcome<LdmObjectId>(const StorageModel::Operation&, bool& validated)>;
  // The same for a method that ends with a task completion notification (3.2.4.3): it is sent after the
  // reply, unless the call did not pass its validation, which has no effect at all.
  HRESULT RunNotifiedTask(const dcom::CallContext& call, std::string_view method, TASK_INFO& tinfo,
                          const NotifiedWork& work);
  using JobMaker = std::function<Outcome<TaskJob>(const StorageModel::Operation&)>;
  // The same for an asynchronous one: `make` does what comes before the reply.
  HRESULT StartTask(const dcom::CallContext& call, std::string_view method, TASK_INFO& tinfo,
                    const JobMaker& make);
  // Refresh, RescanDisks, RefreshEx and RefreshFileSys: `rescan` asks the system to look for devices first.
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
