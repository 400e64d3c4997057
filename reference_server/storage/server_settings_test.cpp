#include "reference_server/storage/server_settings.hpp"

#include "reference_server/platform/registry_test_support.hpp"

#include <gmock/gmock.h>

namespace dmrp::server {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ServerSettings, DontShowIsFalseUntilSetAndIsKept) {
  const ScratchFolder folder;
  Registry registry(folder / "system");
  EXPECT_EQ(ReadDontShow(registry), false);
  ASSERT_TRUE(WriteDontShow(registry, true));
  EXPECT_EQ(ReadDontShow(registry), true);
  Registry again(folder / "system");
  EXPECT_EQ(ReadDontShow(again), true);
  EXPECT_EQ(DumpWithHivex(folder / "system"),
            "\\ControlSet001\\Services\\dmadmin\\Parameters|DontShow|4|01000000\n"
            "\\Select|Current|4|01000000\n\\Select|Default|4|01000000\n"
            "\\Select|Failed|4|00000000\n\\Select|LastKnownGood|4|01000000\n");
  ASSERT_TRUE(WriteDontShow(registry, false));
  EXPECT_EQ(ReadDontShow(registry), false);
}

TEST(ServerSettings, PartitionNumbersLieWhereWindowsHasThem) {
  const ScratchFolder folder;
  Registry registry(folder / "system");
  EXPECT_EQ(ReadPartitionNumberChange(registry).value(), std::nullopt);
  ASSERT_TRUE(DeletePartitionNumberChange(registry));
  EXPECT_FALSE(std::filesystem::exists(folder / "system"));
  ASSERT_TRUE(WritePartitionNumberChange(registry, {2, 3}));
  EXPECT_EQ(ReadPartitionNumberChange(registry).value(), (PartitionNumberChange{2, 3}));
  EXPECT_THAT(DumpWithHivex(folder / "system"),
              HasSubstr("\\ControlSet001\\Services\\dmio\\Partition Info|NewPartitionNumber|4|03000000\n"
                        "\\ControlSet001\\Services\\dmio\\Partition Info|OldPartitionNumber|4|02000000\n"));
  ASSERT_TRUE(DeletePartitionNumberChange(registry));
  EXPECT_EQ(ReadPartitionNumberChange(registry).value(), std::nullopt);
  EXPECT_THAT(DumpWithHivex(folder / "system"), Not(HasSubstr("PartitionNumber")));
}

TEST(ServerSettings, TheCurrentControlSetIsTheOneThatCounts) {
  const ScratchFolder folder;
  RegistryKey root;
  root.Make("Select").values["Current"] = DwordValue(2);
  root.Make("ControlSet001\\Services\\dmadmin\\Parameters").values["DontShow"] = DwordValue(1);
  WriteInPlace(folder / "system", SerializeHive(root).value());
  Registry registry(folder / "system");
  EXPECT_EQ(ReadDontShow(registry), false);
  ASSERT_TRUE(WriteDontShow(registry, true));
  EXPECT_THAT(DumpWithHivex(folder / "system"),
              HasSubstr("\\ControlSet002\\Services\\dmadmin\\Parameters|DontShow|4|01000000\n"));
}

TEST(ServerSettings, ThePrimaryDiskGroupIsKeptUntilItIsDeleted) {
  const ScratchFolder folder;
  Registry registry(folder / "system");
  EXPECT_EQ(ReadPrimaryDiskGroup(registry).value(), std::nullopt);
  ASSERT_TRUE(DeletePrimaryDiskGroup(registry));
  EXPECT_EQ(ReadPrimaryDiskGroup(registry).value(), std::nullopt);
  const PrimaryDiskGroup group{Guid::Parse("03c0c4fc-8b6f-402b-9431-4be2e5823b1c").value(), "RedDg0"};
  ASSERT_TRUE(WritePrimaryDiskGroup(registry, group));
  Registry again(folder / "system");
  EXPECT_EQ(ReadPrimaryDiskGroup(again).value(), group);
  EXPECT_THAT(DumpWithHivex(folder / "system"),
              HasSubstr("\\ControlSet001\\Services\\dmio\\Boot Info\\Primary Disk Group|Name|1|"
                        "520065006400440067003000"));
  ASSERT_TRUE(DeletePrimaryDiskGroup(again));
  EXPECT_EQ(ReadPrimaryDiskGroup(again).value(), std::nullopt);
}

}  // namespace
}  // namespace dmrp::server
