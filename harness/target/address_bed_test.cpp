// The disks of a server elsewhere: commands that attach and detach, and scratch disks.
#include "harness/target/test_bed.hpp"

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace dmrp::harness {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

class AddressBeds : public testing::Test {
 protected:
  AddressBeds() {
    std::string pattern = testing::TempDir() + "beds-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    target_.kind = TargetKind::kAddress;
    target_.host = "192.0.2.7";
  }
  ~AddressBeds() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  /// `script` of sh with what stands behind it as $1, $2, ...
  static std::vector<std::string> Command(const std::string& script, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/bin/sh", "-c", script, "sh"});
    return arguments;
  }
  Result<std::unique_ptr<TestBed>> Start(const std::vector<std::string>& disks) {
    if (!factory_) factory_ = TestBedFactory::Create(target_, folder_).value();
    BedRequest request;
    for (const std::string& disk : disks) request.disks.push_back({ParseDiskSpec(disk).value(), {}});
    return factory_->Start(request);
  }
  [[nodiscard]] std::string Content(const std::string& name) const {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
  Target target_;
  std::unique_ptr<TestBedFactory> factory_;
};

TEST_F(AddressBeds, AttachDisksByCommandAndDetachThemAtTheEnd) {
  const auto image = folder_ / "disk.img";
  std::ofstream(image) << "octets";
  target_.disk_commands.attach =
      Command(fmt::format(R"(echo "$1 $2 $3 $4 $5" >> {0}/asked; )"
                          R"(printf '{{"serial": "S1", "image": "{0}/disk.img", "name": "N1"}}')",
                          folder_.string()),
              {"{size}", "{sector}", "{bus}", "{label}", "{read_only}"});
  target_.disk_commands.detach =
      Command(fmt::format(R"(echo "$1 $2" >> {}/detached)", folder_.string()), {"{serial}", "{image}"});
  {
    auto bed = Start({"size=64M,label=mbr,sector=4096"});
    ASSERT_TRUE(bed.has_value()) << bed.error().ToString();
    EXPECT_EQ(Content("asked"), "67108864 4096 virtio-scsi mbr no\n");
    EXPECT_THAT((*bed)->disks(),
                ElementsAre(testing::AllOf(Field(&BedDisk::id, "S1"), Field(&BedDisk::name, "N1"))));
    const auto copy = (*bed)->Snapshot("S1");
    ASSERT_TRUE(copy.has_value()) << copy.error().ToString();
    std::ifstream file(*copy);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "octets");
    EXPECT_EQ(Content("detached"), "");
  }
  EXPECT_EQ(Content("detached"), "S1 " + image.string() + "\n");
}

TEST_F(AddressBeds, LackWhatTheCommandCannotMake) {
  target_.disk_commands.attach = Command("echo no tapes here; exit 77", {});
  const auto bed = Start({"size=64M"});
  ASSERT_FALSE(bed.has_value());
  EXPECT_EQ(bed.error().kind, ErrorKind::kUnsupported) << "tests of it are not exercised";
  EXPECT_THAT(bed.error().message, HasSubstr("no tapes here"));
}

TEST_F(AddressBeds, FailWithACommandThatFails) {
  for (const auto& [script, words] : {std::pair{"echo broken; exit 3", "ended with status 3: broken"},
                                      {"kill -9 $$", "ended with signal 9"}}) {
    target_.disk_commands.attach = Command(script, {});
    factory_.reset();
    const auto bed = Start({"size=64M"});
    ASSERT_FALSE(bed.has_value());
    EXPECT_EQ(bed.error().kind, ErrorKind::kSystem);
    EXPECT_THAT(bed.error().message, HasSubstr(words));
  }
}

TEST_F(AddressBeds, RefuseAnAnswerThatIsNoDisk) {
  for (const char* script : {"echo done", "echo '{}'", "echo '{\"serial\": 7}'", "echo '[1]'"}) {
    target_.disk_commands.attach = Command(script, {});
    factory_.reset();
    const auto bed = Start({"size=64M"});
    ASSERT_FALSE(bed.has_value()) << script;
    EXPECT_EQ(bed.error().kind, ErrorKind::kMalformed);
  }
}

TEST_F(AddressBeds, GiveOutScratchDisksThatFit) {
  target_.scratch_disks = {
      {.serial = "", .name = "Small", .image = {}, .size = 1U << 20U},
      {.serial = "", .name = "Usb", .image = {}, .size = 1U << 30U, .sector = 512, .bus = "usb"},
      {.serial = "", .name = "Big", .image = {}, .size = 1U << 30U}};
  auto bed = Start({"size=64M"});
  ASSERT_TRUE(bed.has_value()) << bed.error().ToString();
  EXPECT_THAT((*bed)->disks(), ElementsAre(Field(&BedDisk::name, "Big")));
  EXPECT_EQ((*bed)->disks()[0].spec.size, 1U << 30U) << "as long as it is, not as was asked for";
  EXPECT_EQ((*bed)->Snapshot("Big").error().kind, ErrorKind::kUnsupported) << "its octets are nowhere";
  EXPECT_EQ((*bed)->Detach("Big").error().kind, ErrorKind::kUnsupported);

  for (const char* unfit :
       {"size=2G", "size=64M,sector=4096", "size=64M,label=mbr", "size=64M,read-only=yes"}) {
    const auto none = Start({unfit});
    ASSERT_FALSE(none.has_value()) << unfit;
    EXPECT_EQ(none.error().kind, ErrorKind::kUnsupported);
  }
  EXPECT_EQ(Start({"size=64M", "size=64M"}).error().kind, ErrorKind::kUnsupported)
      << "there is one such disk";
}

}  // namespace
}  // namespace dmrp::harness
