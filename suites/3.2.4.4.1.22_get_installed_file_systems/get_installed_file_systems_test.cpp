// GetInstalledFileSystems (3.2.4.4.1.22, 3.2.4.4.3.22) and IFILE_SYSTEM_INFO (2.2.16). That the abilities
// told are true is shown where they are used: by the tests of Format.
#include "suites/support/formatting.hpp"

#include <algorithm>
#include <set>

namespace dmrp::suites {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

class GetInstalledFileSystems : public FormatRevisionTest {
 protected:
  void SetUp() override { StartShared("one-mbr-disk", {kMbr512}); }
  std::vector<IFILE_SYSTEM_INFO> List() {
    const auto reply = session().GetInstalledFileSystems();
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return reply->fsList;
  }
  static std::string NameIn(const IFILE_SYSTEM_INFO& row) {
    const auto end = std::ranges::find(row.fsName, u'\0');
    return ToUtf8(std::u16string(row.fsName.begin(), end));
  }
};

// The types that the system supports are listed: a non-null array of as many entries as told.
TEST_P(GetInstalledFileSystems, ListsWhatTheSystemSupports) {
  Checks("DMRP-0882", "DMRP-0884", "DMRP-0885", "DMRP-0886", "DMRP-0887", "DMRP-0879", "DMRP-0093",
         "DMRP-0094", third() ? "DMRP-1632" : "DMRP-0879", third() ? "DMRP-1633" : "DMRP-0882");
  const auto list = List();
  EXPECT_THAT(list, Not(IsEmpty()));
  std::set<std::int32_t> types;
  for (const IFILE_SYSTEM_INFO& row : list) {
    EXPECT_TRUE((row.fsType >= FSTYPE_UNKNOWN && row.fsType <= FSTYPE_UDF) || row.fsType == FSTYPE_OTHER)
        << row.fsType;
    EXPECT_TRUE(types.insert(row.fsType).second) << "twice: " << row.fsType;
  }
}

// The names fit the types and end in a null within their eight characters.
TEST_P(GetInstalledFileSystems, NamesFitTheirTypes) {
  Checks("DMRP-0095", "DMRP-0032");
  for (const IFILE_SYSTEM_INFO& row : List()) {
    EXPECT_NE(std::ranges::find(row.fsName, u'\0'), row.fsName.end()) << ToText(row);
    if (row.fsType == FSTYPE_UNKNOWN || row.fsType == FSTYPE_OTHER) continue;
    EXPECT_EQ(NameIn(row), FileSystemName(row.fsType)) << ToText(row);
  }
}

// Flags hold defined bits only; sizes for compression are some of the file system's own.
TEST_P(GetInstalledFileSystems, FlagsAreDefinedOnes) {
  Checks("DMRP-0096", "DMRP-0101", "DMRP-0102", "DMRP-0097");
  for (const IFILE_SYSTEM_INFO& row : List()) {
    EXPECT_EQ(row.fsFlags & ~FSF_FS_VALID_BITS, 0U) << ToText(row);
    for (const std::uint32_t unit : UnitsOf(row.fsCompressionFlags)) {
      EXPECT_THAT(UnitsOf(row.fsFlags), ::testing::Contains(unit)) << ToText(row);
    }
    EXPECT_EQ((row.fsFlags & FSF_FMT_OPTION_COMPRESS) != 0, row.fsCompressionFlags != 0) << ToText(row);
    if ((row.fsFlags & FSF_FS_FORMAT_SUPPORTED) != 0) {
      EXPECT_TRUE(!UnitsOf(row.fsFlags).empty() || (row.fsFlags & FSF_FS_ALLOC_SZ_OTHER) != 0)
          << "nothing to format with: " << ToText(row);
    }
  }
}

// Labels have a limit where there are labels; the characters they must not contain are told one by one.
TEST_P(GetInstalledFileSystems, TellsWhatLabelsMayBe) {
  Checks("DMRP-0098", "DMRP-0099", "DMRP-0100");
  for (const IFILE_SYSTEM_INFO& row : List()) {
    EXPECT_TRUE((row.fsFlags & FSF_FMT_OPTION_LABEL) == 0 || row.cchLabelLimit > 0) << ToText(row);
    if (!row.iLabelChSet) continue;
    const std::set<char16_t> characters(row.iLabelChSet->begin(), row.iLabelChSet->end());
    EXPECT_EQ(characters.size(), row.iLabelChSet->size()) << "a character stands twice: " << ToText(row);
    for (const char16_t letter : u"ABCXYZ0189") {
      if (letter != u'\0') {
        EXPECT_FALSE(characters.contains(letter)) << "letters and digits make labels: " << ToText(row);
      }
    }
  }
}

// Both revisions tell the same, each time.
TEST_P(GetInstalledFileSystems, TellsTheSameEachTime) {
  Checks("DMRP-0884", "DMRP-1633");
  const auto first = List();
  EXPECT_EQ(List(), first);
  const auto other =
      SessionOf(third() ? Revision::kIVolumeClient : Revision::kIVolumeClient3).GetInstalledFileSystems();
  ASSERT_THAT(other, Succeeds());
  EXPECT_EQ(other->fsList, first);
}

// The list of storage objects stays as it is.
TEST_P(GetInstalledFileSystems, ChangesNothing) {
  Checks("DMRP-0888", third() ? "DMRP-1633" : "DMRP-0888");
  const Observation before = ObserveAll(session());
  List();
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, GetInstalledFileSystems, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
