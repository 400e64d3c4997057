#include "harness/layout/reader_internal.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <libfdisk/libfdisk.h>

namespace dmrp::harness::internal {
namespace {

struct UnrefContext {
  void operator()(fdisk_context* context) const { fdisk_unref_context(context); }
};
struct UnrefTable {
  void operator()(fdisk_table* table) const { fdisk_unref_table(table); }
};
struct FreeIterator {
  void operator()(fdisk_iter* iterator) const { fdisk_free_iter(iterator); }
};
struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

/// libfdisk reports what it finds wrong through a dialogue with its user.
int CollectWarning(fdisk_context*, fdisk_ask* ask, void* data) {
  const int type = fdisk_ask_get_type(ask);
  if (type == FDISK_ASKTYPE_WARN || type == FDISK_ASKTYPE_WARNX) {
    static_cast<std::vector<std::string>*>(data)->emplace_back(fdisk_ask_print_get_mesg(ask));
  }
  return 0;
}

/// The attribute bits behind libfdisk's text, "RequiredPartition LegacyBIOSBootable GUID:48,63".
std::optional<std::uint64_t> ParseAttributes(std::string_view text) {
  std::uint64_t bits = 0;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find_first_of(" "), text.size());
    std::string_view word = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    if (word.empty()) continue;
    if (word == "RequiredPartition") {
      bits |= 1;
    } else if (word == "NoBlockIOProtocol") {
      bits |= 2;
    } else if (word == "LegacyBIOSBootable") {
      bits |= 4;
    } else if (word.starts_with("GUID:")) {
      word.remove_prefix(5);
      while (!word.empty()) {
        unsigned bit = 64;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), bit);
        if (error != std::errc{} || bit > 63) return std::nullopt;
        bits |= std::uint64_t{1} << bit;
        word.remove_prefix(static_cast<std::size_t>(end - word.data()));
        if (word.starts_with(',')) word.remove_prefix(1);
      }
    } else {
      return std::nullopt;
    }
  }
  return bits;
}

DiskPartition ToPartition(fdisk_partition* entry, TableStyle style, std::uint32_t sector_bytes) {
  DiskPartition partition;
  partition.number = static_cast<unsigned>(fdisk_partition_get_partno(entry)) + 1;
  partition.start = fdisk_partition_get_start(entry) * sector_bytes;
  partition.length = fdisk_partition_get_size(entry) * sector_bytes;
  fdisk_parttype* type = fdisk_partition_get_type(entry);
  if (style == TableStyle::kMbr) {
    if (type != nullptr) partition.mbr_type = static_cast<std::uint8_t>(fdisk_parttype_get_code(type));
    partition.active = fdisk_partition_is_bootable(entry) == 1;
    partition.logical = fdisk_partition_is_nested(entry) == 1;
    return partition;
  }
  const auto guid = [](const char* text) -> std::optional<Guid> {
    if (text == nullptr) return std::nullopt;
    auto parsed = Guid::Parse(text);
    return parsed ? std::optional(*parsed) : std::nullopt;
  };
  if (type != nullptr) partition.gpt_type = guid(fdisk_parttype_get_string(type));
  partition.guid = guid(fdisk_partition_get_uuid(entry));
  const char* name = fdisk_partition_get_name(entry);
  partition.name = name == nullptr ? "" : name;
  const char* attributes = fdisk_partition_get_attrs(entry);
  partition.attributes = ParseAttributes(attributes == nullptr ? "" : attributes);
  return partition;
}

}  // namespace

Result<DiskLayout> ReadWithLibfdisk(const std::filesystem::path& image, std::uint32_t sector_bytes) {
  const std::unique_ptr<fdisk_context, UnrefContext> context(fdisk_new_context());
  if (!context) return Fail(ErrorKind::kSystem, "libfdisk has no memory for a context");
  DiskLayout layout;
  layout.reader = "libfdisk";
  layout.sector_bytes = sector_bytes;
  fdisk_set_ask(context.get(), CollectWarning, &layout.problems);
  fdisk_disable_dialogs(context.get(), 1);
  fdisk_save_user_sector_size(context.get(), sector_bytes, sector_bytes);
  if (const int failure = fdisk_assign_device(context.get(), image.c_str(), /*readonly=*/1); failure != 0) {
    return FailErrno("libfdisk: open " + image.string(), -failure);
  }
  layout.size_bytes = fdisk_get_nsectors(context.get()) * sector_bytes;
  if (fdisk_is_label(context.get(), DOS)) {
    layout.style = TableStyle::kMbr;
  } else if (fdisk_is_label(context.get(), GPT)) {
    layout.style = TableStyle::kGpt;
  } else if (fdisk_has_label(context.get())) {
    return Fail(ErrorKind::kUnsupported, "libfdisk sees a table that is neither MBR nor GPT");
  } else {
    return layout;
  }

  char* raw_id = nullptr;
  fdisk_get_disklabel_id(context.get(), &raw_id);
  const std::unique_ptr<char, FreeText> id(raw_id);
  if (id && layout.style == TableStyle::kMbr) {
    layout.signature = static_cast<std::uint32_t>(std::strtoul(id.get(), nullptr, 16));
  } else if (id) {
    if (auto guid = Guid::Parse(id.get())) layout.disk_guid = *guid;
  }

  fdisk_table* raw_table = nullptr;
  if (const int failure = fdisk_get_partitions(context.get(), &raw_table); failure != 0) {
    return FailErrno("libfdisk: list the partitions of " + image.string(), -failure);
  }
  const std::unique_ptr<fdisk_table, UnrefTable> table(raw_table);
  const std::unique_ptr<fdisk_iter, FreeIterator> iterator(fdisk_new_iter(FDISK_ITER_FORWARD));
  fdisk_partition* entry = nullptr;
  while (fdisk_table_next_partition(table.get(), iterator.get(), &entry) == 0) {
    layout.partitions.push_back(ToPartition(entry, layout.style, sector_bytes));
  }
  std::ranges::sort(layout.partitions, {}, &DiskPartition::number);
  fdisk_verify_disklabel(context.get());
  return layout;
}

}  // namespace dmrp::harness::internal
