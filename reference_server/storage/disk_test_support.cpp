#include "reference_server/storage/disk_test_support.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "protocol/base/text.hpp"
#include "reference_server/platform/file_io.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <libfdisk/libfdisk.h>

namespace dmrp::server {
namespace {

std::string Lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

int IgnoreQuestions(fdisk_context*, fdisk_ask*, void*) { return 0; }

}  // namespace

ScratchImage::ScratchImage(const MemoryDevice& device) {
  std::string pattern = (std::filesystem::temp_directory_path() / "storage_test.XXXXXX").string();
  const FileDescriptor fd(::mkstemp(pattern.data()));
  path_ = pattern;
  EXPECT_TRUE(fd);
  EXPECT_EQ(::ftruncate(fd.Get(), static_cast<off_t>(device.Geometry().sizeBytes)), 0);
  device.ForEachStored([&](std::uint64_t offset, std::span<const std::byte> octets) {
    const auto inside = std::min<std::uint64_t>(octets.size(), device.Geometry().sizeBytes - offset);
    EXPECT_TRUE(WriteFully(fd.Get(), offset, octets.first(static_cast<std::size_t>(inside))));
  });
}

ScratchImage::~ScratchImage() { std::filesystem::remove(path_); }

SeenTable ReadWithLibfdisk(const std::filesystem::path& image, const DiskGeometry& geometry, int* problems) {
  const std::unique_ptr<fdisk_context, void (*)(fdisk_context*)> context(fdisk_new_context(),
                                                                         &fdisk_unref_context);
  fdisk_set_ask(context.get(), &IgnoreQuestions, nullptr);
  fdisk_save_user_sector_size(context.get(), geometry.bytesPerSector, geometry.bytesPerSector);
  SeenTable seen;
  EXPECT_EQ(fdisk_assign_device(context.get(), image.c_str(), 1), 0);
  if (fdisk_has_label(context.get()) != 0) {
    seen.label = fdisk_label_get_name(fdisk_get_label(context.get(), nullptr));
    char* id = nullptr;
    if (fdisk_get_disklabel_id(context.get(), &id) == 0 && id != nullptr) seen.id = Lower(id);
    std::free(id);
    fdisk_table* table = nullptr;
    EXPECT_EQ(fdisk_get_partitions(context.get(), &table), 0);
    for (std::size_t i = 0; table != nullptr && i < fdisk_table_get_nents(table); ++i) {
      fdisk_partition* partition = fdisk_table_get_partition(table, i);
      if (fdisk_partition_is_used(partition) == 0) continue;
      SeenPartition one;
      one.start = fdisk_partition_get_start(partition) * geometry.bytesPerSector;
      one.length = fdisk_partition_get_size(partition) * geometry.bytesPerSector;
      fdisk_parttype* type = fdisk_partition_get_type(partition);
      const char* text = fdisk_parttype_get_string(type);
      one.type = text != nullptr ? Lower(text) : fmt::format("{:x}", fdisk_parttype_get_code(type));
      one.active = seen.label == "dos" && fdisk_partition_is_bootable(partition) == 1;
      if (seen.label == "gpt") {
        if (const char* uuid = fdisk_partition_get_uuid(partition)) one.uuid = Lower(uuid);
        if (const char* name = fdisk_partition_get_name(partition)) one.name = name;
      }
      seen.partitions.push_back(std::move(one));
    }
    fdisk_unref_table(table);
    if (problems != nullptr) *problems = fdisk_verify_disklabel(context.get());
  }
  fdisk_deassign_device(context.get(), 1);
  std::ranges::sort(seen.partitions);
  return seen;
}

SeenTable AsSeen(const DiskLayout& layout) {
  SeenTable seen;
  const bool gpt = layout.style == PartitionStyle::kGpt;
  if (layout.style == PartitionStyle::kMbr) {
    seen.label = "dos";
    seen.id = fmt::format("0x{:08x}", layout.mbrSignature);
  } else if (gpt) {
    seen.label = "gpt";
    seen.id = layout.gptDiskId.ToString();
  }
  for (const Region& region : layout.regions) {
    if (IsFree(region.kind)) continue;
    seen.partitions.push_back({region.start, region.length,
                               gpt ? region.gptType.ToString() : fmt::format("{:x}", region.mbrType),
                               region.active, gpt ? region.gptId.ToString() : "", ToUtf8(region.gptName)});
  }
  std::ranges::sort(seen.partitions);
  return seen;
}

std::string RunTool(const std::string& command) {
  const auto close = [](std::FILE* pipe) { return ::pclose(pipe); };
  std::string output;
  std::FILE* pipe = ::popen(("LC_ALL=C PATH=$PATH:/usr/sbin:/sbin " + command + " 2>&1").c_str(), "r");
  EXPECT_NE(pipe, nullptr) << command;
  if (pipe == nullptr) return output;
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe))
    output.append(part.data(), count);
  EXPECT_EQ(close(pipe), 0) << command << "\n" << output;
  return output;
}

DiskLayout LayoutOf(BlockDevice& device) {
  auto layout = ReadLayout(device);
  EXPECT_TRUE(layout) << layout.error().ToString();
  return layout.value_or(DiskLayout{});
}

Region FreeRegion(const DiskLayout& layout, RegionKind kind) {
  for (const Region& region : layout.regions) {
    if (region.kind == kind) return region;
  }
  ADD_FAILURE() << "no " << RegionKindName(kind) << " region in " << RegionsText(layout);
  return {};
}

std::string RegionsText(const DiskLayout& layout) {
  std::string text;
  for (const Region& region : layout.regions) {
    text += fmt::format("{}{} {}+{}", text.empty() ? "" : ", ", RegionKindName(region.kind), region.start,
                        region.length);
    if (region.number != 0) text += fmt::format(" #{}", region.number);
    if (region.active) text += " active";
  }
  return text;
}

}  // namespace dmrp::server
