#include "harness/ft/machine_ft_record.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/ft/ft_disks.hpp"
#include "harness/guest/guest.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kMirror = R"({
  "disks": [{"name": "a", "size": "40M", "signature": 286331153}, {"name": "b", "size": "40M", "signature": 572662306}],
  "sets": [{"type": "mirror", "letter": "E", "filesystem": "ntfs",
            "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size": "8M"}]}]})";
constexpr std::string_view kSeen =
    "mirror 0 ok E: [11111111+32256+8388608 healthy, 22222222+32256+8388608 healthy]\n";

class FtMachineTest : public testing::Test {
 protected:
  FtMachineTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ft_machine_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FtMachineTest() override { std::filesystem::remove_all(folder_); }

  static std::string Seen(TestBed& bed) {
    const auto record = ReadFtRecord(bed);
    EXPECT_TRUE(record) << record.error().ToString();
    if (!record || !*record) return "none";
    EXPECT_THAT((*record)->problems, IsEmpty());
    return ToText(**record);
  }

  std::filesystem::path folder_;
};

TEST_F(FtMachineTest, AMachineStartsWithTheSetsThatItsDisksAndItsRegistryHold) {
  const auto made = MakeFtDisks(kMirror, folder_);
  ASSERT_TRUE(made) << made.error().ToString();
  Target target;  // the bundled server
  auto factory = TestBedFactory::Create(target, folder_ / "run");
  ASSERT_TRUE(factory) << factory.error().ToString();
  BedRequest request;
  request.system_disk = true;
  for (const FtDisk& disk : made->disks)
    request.disks.push_back({disk.image.spec, ContentsOf(disk.image.path)});
  auto bed = (*factory)->Start(request);
  ASSERT_TRUE(bed) << bed.error().ToString();
  EXPECT_EQ(Seen(**bed), "none");

  ASSERT_TRUE(InstallFtRecord(**bed, made->value));
  EXPECT_EQ(Seen(**bed), kSeen);
  ASSERT_TRUE((*bed)->Restart());
  EXPECT_EQ(Seen(**bed), kSeen);
  const auto rebooted = (*bed)->Reboot(RestartKind::kPowerCut);
  ASSERT_TRUE(rebooted) << rebooted.error().ToString();
  EXPECT_EQ(Seen(**bed), kSeen);
  // The members are there, with their types.
  const auto tables = (*bed)->guest()->agent().Shell("for d in /dev/sd?; do sfdisk -d $d; done");
  ASSERT_TRUE(tables) << tables.error().ToString();
  EXPECT_THAT(*tables, HasSubstr("start=          63, size=       16384, type=87"));
}

}  // namespace
}  // namespace dmrp::harness
