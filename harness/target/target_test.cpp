#include "harness/target/target.hpp"

#include "protocol/dmrp/defaults.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kAddress = R"(
kind = "address"
name = "lab server"
host = "192.0.2.7"
class_id = "{00000000-1111-2222-3333-444444444444}"
capabilities = ["images"]
[accounts.administrator]
user = "root"
password = "secret"
domain = "LAB"
[[callback_account]]
user = "server$"
password = "secret"
domain = "LAB"
[disks]
attach = ["./attach", "{size}"]
[[disks.scratch]]
name = '\device\Harddisk1'
image = "disk1.img"
size = 1048576
[[known_failure]]
requirement = "DMRP-0532"
reason = "replies overtake notifications"
expires = 2030-01-31
)";

std::string ErrorOf(std::string_view text) {
  auto target = ParseTarget(text, "/etc/t.toml");
  return target ? "accepted" : target.error().ToString();
}

TEST(Target, ReadsAnAddressWithAccountsDisksAndKnownFailures) {
  auto target = ParseTarget(kAddress, "/etc/t.toml");
  ASSERT_TRUE(target) << target.error().ToString();
  EXPECT_EQ(target->kind, TargetKind::kAddress);
  EXPECT_EQ(target->host, "192.0.2.7");
  EXPECT_EQ(target->port, 135);
  EXPECT_EQ(target->class_id.Data1, 0U);
  EXPECT_EQ(target->class_id.Data2, 0x1111);
  EXPECT_EQ(target->Find(Role::kAdministrator)->password, "secret");
  EXPECT_EQ(target->Find(Role::kUser), nullptr);
  EXPECT_TRUE(target->Can("attach")) << "implied by the attach command";
  EXPECT_TRUE(target->Can("images"));
  EXPECT_FALSE(target->Can("uevents"));
  ASSERT_EQ(target->scratch_disks.size(), 1U);
  EXPECT_EQ(target->scratch_disks[0].image, "/etc/disk1.img");
  ASSERT_EQ(target->known_failures.size(), 1U);
  EXPECT_EQ(
      target->known_failures[0].expires,
      std::chrono::year_month_day(std::chrono::year(2030), std::chrono::month(1), std::chrono::day(31)));
}

TEST(Target, DefaultIsTheBundledServer) {
  auto target = ParseTarget("", "/etc/t.toml");
  ASSERT_TRUE(target) << target.error().ToString();
  EXPECT_EQ(target->kind, TargetKind::kBundled);
  EXPECT_EQ(target->class_id, kDefaultServerClass);
  EXPECT_EQ(target->Find(Role::kUser)->user, "dmrp-user");
}

TEST(Target, ErrorsNameFileLineKeyAndLimit) {
  EXPECT_THAT(ErrorOf("port = 0"), HasSubstr("/etc/t.toml:1: port is 0, outside of 1 to 65535"));
  EXPECT_THAT(ErrorOf("\nhots = \"x\""), HasSubstr("/etc/t.toml:2: hots is no key of this table"));
  EXPECT_THAT(ErrorOf("kind = \"adress\""), AllOf(HasSubstr("kind"), HasSubstr("\"adress\"")));
  EXPECT_THAT(ErrorOf("kind = 7"), HasSubstr("kind must be a string"));
  EXPECT_THAT(ErrorOf("class_id = \"zz\""), HasSubstr("class_id \"zz\" is no GUID"));
  EXPECT_THAT(ErrorOf("kind = \"address\"\nhost = \"h\""), HasSubstr("accounts.administrator is missing"));
  EXPECT_THAT(
      ErrorOf("kind = \"address\"\nhost = \"h\"\n[accounts.administrator]\nuser = \"u\"\npassword = \"p\""),
      HasSubstr("callback_account is missing"));
  EXPECT_THAT(ErrorOf("capabilities = [\"fly\"]"), HasSubstr("\"fly\""));
  EXPECT_THAT(ErrorOf("[[known_failure]]\ntest = \"A.*\"\nexpires = 2030-01-01"),
              HasSubstr("known_failure.reason"));
  EXPECT_THAT(ErrorOf("[[known_failure]]\ntest = \"A.*\"\nreason = \"r\""),
              HasSubstr("known_failure.expires"));
  EXPECT_THAT(ErrorOf("kind = \"process\""), HasSubstr("server is missing"));
  EXPECT_THAT(ErrorOf("x = ["), HasSubstr("/etc/t.toml:1:"));
}

TEST(Target, AMissingFileIsNamed) {
  auto target = LoadTarget("/nonexistent/t.toml");
  ASSERT_FALSE(target);
  EXPECT_THAT(target.error().ToString(), HasSubstr("/nonexistent/t.toml"));
}

}  // namespace
}  // namespace dmrp::harness
