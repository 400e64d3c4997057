#include "harness/disks/geometry_matrix.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

Result<std::vector<MatrixRow>> Load(const std::string& text) {
  const auto file = std::filesystem::temp_directory_path() / ("matrix-" + std::to_string(getpid()) + ".toml");
  std::ofstream(file) << text;
  auto rows = LoadMatrix(file);
  std::filesystem::remove(file);
  return rows;
}

TEST(GeometryMatrix, OfTheProjectCoversEveryBusMediaSectorLabelAndDamage) {
  const auto rows = LoadMatrix(GeometriesFile());
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  std::set<std::string> seen;
  for (const auto& row : *rows) {
    const DiskSpec& spec = row.spec;
    seen.insert(
        {"bus=" + std::string(Name(spec.bus)), "media=" + std::string(Name(spec.media)),
         "label=" + std::string(Name(spec.label)), "damage=" + std::string(Name(spec.damage)),
         "sector=" + std::to_string(spec.logical_sector) + "/" + std::to_string(spec.physical_sector)});
  }
  for (const char* wanted : {"bus=virtio-scsi",
                             "bus=usb",
                             "bus=ide",
                             "bus=ahci",
                             "bus=lsi",
                             "bus=nvme",
                             "bus=floppy",
                             "media=cdrom",
                             "media=removable",
                             "label=none",
                             "label=mbr",
                             "label=gpt",
                             "sector=512/512",
                             "sector=512/4096",
                             "sector=4096/4096",
                             "damage=boot-signature",
                             "damage=overlap",
                             "damage=outside",
                             "damage=extended-loop",
                             "damage=gpt-header-crc",
                             "damage=gpt-entries-crc",
                             "damage=gpt-backup",
                             "damage=gpt-both-headers"}) {
    EXPECT_TRUE(seen.contains(wanted)) << wanted;
  }
  const auto quick = std::ranges::count_if(*rows, [](const MatrixRow& row) { return row.quick; });
  EXPECT_GT(quick, 5);
  EXPECT_LT(quick, 20) << "every run looks at them";
  EXPECT_EQ(rows->front().spec.name, "blank-512n") << "in the order of the file";
}

TEST(GeometryMatrix, TakesOneNameOrSeveral) {
  const auto rows = Load(
      "[matrix]\na = {disk = 'size=8M', bus = ['SCSI', 'UNKNOWN'], type = 'FDISK', state = 'NOSIG', style = "
      "'UNKNOWN', quick = true}\n");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  EXPECT_THAT(rows->at(0).bus, testing::ElementsAre("SCSI", "UNKNOWN"));
  EXPECT_TRUE(rows->at(0).quick);
}

TEST(GeometryMatrix, NamesARowThatIsWrong) {
  EXPECT_THAT(Load("[matrix]\na = {disk = 'size=8X', bus = 'X', type = 'X', state = 'X', style = 'X'}")
                  .error()
                  .message,
              HasSubstr("a: disk size=8X"));
  EXPECT_THAT(Load("[matrix]\na = {disk = 'size=8M', bus = 'X', type = 'X', state = 'X'}").error().message,
              HasSubstr("a: style"));
  EXPECT_THAT(Load("[matrix]\na = {disk = 'size=8M', colour = 'X'}").error().message, HasSubstr("colour"));
  EXPECT_THAT(Load("[matrix]\na = 1").error().message, HasSubstr("a: not a table"));
  EXPECT_THAT(Load("").error().message, HasSubstr("[matrix]"));
}

}  // namespace
}  // namespace dmrp::harness
