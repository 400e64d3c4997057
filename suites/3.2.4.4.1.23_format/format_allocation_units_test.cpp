// Format with every allocation unit that GetInstalledFileSystems announces, compressed and not: one disk has
// a logical drive for each, so that one look at it judges them all.
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/formatting.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::uint64_t kSectorsPerMiB = 2048;

// The least mebibytes in which a type can have that unit: FAT32 has 65525 clusters or more.
std::uint64_t MebibytesFor(std::int32_t type, std::uint32_t unit) {
  if (type == FSTYPE_FAT32)
    return std::max<std::uint64_t>(40, std::uint64_t{unit} * 67'000 / (1U << 20U) + 2);
  return 24;
}

struct Choice {
  std::int32_t type;
  std::uint32_t unit;
};

// A table of one extended partition with a drive for each choice.
std::string TableFor(const std::vector<Choice>& choices, std::uint64_t& mebibytes) {
  std::string drives;
  std::uint64_t at = 2 * kSectorsPerMiB;
  for (const Choice& choice : choices) {
    const std::uint64_t sectors = MebibytesFor(choice.type, choice.unit) * kSectorsPerMiB;
    drives += fmt::format("start={}, size={}, type=7\n", at + kSectorsPerMiB, sectors);
    at += sectors + 2 * kSectorsPerMiB;
  }
  mebibytes = at / kSectorsPerMiB + 2;
  return fmt::format("label: dos\nlabel-id: 0x5eed0025\nstart=2048, size={}, type=f\n{}", at - 2048, drives);
}

class FormatUnits : public FormatRevisionTest {
 protected:
  // The two revisions take turns: every second size, and between them all.
  [[nodiscard]] std::vector<Choice> Choices() const {
    std::vector<Choice> choices;
    bool mine = third();
    for (const std::int32_t type : {FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS}) {
      for (std::uint32_t unit = 512; unit <= 65536; unit *= 2, mine = !mine) {
        if (mine) choices.push_back({type, unit});
      }
    }
    return choices;
  }
  void StartWithDrives(const std::vector<Choice>& choices) {
    std::uint64_t mebibytes = 0;
    const std::string table = TableFor(choices, mebibytes);
    StartWith({{harness::ParseDiskSpec(fmt::format("size={}M", mebibytes)).value(), Table(table)}});
  }
  [[nodiscard]] bool Offers(std::int32_t type, std::uint32_t unit, bool compressed = false) {
    const auto reply = session().GetInstalledFileSystems();
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    auto row = std::ranges::find(reply->fsList, type, &IFILE_SYSTEM_INFO::fsType);
    if (row == reply->fsList.end()) return false;
    const auto units = UnitsOf(compressed ? row->fsCompressionFlags : row->fsFlags);
    return (row->fsFlags & FSF_FS_FORMAT_SUPPORTED) != 0 && std::ranges::find(units, unit) != units.end();
  }
  // Formats the drive of each choice that the server offers, and holds what independent readers find against
  // it.
  void FormatAll(const std::vector<Choice>& choices, bool compressed) {
    StartWithDrives(choices);
    const auto drives = RegionsOfType(session(), REGION_LOGICAL);
    ASSERT_EQ(drives.size(), choices.size());
    std::vector<Choice> made;
    std::vector<REGION_INFO_EX> formatted;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (!Offers(choices[i].type, choices[i].unit, compressed)) continue;
      SCOPED_TRACE(fmt::format("{} with units of {}", FileSystemName(choices[i].type), choices[i].unit));
      const std::u16string label = ToUtf16(fmt::format("U{}", choices[i].unit)).value();
      FormatAndWait(session(), drives[i],
                    FileSystemSpec(choices[i].type, choices[i].unit, label, compressed));
      made.push_back(choices[i]);
      formatted.push_back(drives[i]);
    }
    ASSERT_THAT(made, Not(IsEmpty())) << "nothing is offered";
    const auto on_disk = OnDisk(formatted);
    const auto objects = session().EnumLocalFileSystems();
    ASSERT_THAT(objects, Succeeds());
    for (std::size_t i = 0; i < made.size(); ++i) {
      SCOPED_TRACE(fmt::format("{} with units of {}", FileSystemName(made[i].type), made[i].unit));
      EXPECT_EQ(FsTypeOf(on_disk[i]), made[i].type) << on_disk[i].account;
      EXPECT_EQ(on_disk[i].unit, made[i].unit) << on_disk[i].account;
      EXPECT_EQ(on_disk[i].compressed, compressed) << on_disk[i].account;
      EXPECT_EQ(on_disk[i].label, fmt::format("U{}", made[i].unit));
      EXPECT_THAT(on_disk[i].problems, IsEmpty()) << on_disk[i].account;
      auto object = std::ranges::find(objects->fileSystemList, formatted[i].id, &FILE_SYSTEM_INFO::storageId);
      ASSERT_NE(object, objects->fileSystemList.end());
      EXPECT_THAT(Disagreements(*object, on_disk[i]), IsEmpty()) << ToText(*object) << "\n"
                                                                 << on_disk[i].account;
    }
  }
};

// Each size announced can be had, and is what the superblock has.
TEST_P(FormatUnits, MakesEverySizeThatIsAnnounced) {
  Checks("DMRP-0096", "DMRP-0086", "DMRP-0889", "DMRP-0884", "DMRP-0882",
         third() ? "DMRP-1635" : "DMRP-0896");
  FormatAll(Choices(), false);
}

// With each size announced for compression, files of the volume are compressed from the start.
TEST_P(FormatUnits, CompressesWithEverySizeThatIsAnnounced) {
  Checks("DMRP-0097", "DMRP-0087", "DMRP-0889", third() ? "DMRP-1635" : "DMRP-0896");
  std::vector<Choice> choices;
  for (std::uint32_t unit = 1024; unit <= 65536; unit *= 2) choices.push_back({FSTYPE_NTFS, unit});
  FormatAll(choices, true);
}

INSTANTIATE_TEST_SUITE_P(One, FormatUnits, ::testing::ValuesIn(AtLeast(Revision::kIVolumeClient)),
                         RevisionName());

}  // namespace
}  // namespace dmrp::suites
