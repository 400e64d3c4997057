#include "reference_server/storage/mount_point.hpp"

#include "reference_server/platform/recording_device.hpp"
#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/ntfs_test_support.hpp"

#include <algorithm>

#include <gmock/gmock.h>

namespace dmrp::server {
namespace {

using testing::HasSubstr;
using testing::Not;

const Guid kTarget = Guid::Parse("d2d79df5-3400-11d0-b40b-00aa005ff586").value();
const Guid kOther = Guid::Parse("8a7f1e3c-0000-11d0-b40b-00aa005ff586").value();
// What Windows stores for a mount point of kTarget: header, `\??\Volume{...}\` with its null, empty print
// name.
constexpr std::string_view kReparseHex =
    "030000a06e00000000006200640000005c003f003f005c0056006f006c0075006d0065007b006400320064003700390064006600"
    "35002d0033003400300030002d0031003100640030002d0062003400300062002d00300030006100610030003000350066006600"
    "3500380036007d005c0000000000";
constexpr std::string_view kSound = "NTFS volume version is 3.1.\n";

Bytes Junction() {
  const std::u16string name = u"\\??\\C:\\Windows";
  Bytes data(16 + 2 * name.size() + 4);
  StoreLe<std::uint32_t>(data, 0, 0xA0000003);
  StoreLe<std::uint16_t>(data, 4, static_cast<std::uint16_t>(data.size() - 8));
  StoreLe<std::uint16_t>(data, 10, static_cast<std::uint16_t>(2 * name.size()));
  StoreLe<std::uint16_t>(data, 12, static_cast<std::uint16_t>(2 * name.size() + 2));
  for (std::size_t i = 0; i < name.size(); ++i) StoreLe<std::uint16_t>(data, 16 + 2 * i, name[i]);
  return data;
}

std::vector<MountPoint> Listed(const NtfsVolume& volume) {
  const auto points = ListMountPoints(volume);
  EXPECT_TRUE(points) << points.error().ToString();
  return points.value_or(std::vector<MountPoint>{});
}

template <typename T>
MountErrorCode Refusal(const MountResult<T>& result) {
  EXPECT_FALSE(result);
  return result ? MountErrorCode::kRegistry : result.error().code;
}

std::string Succeeded(const MountResult<void>& result) { return result ? "" : result.error().ToString(); }

std::string Fresh(const NtfsVolume& volume) { return NtfsDisk::Ask(volume, "ntfsfix -n {}"); }

/// That no refused operation writes anything.
class Watched {
 public:
  explicit Watched(NtfsDisk& disk) : recording_(disk.Device()), volume_(disk.On(recording_)) {}
  ~Watched() { EXPECT_TRUE(recording_.Writes().empty()); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  [[nodiscard]] const NtfsVolume& Volume() const { return volume_; }

 private:
  RecordingDevice recording_;
  NtfsVolume volume_;
};

TEST(MountPointReparse, IsWhatWindowsStores) {
  EXPECT_EQ(MountPointReparseData(kTarget), FromHex(kReparseHex).value());
  EXPECT_EQ(MountPointReparseData(kTarget).size(), 118U);
  EXPECT_EQ(ParseMountPointReparseData(MountPointReparseData(kOther)), kOther);
}

TEST(MountPointReparse, OtherPointsAndDamagedOnesAreNone) {
  EXPECT_EQ(ParseMountPointReparseData(Junction()), std::nullopt);
  const Bytes good = MountPointReparseData(kTarget);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(ParseMountPointReparseData(std::span(good).first(size)), std::nullopt) << size;
  }
  for (const std::size_t at : {0U, 3U, 4U, 8U, 10U, 16U, 40U, 112U}) {
    Bytes bad = good;
    bad[at] ^= std::byte{0x01};
    if (const auto target = ParseMountPointReparseData(bad)) {
      EXPECT_NE(*target, kTarget) << at;
    }
    bad[at] = std::byte{0xFF};
    EXPECT_EQ(ParseMountPointReparseData(bad), std::nullopt) << at;
  }
}

TEST(MountPoints, AreSeenByOtherPrograms) {
  NtfsDisk disk;
  disk.Make({u"Data"});
  disk.Make({u"Data", u"old"});
  EXPECT_EQ(Listed(disk.Volume()), std::vector<MountPoint>{});
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"Data", u"old"}, kTarget)), "");
  EXPECT_EQ(Listed(disk.Volume()), (std::vector<MountPoint>{{u"Data\\old", kTarget}}));
  EXPECT_EQ(NtfsDisk::Ask(disk.Volume(), "ntfscat -a 0xC0 {} /Data/old | od -An -v -tx1 | tr -d ' \\n'"),
            kReparseHex);
  const std::string info = NtfsDisk::Ask(disk.Volume(), "ntfsinfo -F /Data/old {}");
  EXPECT_THAT(info, HasSubstr("REPARSE_POINT"));
  EXPECT_THAT(info, HasSubstr("0xa0000003 (mount point)"));
  EXPECT_THAT(Fresh(disk.Volume()), HasSubstr(kSound));
  EXPECT_THAT(NtfsDisk::Ask(disk.Volume(), "ntfsinfo -m {}"), Not(HasSubstr("DIRTY")));

  ASSERT_EQ(Succeeded(RemoveMountPoint(disk.Volume(), {u"Data", u"old"}, kTarget)), "");
  EXPECT_EQ(Listed(disk.Volume()), std::vector<MountPoint>{});
  EXPECT_THAT(NtfsDisk::Ask(disk.Volume(), "ntfsinfo -F /Data/old {}"), Not(HasSubstr("REPARSE")));
  EXPECT_THAT(NtfsDisk::Ask(disk.Volume(), "ntfsls -p /Data {}"), HasSubstr("old"));
  EXPECT_THAT(Fresh(disk.Volume()), HasSubstr(kSound));
}

