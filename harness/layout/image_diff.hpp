// What changed between two states of a disk, named by the structure that holds it.
//
//   auto difference = CompareImages(before, after, 512);
//   if (!difference->identical()) Print(difference->changes.front().ToText());
//   // "MBR partition entry 1, type (LBA 0, offset 0x1c2): 00 -> 07"
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace dmrp::harness {

/// A run of differing octets inside one structure.
struct ImageChange {
  std::uint64_t offset = 0;  ///< in bytes from the start of the disk
  std::uint64_t length = 0;  ///< from the first to the last differing octet of the run, in bytes
  std::uint32_t sector_bytes = 512;
  std::string
      structure;  ///< "MBR partition entry 1, type", "backup GPT header, CRC", "EBR at LBA 2048, entry 1"
  Bytes before, after;  ///< the first octets of the run, at most 32

  [[nodiscard]] std::string ToText() const;
};

struct ImageDifference {
  std::uint64_t size_before = 0, size_after = 0;  ///< of the images, in bytes
  std::uint64_t bytes_changed = 0;                ///< octets that differ, those of runs not listed included
  std::vector<ImageChange> changes;               ///< in ascending order; at most kMostChanges
  static constexpr std::size_t kMostChanges = 64;

  [[nodiscard]] bool identical() const { return size_before == size_after && bytes_changed == 0; }
  /// The first structure that differs, "identical" if none does.
  [[nodiscard]] std::string Summary() const;
};

/// Compares two raw images; holes of sparse files are skipped, so size does not matter.
/// @return kSystem if one cannot be read, kUsage for a sector size that is none.
Result<ImageDifference> CompareImages(const std::filesystem::path& before, const std::filesystem::path& after,
                                      std::uint32_t sector_bytes);

nlohmann::json ToJson(const ImageDifference& difference);

/// Names the structure at a place of a disk. The table is read leniently and only to find names; what it
/// holds is judged by readers.hpp.
class StructureNamer {
 public:
  /// Reads octets of the disk; what lies behind its end reads as zero.
  using ReadAt = std::function<void(std::uint64_t offset, std::span<std::byte> to)>;

  StructureNamer(const ReadAt& read, std::uint64_t size_bytes, std::uint32_t sector_bytes);

  /// A structure's name and where it ends.
  struct Place {
    std::string name;
    std::uint64_t end = 0;
  };
  [[nodiscard]] Place At(std::uint64_t offset) const;

 private:
  struct Range {
    std::uint64_t start = 0, end = 0;
    std::string name;
  };
  void ReadMbr(const ReadAt& read);
  void ReadExtendedChain(const ReadAt& read, std::uint64_t extended_start, std::uint64_t extended_length);
  void ReadGpt(const ReadAt& read);
  void Add(std::uint64_t start, std::uint64_t length, std::string name);

  std::uint64_t size_bytes_;
  std::uint32_t sector_bytes_;
  std::vector<Range> ranges_;      ///< structures; the first that holds an offset names it
  std::vector<Range> partitions_;  ///< asked where no structure answers
};

}  // namespace dmrp::harness
