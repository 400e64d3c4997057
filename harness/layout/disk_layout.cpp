#include "harness/layout/disk_layout.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

/// "0x07", a GUID or "?" for a type that the reader cannot tell.
std::string TypeText(const DiskPartition& partition) {
  if (partition.mbr_type) return fmt::format("0x{:02x}", *partition.mbr_type);
  if (partition.gpt_type) return partition.gpt_type->ToString();
  return "?";
}

/// Compares a member that both readers tell; one that only one of them tells is no dissent.
template <typename T, typename ToString>
void CompareTold(std::vector<std::string>& dissents, const std::string& what, const std::optional<T>& one,
                 const std::optional<T>& other, ToString&& to_string) {
  if (one && other && *one != *other) {
    dissents.push_back(fmt::format("{}: {} against {}", what, to_string(*one), to_string(*other)));
  }
}

void ComparePartitions(std::vector<std::string>& dissents, const DiskPartition& one,
                       const DiskPartition& other) {
  const auto what = [&one](std::string_view member) {
    return fmt::format("partition {}, {}", one.number, member);
  };
  const auto decimal = [](std::uint64_t value) { return std::to_string(value); };
  const auto hex = [](std::uint64_t value) { return fmt::format("0x{:x}", value); };
  const auto guid = [](const Guid& value) { return value.ToString(); };
  CompareTold(dissents, what("start"), std::optional(one.start), std::optional(other.start), decimal);
  // The length of an extended partition is told in different ways: some readers count its first sectors only.
  if (!one.IsExtended() && !other.IsExtended()) {
    CompareTold(dissents, what("length"), std::optional(one.length), std::optional(other.length), decimal);
  }
  CompareTold(dissents, what("type"), one.mbr_type, other.mbr_type, hex);
  CompareTold(dissents, what("type"), one.gpt_type, other.gpt_type, guid);
  CompareTold(dissents, what("GUID"), one.guid, other.guid, guid);
  CompareTold(dissents, what("attributes"), one.attributes, other.attributes, hex);
  CompareTold(dissents, what("name"), one.name, other.name,
              [](const std::string& name) { return '"' + name + '"'; });
  CompareTold(dissents, what("active"), std::optional(one.active), std::optional(other.active), decimal);
  CompareTold(dissents, what("logical"), std::optional(one.logical), std::optional(other.logical), decimal);
}

}  // namespace

std::string_view TableStyleName(TableStyle style) {
  switch (style) {
    case TableStyle::kNone:
      return "none";
    case TableStyle::kMbr:
      return "MBR";
    case TableStyle::kGpt:
      return "GPT";
  }
  return "?";
}

bool DiskPartition::IsExtended() const {
  return mbr_type == std::uint8_t{0x05} || mbr_type == std::uint8_t{0x0F} || mbr_type == std::uint8_t{0x85};
}

bool DiskLayout::SameTable(const DiskLayout& other) const {
  return style == other.style && sector_bytes == other.sector_bytes && size_bytes == other.size_bytes &&
         signature == other.signature && disk_guid == other.disk_guid && partitions == other.partitions;
}

const DiskPartition* DiskLayout::Find(unsigned number) const& {
  const auto found = std::ranges::find(partitions, number, &DiskPartition::number);
  return found == partitions.end() ? nullptr : &*found;
}

const DiskPartition* DiskLayout::FindAt(std::uint64_t start) const& {
  const DiskPartition* found = nullptr;
  for (const DiskPartition& partition : partitions) {
    if (partition.start == start && (found == nullptr || !partition.IsExtended())) found = &partition;
  }
  return found;
}

std::vector<std::string> Dissents(const DiskLayout& one, const DiskLayout& other) {
  std::vector<std::string> found;
  if (one.style != other.style) {
    found.push_back(fmt::format("partition style: {} against {}", TableStyleName(one.style),
                                TableStyleName(other.style)));
  } else {
    CompareTold(found, "signature", one.signature, other.signature,
                [](std::uint32_t value) { return fmt::format("0x{:08x}", value); });
    CompareTold(found, "disk GUID", one.disk_guid, other.disk_guid,
                [](const Guid& value) { return value.ToString(); });
    for (const DiskPartition& partition : one.partitions) {
      if (const DiskPartition* counterpart = other.Find(partition.number)) {
        ComparePartitions(found, partition, *counterpart);
      } else {
        found.push_back(fmt::format("partition {} is seen by {} only", partition.number, one.reader));
      }
    }
    for (const DiskPartition& partition : other.partitions) {
      if (one.Find(partition.number) == nullptr) {
        found.push_back(fmt::format("partition {} is seen by {} only", partition.number, other.reader));
      }
    }
  }
  for (std::string& dissent : found)
    dissent = fmt::format("{} and {}: {}", one.reader, other.reader, dissent);
  return found;
}

std::string ToText(const DiskLayout& layout) {
  std::string text{TableStyleName(layout.style)};
  if (layout.signature) text += fmt::format(" 0x{:08x}", *layout.signature);
  if (layout.disk_guid) text += " " + layout.disk_guid->ToString();
  for (std::size_t i = 0; i < layout.partitions.size(); ++i) {
    const DiskPartition& partition = layout.partitions[i];
    text += fmt::format("{} {}{}{} type {} at {} + {}", i == 0 ? ":" : ";", partition.number,
                        partition.active ? " active" : "", partition.logical ? " logical" : "",
                        TypeText(partition), partition.start, partition.length);
    if (partition.name && !partition.name->empty()) text += " \"" + *partition.name + '"';
  }
  return text;
}

nlohmann::json ToJson(const DiskLayout& layout) {
  nlohmann::json partitions = nlohmann::json::array();
  for (const DiskPartition& partition : layout.partitions) {
    nlohmann::json entry{{"number", partition.number},
                         {"start", partition.start},
                         {"length", partition.length},
                         {"type", TypeText(partition)}};
    if (partition.guid) entry["guid"] = partition.guid->ToString();
    if (partition.attributes) entry["attributes"] = fmt::format("0x{:016x}", *partition.attributes);
    if (partition.name) entry["name"] = *partition.name;
    if (layout.style == TableStyle::kMbr) {
      entry["active"] = partition.active;
      entry["logical"] = partition.logical;
    }
    partitions.push_back(std::move(entry));
  }
  nlohmann::json json{{"reader", layout.reader},
                      {"style", TableStyleName(layout.style)},
                      {"sector_bytes", layout.sector_bytes},
                      {"size_bytes", layout.size_bytes},
                      {"partitions", std::move(partitions)},
                      {"problems", layout.problems}};
  if (layout.signature) json["signature"] = fmt::format("0x{:08x}", *layout.signature);
  if (layout.disk_guid) json["disk_guid"] = layout.disk_guid->ToString();
  return json;
}

}  // namespace dmrp::harness