TEST(MountPoints, NamesAreFoundInAnyCase) {
  NtfsDisk disk;
  disk.Make({u"Äpfel & Öl"});
  disk.Make({u"Äpfel & Öl", u"日本"});
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"äPFEL & öl", u"日本"}, kTarget)), "");
  EXPECT_EQ(Listed(disk.Volume()), (std::vector<MountPoint>{{u"Äpfel & Öl\\日本", kTarget}}));
  ASSERT_EQ(Succeeded(RemoveMountPoint(disk.Volume(), {u"ÄPFEL & ÖL", u"日本"}, kTarget)), "");
}

TEST(MountPoints, OnlyVolumesAreTargets) {
  NtfsDisk disk;
  disk.Make({u"junction"});
  disk.Make({u"point"});
  disk.SetReparseData({u"junction"}, Junction());
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"point"}, kTarget)), "");
  EXPECT_EQ(Listed(disk.Volume()), (std::vector<MountPoint>{{u"point", kTarget}}));
  const Watched watched(disk);
  EXPECT_EQ(Refusal(RemoveMountPoint(watched.Volume(), {u"junction"}, kTarget)),
            MountErrorCode::kNotMountPoint);
}

TEST(MountPoints, EveryReasonToRefuseHasItsCode) {
  NtfsDisk disk;
  disk.Make({u"empty"});
  disk.Make({u"full"});
  disk.Make({u"full", u"file"}, S_IFREG);
  disk.Make({u"taken"});
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"taken"}, kTarget)), "");
  const Watched watched(disk);
  const auto add = [&](const Folders& folders) {
    return Refusal(AddMountPoint(watched.Volume(), folders, kOther));
  };
  EXPECT_EQ(add({}), MountErrorCode::kBadPath);
  EXPECT_EQ(add({u"none"}), MountErrorCode::kPathNotFound);
  EXPECT_EQ(add({u"none", u"below"}), MountErrorCode::kPathNotFound);
  EXPECT_EQ(add({u"full"}), MountErrorCode::kDirNotEmpty);
  EXPECT_EQ(add({u"full", u"file"}), MountErrorCode::kNotDirectory);
  EXPECT_EQ(add({u"full", u"file", u"below"}), MountErrorCode::kNotDirectory);
  EXPECT_EQ(add({u"taken"}), MountErrorCode::kReparsePoint);
  EXPECT_EQ(add({u"taken", u"below"}), MountErrorCode::kReparsePoint);
  EXPECT_EQ(add({u"$Extend"}), MountErrorCode::kBadPath);
  EXPECT_EQ(add({u"$MFT"}), MountErrorCode::kBadPath);
  const auto remove = [&](const Folders& folders) {
    return Refusal(RemoveMountPoint(watched.Volume(), folders, kOther));
  };
  EXPECT_EQ(remove({}), MountErrorCode::kBadPath);
  EXPECT_EQ(remove({u"none"}), MountErrorCode::kPathNotFound);
  EXPECT_EQ(remove({u"empty"}), MountErrorCode::kNotMountPoint);
  EXPECT_EQ(remove({u"taken"}), MountErrorCode::kNotMountPoint);
  EXPECT_EQ(remove({u"full", u"file"}), MountErrorCode::kNotDirectory);
}

