// Basic disks with NT fault-tolerant sets for tests, made without any part of the server.
//
//   auto made = MakeFtDisks(R"({"disks": [{"name": "a", "size": "40M"}, {"name": "b", "size": "40M"}],
//                               "sets": [{"type": "mirror", "letter": "E", "filesystem": "ntfs",
//                                         "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size":
//                                         "8M"}]}]})",
//                           folder);
//   BedDiskRequest request{made->disks[0].image.spec, ContentsOf(made->disks[0].image.path)};
//   InstallFtRecord(bed, made->value);      (machine_ft_record.hpp)
#pragma once

#include "harness/disks/disk_image.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// A disk with members of sets. Its table is in the image alone: the spec's label is none.
struct FtDisk {
  std::string name;  ///< in the description
  std::uint32_t signature = 0;
  DiskImage image;
};

/// Where a member lies; octets.
struct FtMadeMember {
  std::string disk;  ///< by its name; of absent disks, too
  std::uint64_t start = 0;
  std::uint64_t length = 0;
  std::uint8_t type = 0;     ///< of the partition
  std::uint32_t number = 0;  ///< of the partition, as Windows counts
};

struct FtMadeSet {
  std::string type;  ///< "mirror", "stripe", "parity", "volume"
  std::uint16_t group = 0;
  char letter = 0;           ///< 0: none
  std::uint64_t length = 0;  ///< octets of data
  std::vector<FtMadeMember> members;
};

struct FtDisks {
  std::filesystem::path hive;  ///< a hive file that has the record and nothing else
  Bytes value;                 ///< the record
  std::vector<FtDisk> disks;   ///< without those that the description makes absent
  std::vector<FtMadeSet> sets;

  /// The disk of that name; or null.
  [[nodiscard]] const FtDisk* Find(std::string_view name) const&;
  const FtDisk* Find(std::string_view name) const&& = delete;
};

/// Makes images and hive in `folder`, sparse.
/// @param description  JSON as ft_image.py describes it
/// @return kUnavailable with what is wrong when the description cannot be followed.
Result<FtDisks> MakeFtDisks(std::string_view description, const std::filesystem::path& folder);

/// Puts the record into a hive file, in one step; the rest of the hive stays. A file that is not there is
/// made.
Result<void> PutFtRecord(const std::filesystem::path& hive, const Bytes& value);

}  // namespace dmrp::harness
