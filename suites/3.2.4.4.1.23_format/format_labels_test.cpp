// Format: labels of every length, with and without the characters that GetInstalledFileSystems forbids.
#include "suites/support/dealt_revisions.hpp"
#include "suites/support/format_disks.hpp"
#include "suites/support/formatting.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;

class FormatLabels : public FormatTest,
                     public ::testing::WithParamInterface<std::tuple<Revision, std::int32_t>> {
 protected:
  void SetUp() override {
    // Each test formats the volume anew, or fails to: what it held before means nothing.
    StartSharedWith("volume-to-label", {DiskOf(kOnPrimary)});
    row_ = Installed(session(), type());
    if ((row_.fsFlags & FSF_FMT_OPTION_LABEL) == 0) GTEST_SKIP() << "no labels: " << ToText(row_);
    region_ = RegionsOfType(session(), REGION_PRIMARY).front();
  }
  Session& session() { return SessionOf(std::get<0>(GetParam())); }
  [[nodiscard]] std::int32_t type() const { return std::get<1>(GetParam()); }
  [[nodiscard]] std::uint32_t unit() const { return type() == FSTYPE_FAT32 ? 512 : 2048; }
  // Formats with that label and compares it with the object and the disk. FAT keeps labels in capitals.
  void Expect(const std::u16string& label) {
    const std::string text = ToUtf8(label);
    SCOPED_TRACE(text);
    FormatAndWait(session(), RegionNow(session(), region_.id), FileSystemSpec(type(), unit(), label));
    const FileSystemOnDisk disk = OnDisk(region_);
    auto capitals = [](std::string each) {
      std::ranges::transform(each, each.begin(),
                             [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      return each;
    };
    if (type() == FSTYPE_NTFS) {
      EXPECT_EQ(disk.label, text);
    } else {
      EXPECT_EQ(capitals(disk.label), capitals(text));
    }
    EXPECT_THAT(disk.problems, IsEmpty()) << disk.account;
    const auto object = FileSystemOf(session(), region_.id);
    ASSERT_TRUE(object);
    EXPECT_EQ(LabelOf(*object), disk.label);
    ASSERT_TRUE(!object->label || object->label->empty() || object->label->back() == u'\0');
  }

  IFILE_SYSTEM_INFO row_;
  REGION_INFO_EX region_;
};

// A label of the greatest length, one of one character and none are stored as they were given.
TEST_P(FormatLabels, OfEveryLengthAreStored) {
  Checks("DMRP-0098", "DMRP-0091", "DMRP-0092", "DMRP-0889");
  std::u16string longest;
  while (longest.size() < static_cast<std::size_t>(row_.cchLabelLimit))
    longest.push_back(u'A' + longest.size() % 26);
  Expect(longest);
  Expect(u"X");
  Expect(u"");
}

// Characters that are not listed as forbidden may be in a label: small letters, spaces within it, and for
// file systems that forbid nothing those of other scripts.
TEST_P(FormatLabels, OfAllowedCharactersAreStored) {
  Checks("DMRP-0100", "DMRP-0092", "DMRP-0889");
  Expect(u"my Disk-1_#");
  if (!row_.iLabelChSet || row_.iLabelChSet->empty()) Expect(u"a\"b*c/d:e<f>g?h\\i|j äßЖ漢");
}

// A label that is one character too long comes to nothing.
TEST_P(FormatLabels, BeyondTheLimitAreRefused) {
  Checks("DMRP-0098", "DMRP-0895");
  for (const std::size_t more : {std::size_t{1}, std::size_t{100}}) {
    const std::u16string label(static_cast<std::size_t>(row_.cchLabelLimit) + more, u'A');
    SCOPED_TRACE(fmt::format("{} characters", label.size()));
    ExpectFails(session(), FormatOf(RegionNow(session(), region_.id), FileSystemSpec(type(), unit(), label)));
  }
}

// So does one with a character that is listed as forbidden, each of them, at any place.
TEST_P(FormatLabels, OfForbiddenCharactersAreRefused) {
  Checks("DMRP-0100", "DMRP-0895");
  if (!row_.iLabelChSet || row_.iLabelChSet->empty()) GTEST_SKIP() << "nothing is forbidden";
  for (const char16_t forbidden : *row_.iLabelChSet) {
    if (forbidden == u'\0') continue;
    SCOPED_TRACE(fmt::format("U+{:04X}", static_cast<unsigned>(forbidden)));
    std::u16string label = u"AB";
    label.insert(label.begin() + (forbidden % 3), forbidden);
    ExpectFails(session(), FormatOf(RegionNow(session(), region_.id), FileSystemSpec(type(), unit(), label)));
  }
}

INSTANTIATE_TEST_SUITE_P(Dealt, FormatLabels,
                         ::testing::ValuesIn(Dealt(std::vector{FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS})),
                         [](const auto& info) {
                           return std::string(harness::ToString(std::get<0>(info.param))) + "_" +
                                  FileSystemName(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace dmrp::suites
