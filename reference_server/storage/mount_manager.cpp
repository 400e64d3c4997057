#include "reference_server/storage/mount_manager.hpp"

#include "reference_server/storage/volume_name.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::string_view kKey = "MountedDevices";
constexpr std::string_view kLetterPrefix = "\\DosDevices\\";
constexpr std::string_view kNoLetterPrefix = "#{";
// Interface classes: disks, and volumes of drives whose medium changes.
constexpr std::string_view kDiskClass = "{53f56307-b6bf-11d0-94f2-00a0c91efb8b}";
constexpr std::string_view kVolumeClass = "{53f5630d-b6bf-11d0-94f2-00a0c91efb8b}";

using Values = decltype(RegistryKey::values);

tl::unexpected<MountError> RegistryFailed(const Error& error) {
  return RefuseMount(MountErrorCode::kRegistry, error.ToString());
}

char16_t Capital(char16_t letter) {
  return letter >= u'a' && letter <= u'z' ? static_cast<char16_t>(letter - u'a' + u'A') : letter;
}

bool IsLetter(char16_t letter) { return letter >= u'A' && letter <= u'Z'; }

std::string LetterName(char16_t letter) {
  return fmt::format("{}{}:", kLetterPrefix, static_cast<char>(letter));
}

/// The letter that a value is about; nothing for other values.
std::optional<char16_t> LetterIn(std::string_view name) {
  if (name.size() != kLetterPrefix.size() + 2 || name.back() != ':') return std::nullopt;
  // The prefix in whatever case another program wrote it.
  if (RegistryNameLess less; less(name.substr(0, kLetterPrefix.size()), kLetterPrefix) ||
                             less(kLetterPrefix, name.substr(0, kLetterPrefix.size()))) {
    return std::nullopt;
  }
  const char16_t letter = Capital(static_cast<char16_t>(name[kLetterPrefix.size()]));
  return IsLetter(letter) ? std::optional(letter) : std::nullopt;
}

std::optional<Guid> VolumeIn(std::string_view name) {
  const auto wide = ToUtf16(name);
  return wide && !wide->ends_with(u'\\') ? ParseVolumeName(*wide) : std::nullopt;
}

bool Holds(const RegistryValue& value, const UniqueId& volume) { return value.data == volume.octets; }

const Values& ValuesIn(const RegistryKey& root) {
  static const Values kNone;
  const RegistryKey* key = root.Find(kKey);
  return key == nullptr ? kNone : key->values;
}

void EraseLetters(Values& values, const UniqueId& volume) {
  std::erase_if(values,
                [&](const auto& value) { return LetterIn(value.first) && Holds(value.second, volume); });
}

void EraseMarks(Values& values, const UniqueId& volume) {
  std::erase_if(values, [&](const auto& value) {
    return value.first.starts_with(kNoLetterPrefix) && Holds(value.second, volume);
  });
}

std::optional<Guid> NameIn(const Values& values, const UniqueId& volume) {
  for (const auto& [name, value] : values) {
    if (!Holds(value, volume)) continue;
    if (const auto guid = VolumeIn(name)) return guid;
  }
  return std::nullopt;
}

UniqueId FromLittleEndian(std::initializer_list<std::pair<std::uint64_t, std::size_t>> numbers) {
  UniqueId id;
  for (const auto& [number, size] : numbers) {
    for (std::size_t i = 0; i < size; ++i) id.octets.push_back(static_cast<std::byte>(number >> (8 * i)));
  }
  return id;
}

}  // namespace

std::string UniqueId::ToString() const { return ToHex(octets); }

UniqueId MbrPartitionId(std::uint32_t signature, std::uint64_t start) {
  return FromLittleEndian({{signature, 4}, {start, 8}});
}

UniqueId GuidVolumeId(const Guid& id) {
  UniqueId unique;
  for (const char c : std::string_view("DMIO:ID:")) unique.octets.push_back(static_cast<std::byte>(c));
  const auto guid = id.ToBytes();
  unique.octets.insert(unique.octets.end(), guid.begin(), guid.end());
  return unique;
}

UniqueId RemovableDeviceId(const DeviceInfo& device) {
  std::string path = device.instanceId;
  std::ranges::replace(path, '\\', '#');
  path =
      fmt::format("\\??\\{}#{}", path, device.kind == DeviceKind::kRemovableDisk ? kDiskClass : kVolumeClass);
  UniqueId id;
  // Instance ids are made of ASCII.
  for (const char c : path) {
    id.octets.push_back(static_cast<std::byte>(c));
    id.octets.push_back(std::byte{0});
  }
  return id;
}

std::optional<UniqueId> PartitionId(const DiskLayout& layout, const Region& region) {
  if (region.kind != RegionKind::kPrimary && region.kind != RegionKind::kLogical) return std::nullopt;
  if (layout.style == PartitionStyle::kGpt) return GuidVolumeId(region.gptId);
  if (layout.style != PartitionStyle::kMbr || layout.mbrSignature == 0) return std::nullopt;
  return MbrPartitionId(layout.mbrSignature, region.start);
}

