#include "reference_server/daemon/config.hpp"

#include <fstream>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

Result<Config> Read(std::string_view text) {
  Config config;
  if (auto read = ReadConfig(text, "/nowhere", config); !read) {
    return tl::unexpected(read.error());
  }
  return config;
}

TEST(Config, HasDefaultsForEverything) {
  const auto config = Read("");
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->class_id, kDefaultServerClass);
  EXPECT_EQ(config->resolver_port, 135);
  EXPECT_EQ(config->callback.user, "dmrp-server");
  EXPECT_TRUE(config->accounts.empty());
  EXPECT_EQ(config->shutdown, ShutdownAction::kNone);
  EXPECT_EQ(config->remote_port, 135);
}

TEST(Config, ReadsEverySetting) {
  const auto config = Read(R"(
[log]
level = "debug"
file = "server.log"
[server]
class_id = "00000000-0000-0000-0000-00000000abcd"
listen = "10.9.0.7"
resolver_port = 1135
exporter_port = 49664
advertise = ["10.9.0.7", "outside.example[50000]"]
ping_period_s = 7
computer = "BOX"
domain = "LAB"
[security]
allow_anonymous = true
activation_level = "connect"
call_level = "privacy"
managers = ["Disk People"]
[callback]
user = "machine$"
domain = "LAB"
password = "secret"
anonymous = true
level = "none"
deadline_ms = 2500
[remote]
user = "machine$"
domain = "LAB"
password = "other"
port = 1136
deadline_ms = 700
[system]
shutdown = "power-off"
[storage]
images = ["a.img,sector=4096", "b.img"]
registry = "hives/system"
[[account]]
user = "one"
password = "pw"
groups = ["Disk People"]
[[account]]
user = "two"
domain = "LAB"
nt_hash = "a4f49c406510bdcab6824ee7c30fd852"
)");
  ASSERT_TRUE(config.has_value()) << config.error().ToString();
  EXPECT_EQ(config->log_level, LogLevel::kDebug);
  EXPECT_EQ(config->log_file, "/nowhere/server.log");
  EXPECT_EQ(config->class_id.Data4[7], 0xcd);
  EXPECT_EQ(config->listen, "10.9.0.7");
  EXPECT_EQ(config->resolver_port, 1135);
  EXPECT_EQ(config->exporter_port, 49664);
  ASSERT_EQ(config->advertise.size(), 2U);
  EXPECT_EQ(config->advertise[1].host, "outside.example");
  EXPECT_EQ(config->advertise[1].exporter_port, 50000);
  EXPECT_EQ(config->ping_period.count(), 7);
  EXPECT_EQ(config->computer, "BOX");
  EXPECT_TRUE(config->allow_anonymous);
  EXPECT_EQ(config->activation_level, rpc::AuthLevel::kConnect);
  EXPECT_EQ(config->call_level, rpc::AuthLevel::kPrivacy);
  EXPECT_EQ(config->managers, std::vector<std::string>{"Disk People"});
  EXPECT_TRUE(config->callback.anonymous);
  EXPECT_EQ(config->callback_level, rpc::AuthLevel::kNone);
  EXPECT_EQ(config->notification_deadline.count(), 2500);
  EXPECT_EQ(config->remote.user, "machine$");
  EXPECT_EQ(config->remote.password, "other");
  EXPECT_EQ(config->remote_port, 1136);
  EXPECT_EQ(config->remote_deadline.count(), 700);
  EXPECT_EQ(config->shutdown, ShutdownAction::kPowerOff);
  EXPECT_EQ(config->images.size(), 2U);
  EXPECT_TRUE(config->registry.string().ends_with("/hives/system")) << config->registry;
  ASSERT_EQ(config->accounts.size(), 2U);
  EXPECT_EQ(config->accounts[0].nt_hash, rpc::HashPassword("pw").value());
  EXPECT_EQ(config->accounts[1].nt_hash, rpc::HashPassword("Password").value());
}

TEST(Config, NamesWhatIsWrong) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& wrong :
       {Case{"[server]\nport = 1", "line 2: unknown key server.port"},
        Case{"[sever]", "unknown section sever"},
        Case{"[server]\nresolver_port = 70000", "server.resolver_port: line 2: expected a port"},
        Case{"[server]\nclass_id = \"x\"", "server.class_id"},
        Case{"[security]\ncall_level = \"high\"", "\"high\" is no authentication level"},
        Case{"[callback]\ndeadline_ms = 0", "milliseconds"},
        Case{"[system]\nshutdown = \"halt\"", "\"halt\" is no way to shut down"},
        Case{"[[account]]\nuser = \"x\"", "password or nt_hash"},
        Case{"[[account]]\nuser = \"x\"\nnt_hash = \"12\"", "32 hexadecimal digits"},
        Case{"[server", "line 1"},
        Case{"[security]\naccounts_file = \"missing.toml\"", "cannot open /nowhere/missing.toml"}}) {
    const auto config = Read(wrong.text);
    ASSERT_FALSE(config.has_value()) << wrong.text;
    EXPECT_NE(config.error().message.find(wrong.message), std::string::npos)
        << config.error().message << " lacks " << wrong.message;
  }
}

TEST(Config, TheExampleFileIsValidAndNamesTheDefaults) {
  Config config;
  const auto read = ReadConfigFile(DMRP_EXAMPLE_CONFIG, config);
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(config.class_id, kDefaultServerClass);
  EXPECT_EQ(config.accounts.size(), 3U);
}

TEST(Advertised, NeedsAHostAndAWellFormedPort) {
  EXPECT_EQ(ParseAdvertised("h[7]")->exporter_port, 7);
  for (const char* wrong : {"", "[7]", "h[", "h[]", "h[7", "h[7]x", "h[99999]"}) {
    EXPECT_FALSE(ParseAdvertised(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace dmrp::server
