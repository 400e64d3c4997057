#include "reference_server/storage/file_system.hpp"

#include "reference_server/storage/fat.hpp"
#include "reference_server/storage/iso9660.hpp"
#include "reference_server/storage/ntfs.hpp"
#include "reference_server/storage/udf.hpp"

namespace dmrp::server {
namespace {

/// UDF or ISO 9660. A bridge disc that has both counts as UDF, as Windows mounts it.
StorageResult<std::optional<FileSystemDescription>> DescribeOptical(const VolumeWindow& volume) {
  auto udf = DescribeUdf(volume);
  if (!udf) return udf;
  auto iso = DescribeIso9660(volume);
  if (!iso || !*udf) return iso;
  if ((*udf)->label.empty() && *iso) (*udf)->label = (*iso)->label;
  return udf;
}

}  // namespace

StorageResult<FileSystemDescription> DescribeFileSystem(BlockDevice& device, std::uint64_t start,
                                                        std::uint64_t length) {
  const VolumeWindow volume(device, start, length);
  for (const auto describe : {DescribeNtfs, DescribeFat, DescribeOptical}) {
    auto description = describe(volume);
    if (!description) return tl::unexpected(description.error());
    if (*description) return std::move(**description);
  }
  return FileSystemDescription{};
}

}  // namespace dmrp::server
