// AssignDriveLetter and FreeDriveLetter ([MS-DMRP] 3.2.4.4.1.19, .20).
#pragma once

#include "dmrp/interfaces/messages.hpp"
#include "reference_server/methods/outcome.hpp"
#include "reference_server/methods/server.hpp"
#include "reference_server/methods/volume_access.hpp"

namespace dmrp::server {

/// The letter, of either case: LDM_E_NORECORD unless the list has it, LDM_E_OBJECT_STALED when
/// `last_known_state` is not its. The pointer holds as long as `state`.
Outcome<const DriveLetterObject*> FindLetter(const ObjectState& state, char16_t letter,
                                             LONGLONG last_known_state);

/// LDM_E_MOUNTPOINT_BUSY when another object than `storage_id` (0: any) uses the letter.
Outcome<void> CheckAvailable(const DriveLetterObject& letter, LdmObjectId storage_id);

/// Leads the letter to the volume, in the registry; the list of storage objects follows with the next
/// observation of the disk. The volume's former letter becomes free. The record of a dynamic volume notes it.
Outcome<void> LeadLetterTo(DiskManagementServer& server, char16_t letter,
                           const DiskInventory::Volume& volume);

/// Notes the letters that the registry has for dynamic volumes in their records, as hints for a machine that
/// gets the disks one day; a letter that is freed stays there as the last one. Nothing here depends on them:
/// what cannot be written is logged.
void NoteLetters(DiskManagementServer& server);

Outcome<LdmObjectId> AssignDriveLetter(DiskManagementServer& server, const StorageModel::Operation& operation,
                                       const AssignDriveLetterRequest& request);

Outcome<LdmObjectId> FreeDriveLetter(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     const FreeDriveLetterRequest& request);

}  // namespace dmrp::server
