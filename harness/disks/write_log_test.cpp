#include "harness/disks/write_log.hpp"

#include <fstream>
#include <iterator>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;

std::string Words(std::initializer_list<std::uint64_t> words) {
  std::string octets;
  for (const auto word : words) {
    for (int i = 0; i < 8; ++i) {
      octets.push_back(static_cast<char>(word >> (8 * i)));
    }
  }
  octets.resize(512);
  return octets;
}

std::string Head(std::uint64_t entries) { return Words({0x6a736677736872, 1, entries, 512}); }

class WriteLogTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto base = std::filesystem::temp_directory_path() / ("write-log-test-" + std::to_string(getpid()));
    log_ = base.string() + ".log";
    image_ = base.string() + ".raw";
  }
  void TearDown() override {
    std::filesystem::remove(log_);
    std::filesystem::remove(image_);
  }
  Result<WriteLog> Read(const std::string& octets) {
    std::ofstream(log_, std::ios::binary) << octets;
    return WriteLog::Read(log_);
  }
  std::string Image() {
    std::ifstream file(image_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::filesystem::path log_;
  std::filesystem::path image_;
};

const std::string kTwoWrites = Head(3) + Words({0, 1, 0, 0}) + std::string(512, 'a') + Words({0, 0, 1, 0}) +
                               Words({1, 2, 2, 0}) + std::string(1024, 'b');

TEST_F(WriteLogTest, TellsWritesAndFlushes) {
  const auto log = Read(kTwoWrites);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  ASSERT_EQ(log->writes().size(), 3U);
  EXPECT_EQ(log->writes()[0].length, 512U);
  EXPECT_TRUE(log->writes()[1].flush);
  EXPECT_EQ(log->writes()[2].offset, 512U);
  EXPECT_TRUE(log->writes()[2].forced);
}

TEST_F(WriteLogTest, ReplaysAnyPrefix) {
  const auto log = Read(kTwoWrites);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  const std::string base(2048, '.');
  const std::string wanted[] = {base, std::string(512, 'a') + std::string(1536, '.'),
                                std::string(512, 'a') + std::string(1536, '.'),
                                std::string(512, 'a') + std::string(1024, 'b') + std::string(512, '.')};
  for (std::size_t count = 0; count <= 3; ++count) {
    std::ofstream(image_, std::ios::binary) << base;
    ASSERT_TRUE(log->Replay(count, image_).has_value());
    EXPECT_EQ(Image(), wanted[count]) << count;
  }
  EXPECT_FALSE(log->Replay(4, image_).has_value());
}

TEST_F(WriteLogTest, TellsWhatMayBeLostUntilAFlush) {
  const std::string write = Words({0, 1, 0, 0}) + std::string(512, 'a');
  const auto log = Read(Head(5) + write + write + Words({0, 0, 1, 0}) + write + write);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  EXPECT_THAT(log->Losable(1), testing::IsEmpty()) << "the last is the cut before it";
  EXPECT_THAT(log->Losable(2), testing::ElementsAre(0));
  EXPECT_THAT(log->Losable(3), testing::IsEmpty());
  EXPECT_THAT(log->Losable(4), testing::IsEmpty());
  EXPECT_THAT(log->Losable(5), testing::ElementsAre(3));
}

TEST_F(WriteLogTest, LeavesALostWriteOut) {
  const auto log = Read(kTwoWrites);
  ASSERT_TRUE(log.has_value()) << log.error().message;
  std::ofstream(image_, std::ios::binary) << std::string(1536, '.');
  ASSERT_TRUE(log->Replay(3, image_, 0).has_value());
  EXPECT_EQ(Image(), std::string(512, '.') + std::string(1024, 'b'));
}

TEST_F(WriteLogTest, ADiscardMakesZeros) {
  const auto log = Read(Head(1) + Words({1, 1, 4, 0}));
  ASSERT_TRUE(log.has_value()) << log.error().message;
  std::ofstream(image_, std::ios::binary) << std::string(1536, '.');
  ASSERT_TRUE(log->Replay(1, image_).has_value());
  EXPECT_EQ(Image(), std::string(512, '.') + std::string(512, '\0') + std::string(512, '.'));
}

TEST_F(WriteLogTest, RefusesWhatIsNoLogOrIsCutShort) {
  const struct {
    std::string octets;
    const char* named;
  } kCases[] = {{"", "no log"},
                {std::string(512, 'x'), "no log"},
                {Words({0x6a736677736872, 1, 0, 100}), "sectors of 100"},
                {Head(2) + Words({0, 0, 1, 0}), "entry 1 of 2 is missing"},
                {Head(1) + Words({0, 4, 0, 0}) + std::string(512, 'a'), "entry 0 are cut short"},
                {Head(1) + Words({~std::uint64_t{0}, 1, 4, 0}), "outside"},
                {Head(1'000'001), "1000001 entries"}};
  for (const auto& [octets, named] : kCases) {
    const auto log = Read(octets);
    ASSERT_FALSE(log.has_value()) << named;
    EXPECT_THAT(log.error().message, HasSubstr(named));
  }
}

}  // namespace
}  // namespace dmrp::harness
