#include "reference_server/storage/installed_file_systems.hpp"

#include "reference_server/storage/disk_test_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

StorageErrorCode CodeOf(const FormatRequest& request, const VolumeShape& volume) {
  const auto plan = PlanFormat(request, volume);
  EXPECT_FALSE(plan) << "was accepted";
  return plan ? StorageErrorCode::kIoError : plan.error().code;
}

FormatPlan PlanOf(const FormatRequest& request, const VolumeShape& volume) {
  const auto plan = PlanFormat(request, volume);
  EXPECT_TRUE(plan) << plan.error().ToString();
  return plan.value_or(FormatPlan{});
}

TEST(InstalledFileSystems, AreThoseOfTheServer2003DiskServiceInItsOrder) {
  std::vector<std::int32_t> types;
  for (const InstalledFileSystem& system : InstalledFileSystems()) {
    types.push_back(system.fsType);
    EXPECT_LT(system.fsName.size(), MAX_FS_NAME_SIZE);
    EXPECT_EQ(system.fsFlags & ~FSF_FS_VALID_BITS, 0U);
    EXPECT_EQ(system.Formattable(), !system.Units().empty());
    EXPECT_EQ(FindInstalledFileSystem(system.fsType), &system);
  }
  EXPECT_THAT(types, ElementsAre(FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS, FSTYPE_CDFS, FSTYPE_UDF));
  EXPECT_EQ(FindInstalledFileSystem(FSTYPE_OTHER), nullptr);
}

TEST(InstalledFileSystems, OfNtfsAndFat) {
  const InstalledFileSystem& ntfs = *FindInstalledFileSystem(FSTYPE_NTFS);
  EXPECT_EQ(ntfs.fsFlags, 0x23FFFU);
  EXPECT_EQ(ntfs.fsCompressionFlags, 0x380U);
  EXPECT_EQ(ntfs.labelLimit, 32U);
  EXPECT_EQ(ntfs.forbidden, u"");
  const InstalledFileSystem& fat = *FindInstalledFileSystem(FSTYPE_FAT);
  EXPECT_EQ(fat.fsFlags, 0x23FEAU);
  EXPECT_EQ(fat.fsCompressionFlags, 0U);
  EXPECT_EQ(fat.labelLimit, 11U);
  EXPECT_THAT(fat.Units(), ElementsAre(512, 1024, 2048, 4096, 8192, 16384, 32768, 65536));
  EXPECT_EQ(AllocationUnitFlag(262144), FSF_FS_ALLOC_SZ_256K);
  EXPECT_EQ(AllocationUnitFlag(524288), 0U);
  EXPECT_EQ(AllocationUnitFlag(1536), 0U);
}

TEST(PlanFormat, TakesTheAllocationUnitsOfWindowsByDefault) {
  const auto unit = [](std::int32_t type, std::uint64_t length, std::uint32_t sector = 512) {
    return PlanOf({.fsType = type}, {length, sector}).allocationUnitSize;
  };
  EXPECT_EQ(unit(FSTYPE_FAT, 1440 * kKiB), 512U);
  EXPECT_EQ(unit(FSTYPE_FAT, 16 * kMiB), 2048U);
  EXPECT_EQ(unit(FSTYPE_FAT, 32 * kMiB), 512U);
  EXPECT_EQ(unit(FSTYPE_FAT, 32 * kMiB + 512), 1024U);
  EXPECT_EQ(unit(FSTYPE_FAT, 256 * kMiB), 4096U);
  EXPECT_EQ(unit(FSTYPE_FAT, kGiB), 16384U);
  EXPECT_EQ(unit(FSTYPE_FAT, 2 * kGiB), 32768U);
  EXPECT_EQ(unit(FSTYPE_FAT, 4 * kGiB), 65536U);
  EXPECT_EQ(unit(FSTYPE_FAT32, 64 * kMiB), 512U);
  EXPECT_EQ(unit(FSTYPE_FAT32, 256 * kMiB), 2048U);
  EXPECT_EQ(unit(FSTYPE_FAT32, 8 * kGiB), 4096U);
  EXPECT_EQ(unit(FSTYPE_FAT32, 32 * kGiB), 16384U);
  EXPECT_EQ(unit(FSTYPE_NTFS, 512 * kMiB), 512U);
  EXPECT_EQ(unit(FSTYPE_NTFS, 2 * kGiB), 2048U);
  EXPECT_EQ(unit(FSTYPE_NTFS, 2 * kTiB), 4096U);
  EXPECT_EQ(unit(FSTYPE_NTFS, 18 * kTiB), 8192U);
  EXPECT_EQ(unit(FSTYPE_NTFS, 100 * kMiB, 4096), 4096U);
}

TEST(PlanFormat, TheNumberOfUnitsMakesFat12OrFat16) {
  const auto type = [](std::uint64_t length, std::uint32_t unit) {
    return PlanOf({.fsType = FSTYPE_FAT, .allocationUnitSize = unit}, {length}).type;
  };
  EXPECT_EQ(type(8 * kMiB, 2048), FileSystemType::kFat12);
  EXPECT_EQ(type(16 * kMiB, 2048), FileSystemType::kFat16);
  EXPECT_EQ(type(16 * kMiB, 65536), FileSystemType::kFat12);
}