TEST(MountPoints, WhatIsNotNtfsIsRefused) {
  MemoryDevice blank({.sizeBytes = 16 * kMiB});
  const NtfsVolume volume{&blank, 0, 16 * kMiB, std::nullopt};
  EXPECT_EQ(Refusal(ListMountPoints(volume)), MountErrorCode::kNotNtfs);
  EXPECT_EQ(Refusal(AddMountPoint(volume, {u"x"}, kTarget)), MountErrorCode::kNotNtfs);

  const ScratchImage fat(blank);
  RunTool(fmt::format("mkfs.fat -F 16 {}", fat.Path().string()));
  auto image = OpenImage(fat.Path(), {}, true);
  ASSERT_TRUE(image);
  EXPECT_EQ(Refusal(AddMountPoint({image->get(), 0, 16 * kMiB, std::nullopt}, {u"x"}, kTarget)),
            MountErrorCode::kNotNtfs);
}

TEST(MountPoints, NtfsOfWindowsNtHasNone) {
  NtfsDisk disk;
  disk.Make({u"dir"});
  // The version in $VOLUME_INFORMATION of $Volume and of its mirror.
  Bytes octets = disk.Device().Read(NtfsDisk::kStart, 16 * kMiB).value();
  int patched = 0;
  for (std::size_t at = 0; at + 1024 <= octets.size(); at += 1024) {
    if (std::memcmp(octets.data() + at, "FILE", 4) != 0 || LoadLe<std::uint32_t>(octets, at + 44) != 3)
      continue;
    for (std::size_t i = at; i + 40 < at + 1024; i += 8) {
      if (LoadLe<std::uint32_t>(octets, i) != 0x70) continue;
      const std::size_t version = i + LoadLe<std::uint16_t>(octets, i + 20) + 8;
      ASSERT_EQ(octets[version], std::byte{3});
      disk.Device().Poke(NtfsDisk::kStart + version, Bytes{std::byte{1}, std::byte{2}});
      ++patched;
      break;
    }
  }
  ASSERT_EQ(patched, 2);
  const Watched watched(disk);
  EXPECT_EQ(Refusal(AddMountPoint(watched.Volume(), {u"dir"}, kTarget)), MountErrorCode::kOldNtfs);
  EXPECT_EQ(Listed(watched.Volume()), std::vector<MountPoint>{});
}

TEST(MountPoints, AHibernatedVolumeIsReadAndNotChanged) {
  NtfsDisk disk;
  disk.Make({u"dir"});
  disk.Make({u"point"});
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"point"}, kTarget)), "");
  std::string image(8192, '\0');
  image.replace(0, 4, "hibr");
  disk.Make({u"hiberfil.sys"}, S_IFREG, image);
  const Watched watched(disk);
  EXPECT_EQ(Refusal(AddMountPoint(watched.Volume(), {u"dir"}, kTarget)), MountErrorCode::kUnsoundVolume);
  EXPECT_EQ(Refusal(RemoveMountPoint(watched.Volume(), {u"point"}, kTarget)), MountErrorCode::kUnsoundVolume);
  EXPECT_EQ(Listed(watched.Volume()).size(), 1U);
}

TEST(MountPoints, AReadOnlyDiskIsReadAndNotChanged) {
  NtfsDisk disk;
  disk.Make({u"dir"});
  disk.Device().SetReadOnly(true);
  EXPECT_EQ(Refusal(AddMountPoint(disk.Volume(), {u"dir"}, kTarget)), MountErrorCode::kReadOnly);
  EXPECT_EQ(Listed(disk.Volume()), std::vector<MountPoint>{});
}

