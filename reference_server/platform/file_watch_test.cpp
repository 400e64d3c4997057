#include "reference_server/platform/file_watch.hpp"

#include "reference_server/platform/registry_test_support.hpp"
#include "reference_server/platform/replace_file.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace dmrp::server {
namespace {

/// Counts reports; waits for one with a deadline.
class Reports {
 public:
  std::function<void()> Callback() {
    return [this] {
      const std::lock_guard lock(mutex_);
      ++count_;
      condition_.notify_all();
    };
  }
  /// True when a report came since the last call.
  bool Next() {
    std::unique_lock lock(mutex_);
    const bool came = condition_.wait_for(lock, std::chrono::seconds(10), [&] { return count_ > taken_; });
    taken_ = count_;
    return came;
  }
  int Count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  int count_ = 0;
  int taken_ = 0;
};

void NoLog(const std::string& text) { ADD_FAILURE() << text; }

TEST(FileWatch, ReportsWritingReplacingAndRemoving) {
  const ScratchFolder folder;
  Reports reports;
  const auto watch = FileWatch::Start(folder / "system", reports.Callback(), NoLog);
  ASSERT_TRUE(watch) << watch.error().ToString();
  WriteInPlace(folder / "system", Bytes(10));
  EXPECT_TRUE(reports.Next()) << "no report of a file made";
  WriteInPlace(folder / "system", Bytes(20));
  EXPECT_TRUE(reports.Next()) << "no report of a file written";
  ASSERT_TRUE(ReplaceFile(folder / "system", Bytes(30)));
  EXPECT_TRUE(reports.Next()) << "no report of a file replaced";
  std::filesystem::remove(folder / "system");
  EXPECT_TRUE(reports.Next()) << "no report of a file removed";
}

TEST(FileWatch, IsSilentAboutOtherFiles) {
  const ScratchFolder folder;
  Reports other;
  Reports reports;
  const auto watch = FileWatch::Start(folder / "system", reports.Callback(), NoLog);
  const auto witness = FileWatch::Start(folder / "system.new", other.Callback(), NoLog);
  ASSERT_TRUE(watch && witness);
  constexpr int kRounds = 20;
  for (int i = 0; i < kRounds; ++i) {
    WriteInPlace(folder / "system.new", Bytes(10));
    ASSERT_TRUE(other.Next());
    WriteInPlace(folder / "system", Bytes(10));
    ASSERT_TRUE(reports.Next());
  }
  EXPECT_EQ(reports.Count(), kRounds);
}

TEST(FileWatch, AFolderThatIsNotThereIsAnError) {
  const ScratchFolder folder;
  const auto watch = FileWatch::Start(folder / "none/system", [] {}, NoLog);
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().kind, ErrorKind::kSystem);
}

TEST(FileWatch, SaysThatTheFolderWent) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "inner");
  Reports reports;
  Reports logged;
  const auto watch = FileWatch::Start(folder / "inner/system", reports.Callback(),
                                      [log = logged.Callback()](const std::string&) { log(); });
  ASSERT_TRUE(watch);
  std::filesystem::remove(folder / "inner");
  EXPECT_TRUE(logged.Next()) << "no log line";
  EXPECT_EQ(reports.Count(), 0);
}

}  // namespace
}  // namespace dmrp::server
