#include "reference_server/storage/mount_manager.hpp"

#include "reference_server/platform/registry_test_support.hpp"
#include "reference_server/storage/volume_name.hpp"

#include <set>

#include <gmock/gmock.h>

namespace dmrp::server {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const UniqueId kFirst = MbrPartitionId(0x92B2F8EB, 63 * 512);
const UniqueId kSecond = MbrPartitionId(0x92B2F8EB, 102400 * 512);

template <typename T>
MountErrorCode Refusal(const MountResult<T>& result) {
  EXPECT_FALSE(result);
  return result ? MountErrorCode::kIoError : result.error().code;
}

/// A manager on a hive, which other people's readers see too.
class MountManagerTest : public testing::Test {
 protected:
  ScratchFolder folder_;
  std::filesystem::path hive_ = folder_ / "system";
  Registry registry_{hive_};
  MountManager manager_{registry_};

  std::u16string Letters() {
    std::u16string all;
    const auto letters = manager_.Letters();
    EXPECT_TRUE(letters) << letters.error().ToString();
    for (const auto& [letter, volume] : letters.value()) all.push_back(letter);
    return all;
  }
};

TEST_F(MountManagerTest, WritesWhatWindowsWrites) {
  const Guid partition = Guid::Parse("d2d79df5-3400-11d0-b40b-00aa005ff586").value();
  ASSERT_TRUE(manager_.Assign(u'C', kFirst));
  ASSERT_TRUE(manager_.Assign(u'g', GuidVolumeId(partition)));
  const std::string expected =
      "\\MountedDevices|\\DosDevices\\C:|3|ebf8b292007e000000000000\n"
      "\\MountedDevices|\\DosDevices\\G:|3|444d494f3a49443af59dd7d20034d011b40b00aa005ff586\n";
  EXPECT_EQ(DumpWithHivex(hive_), expected);
  EXPECT_EQ(DumpWithImpacket(hive_), expected);
}

TEST(UniqueIds, OfRemovableDevicesAreTheirInterfacePaths) {
  const auto text = [](const UniqueId& id) {
    std::string path;
    for (std::size_t i = 0; i < id.octets.size(); i += 2) {
      path.push_back(static_cast<char>(id.octets[i]));
      EXPECT_EQ(id.octets[i + 1], std::byte{0});
    }
    return path;
  };
  DeviceInfo device;
  device.instanceId = "IDE\\CDROMQEMU_DVD-ROM\\5&1A2B3C4D&0&0.1.0";
  device.kind = DeviceKind::kCdrom;
  EXPECT_EQ(text(RemovableDeviceId(device)),
            "\\??\\IDE#CDROMQEMU_DVD-ROM#5&1A2B3C4D&0&0.1.0#{53f5630d-b6bf-11d0-94f2-00a0c91efb8b}");
  device.kind = DeviceKind::kRemovableDisk;
  EXPECT_THAT(text(RemovableDeviceId(device)), testing::EndsWith("#{53f56307-b6bf-11d0-94f2-00a0c91efb8b}"));
}

TEST(UniqueIds, OfPartitionsComeFromTheTable) {
  DiskLayout layout;
  layout.style = PartitionStyle::kMbr;
  layout.mbrSignature = 0x92B2F8EB;
  Region region{.kind = RegionKind::kPrimary, .start = 63 * 512};
  EXPECT_EQ(PartitionId(layout, region), kFirst);
  region.kind = RegionKind::kLogical;
  EXPECT_EQ(PartitionId(layout, region), kFirst);
  for (const auto kind : {RegionKind::kExtended, RegionKind::kFree, RegionKind::kWhole}) {
    EXPECT_EQ(PartitionId(layout, {.kind = kind, .start = 63 * 512}), std::nullopt);
  }
  layout.mbrSignature = 0;
  EXPECT_EQ(PartitionId(layout, region), std::nullopt);
  layout.style = PartitionStyle::kGpt;
  region.gptId = Guid::Random();
  EXPECT_EQ(PartitionId(layout, region), GuidVolumeId(region.gptId));
}

TEST_F(MountManagerTest, AllLettersCanBeGivenOnce) {
  EXPECT_EQ(Letters(), u"");
  for (char16_t letter = u'A'; letter <= u'Z'; ++letter) {
    ASSERT_TRUE(manager_.Assign(letter, MbrPartitionId(1, letter * 512U)));
  }
  EXPECT_EQ(Letters(), u"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  for (char16_t letter = u'A'; letter <= u'Z'; ++letter) {
    EXPECT_EQ(Refusal(manager_.Assign(letter, kFirst)), MountErrorCode::kLetterTaken);
    EXPECT_EQ(manager_.LetterOf(MbrPartitionId(1, letter * 512U)).value(), letter);
  }
  Registry again(hive_);
  EXPECT_EQ(MountManager(again).Letters().value(), manager_.Letters().value());
  for (char16_t letter = u'C'; letter <= u'Z'; ++letter) {
    EXPECT_EQ(manager_.Free(letter).value(), MbrPartitionId(1, letter * 512U));
  }
  EXPECT_EQ(Letters(), u"AB");
}

TEST_F(MountManagerTest, WhatIsNoLetterIsRefused) {
  for (const char16_t letter : {u'@', u'[', u'1', u'\0', u' ', u'Ä', u'\xFF21'}) {
    EXPECT_EQ(Refusal(manager_.Assign(letter, kFirst)), MountErrorCode::kBadLetter);
    EXPECT_EQ(Refusal(manager_.Free(letter)), MountErrorCode::kBadLetter);
  }
  EXPECT_FALSE(std::filesystem::exists(hive_));
}

TEST_F(MountManagerTest, ANewLetterFreesTheOldOne) {
  ASSERT_TRUE(manager_.Assign(u'D', kFirst));
  ASSERT_TRUE(manager_.Assign(u'e', kFirst));
  EXPECT_EQ(Letters(), u"E");
  ASSERT_TRUE(manager_.Assign(u'E', kFirst));
  EXPECT_EQ(Letters(), u"E");
  EXPECT_EQ(DumpWithHivex(hive_), "\\MountedDevices|\\DosDevices\\E:|3|ebf8b292007e000000000000\n");
}

TEST_F(MountManagerTest, ARefusedLetterChangesNothing) {
  ASSERT_TRUE(manager_.Assign(u'D', kFirst));
  ASSERT_TRUE(manager_.Assign(u'E', kSecond));
  const Bytes before = Content(hive_);
  EXPECT_EQ(Refusal(manager_.Assign(u'D', kSecond)), MountErrorCode::kLetterTaken);
  EXPECT_EQ(Content(hive_), before);
}

TEST_F(MountManagerTest, ALetterOfAVolumeThatIsGoneCanBeTaken) {
  ASSERT_TRUE(manager_.Assign(u'D', kFirst));
  const auto present = [](const UniqueId& volume) { return volume == kSecond; };
  ASSERT_TRUE(manager_.Assign(u'D', kSecond, present));
  EXPECT_EQ(manager_.Letters().value().at(u'D'), kSecond);
  EXPECT_EQ(Refusal(manager_.Assign(u'D', kFirst, present)), MountErrorCode::kLetterTaken);
}

TEST_F(MountManagerTest, FreeingMarksTheVolumeUntilItGetsALetter) {
  EXPECT_EQ(Refusal(manager_.Free(u'D')), MountErrorCode::kLetterFree);
  ASSERT_TRUE(manager_.Assign(u'D', kFirst));
  EXPECT_FALSE(manager_.LetterRefused(kFirst).value());
  EXPECT_EQ(manager_.Free(u'd').value(), kFirst);
  EXPECT_TRUE(manager_.LetterRefused(kFirst).value());
  EXPECT_FALSE(manager_.LetterRefused(kSecond).value());
  EXPECT_EQ(manager_.LetterOf(kFirst).value(), std::nullopt);
  const std::string dump = DumpWithHivex(hive_);
  EXPECT_THAT(dump, testing::MatchesRegex(
                        "\\\\MountedDevices\\|#\\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\}\\|3\\|"
                        "ebf8b292007e000000000000\n"));
  EXPECT_EQ(Refusal(manager_.Free(u'D')), MountErrorCode::kLetterFree);
  ASSERT_TRUE(manager_.Assign(u'F', kFirst));
  EXPECT_FALSE(manager_.LetterRefused(kFirst).value());
}

TEST_F(MountManagerTest, VolumeNamesAreMadeOnceAndStay) {
  const Guid name = manager_.VolumeName(kFirst).value();
  EXPECT_NE(manager_.VolumeName(kSecond).value(), name);
  EXPECT_EQ(manager_.VolumeName(kFirst).value(), name);
  Registry again(hive_);
  EXPECT_EQ(MountManager(again).VolumeName(kFirst).value(), name);
  EXPECT_EQ(manager_.FindVolume(name).value(), kFirst);
  EXPECT_EQ(manager_.FindVolume(Guid::Random()).value(), std::nullopt);
  EXPECT_THAT(DumpWithHivex(hive_), HasSubstr("|\\??\\Volume{" + name.ToString() + "}|3|ebf8b292007e"));
  EXPECT_EQ(Letters(), u"");
}

TEST_F(MountManagerTest, AForgottenVolumeLeavesNothingBehind) {
  const Guid name = manager_.VolumeName(kFirst).value();
  ASSERT_TRUE(manager_.Assign(u'D', kFirst));
  ASSERT_TRUE(manager_.Assign(u'E', kSecond));
  ASSERT_TRUE(manager_.Forget(kFirst));
  EXPECT_EQ(DumpWithHivex(hive_), "\\MountedDevices|\\DosDevices\\E:|3|ebf8b2920000200300000000\n");
  EXPECT_NE(manager_.VolumeName(kFirst).value(), name);
  ASSERT_TRUE(manager_.Free(u'E'));
  ASSERT_TRUE(manager_.Forget(kSecond));
  EXPECT_FALSE(manager_.LetterRefused(kSecond).value());
}

TEST_F(MountManagerTest, FollowsWhatOtherProgramsChange) {
  ASSERT_TRUE(manager_.Assign(u'D', kFirst));
  RunPython(R"(import hivex, sys
h = hivex.Hivex(sys.argv[1], write=True)
n = h.node_get_child(h.root(), 'MountedDevices')
h.node_set_values(n, [{'key': '\\dosdevices\\q:', 't': 3, 'value': bytes.fromhex('ebf8b292007e000000000000')},
                      {'key': '\\DosDevices\\', 't': 3, 'value': b'x'}, {'key': 'Other', 't': 1, 'value': b'x'}])
h.commit(None))",
            hive_);
  EXPECT_EQ(Letters(), u"Q");
  EXPECT_EQ(manager_.LetterOf(kFirst).value(), u'Q');
  EXPECT_EQ(registry_.ForeignChanges(), 1U);
  ASSERT_TRUE(manager_.Assign(u'R', kFirst));
  EXPECT_EQ(Letters(), u"R");
  EXPECT_THAT(DumpWithHivex(hive_), HasSubstr("|Other|1|78"));
}

