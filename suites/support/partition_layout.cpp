#include "suites/support/partition_layout.hpp"

#include "harness/client/storage_view.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

REGIONTYPE ExpectedType(const harness::DiskPartition& partition) {
  if (partition.IsExtended()) return REGION_EXTENDED;
  return partition.logical ? REGION_LOGICAL : REGION_PRIMARY;
}

void CompareEntry(const REGION_INFO_EX& region, const harness::DiskPartition& partition,
                  std::vector<std::string>& texts) {
  const std::string which = fmt::format("region {} and partition {}", region.id, partition.number);
  auto differ = [&](std::string_view member, const std::string& wire, const std::string& disk) {
    if (wire != disk)
      texts.push_back(fmt::format("{}: {} is {} on the wire and {} on disk", which, member, wire, disk));
  };
  differ("type", std::string(NameOf(region.regionType)), std::string(NameOf(ExpectedType(partition))));
  differ("length", std::to_string(region.length), std::to_string(partition.length));
  if (region.mbr && partition.mbr_type) {
    differ("partitionType", fmt::format("{:#04x}", region.mbr->partitionType),
           fmt::format("{:#04x}", *partition.mbr_type));
    differ("isActive", region.mbr->isActive ? "1" : "0", partition.active ? "1" : "0");
  }
  if (region.gpt) {
    if (partition.gpt_type) {
      differ("gpt.partitionType", region.gpt->partitionType.ToString(), partition.gpt_type->ToString());
    }
    if (partition.guid)
      differ("gpt.partitionId", region.gpt->partitionId.ToString(), partition.guid->ToString());
    if (partition.attributes) {
      differ("gpt.attributes", fmt::format("{:#x}", region.gpt->attributes),
             fmt::format("{:#x}", *partition.attributes));
    }
    if (partition.name) differ("name", harness::Text(region.name), *partition.name);
  }
}

}  // namespace

std::vector<std::string> Disagreements(const std::vector<REGION_INFO_EX>& regions,
                                       const harness::DiskLayout& layout) {
  std::vector<std::string> texts;
  std::vector<unsigned> matched;
  for (const REGION_INFO_EX& region : regions) {
    const auto start = static_cast<std::uint64_t>(region.start);
    const auto end = start + static_cast<std::uint64_t>(region.length);
    if (harness::IsFree(region)) {
      const bool inside = region.regionType == REGION_EXTENDED_FREE;
      for (const harness::DiskPartition& partition : layout.partitions) {
        if (inside && partition.IsExtended()) {
          if (start < partition.start || end > partition.end()) {
            texts.push_back(fmt::format("free region {} leaves the extended partition", region.id));
          }
          continue;
        }
        if (start < partition.end() && partition.start < end) {
          texts.push_back(fmt::format("free region {} overlaps partition {}", region.id, partition.number));
        }
      }
      continue;
    }
    auto found = std::ranges::find_if(layout.partitions, [&](const harness::DiskPartition& partition) {
      return partition.start == start && partition.IsExtended() == (region.regionType == REGION_EXTENDED);
    });
    if (found == layout.partitions.end()) {
      texts.push_back(fmt::format("region {} at {} has no partition on disk", region.id, region.start));
      continue;
    }
    matched.push_back(found->number);
    CompareEntry(region, *found, texts);
  }
  for (const harness::DiskPartition& partition : layout.partitions) {
    if (std::ranges::find(matched, partition.number) == matched.end()) {
      texts.push_back(fmt::format("partition {} at {} is no region", partition.number, partition.start));
    }
  }
  return texts;
}

std::vector<harness::DiskPartition> Added(const harness::DiskLayout& before,
                                          const harness::DiskLayout& after) {
  std::vector<harness::DiskPartition> added;
  for (const harness::DiskPartition& partition : after.partitions) {
    const bool known = std::ranges::any_of(before.partitions, [&](const harness::DiskPartition& old) {
      return old.start == partition.start && old.length == partition.length &&
             old.logical == partition.logical && old.IsExtended() == partition.IsExtended();
    });
    if (!known) added.push_back(partition);
  }
  return added;
}

}  // namespace dmrp::suites
