#include "harness/layout/reader_internal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include <blkid/blkid.h>
#include <fmt/format.h>

namespace dmrp::harness::internal {
namespace {

struct FreeProbe {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};

std::optional<Guid> ParseGuid(const char* text) {
  if (text == nullptr) return std::nullopt;
  auto parsed = Guid::Parse(text);
  return parsed ? std::optional(*parsed) : std::nullopt;
}

DiskPartition ToPartition(blkid_partition entry, TableStyle style) {
  constexpr std::uint64_t kUnit = 512;  // libblkid counts in these, whatever the sector size
  DiskPartition partition;
  partition.number = static_cast<unsigned>(blkid_partition_get_partno(entry));
  partition.start = static_cast<std::uint64_t>(blkid_partition_get_start(entry)) * kUnit;
  partition.length = static_cast<std::uint64_t>(blkid_partition_get_size(entry)) * kUnit;
  const unsigned long long flags = blkid_partition_get_flags(entry);
  if (style == TableStyle::kMbr) {
    partition.mbr_type = static_cast<std::uint8_t>(blkid_partition_get_type(entry));
    partition.active = flags == 0x80;
    partition.logical = blkid_partition_is_logical(entry) == 1;
    return partition;
  }
  partition.gpt_type = ParseGuid(blkid_partition_get_type_string(entry));
  partition.guid = ParseGuid(blkid_partition_get_uuid(entry));
  partition.attributes = flags;
  const char* name = blkid_partition_get_name(entry);
  partition.name = name == nullptr ? "" : name;
  return partition;
}

}  // namespace

Result<DiskLayout> ReadWithLibblkid(const std::filesystem::path& image, std::uint32_t sector_bytes) {
  const std::unique_ptr<std::remove_pointer_t<blkid_probe>, FreeProbe> probe(
      blkid_new_probe_from_filename(image.c_str()));
  if (!probe) return FailErrno("libblkid: open " + image.string(), errno);
  blkid_probe_set_sectorsize(probe.get(), sector_bytes);
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_ENTRY_DETAILS);

  DiskLayout layout;
  layout.reader = "libblkid";
  layout.sector_bytes = sector_bytes;
  layout.size_bytes = static_cast<std::uint64_t>(blkid_probe_get_size(probe.get()));
  blkid_partlist list = blkid_probe_get_partitions(probe.get());
  blkid_parttable table = list == nullptr ? nullptr : blkid_partlist_get_table(list);
  if (table == nullptr) return layout;

  const std::string_view type = blkid_parttable_get_type(table);
  const char* id = blkid_parttable_get_id(table);
  if (type == "dos") {
    layout.style = TableStyle::kMbr;
    // A signature of zero is told as none.
    layout.signature = id == nullptr ? 0 : static_cast<std::uint32_t>(std::strtoul(id, nullptr, 16));
  } else if (type == "gpt") {
    layout.style = TableStyle::kGpt;
    layout.disk_guid = ParseGuid(id);
  } else {
    return Fail(ErrorKind::kUnsupported, fmt::format("libblkid sees a table of type {}", type));
  }
  for (int i = 0; i < blkid_partlist_numof_partitions(list); ++i) {
    layout.partitions.push_back(ToPartition(blkid_partlist_get_partition(list, i), layout.style));
  }
  std::ranges::sort(layout.partitions, {}, &DiskPartition::number);
  return layout;
}

}  // namespace dmrp::harness::internal
