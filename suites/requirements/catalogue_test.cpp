#include "suites/requirements/catalogue.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::suites {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CatalogueFile : public ::testing::Test {
 protected:
  std::filesystem::path Write(std::string_view text) {
    std::ofstream(path_) << text;
    return path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }

 private:
  std::filesystem::path path_ = std::filesystem::path(::testing::TempDir()) /
                                (std::string("catalogue-") +
                                 ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".jsonl");
};

TEST(BundledCatalogue, HoldsEveryRuleWithItsPlace) {
  EXPECT_EQ(Catalogue::Bundled().size(), 1921U);
  const Requirement* rule = Catalogue::Bundled().Find("DMRP-0594");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->section, "3.2.4.4.1.2");
  EXPECT_EQ(rule->interface, "IVolumeClient");
  EXPECT_EQ(rule->method, "EnumDiskRegions");
  EXPECT_EQ(rule->opnum, 4);
  EXPECT_THAT(rule->ToString(), AllOf(StartsWith("3.2.4.4.1.2 (MUST, DMRP-0594): "), HasSubstr("diskId")));
}

TEST(BundledCatalogue, HasNoRuleOfAnUnknownId) {
  EXPECT_EQ(Catalogue::Bundled().Find("DMRP-9999"), nullptr);
  EXPECT_EQ(Catalogue::Bundled().Find(""), nullptr);
}

TEST_F(CatalogueFile, NamesTheLineThatIsNoRule) {
  const auto loaded = Catalogue::Load(Write(
      R"({"id":"DMRP-0001","section":"1","interface":"common","level":"MUST","statement":"a","method":null})"
      "\n{\"id\": 7}\n"));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().kind, ErrorKind::kMalformed);
  EXPECT_THAT(loaded.error().message, HasSubstr(".jsonl:2: "));
}

TEST_F(CatalogueFile, RefusesAnIdThatOccursTwice) {
  const std::string line =
      R"({"id":"DMRP-0001","section":"1","interface":"common","level":"MUST","statement":"a"})"
      "\n";
  const auto loaded = Catalogue::Load(Write(line + line));
  ASSERT_FALSE(loaded.has_value());
  EXPECT_THAT(loaded.error().message, HasSubstr("DMRP-0001 occurs twice"));
}

TEST(Catalogue, SaysThatAFileIsMissing) {
  const auto loaded = Catalogue::Load("/nonexistent/requirements.jsonl");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().kind, ErrorKind::kSystem);
}

}  // namespace
}  // namespace dmrp::suites
