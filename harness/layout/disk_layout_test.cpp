#include "harness/layout/disk_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

DiskLayout Mbr(std::string reader) {
  DiskLayout layout;
  layout.reader = std::move(reader);
  layout.style = TableStyle::kMbr;
  layout.signature = 0xCAFEBABE;
  layout.partitions = {
      {.number = 1, .start = 1048576, .length = 8388608, .mbr_type = 0x07, .active = true},
      {.number = 2, .start = 10485760, .length = 4194304, .mbr_type = 0x05},
      {.number = 5, .start = 10486272, .length = 1048576, .mbr_type = 0x06, .logical = true}};
  return layout;
}

TEST(Dissents, AreNoneBetweenEqualAccounts) { EXPECT_THAT(Dissents(Mbr("a"), Mbr("b")), IsEmpty()); }

TEST(Dissents, IgnoreWhatOneReaderCannotTell) {
  DiskLayout other = Mbr("b");
  other.signature.reset();
  for (DiskPartition& partition : other.partitions) partition.mbr_type.reset();
  EXPECT_THAT(Dissents(Mbr("a"), other), IsEmpty());
}

TEST(Dissents, NameEachMemberThatDiffers) {
  DiskLayout other = Mbr("b");
  other.signature = 1;
  other.partitions[0].start += 512;
  other.partitions[0].active = false;
  other.partitions[2].mbr_type = 0x0B;
  EXPECT_THAT(Dissents(Mbr("a"), other), ElementsAre("a and b: signature: 0xcafebabe against 0x00000001",
                                                     "a and b: partition 1, start: 1048576 against 1049088",
                                                     "a and b: partition 1, active: 1 against 0",
                                                     "a and b: partition 5, type: 0x6 against 0xb"));
}

TEST(Dissents, NameAPartitionThatOnlyOneReaderSees) {
  DiskLayout other = Mbr("b");
  other.partitions.pop_back();
  EXPECT_THAT(Dissents(Mbr("a"), other), ElementsAre("a and b: partition 5 is seen by a only"));
  EXPECT_THAT(Dissents(other, Mbr("a")), ElementsAre("b and a: partition 5 is seen by a only"));
}

TEST(Dissents, StopAtTheStyle) {
  DiskLayout other;
  other.reader = "b";
  EXPECT_THAT(Dissents(Mbr("a"), other), ElementsAre("a and b: partition style: MBR against none"));
}

TEST(DiskLayout, SameTableLooksAtTheTableOnly) {
  DiskLayout other = Mbr("b");
  other.problems = {"something"};
  EXPECT_TRUE(Mbr("a").SameTable(other));
  other.partitions[1].length -= 512;
  EXPECT_FALSE(Mbr("a").SameTable(other));
}

TEST(DiskLayout, FindsPartitionsByNumberAndPlace) {
  const DiskLayout layout = Mbr("a");
  EXPECT_EQ(layout.Find(5)->start, 10486272U);
  EXPECT_EQ(layout.Find(3), nullptr);
  EXPECT_EQ(layout.FindAt(1048576)->number, 1U);
  EXPECT_EQ(layout.FindAt(1048577), nullptr);
}

TEST(DiskLayout, ReadsAsOneLine) {
  EXPECT_EQ(ToText(Mbr("a")),
            "MBR 0xcafebabe: 1 active type 0x07 at 1048576 + 8388608; 2 type 0x05 at 10485760 + 4194304; "
            "5 logical type 0x06 at 10486272 + 1048576");
  EXPECT_EQ(ToText(DiskLayout{}), "none");
}

}  // namespace
}  // namespace dmrp::harness
