#include "reference_server/storage/server_settings.hpp"

#include "protocol/base/text.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::string_view kDmadmin = "dmadmin\\Parameters";
constexpr std::string_view kDontShow = "DontShow";
constexpr std::string_view kPartitionInfo = "dmio\\Partition Info";
constexpr std::string_view kOldNumber = "OldPartitionNumber";
constexpr std::string_view kNewNumber = "NewPartitionNumber";
constexpr std::string_view kPrimaryGroup = "dmio\\Boot Info\\Primary Disk Group";
constexpr std::string_view kGroupId = "Id";
constexpr std::string_view kGroupName = "Name";

std::optional<std::uint32_t> NumberAt(const RegistryKey& root, std::string_view path, std::string_view name) {
  const RegistryValue* value = root.FindValue(path, name);
  return value == nullptr ? std::nullopt : AsDword(*value);
}

/// The path of a service's key in the control set that is current: 1 where the hive does not say.
std::string ServiceKey(const RegistryKey& root, std::string_view path) {
  const std::uint32_t current = NumberAt(root, "Select", "Current").value_or(1);
  return fmt::format("ControlSet{:03}\\Services\\{}", current, path);
}

/// Likewise, for writing: a fresh hive is told its one control set, as Windows would.
RegistryKey& MakeServiceKey(RegistryKey& root, std::string_view path) {
  auto& select = root.Make("Select").values;
  if (!select.contains("Current")) {
    for (const char* name : {"Current", "Default", "LastKnownGood"}) select[name] = DwordValue(1);
    select["Failed"] = DwordValue(0);
  }
  return root.Make(ServiceKey(root, path));
}

/// A REG_SZ with its null, UTF-16LE.
RegistryValue StringValue(std::string_view text) {
  Bytes data;
  for (const char16_t c : ToUtf16(text).value_or(u"") + u'\0') {
    data.push_back(static_cast<std::byte>(c & 0xFFU));
    data.push_back(static_cast<std::byte>(c >> 8U));
  }
  return {RegistryType::kString, std::move(data)};
}

/// Nothing for values of other types; without the null.
std::optional<std::string> AsString(const RegistryValue* value) {
  if (value == nullptr || value->type != RegistryType::kString) return std::nullopt;
  std::u16string text;
  for (std::size_t i = 0; i + 1 < value->data.size(); i += 2) {
    const auto low = std::to_integer<unsigned>(value->data[i]);
    const auto high = std::to_integer<unsigned>(value->data[i + 1]);
    text.push_back(static_cast<char16_t>(low | high << 8U));
  }
  text.resize(std::min(text.size(), text.find(u'\0')));
  return ToUtf8(text);
}

}  // namespace

Result<bool> ReadDontShow(Registry& registry) {
  const auto root = registry.Read();
  if (!root) return tl::unexpected(root.error());
  return NumberAt(**root, ServiceKey(**root, kDmadmin), kDontShow).value_or(0) != 0;
}

Result<void> WriteDontShow(Registry& registry, bool dont_show) {
  return registry.Update([&](RegistryKey& root) {
    MakeServiceKey(root, kDmadmin).values[std::string(kDontShow)] = DwordValue(dont_show ? 1 : 0);
  });
}

Result<std::optional<PartitionNumberChange>> ReadPartitionNumberChange(Registry& registry) {
  const auto root = registry.Read();
  if (!root) return tl::unexpected(root.error());
  const std::string path = ServiceKey(**root, kPartitionInfo);
  const auto old_number = NumberAt(**root, path, kOldNumber);
  const auto new_number = NumberAt(**root, path, kNewNumber);
  if (!old_number || !new_number) return std::optional<PartitionNumberChange>{};
  return std::optional(PartitionNumberChange{*old_number, *new_number});
}

Result<void> WritePartitionNumberChange(Registry& registry, const PartitionNumberChange& change) {
  return registry.Update([&](RegistryKey& root) {
    auto& values = MakeServiceKey(root, kPartitionInfo).values;
    values[std::string(kOldNumber)] = DwordValue(change.oldNumber);
    values[std::string(kNewNumber)] = DwordValue(change.newNumber);
  });
}

Result<void> DeletePartitionNumberChange(Registry& registry) {
  return registry.Update([](RegistryKey& root) {
    const std::string path = ServiceKey(root, kPartitionInfo);
    if (root.Find(path) == nullptr) return;
    auto& values = root.Make(path).values;
    for (const std::string_view name : {kOldNumber, kNewNumber}) {
      if (const auto value = values.find(name); value != values.end()) values.erase(value);
    }
  });
}

Result<std::optional<PrimaryDiskGroup>> ReadPrimaryDiskGroup(Registry& registry) {
  const auto root = registry.Read();
  if (!root) return tl::unexpected(root.error());
  const std::string path = ServiceKey(**root, kPrimaryGroup);
  const auto id = AsString((*root)->FindValue(path, kGroupId));
  const auto guid = Guid::Parse(id.value_or(""));
  if (!guid) return std::optional<PrimaryDiskGroup>{};
  return std::optional(PrimaryDiskGroup{*guid, AsString((*root)->FindValue(path, kGroupName)).value_or("")});
}

Result<void> WritePrimaryDiskGroup(Registry& registry, const PrimaryDiskGroup& group) {
  return registry.Update([&](RegistryKey& root) {
    auto& values = MakeServiceKey(root, kPrimaryGroup).values;
    values[std::string(kGroupId)] = StringValue(group.guid.ToString());
    values[std::string(kGroupName)] = StringValue(group.name);
  });
}

Result<void> DeletePrimaryDiskGroup(Registry& registry) {
  return registry.Update([](RegistryKey& root) {
    const std::string path = ServiceKey(root, kPrimaryGroup);
    if (root.Find(path) != nullptr) root.Make(path).values.clear();
  });
}

}  // namespace dmrp::server
