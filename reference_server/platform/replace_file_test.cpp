#include "reference_server/platform/replace_file.hpp"

#include "reference_server/platform/registry_test_support.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>

namespace dmrp::server {
namespace {

const Bytes kOld(20'000, std::byte{'o'});
const Bytes kNew(30'000, std::byte{'n'});

TEST(ReplaceFile, MakesAndReplaces) {
  const ScratchFolder folder;
  EXPECT_TRUE(ReplaceFile(folder / "file", kOld).value_or(false));
  EXPECT_EQ(Content(folder / "file"), kOld);
  EXPECT_TRUE(ReplaceFile(folder / "file", kNew).value_or(false));
  EXPECT_EQ(Content(folder / "file"), kNew);
  EXPECT_FALSE(std::filesystem::exists(folder / "file.new"));
}

TEST(ReplaceFile, AProcessKilledAtAnyMomentLeavesTheOldOrTheNew) {
  const ScratchFolder folder;
  const auto file = folder / "file";
  std::size_t old_seen = 0;
  std::size_t new_seen = 0;
  for (std::size_t stops = 0;; ++stops) {
    WriteInPlace(file, kOld);
    const Traced traced = RunAndKill(
        [&] {
          if (!ReplaceFile(file, kNew).value_or(false)) ::_exit(1);
        },
        stops);
    const Bytes content = Content(file);
    ASSERT_TRUE(content == kOld || content == kNew) << "killed at stop " << stops;
    ++(content == kOld ? old_seen : new_seen);
    if (traced.finished) break;
    ASSERT_LT(stops, 200U);
  }
  // open, write, fsync, close, rename, each seen from both sides.
  EXPECT_GE(old_seen, 8U);
  EXPECT_GE(new_seen, 3U);
}

// A power cut also loses what was written and not flushed.
TEST(ReplaceFile, FlushesTheContentBeforeTheRenameAndTheFolderAfterIt) {
  const ScratchFolder folder;
  const Traced traced = RunAndKill([&] { (void)ReplaceFile(folder / "file", kNew); }, 1000);
  ASSERT_TRUE(traced.finished);
  std::string order;
  for (const std::uint64_t call : traced.calls) {
    if (call == SYS_pwrite64) order += "write ";
    if (call == SYS_fsync) order += "flush ";
    if (call == SYS_rename || call == SYS_renameat || call == SYS_renameat2) order += "rename ";
  }
  EXPECT_EQ(order, "write flush rename flush ");
}

TEST(ReplaceFile, AFailedWriteLeavesTheOldAndNothingElse) {
  const ScratchFolder folder;
  WriteInPlace(folder / "file", kOld);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 10'000, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto replaced = ReplaceFile(folder / "file", kNew);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_FALSE(replaced);
  EXPECT_EQ(Content(folder / "file"), kOld);
  EXPECT_FALSE(std::filesystem::exists(folder / "file.new"));
}

TEST(ReplaceFile, WhoIsNotReadyKeepsTheOld) {
  const ScratchFolder folder;
  WriteInPlace(folder / "file", kOld);
  const auto replaced = ReplaceFile(folder / "file", kNew, [] { return false; });
  ASSERT_TRUE(replaced);
  EXPECT_FALSE(*replaced);
  EXPECT_EQ(Content(folder / "file"), kOld);
  EXPECT_FALSE(std::filesystem::exists(folder / "file.new"));
}

}  // namespace
}  // namespace dmrp::server