MountResult<std::map<char16_t, UniqueId>> MountManager::Letters() {
  const auto root = registry_.Read();
  if (!root) return RegistryFailed(root.error());
  std::map<char16_t, UniqueId> letters;
  for (const auto& [name, value] : ValuesIn(**root)) {
    if (const auto letter = LetterIn(name)) letters.emplace(*letter, UniqueId{value.data});
  }
  return letters;
}

MountResult<std::optional<char16_t>> MountManager::LetterOf(const UniqueId& volume) {
  const auto letters = Letters();
  if (!letters) return tl::unexpected(letters.error());
  for (const auto& [letter, owner] : *letters) {
    if (owner == volume) return std::optional(letter);
  }
  return std::optional<char16_t>{};
}

MountResult<bool> MountManager::LetterRefused(const UniqueId& volume) {
  const auto root = registry_.Read();
  if (!root) return RegistryFailed(root.error());
  return std::ranges::any_of(ValuesIn(**root), [&](const auto& value) {
    return value.first.starts_with(kNoLetterPrefix) && Holds(value.second, volume);
  });
}

MountResult<void> MountManager::Assign(char16_t letter, const UniqueId& volume,
                                       const std::function<bool(const UniqueId&)>& is_present) {
  letter = Capital(letter);
  if (!IsLetter(letter)) return RefuseMount(MountErrorCode::kBadLetter, "a drive letter is one of A to Z");
  std::optional<UniqueId> owner;
  const auto updated = registry_.Update([&](RegistryKey& root) {
    owner.reset();
    const RegistryValue* taken = root.FindValue(kKey, LetterName(letter));
    if (taken != nullptr && !Holds(*taken, volume)) {
      if (UniqueId other{taken->data}; !is_present || is_present(other)) {
        owner = std::move(other);
        return;
      }
    }
    Values& values = root.Make(kKey).values;
    EraseLetters(values, volume);
    EraseMarks(values, volume);
    values[LetterName(letter)] = BinaryValue(volume.octets);
  });
  if (!updated) return RegistryFailed(updated.error());
  if (owner) {
    return RefuseMount(MountErrorCode::kLetterTaken,
                       fmt::format("{} leads to {}", static_cast<char>(letter), owner->ToString()));
  }
  return {};
}

MountResult<UniqueId> MountManager::Free(char16_t letter) {
  letter = Capital(letter);
  if (!IsLetter(letter)) return RefuseMount(MountErrorCode::kBadLetter, "a drive letter is one of A to Z");
  std::optional<UniqueId> owner;
  const auto updated = registry_.Update([&](RegistryKey& root) {
    owner.reset();
    const RegistryValue* taken = root.FindValue(kKey, LetterName(letter));
    if (taken == nullptr) return;
    owner = UniqueId{taken->data};
    Values& values = root.Make(kKey).values;
    EraseMarks(values, *owner);
    values.erase(LetterName(letter));
    values[fmt::format("{}{}}}", kNoLetterPrefix, Guid::Random().ToString())] = BinaryValue(owner->octets);
  });
  if (!updated) return RegistryFailed(updated.error());
  if (!owner) {
    return RefuseMount(MountErrorCode::kLetterFree,
                       fmt::format("{} leads to no volume", static_cast<char>(letter)));
  }
  return std::move(*owner);
}

MountResult<void> MountManager::Forget(const UniqueId& volume) {
  const auto updated = registry_.Update([&](RegistryKey& root) {
    if (root.Find(kKey) == nullptr) return;
    std::erase_if(root.Make(kKey).values, [&](const auto& value) { return Holds(value.second, volume); });
  });
  if (!updated) return RegistryFailed(updated.error());
  return {};
}

MountResult<void> MountManager::Rekey(const UniqueId& from, const UniqueId& to) {
  if (from == to) return {};
  const auto updated = registry_.Update([&](RegistryKey& root) {
    if (root.Find(kKey) == nullptr) return;
    Values& values = root.Make(kKey).values;
    std::erase_if(values, [&](const auto& value) { return Holds(value.second, to); });
    for (auto& [name, value] : values) {
      if (Holds(value, from)) value = BinaryValue(to.octets);
    }
  });
  if (!updated) return RegistryFailed(updated.error());
  return {};
}

MountResult<Guid> MountManager::VolumeName(const UniqueId& volume) {
  Guid guid;
  const auto updated = registry_.Update([&](RegistryKey& root) {
    if (const auto known = NameIn(ValuesIn(root), volume)) {
      guid = *known;
      return;
    }
    guid = Guid::Random();
    root.Make(kKey).values[ToUtf8(VolumeLinkName(guid))] = BinaryValue(volume.octets);
  });
  if (!updated) return RegistryFailed(updated.error());
  return guid;
}

MountResult<std::optional<UniqueId>> MountManager::FindVolume(const Guid& name) {
  const auto root = registry_.Read();
  if (!root) return RegistryFailed(root.error());
  const RegistryValue* value = (*root)->FindValue(kKey, ToUtf8(VolumeLinkName(name)));
  if (value == nullptr) return std::optional<UniqueId>{};
  return std::optional(UniqueId{value->data});
}

}  // namespace dmrp::server
