#include "reference_server/methods/drive_letters.hpp"

#include "protocol/dmrp/hresult.hpp"
#include "reference_server/storage/ldm/volume_state.hpp"

#include <map>
#include <string>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

// forceOption of both methods.
constexpr std::uint32_t kForceOperation = 1;

}  // namespace

Outcome<const DriveLetterObject*> FindLetter(const ObjectState& state, char16_t letter,
                                             LONGLONG last_known_state) {
  const DriveLetterObject* object = state.FindLetter(letter);
  const auto valid = Validate({
      {LDM_E_NORECORD, "letter is a drive letter in the list", [&] { return object != nullptr; }},
      {LDM_E_OBJECT_STALED, "letterLastKnownState is that of the letter",
       [&] { return object->info.lastKnownState == last_known_state; }},
  });
  if (!valid) {
    return tl::unexpected(valid.error());
  }
  return object;
}

Outcome<void> CheckAvailable(const DriveLetterObject& letter, LdmObjectId storage_id) {
  return Validate({{LDM_E_MOUNTPOINT_BUSY, "no other object uses the letter",
                    [&] { return !letter.info.isUsed || letter.info.storageId == storage_id; }}});
}

Outcome<void> LeadLetterTo(DiskManagementServer& server, char16_t letter,
                           const DiskInventory::Volume& volume) {
  const auto id = server.inventory().IdOf(volume);
  if (!id) {
    return Reject(LDM_E_BAD_DISK, fmt::format("{} has nothing to be known by again", volume.ToString()));
  }
  const auto assigned = server.mounts().Assign(
      letter, *id, [&](const UniqueId& other) { return server.inventory().FindVolume(other).has_value(); });
  if (!assigned) {
    return Reject(assigned.error());
  }
  if (server.inventory().groups().FindVolume(volume.volume_key) != nullptr) {
    NoteLetters(server);
  }
  return {};
}

void NoteLetters(DiskManagementServer& server) {
  DiskGroups& groups = server.inventory().groups();
  const FoundGroup* primary = groups.Primary();
  if (primary == nullptr) {
    return;
  }
  std::map<ldm::ObjectId, std::string> hints;
  for (const ldm::VolumeRecord& volume : primary->database.volumes) {
    const auto letter = server.mounts().LetterOf(GuidVolumeId(volume.guid));
    if (!letter || !*letter) {
      continue;
    }
    const std::string hint{static_cast<char>(**letter), ':'};
    if (volume.hint != hint) {
      hints.emplace(volume.id, hint);
    }
  }
  if (hints.empty()) {
    return;
  }
  const auto noted = groups.Update([&](DiskGroups::OpenGroup& open) {
    StorageResult<ldm::Database> next = open.group.Current();
    for (const auto& [volume, hint] : hints) {
      if (next) {
        next = ldm::SetHint(*std::move(next), volume, hint);
      }
    }
    return next;
  });
  if (!noted) {
    server.Log(fmt::format("the disks do not note the letters of their volumes: {}", noted.error().reason));
  }
}

namespace {

// What a request about a letter and a volume names.
struct Named {
  std::shared_ptr<const ObjectState> state;  // keeps the letter
  const DriveLetterObject* letter = nullptr;
  VolumeTarget target;
};

template <typename Request>
Outcome<Named> FindNamed(DiskManagementServer& server, const Request& request) {
  auto state = server.model().State();
  const auto letter = FindLetter(*state, request.letter, request.letterLastKnownState);
  if (!letter) {
    return tl::unexpected(letter.error());
  }
  auto target = FindVolumeTarget(server, request.storageId, request.storageLastKnownState);
  if (!target) {
    return tl::unexpected(target.error());
  }
  return Named{std::move(state), *letter, std::move(*target)};
}

}  // namespace

Outcome<LdmObjectId> AssignDriveLetter(DiskManagementServer& server, const StorageModel::Operation& operation,
                                       const AssignDriveLetterRequest& request) {
  const auto named = FindNamed(server, request);
  if (!named) {
    return tl::unexpected(named.error());
  }
  const auto& [state, letter, target] = *named;
  if (auto available = CheckAvailable(*letter, request.storageId); !available) {
    return tl::unexpected(available.error());
  }
  // A lock that cannot be had is ignored with force; nobody loses the volume by a change of its letter.
  if (auto locked = TryLock(server, target.id, target.volume);
      !locked && request.forceOption != kForceOperation) {
    return tl::unexpected(locked.error());
  }
  if (auto led = LeadLetterTo(server, request.letter, target.volume); !led) {
    return tl::unexpected(led.error());
  }
  CommitTarget(server, operation, target, {letter->object_id});
  return 0;
}

Outcome<LdmObjectId> FreeDriveLetter(DiskManagementServer& server, const StorageModel::Operation& operation,
                                     const FreeDriveLetterRequest& request) {
  const auto named = FindNamed(server, request);
  if (!named) {
    return tl::unexpected(named.error());
  }
  const auto& [state, letter, target] = *named;
  const auto led = Validate({{LDM_E_NO_ASSOC, "the letter is that of the object", [&] {
                                return letter->info.isUsed && letter->info.storageId == request.storageId;
                              }}});
  if (!led) {
    return tl::unexpected(led.error());
  }
  if (request.forceOption != kForceOperation) {
    const auto dispensable = Validate({
        {LDM_E_PAGEFILE_VOLUME, "the volume holds no paging file", [&] { return !target.holdsPagefile; }},
        {LDM_E_SYSTEM_VOLUME, "the volume does not hold the system directory",
         [&] { return !target.holdsSystem; }},
    });
    if (!dispensable) {
      return tl::unexpected(dispensable.error());
    }
    if (auto locked = TryLock(server, target.id, target.volume); !locked) {
      return tl::unexpected(locked.error());
    }
  }
  if (const auto freed = server.mounts().Free(request.letter); !freed) {
    return Reject(freed.error());
  }
  CommitTarget(server, operation, target, {letter->object_id});
  return 0;
}

}  // namespace dmrp::server
