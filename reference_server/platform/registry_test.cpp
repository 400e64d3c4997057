#include "reference_server/platform/registry.hpp"

#include "reference_server/platform/registry_test_support.hpp"

#include <chrono>

namespace dmrp::server {
namespace {

std::uint32_t NumberIn(Registry& registry) {
  const auto root = registry.Read();
  EXPECT_TRUE(root) << root.error().ToString();
  const RegistryValue* value = root ? (*root)->FindValue("Key", "n") : nullptr;
  return value == nullptr ? 0 : AsDword(*value).value_or(0);
}

Result<void> SetNumber(Registry& registry, std::uint32_t number) {
  return registry.Update([&](RegistryKey& root) { root.Make("Key").values["n"] = DwordValue(number); });
}

Bytes HiveWithNumber(std::uint32_t number) {
  RegistryKey root;
  root.Make("Key").values["n"] = DwordValue(number);
  return SerializeHive(root).value();
}

TEST(Registry, WithoutAFileLivesInMemory) {
  Registry registry;
  EXPECT_EQ(NumberIn(registry), 0U);
  EXPECT_TRUE(SetNumber(registry, 5));
  EXPECT_EQ(NumberIn(registry), 5U);
  EXPECT_FALSE(registry.SetAside());
}

TEST(Registry, TheFirstChangeMakesFileAndFolder) {
  const ScratchFolder folder;
  const auto file = folder / "a/b/system";
  Registry registry(file);
  EXPECT_EQ(NumberIn(registry), 0U);
  EXPECT_FALSE(std::filesystem::exists(file));
  ASSERT_TRUE(SetNumber(registry, 5));
  EXPECT_EQ(DumpWithHivex(file), "\\Key|n|4|05000000\n");
  Registry again(file);
  EXPECT_EQ(NumberIn(again), 5U);
}

TEST(Registry, ForeignKeysStay) {
  const ScratchFolder folder;
  RegistryKey root;
  root.Make("Select").values["Current"] = DwordValue(1);
  root.Make("ControlSet001\\Control").values["x"] = BinaryValue(Bytes(100));
  WriteInPlace(folder / "system", SerializeHive(root).value());
  Registry registry(folder / "system");
  ASSERT_TRUE(SetNumber(registry, 1));
  root.Make("Key").values["n"] = DwordValue(1);
  EXPECT_EQ(ParseHive(Content(folder / "system")).value(), root);
}

TEST(Registry, NothingIsWrittenWhenNothingDiffers) {
  const ScratchFolder folder;
  Registry registry(folder / "system");
  ASSERT_TRUE(SetNumber(registry, 1));
  std::filesystem::permissions(folder / "system", std::filesystem::perms::owner_read);
  ASSERT_TRUE(SetNumber(registry, 1));
  EXPECT_EQ(std::filesystem::status(folder / "system").permissions(), std::filesystem::perms::owner_read);
}

TEST(Registry, HearsOfOtherProgramsAtOnceAndCountsTheirChanges) {
  const ScratchFolder folder;
  Registry registry(folder / "system");
  ASSERT_TRUE(SetNumber(registry, 1));
  EXPECT_EQ(registry.ForeignChanges(), 0U);
  for (std::uint32_t number = 2; number < 50; ++number) {
    // In place, same size, and likely within one tick of the clock that stamps files.
    WriteInPlace(folder / "system", HiveWithNumber(number));
    ASSERT_EQ(NumberIn(registry), number);
    ASSERT_EQ(registry.ForeignChanges(), number - 1);
  }
  ASSERT_TRUE(SetNumber(registry, 7));
  EXPECT_EQ(registry.ForeignChanges(), 48U);
  std::filesystem::remove(folder / "system");
  EXPECT_EQ(NumberIn(registry), 0U);
  EXPECT_EQ(registry.ForeignChanges(), 49U);
}

TEST(Registry, AnUnchangedFileIsNotReadAgain) {
  const ScratchFolder folder;
  const auto file = folder / "system";
  WriteInPlace(file, HiveWithNumber(3));
  const std::filesystem::file_time_type old = std::filesystem::last_write_time(file) - std::chrono::hours(1);
  std::filesystem::last_write_time(file, old);
  Registry registry(file);
  // A file changed a moment ago is read again each time: ask until its content is served from memory.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (true) {
    ASSERT_EQ(NumberIn(registry), 3U);
    const Traced traced = RunAndKill([&] { (void)registry.Read(); }, 1000);
    if (traced.calls.size() < 10) break;  // a look at the file, no hive in memory
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }
  WriteInPlace(file, HiveWithNumber(4));
  EXPECT_EQ(NumberIn(registry), 4U);
}

TEST(Registry, AChangeOfAnotherProgramDuringOursIsKept) {
  const ScratchFolder folder;
  Registry registry(folder / "system");
  ASSERT_TRUE(SetNumber(registry, 1));
  int calls = 0;
  ASSERT_TRUE(registry.Update([&](RegistryKey& root) {
    if (++calls == 1) {
      RegistryKey other = root;
      other.Make("Other").values["o"] = DwordValue(9);
      WriteInPlace(folder / "system", SerializeHive(other).value());
    }
    root.Make("Key").values["n"] = DwordValue(2);
  }));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(DumpWithHivex(folder / "system"), "\\Key|n|4|02000000\n\\Other|o|4|09000000\n");
}

TEST(Registry, ADamagedHiveIsAnErrorUntilItIsSetAside) {
  const ScratchFolder folder;
  const auto file = folder / "system";
  Bytes damaged = HiveWithNumber(1);
  damaged.resize(5000);
  WriteInPlace(file, damaged);
  Registry registry(file);
  const auto read = registry.Read();
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kMalformed);
  EXPECT_NE(read.error().message.find(file.string()), std::string::npos) << read.error().message;
  EXPECT_FALSE(SetNumber(registry, 2));
  EXPECT_EQ(Content(file), damaged);

  EXPECT_EQ(registry.SetAside().value(), folder / "system.damaged");
  EXPECT_EQ(Content(folder / "system.damaged"), damaged);
  ASSERT_TRUE(SetNumber(registry, 2));
  EXPECT_EQ(DumpWithHivex(file), "\\Key|n|4|02000000\n");
  EXPECT_EQ(registry.SetAside().value(), folder / "system.damaged-2");
}

TEST(Registry, AProcessKilledAtAnyMomentLeavesTheOldOrTheNewHive) {
  const ScratchFolder folder;
  const auto file = folder / "system";
  std::size_t old_seen = 0;
  std::size_t new_seen = 0;
  for (std::size_t stops = 0;; ++stops) {
    WriteInPlace(file, HiveWithNumber(1));
    const Traced traced = RunAndKill(
        [&] {
          Registry registry(file);
          if (!SetNumber(registry, 2)) ::_exit(1);
        },
        stops);
    Registry left(file);
    const std::uint32_t number = NumberIn(left);
    ASSERT_TRUE(number == 1 || number == 2) << "killed at stop " << stops;
    ++(number == 1 ? old_seen : new_seen);
    if (traced.finished) break;
    ASSERT_LT(stops, 2000U);
  }
  EXPECT_GE(old_seen, 20U);
  EXPECT_GE(new_seen, 3U);
}

}  // namespace
}  // namespace dmrp::server