TEST(PlanFormat, NamesFieldAndLimitOfWhatItRefuses) {
  const VolumeShape volume{100 * kMiB};
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_CDFS}, volume), StorageErrorCode::kNotFormattable);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_UDF}, volume), StorageErrorCode::kNotFormattable);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_UNKNOWN}, volume), StorageErrorCode::kNotFormattable);
  EXPECT_EQ(CodeOf({.fsType = 99}, volume), StorageErrorCode::kNotFormattable);
  for (const std::uint32_t unit : {1U, 256U, 513U, 3072U, 131072U, 0x80000000U}) {
    EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS, .allocationUnitSize = unit}, volume),
              StorageErrorCode::kBadUnit);
  }
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS, .allocationUnitSize = 2048}, {100 * kMiB, 4096}),
            StorageErrorCode::kUnitTooSmall);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS}, {2 * kMiB - 512}), StorageErrorCode::kVolumeTooSmall);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT32}, {32 * kMiB}), StorageErrorCode::kVolumeTooSmall);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT32, .allocationUnitSize = 4096}, volume),
            StorageErrorCode::kUnitTooBig);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT32}, {100 * kMiB, 4096}), StorageErrorCode::kVolumeTooSmall);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT32}, {32 * kGiB + 512}), StorageErrorCode::kVolumeTooBig);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT32, .allocationUnitSize = 512}, {4 * kGiB}),
            StorageErrorCode::kTooManyUnits);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT}, {4 * kGiB + 512}), StorageErrorCode::kVolumeTooBig);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT, .allocationUnitSize = 512}, volume),
            StorageErrorCode::kTooManyUnits);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS, .allocationUnitSize = 512}, {2 * kTiB}),
            StorageErrorCode::kTooManyUnits);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS, .allocationUnitSize = 8192, .compression = true}, volume),
            StorageErrorCode::kNoCompression);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT, .compression = true}, volume), StorageErrorCode::kNoCompression);
  EXPECT_TRUE(
      PlanOf({.fsType = FSTYPE_NTFS, .allocationUnitSize = 4096, .compression = true}, volume).compression);

  const auto refusal = PlanFormat({.fsType = FSTYPE_FAT, .label = u"TWELVE CHARS"}, volume);
  ASSERT_FALSE(refusal);
  EXPECT_THAT(refusal.error().message, HasSubstr("label of 12 characters, FAT allows 11"));
}

TEST(PlanFormat, LabelsAreAsLongAndAsFreeAsTheFileSystemAllows) {
  const VolumeShape volume{100 * kMiB};
  const auto label = [&](std::int32_t type, const std::u16string& text) {
    return PlanOf({.fsType = type, .label = text}, volume).label;
  };
  EXPECT_EQ(label(FSTYPE_FAT, u"Eleven chrs"), u"ELEVEN CHRS");
  EXPECT_EQ(label(FSTYPE_FAT32, u"  a b  "), u"A B");
  EXPECT_EQ(label(FSTYPE_FAT, u"   "), u"");
  for (const char16_t c : FindInstalledFileSystem(FSTYPE_FAT)->forbidden) {
    const std::u16string text{u'A', c};
    EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT, .label = text}, volume), StorageErrorCode::kBadLabel);
    EXPECT_EQ(label(FSTYPE_NTFS, text), text);
  }
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT32, .label = u"\u00C4"}, volume), StorageErrorCode::kBadLabel);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_FAT, .label = u"A\u0007"}, volume), StorageErrorCode::kBadLabel);
  const std::u16string longest(32, u'x');
  EXPECT_EQ(label(FSTYPE_NTFS, longest), longest);
  EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS, .label = longest + u"x"}, volume), StorageErrorCode::kBadLabel);
  EXPECT_EQ(label(FSTYPE_NTFS, u"\U0001F600"), u"\U0001F600");
  for (const std::u16string& text : {std::u16string{0xD83D}, std::u16string{0xDE00, 0xD83D},
                                     std::u16string{0xD83D, u'x'}, std::u16string{u'a', u'\0', u'b'}}) {
    EXPECT_EQ(CodeOf({.fsType = FSTYPE_NTFS, .label = text}, volume), StorageErrorCode::kBadLabel);
  }
}

TEST(PlanFormat, NeverPlansAFatThatReadsAsAnother) {
  // Around both borders, at every sector, the plan keeps its distance.
  for (const std::uint64_t border : {std::uint64_t{4085}, std::uint64_t{65525}}) {
    for (std::uint64_t sectors = border - 40; sectors < border + 700; ++sectors) {
      const auto plan = PlanFormat({.fsType = FSTYPE_FAT, .allocationUnitSize = 512}, {sectors * 512});
      if (!plan) {
        EXPECT_EQ(plan.error().code, StorageErrorCode::kTooManyUnits);
        EXPECT_GT(sectors, std::uint64_t{65525});
        continue;
      }
      const std::uint64_t bits = plan->type == FileSystemType::kFat12 ? 12 : 16;
      const std::uint64_t left = sectors - plan->reservedSectors - 32;
      // Octets of the units at least and at most, whatever the tables take.
      const std::uint64_t units = left * 4096 / (4096 + 2 * bits);
      if (bits == 12) {
        EXPECT_LT(units, 4085U) << sectors;
      } else {
        EXPECT_TRUE(units > 4086U && units < 65525U) << sectors;
      }
    }
  }
}

}  // namespace
}  // namespace dmrp::server