TEST(MountPoints, AFailingDiskIsAnIoError) {
  NtfsDisk disk;
  disk.Make({u"dir"});
  RecordingDevice failing(disk.Device());
  failing.FailAfter(0);
  EXPECT_EQ(Refusal(AddMountPoint(disk.On(failing), {u"dir"}, kTarget)), MountErrorCode::kIoError);
  EXPECT_EQ(Listed(disk.Volume()), std::vector<MountPoint>{});
}

TEST(MountPoints, SectorsOf4096OctetsAreWrittenWhole) {
  NtfsDisk disk(32 * kMiB, 4096);
  disk.Make({u"dir"});
  RecordingDevice recording(disk.Device());
  ASSERT_EQ(Succeeded(AddMountPoint(disk.On(recording), {u"dir"}, kTarget)), "");
  EXPECT_FALSE(recording.Writes().empty());
  EXPECT_TRUE(recording.Writes().back().barrier);
  EXPECT_EQ(Listed(disk.Volume()), (std::vector<MountPoint>{{u"dir", kTarget}}));
}

TEST(MountPoints, HundredsOfThemAreAllListed) {
  NtfsDisk disk(32 * kMiB);
  std::vector<MountPoint> expected;
  for (int i = 0; i < 300; ++i) {
    const std::u16string name = ToUtf16(fmt::format("folder {:03}", i)).value();
    disk.Make({name});
    ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {name}, i % 2 == 0 ? kTarget : kOther)), "");
    expected.push_back({name, i % 2 == 0 ? kTarget : kOther});
  }
  EXPECT_EQ(Listed(disk.Volume()), expected);
  for (std::size_t i = 0; i < expected.size(); i += 3) {
    ASSERT_EQ(Succeeded(RemoveMountPoint(disk.Volume(), {expected[i].path}, expected[i].target)), "");
    expected[i].path.clear();
  }
  std::erase_if(expected, [](const MountPoint& point) { return point.path.empty(); });
  EXPECT_EQ(Listed(disk.Volume()), expected);
  EXPECT_THAT(Fresh(disk.Volume()), HasSubstr(kSound));
}

TEST(MountPoints, APowerCutLeavesAVolumeThatCanBeRead) {
  NtfsDisk disk;
  disk.Make({u"dir"});
  disk.Make({u"other"});
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"other"}, kOther)), "");
  MemoryDevice cut = disk.Device();
  RecordingDevice recording(disk.Device());
  ASSERT_EQ(Succeeded(AddMountPoint(disk.On(recording), {u"dir"}, kTarget)), "");
  const auto& writes = recording.Writes();
  ASSERT_GE(writes.size(), 4U);
  ASSERT_LT(writes.size(), 100U);
  for (const RecordedWrite& write : writes) {
    if (!write.barrier) {
      ASSERT_TRUE(cut.Write(write.offset, write.data));
    }
    const std::vector<MountPoint> points = Listed(disk.On(cut));
    EXPECT_TRUE(std::ranges::find(points, MountPoint{u"other", kOther}) != points.end());
    EXPECT_THAT(Fresh(disk.On(cut)), HasSubstr(kSound));
  }
  EXPECT_EQ(Listed(disk.On(cut)), Listed(disk.Volume()));
}

TEST(MountPoints, RandomDamageIsAnErrorOrReadsAsSomething) {
  NtfsDisk disk;
  disk.Make({u"dir"});
  ASSERT_EQ(Succeeded(AddMountPoint(disk.Volume(), {u"dir"}, kTarget)), "");
  const std::uint64_t table =
      LoadLe<std::uint64_t>(disk.Device().Read(NtfsDisk::kStart, 512).value(), 48) * 4096;
  std::uint32_t random = 12345;
  const auto next = [&] { return random = random * 1664525 + 1013904223; };
  for (int round = 0; round < 300; ++round) {
    MemoryDevice damaged = disk.Device();
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t at = (next() >> 8) % (70 * 1024);
      damaged.Poke(NtfsDisk::kStart + table + at, Bytes(1, static_cast<std::byte>(next() >> 24)));
    }
    (void)ListMountPoints(disk.On(damaged));
    (void)RemoveMountPoint(disk.On(damaged), {u"dir"}, kTarget);
  }
}

}  // namespace
}  // namespace dmrp::server