TEST_F(MountManagerTest, ADamagedHiveIsReported) {
  WriteInPlace(hive_, Bytes(8192));
  EXPECT_EQ(Refusal(manager_.Letters()), MountErrorCode::kRegistry);
  EXPECT_EQ(Refusal(manager_.Assign(u'D', kFirst)), MountErrorCode::kRegistry);
  EXPECT_EQ(Refusal(manager_.VolumeName(kFirst)), MountErrorCode::kRegistry);
  EXPECT_EQ(Content(hive_), Bytes(8192));
}

TEST(VolumeName, InBothForms) {
  const Guid guid = Guid::Parse("D2D79DF5-3400-11D0-B40B-00AA005FF586").value();
  EXPECT_EQ(VolumeMountName(guid), u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}");
  EXPECT_EQ(VolumeLinkName(guid), u"\\??\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}");
  for (const char16_t* name : {u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}",
                               u"\\??\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}\\",
                               u"\\\\?\\VOLUME{D2D79DF5-3400-11D0-B40B-00AA005FF586}\\"}) {
    EXPECT_EQ(ParseVolumeName(name), guid);
  }
  for (const char16_t* name : {u"", u"\\\\?\\Volume{", u"\\\\.\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}",
                               u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}\\x",
                               u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff58x}",
                               u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586",
                               u"\\\\?\\Volume{d2d79df5-3400-11d0-b40b-00aa005ff586}\\\\"}) {
    EXPECT_EQ(ParseVolumeName(name), std::nullopt);
  }
}

}  // namespace
}  // namespace dmrp::server
