#include "reference_server/storage/server_settings.hpp"

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::string_view kDmadmin = "dmadmin\\Parameters";
constexpr std::string_view kDontShow = "DontShow";
constexpr std::string_view kPartitionInfo = "dmio\\Partition Info";
constexpr std::string_view kOldNumber = "OldPartitionNumber";
constexpr std::string_view kNewNumber = "NewPartitionNumber";

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

}  // namespace dmrp::server
