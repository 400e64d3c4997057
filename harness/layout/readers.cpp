#include "harness/layout/readers.hpp"

#include "harness/layout/reader_internal.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

/// Refuses what the readers would misread in silence.
Result<void> CheckImage(const std::filesystem::path& image, std::uint32_t sector_bytes) {
  if (!std::has_single_bit(sector_bytes) || sector_bytes < 512 || sector_bytes > 4096) {
    return Fail(ErrorKind::kUsage,
                fmt::format("{} is no sector size: a power of two from 512 to 4096", sector_bytes));
  }
  std::ifstream file(image, std::ios::binary);
  if (!file) return FailErrno("open " + image.string(), errno);
  std::array<char, 4> magic{};
  file.read(magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) == "QFI\xfb") {
    return Fail(ErrorKind::kUnsupported, image.string() + " is a qcow2 file, not a raw image");
  }
  return {};
}

}  // namespace

Result<DiskLayout> ReadLayout(LayoutReader reader, const std::filesystem::path& image,
                              std::uint32_t sector_bytes) {
  if (auto checked = CheckImage(image, sector_bytes); !checked) return tl::unexpected(checked.error());
  switch (reader) {
    case LayoutReader::kLibfdisk:
      return internal::ReadWithLibfdisk(image, sector_bytes);
    case LayoutReader::kLibblkid:
      return internal::ReadWithLibblkid(image, sector_bytes);
    case LayoutReader::kSgdisk:
      return internal::ReadWithSgdisk(image, sector_bytes);
    case LayoutReader::kParted:
      return internal::ReadWithParted(image, sector_bytes);
  }
  return Fail(ErrorKind::kUsage, "no such reader");
}

Result<LayoutObservation> Observe(const std::filesystem::path& image, std::uint32_t sector_bytes) {
  auto layout = ReadLayout(LayoutReader::kLibfdisk, image, sector_bytes);
  if (!layout) return tl::unexpected(layout.error());
  LayoutObservation observation{std::move(*layout), {}, {}};
  std::vector<LayoutReader> readers{LayoutReader::kLibblkid};
  if (sector_bytes == 512) {
    readers.push_back(observation.layout.style == TableStyle::kGpt ? LayoutReader::kSgdisk
                                                                   : LayoutReader::kParted);
  }
  for (LayoutReader reader : readers) {
    auto witness = ReadLayout(reader, image, sector_bytes);
    if (witness) {
      for (std::string& dissent : Dissents(observation.layout, *witness)) {
        observation.dissents.push_back(std::move(dissent));
      }
      observation.witnesses.push_back(std::move(*witness));
    } else if (witness.error().kind == ErrorKind::kUnsupported) {
      observation.dissents.push_back("a witness cannot read the table: " + witness.error().message);
    } else {
      return tl::unexpected(witness.error());
    }
  }
  return observation;
}

nlohmann::json ToJson(const LayoutObservation& observation) {
  nlohmann::json witnesses = nlohmann::json::array();
  for (const DiskLayout& witness : observation.witnesses) witnesses.push_back(ToJson(witness));
  return {{"layout", ToJson(observation.layout)},
          {"witnesses", std::move(witnesses)},
          {"dissents", observation.dissents}};
}

}  // namespace dmrp::harness
