#include "harness/layout/mounted_devices.hpp"

#include "harness/layout/test_images.hpp"

#include <algorithm>

#include <gmock/gmock.h>

namespace dmrp::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kGuid = "d2d79df5-3400-11d0-b40b-00aa005ff586";

class MountedDevicesOfAHive : public ImageTest {
 protected:
  MountedDevicesOfAHive() : hive_(folder() / "system") { WriteEmptyHive(); }

  [[nodiscard]] const std::filesystem::path& hive() const { return hive_; }

  /// Feeds hivexsh, which writes the hive.
  void Hivexsh(const std::string& commands) {
    const auto script = folder() / "script";
    std::ofstream(script) << commands << "\ncommit\n";
    Shell(hive_, "hivexsh -w -f '" + script.string() + "' $DISK");
  }
  MountedDevices Read() {
    auto read = MountedDevices::ReadFile(hive_);
    if (!read) {
      ADD_FAILURE() << read.error().ToString();
      return {};
    }
    return *read;
  }

 private:
  static void Put(std::string& octets, std::size_t at, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i)
      octets[at + static_cast<std::size_t>(i)] = static_cast<char>(value >> (8 * i));
  }
  // The header, and one block with a root key, its security descriptor and a free cell.
  void WriteEmptyHive() {
    constexpr std::size_t kBlock = 4096;
    constexpr std::size_t kRoot = 0x20;
    constexpr std::size_t kSecurity = 0x80;
    constexpr std::size_t kFree = 0xC0;
    std::string octets(2 * kBlock, '\0');
    octets.replace(0, 4, "regf");
    Put(octets, 4, 1, 4);
    Put(octets, 8, 1, 4);
    Put(octets, 20, 1, 4);  // version 1.3
    Put(octets, 24, 3, 4);
    Put(octets, 32, 1, 4);
    Put(octets, 36, kRoot, 4);
    Put(octets, 40, kBlock, 4);
    Put(octets, 44, 1, 4);
    std::uint32_t sum = 0;
    for (std::size_t at = 0; at < 508; at += 4) {
      for (std::size_t i = 0; i < 4; ++i) {
        sum ^= static_cast<std::uint32_t>(static_cast<unsigned char>(octets[at + i])) << (8 * i);
      }
    }
    Put(octets, 508, sum, 4);
    octets.replace(kBlock, 4, "hbin");
    Put(octets, kBlock + 8, kBlock, 4);
    const std::size_t root = kBlock + kRoot;
    Put(octets, root, static_cast<std::uint64_t>(-static_cast<std::int64_t>(kSecurity - kRoot)), 4);
    octets.replace(root + 4, 2, "nk");
    Put(octets, root + 6, 0x2C, 2);  // a root, not to be deleted, name in one octet a character
    Put(octets, root + 20, kRoot, 4);
    for (const std::size_t none : {32, 36, 44, 52}) Put(octets, root + none, 0xFFFFFFFF, 4);
    Put(octets, root + 48, kSecurity, 4);
    Put(octets, root + 76, 1, 2);
    octets[root + 80] = '$';
    const std::size_t security = kBlock + kSecurity;
    Put(octets, security, static_cast<std::uint64_t>(-static_cast<std::int64_t>(kFree - kSecurity)), 4);
    octets.replace(security + 4, 2, "sk");
    Put(octets, security + 8, kSecurity, 4);
    Put(octets, security + 12, kSecurity, 4);
    Put(octets, security + 16, 1, 4);
    Put(octets, security + 20, 20, 4);
    Put(octets, security + 24, 0x80000001, 4);  // a descriptor that holds nothing
    Put(octets, kBlock + kFree, kBlock - kFree, 4);
    std::ofstream(hive_, std::ios::binary) << octets;
  }

  std::filesystem::path hive_;
};

TEST_F(MountedDevicesOfAHive, AreNoneWithoutTheKey) {
  const MountedDevices read = Read();
  EXPECT_THAT(read.letters, IsEmpty());
  EXPECT_THAT(read.names, IsEmpty());
  EXPECT_THAT(read.strange, IsEmpty());
}

