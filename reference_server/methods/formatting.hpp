// Format and CreatePartitionAssignAndFormat(Ex) ([MS-DMRP] 3.2.4.4.1.23, .4, .5, 3.2.4.4.3.4, .5): the part
// before the reply. What they return is run as an asynchronous task.
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/access_paths.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/task_runner.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// IFILE_SYSTEM_INFO of every file system that the server knows (3.2.4.4.1.22).
std::vector<IFILE_SYSTEM_INFO> ListInstalledFileSystems();

Outcome<TaskJob> Format(DiskManagementServer& server, const StorageModel::Operation& operation,
                        const dmrp::FormatRequest& request);

/// What CreatePartitionAssignAndFormat(Ex) and CreateVolumeAssignAndFormat(Ex) ask for beside what they
/// create.
struct AssignAndFormatSpec {
  char16_t letter = 0;  ///< a null or a blank asks for none (3.2.4.4.1.27)
  LONGLONG letterLastKnownState = 0;
  std::u16string_view AccessPath;
  const FILE_SYSTEM_INFO& fsSpec;
  bool quickFormat = false;
  DWORD dwFlags = 0;

  template <typename ExRequest>
  static AssignAndFormatSpec Of(const ExRequest& request) {
    return {request.letter, request.letterLastKnownState, request.AccessPath,
            request.fsSpec, request.quickFormat,          request.dwFlags};
  }
  [[nodiscard]] bool HasLetter() const { return letter != u'\0' && letter != u' '; }
};

/// What is to be formatted, before it exists.
struct FormatGround {
  std::vector<DeviceInfo> devices;
  bool fixed = false;  ///< lies on fixed disks
  std::uint64_t length = 0;
  std::uint32_t bytesPerSector = 0;
};

/// The letter is there, current, and nobody's.
Outcome<void> CheckLetter(const ObjectState& state, const AssignAndFormatSpec& spec);
/// The media, the file system and the folder allow it; answers the folder, if one is asked for.
Outcome<std::optional<FolderPath>> CheckFormat(DiskManagementServer& server, const AssignAndFormatSpec& spec,
                                               const FormatGround& ground);
/// After the checks and once the volume is in the list: gives it letter and folder and makes the task that
/// formats it.
Outcome<TaskJob> AssignAndFormat(DiskManagementServer& server, const StorageModel::Operation& operation,
                                 LdmObjectId storage_id, const AssignAndFormatSpec& spec,
                                 const std::optional<FolderPath>& folder);

/// CreatePartitionAssignAndFormat, and with dwFlags CreatePartitionAssignAndFormatEx. All is checked before
/// the partition is made.
Outcome<TaskJob> CreatePartitionAssignAndFormat(DiskManagementServer& server,
                                                const StorageModel::Operation& operation, Revision revision,
                                                const CreatePartitionAssignAndFormatExRequest& request);

}  // namespace dmrp::server
