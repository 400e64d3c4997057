#include "harness/guest/acceleration.hpp"

#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using std::chrono::milliseconds;

class AccelerationTest : public testing::Test {
 protected:
  void SetUp() override {
    unsetenv("DMRP_ACCELERATION");
    std::string pattern = (std::filesystem::temp_directory_path() / "acceleration-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

// Emulation runs every instruction of the probe, so it stands for an accelerator that works.
TEST_F(AccelerationTest, TheProbeSucceedsWhereAllItsStagesRun) {
  const auto works =
      RunAccelerationProbe("qemu-system-x86_64", "tcg", "max", directory_, milliseconds(20'000));
  EXPECT_TRUE(works.has_value()) << works.error().message;
}

TEST_F(AccelerationTest, AnAcceleratorThatIsTooSlowFailsWithinTheLimit) {
  const auto works = RunAccelerationProbe("qemu-system-x86_64", "tcg", "max", directory_, milliseconds(1));
  ASSERT_FALSE(works.has_value());
  EXPECT_EQ(works.error().kind, ErrorKind::kTimeout);
}

TEST_F(AccelerationTest, AnUnknownAcceleratorFails) {
  EXPECT_FALSE(RunAccelerationProbe("qemu-system-x86_64", "nonsense", "max", directory_, milliseconds(20'000))
                   .has_value());
}

TEST_F(AccelerationTest, TheChoiceIsMadeWithinTheLimitAndKept) {
  const auto first = ChooseAcceleration("qemu-system-x86_64", directory_, directory_ / "cache");
  EXPECT_TRUE(first.accelerator == "kvm" || first.accelerator == "tcg");
  EXPECT_FALSE(first.reason.empty());
  EXPECT_LT(first.probing, std::chrono::seconds(5));
  const auto second = ChooseAcceleration("qemu-system-x86_64", directory_, directory_ / "cache");
  EXPECT_EQ(second.accelerator, first.accelerator);
  EXPECT_EQ(second.probing.count(), 0) << "the kept answer needs no probe";
}

TEST_F(AccelerationTest, TheEnvironmentOverrides) {
  setenv("DMRP_ACCELERATION", "tcg", 1);
  EXPECT_EQ(ChooseAcceleration("qemu-system-x86_64", directory_, directory_ / "cache").accelerator, "tcg");
  unsetenv("DMRP_ACCELERATION");
}

}  // namespace
}  // namespace dmrp::harness