TEST_F(MountedDevicesOfAHive, AreTheValuesThatAnotherProgramWrote) {
  // hivexsh: hex:3 is REG_BINARY, hex:4 REG_DWORD.
  Hivexsh(std::string("add MountedDevices\ncd MountedDevices\nsetval 7\n\\DosDevices\\E:\n") +
          "hex:3:0d,d0,ed,5e,00,7e,00,00,00,00,00,00\n\\DosDevices\\C:\n" +
          "hex:3:0d,d0,ed,5e,00,7e,00,00,00,00,00,00\n" + "\\??\\Volume{" + kGuid +
          "}\nhex:3:0d,d0,ed,5e,00,7e,00,00,00,00,00,00\n" + "#{D2D79DF5-3400-11D0-B40B-00AA005FF586}\n" +
          "hex:3:01\n\\DosDevices\\F:\nhex:4:01,00,00,00\n\\DosDevices\\g:\nhex:3:01\n" +
          "\\??\\Volume{d2d79df5}\nhex:3:01\n");
  const MountedDevices read = Read();
  const std::string id = UniqueIdOfMbrPartition(0x5EEDD00D, 63 * 512);
  EXPECT_EQ(id, "0dd0ed5e 007e0000 00000000");
  EXPECT_THAT(read.LettersOf(id), ElementsAre(u'C', u'E'));
  EXPECT_THAT(read.NamesOf(id), ElementsAre(kGuid));
  EXPECT_FALSE(read.RefusesLetter(id));
  EXPECT_TRUE(read.RefusesLetter("01"));
  EXPECT_EQ(read.refused.begin()->first, kGuid) << "GUIDs are in lower case";
  EXPECT_THAT(read.LettersOf("01"), IsEmpty());
  EXPECT_THAT(read.strange,
              ElementsAre("\\??\\Volume{d2d79df5}", HasSubstr("F: has type 4"), "\\DosDevices\\g:"));
}

TEST_F(MountedDevicesOfAHive, KnowGptPartitionsByTheirGuid) {
  EXPECT_EQ(UniqueIdOfGptPartition(*Guid::Parse(kGuid)),
            "444d494f 3a49443a f59dd7d2 0034d011 b40b00aa 005ff586")
      << "\"DMIO:ID:\", and a GUID whose first three fields are little-endian";  // its first three fields
                                                                                 // little-endian
}

TEST_F(MountedDevicesOfAHive, AreEdited) {
  ASSERT_TRUE(EditMountedDevices(
      hive(), {{"\\DosDevices\\C:", *FromHex("01")}, {"\\DosDevices\\D:", *FromHex("02")}}, {}));
  ASSERT_TRUE(
      EditMountedDevices(hive(), {{"\\DosDevices\\D:", *FromHex("03")}}, {"\\DosDevices\\C:", "none"}));
  const MountedDevices read = Read();
  EXPECT_THAT(read.letters, ElementsAre(std::pair(u'D', "03")));
  EXPECT_THAT(read.strange, IsEmpty());
}

TEST_F(MountedDevicesOfAHive, CannotBeReadFromWhatIsNoHive) {
  const auto blank = Blank(8192, "blank");
  EXPECT_EQ(MountedDevices::ReadFile(blank).error().kind, ErrorKind::kSystem);
  EXPECT_EQ(MountedDevices::ReadFile(folder() / "none").error().kind, ErrorKind::kSystem);
  EXPECT_EQ(EditMountedDevices(blank, {}, {}).error().kind, ErrorKind::kSystem);
}

TEST_F(MountedDevicesOfAHive, CannotBeReadFromAHiveThatIsBroken) {
  Hivexsh(
      "add MountedDevices\ncd MountedDevices\nsetval 1\n\\DosDevices\\C:\nhex:3:01,02,03,04,05,06,07,08\n");
  const auto whole = std::filesystem::file_size(hive());
  std::filesystem::resize_file(hive(), 4096);
  EXPECT_FALSE(MountedDevices::ReadFile(hive()).has_value()) << "no block of " << whole << " octets is left";
}

TEST_F(MountedDevicesOfAHive, CannotBeReadWhereTheListOfValuesLeadsNowhere) {
  Hivexsh(
      "add MountedDevices\ncd MountedDevices\nsetval 1\n\\DosDevices\\C:\nhex:3:01,02,03,04,05,06,07,08\n");
  std::string octets;
  {
    std::ifstream in(hive(), std::ios::binary);
    octets.assign(std::istreambuf_iterator<char>(in), {});
  }
  // A key's name lies 76 octets behind "nk", the place of its list of values 40.
  const std::size_t name = octets.find("MountedDevices");
  ASSERT_NE(name, std::string::npos);
  Poke(hive(), name - 76 + 40, {0x04, 0xFF, 0xFF, 0x7F});
  EXPECT_EQ(MountedDevices::ReadFile(hive()).error().kind, ErrorKind::kSystem);
}

}  // namespace
}  // namespace dmrp::harness
