// File systems made by the real programs, judged by fsck.fat, ntfsfix, ntfsinfo, ntfsresize and blkid.
#include "reference_server/storage/format.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/recording_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/little_endian.hpp"
#include "reference_server/storage/operations.hpp"

#include <array>
#include <cerrno>
#include <regex>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

namespace dmrp::server {
namespace {

using testing::HasSubstr;

/// Passes on to a disk in memory; counts what is read, and can refuse sectors or ask for a stop.
class WatchedDevice final : public BlockDevice {
 public:
  explicit WatchedDevice(MemoryDevice& inner) : inner_(inner) {}
  [[nodiscard]] const DiskGeometry& Geometry() const override { return inner_.Geometry(); }
  [[nodiscard]] bool ReadOnly() const override { return inner_.ReadOnly(); }

  std::optional<std::uint64_t> badRead;   ///< octet whose sector cannot be read
  std::optional<std::uint64_t> badWrite;  ///< octet whose sector cannot be written
  bool failsOnceBooted = false;           ///< the flush after a boot sector fails
  std::uint64_t readUpTo = 0;
  std::uint64_t readOctets = 0;

 private:
  static bool Meets(const std::optional<std::uint64_t>& bad, std::uint64_t offset, std::size_t length) {
    return bad && *bad >= offset && *bad < offset + length;
  }
  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override {
    if (Meets(badRead, offset, out.size())) return FailErrno("reading a bad sector", EIO);
    readOctets += out.size();
    readUpTo = std::max(readUpTo, offset + out.size());
    return inner_.Read(offset, out);
  }
  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override {
    if (Meets(badWrite, offset, data.size())) return FailErrno("writing a bad sector", EIO);
    booted_ = data[0] == std::byte{0xEB};
    return inner_.Write(offset, data);
  }
  Result<void> DoFlush() override {
    if (failsOnceBooted && booted_) return FailErrno("flushing", EIO);
    return inner_.Flush();
  }

  MemoryDevice& inner_;
  bool booted_ = false;
};

constexpr std::uint64_t kStart = std::uint64_t{63} * 4096;

/// A volume of a disk in a file of its own, for the checkers.
class VolumeFile {
 public:
  VolumeFile(const MemoryDevice& device, std::uint64_t start, std::uint64_t length)
      : image_(Cut(device, start, length)) {}
  [[nodiscard]] std::string Path() const { return image_.Path().string(); }

 private:
  static MemoryDevice Cut(const MemoryDevice& device, std::uint64_t start, std::uint64_t length) {
    MemoryDevice volume({.sizeBytes = length});
    device.ForEachStored([&](std::uint64_t offset, std::span<const std::byte> octets) {
      for (std::uint64_t at = 0; at < octets.size(); at += 512) {
        const std::uint64_t here = offset + at;
        if (here >= start && here < start + length) volume.Poke(here - start, octets.subspan(at, 512));
      }
    });
    return volume;
  }
  ScratchImage image_;
};

/// blkid's value of a tag; "" when it names none.
std::string BlkidTag(const std::string& path, const std::string& tag) {
  const std::string all = RunTool(fmt::format("blkid -p -o export {} || test $? = 2", path));
  std::smatch found;
  return std::regex_search(all, found, std::regex("(^|\n)" + tag + "=(.*)")) ? found[2].str() : "";
}

class FormatTest : public testing::Test {
 protected:
  static MemoryDevice Disk(std::uint64_t volume, std::uint32_t sector = 512) {
    return MemoryDevice({.sizeBytes = kStart + volume + kMiB, .bytesPerSector = sector});
  }
  static FormatTarget Target(BlockDevice& device, std::uint64_t length) {
    return {device, kStart, length, 63};
  }
  static FileSystemDescription Make(MemoryDevice& device, std::uint64_t length, FormatRequest request) {
    request.quick = true;
    const auto made = Format(Target(device, length), request, {}, {});
    EXPECT_TRUE(made) << made.error().ToString();
    return made.value_or(FileSystemDescription{});
  }
  static void CheckFat(const MemoryDevice& device, std::uint64_t length, const FileSystemDescription& made,
                       const std::string& label) {
    const VolumeFile file(device, kStart, length);
    const std::string report = RunTool(fmt::format("fsck.fat -n -v {}", file.Path()));
    EXPECT_THAT(report, HasSubstr(fmt::format("{} bytes per cluster", made.allocationUnitSize)));
    EXPECT_THAT(report, HasSubstr(fmt::format("/{} clusters", made.totalAllocationUnits)));
    EXPECT_EQ(BlkidTag(file.Path(), "TYPE"), "vfat");
    EXPECT_EQ(BlkidTag(file.Path(), "LABEL"), label);
    const std::string version = made.type == FileSystemType::kFat12   ? "FAT12"
                                : made.type == FileSystemType::kFat16 ? "FAT16"
                                                                      : "FAT32";
    EXPECT_EQ(BlkidTag(file.Path(), "VERSION"), version);
  }
  static void CheckNtfs(const MemoryDevice& device, std::uint64_t length, const FileSystemDescription& made,
                        const std::string& label) {
    const VolumeFile file(device, kStart, length);
    const std::string fixed = RunTool(fmt::format("ntfsfix -n {}", file.Path()));
    EXPECT_THAT(fixed, HasSubstr("processed successfully"));
    const std::string info = RunTool(fmt::format("ntfsinfo -m -f {}", file.Path()));
    EXPECT_THAT(info, HasSubstr(fmt::format("Cluster Size: {}\n", made.allocationUnitSize)));
    EXPECT_THAT(info, HasSubstr(fmt::format("Volume Size in Clusters: {}\n", made.totalAllocationUnits)));
    EXPECT_THAT(info, HasSubstr(fmt::format("Free Clusters: {} ", made.availableAllocationUnits)));
    EXPECT_THAT(info, HasSubstr(fmt::format("Volume Name: {}\n", label)));
    EXPECT_EQ(BlkidTag(file.Path(), "TYPE"), "ntfs");
  }
  static FileSystemDescription Describe(BlockDevice& device, std::uint64_t length) {
    const auto seen = DescribeFileSystem(device, kStart, length);
    EXPECT_TRUE(seen);
    return seen.value_or(FileSystemDescription{});
  }
  /// Raw for us and for blkid.
  static void ExpectRaw(MemoryDevice& device, std::uint64_t length) {
    EXPECT_EQ(Describe(device, length).type, FileSystemType::kUnknown);
    EXPECT_EQ(BlkidTag(VolumeFile(device, kStart, length).Path(), "TYPE"), "");
  }
};

struct UnitCase {
  std::int32_t fsType;
  std::uint32_t unit;
  std::uint32_t sector;
};

class EveryUnit : public FormatTest, public testing::WithParamInterface<UnitCase> {};

std::vector<UnitCase> EveryAnnouncedUnit() {
  std::vector<UnitCase> cases;
  for (const InstalledFileSystem& system : InstalledFileSystems()) {
    for (const std::uint32_t unit : system.Units()) {
      for (const std::uint32_t sector : {512U, 4096U}) {
        if (unit >= sector) cases.push_back({system.fsType, unit, sector});
      }
    }
  }
  return cases;
}

TEST_P(EveryUnit, IsMadeAndPassesTheCheckers) {
  const auto& [type, unit, sector] = GetParam();
  // FAT with few units is FAT12, with more FAT16; both at every unit.
  const std::vector<std::uint64_t> counts = type == FSTYPE_FAT     ? std::vector<std::uint64_t>{2000, 10000}
                                            : type == FSTYPE_FAT32 ? std::vector<std::uint64_t>{70000}
                                                                   : std::vector<std::uint64_t>{5000};
  for (const std::uint64_t count : counts) {
    const std::uint64_t length = count * unit;
    MemoryDevice device = Disk(length, sector);
    const FileSystemDescription made =
        Make(device, length, {.fsType = type, .label = u"Unit", .allocationUnitSize = unit});
    EXPECT_EQ(made.allocationUnitSize, unit);
    EXPECT_EQ(Describe(device, length), made);
    const Bytes boot = device.Read(kStart, 512).value();
    EXPECT_EQ(LoadLe<std::uint16_t>(boot, 11), sector);
    EXPECT_EQ(LoadLe<std::uint16_t>(boot, 24), 63U) << "sectors per track";
    EXPECT_EQ(LoadLe<std::uint16_t>(boot, 26), 255U) << "heads";
    EXPECT_EQ(LoadLe<std::uint32_t>(boot, 28), 63U) << "hidden sectors";
    if (type == FSTYPE_NTFS) {
      EXPECT_EQ(made.label, u"Unit");
      CheckNtfs(device, length, made, "Unit");
    } else {
      EXPECT_EQ(made.label, u"UNIT");
      const FileSystemType fat = count == 2000 ? FileSystemType::kFat12 : FileSystemType::kFat16;
      EXPECT_EQ(made.type, type == FSTYPE_FAT32 ? FileSystemType::kFat32 : fat);
      CheckFat(device, length, made, "UNIT");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Announced, EveryUnit, testing::ValuesIn(EveryAnnouncedUnit()), [](const auto& info) {
  return fmt::format("Type{}Unit{}Sector{}", info.param.fsType, info.param.unit, info.param.sector);
});

TEST_F(FormatTest, TheSmallestAndTheBiggestVolumesOfEachFileSystem) {
  for (const InstalledFileSystem& system : InstalledFileSystems()) {
    if (!system.Formattable()) continue;
    for (const std::uint32_t sector : {512U, 4096U}) {
      const bool fat32 = system.fsType == FSTYPE_FAT32;
      const bool ntfs = system.fsType == FSTYPE_NTFS;
      // The biggest NTFS would keep the test busy with its bitmap.
      const std::uint64_t biggest = ntfs ? 64 * kGiB : system.maxVolume;
      const std::uint64_t smallest = fat32 ? system.minVolume * sector / 512 * 51 / 50 : system.minVolume;
      for (const std::uint64_t length : {smallest / sector * sector, biggest}) {
        SCOPED_TRACE(fmt::format("{} of {} on sectors of {}", ToUtf8(system.fsName), length, sector));
        MemoryDevice device = Disk(length, sector);
        const FileSystemDescription made = Make(device, length, {.fsType = system.fsType});
        if (ntfs) {
          CheckNtfs(device, length, made, "");
        } else {
          CheckFat(device, length, made, "");
        }
      }
      // The smallest with the biggest unit.
      if (fat32) continue;
      MemoryDevice device = Disk(system.minVolume, sector);
      const auto made =
          Make(device, system.minVolume, {.fsType = system.fsType, .allocationUnitSize = 65536});
      ntfs ? CheckNtfs(device, system.minVolume, made, "") : CheckFat(device, system.minVolume, made, "");
    }
  }
}

TEST_F(FormatTest, FatAtTheBordersOfItsTypes) {
  for (const std::uint64_t sectors :
       {4085 + 57, 4085 + 59, 4085 + 63, 4085 + 70, 65525 + 540, 65525 + 550, 65525 + 560}) {
    SCOPED_TRACE(sectors);
    MemoryDevice device = Disk(sectors * 512);
    const auto made = Make(device, sectors * 512, {.fsType = FSTYPE_FAT, .allocationUnitSize = 512});
    CheckFat(device, sectors * 512, made, "");
  }
}

TEST_F(FormatTest, LabelsToTheirLimit) {
  MemoryDevice fat = Disk(8 * kMiB);
  const auto as_fat = Make(fat, 8 * kMiB, {.fsType = FSTYPE_FAT, .label = u"eleven-chrs"});
  EXPECT_EQ(as_fat.label, u"ELEVEN-CHRS");
  CheckFat(fat, 8 * kMiB, as_fat, "ELEVEN-CHRS");
  const std::u16string text = u"Ünïcödé: <>?*\\|/ \U0001F600 in 32 units.";
  ASSERT_EQ(text.size(), 32U);
  MemoryDevice ntfs = Disk(8 * kMiB);
  const auto as_ntfs = Make(ntfs, 8 * kMiB, {.fsType = FSTYPE_NTFS, .label = text});
  EXPECT_EQ(as_ntfs.label, text);
  const VolumeFile file(ntfs, kStart, 8 * kMiB);
  EXPECT_EQ(RunTool("ntfslabel -n " + file.Path() + " | cat"), ToUtf8(text) + "\n");
}

TEST_F(FormatTest, NtfsIsCompressedWhenAskedFor) {
  for (const bool compression : {false, true}) {
    for (const std::uint32_t unit : {512U, 4096U}) {
      MemoryDevice device = Disk(16 * kMiB);
      const auto made = Make(device, 16 * kMiB,
                             {.fsType = FSTYPE_NTFS, .allocationUnitSize = unit, .compression = compression});
      EXPECT_EQ(made.compression, compression);
      const VolumeFile file(device, kStart, 16 * kMiB);
      const std::string root = RunTool("ntfsinfo -f -v -i 5 " + file.Path());
      EXPECT_EQ(root.find("COMPRESSED") != std::string::npos, compression) << root;
    }
  }
}

TEST_F(FormatTest, AFloppyGetsTheParametersOfFloppies) {
  MemoryDevice device({.sizeBytes = 1440 * kKiB, .sectorsPerTrack = 18, .heads = 2});
  const auto made = Format({device, 0, 1440 * kKiB}, {.fsType = FSTYPE_FAT, .quick = true}, {}, {});
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->type, FileSystemType::kFat12);
  const Bytes boot = device.Read(0, 512).value();
  EXPECT_EQ(boot[21], std::byte{0xF0});
  EXPECT_EQ(boot[36], std::byte{0}) << "drive";
  EXPECT_EQ(LoadLe<std::uint16_t>(boot, 17), 224U) << "root entries";
  EXPECT_EQ(LoadLe<std::uint16_t>(boot, 22), 9U) << "sectors of a table";
  EXPECT_EQ(made->totalAllocationUnits, 2847U);  // as every formatted 1.44 MB floppy
}

TEST_F(FormatTest, EarlierFileSystemsLeaveNoTrace) {
  const std::uint64_t length = 40 * kMiB;
  MemoryDevice device = Disk(length);
  for (const auto& [type, name] : std::vector<std::pair<std::int32_t, std::string>>{
           {FSTYPE_NTFS, "ntfs"}, {FSTYPE_FAT, "vfat"}, {FSTYPE_FAT32, "vfat"}, {FSTYPE_NTFS, "ntfs"}}) {
    // Marks of ext4, swap and ISO 9660.
    device.Poke(kStart + 1080, Bytes{std::byte{0x53}, std::byte{0xEF}});
    device.Poke(kStart + 4086, std::as_bytes(std::span("SWAPSPACE2", 10)));
    device.Poke(kStart + 32768, std::as_bytes(std::span("\1CD001\1", 7)));
    Make(device, length, {.fsType = type, .label = u"NEW"});
    const VolumeFile file(device, kStart, length);
    EXPECT_EQ(BlkidTag(file.Path(), "TYPE"), name);
    EXPECT_EQ(BlkidTag(file.Path(), "LABEL"), "NEW");
  }
}

TEST_F(FormatTest, NothingOutsideTheVolumeChanges) {
  const std::uint64_t length = 8 * kMiB + 512;
  MemoryDevice device = Disk(length);
  const Bytes around(kMiB / 2, std::byte{0xA5});
  const Bytes before(kStart, std::byte{0x5A});
  device.Poke(0, before);
  device.Poke(kStart + length, around);
  for (const std::int32_t type : {FSTYPE_FAT, FSTYPE_NTFS}) {
    Make(device, length, {.fsType = type});
    EXPECT_EQ(device.Read(0, before.size()).value(), before);
    EXPECT_EQ(device.Read(kStart + length, around.size()).value(), around);
  }
}

TEST_F(FormatTest, ARefusalChangesNothing) {
  MemoryDevice memory = Disk(8 * kMiB);
  Make(memory, 8 * kMiB, {.fsType = FSTYPE_FAT, .label = u"OLD"});
  RecordingDevice device(memory);
  const auto code = [&](const FormatTarget& target, const FormatRequest& request,
                        const FormatOptions& options = {}) {
    const auto made = Format(target, request, [](unsigned) { FAIL() << "progress"; }, {}, options);
    EXPECT_FALSE(made);
    EXPECT_TRUE(device.Writes().empty());
    return made ? StorageErrorCode::kIoError : made.error().code;
  };
  EXPECT_EQ(code(Target(device, 8 * kMiB), {.fsType = FSTYPE_UDF}), StorageErrorCode::kNotFormattable);
  EXPECT_EQ(code(Target(device, 16 * kMiB), {.fsType = FSTYPE_FAT}), StorageErrorCode::kOutOfRange);
  EXPECT_EQ(code({device, kStart + 1, kMiB}, {.fsType = FSTYPE_FAT}), StorageErrorCode::kMisaligned);
  EXPECT_EQ(code(Target(device, 8 * kMiB), {.fsType = FSTYPE_NTFS}, {.stagingLimit = kMiB}),
            StorageErrorCode::kNoMemory);
  memory.SetReadOnly(true);
  EXPECT_EQ(code(Target(device, 8 * kMiB), {.fsType = FSTYPE_FAT}), StorageErrorCode::kReadOnly);
  EXPECT_EQ(Describe(memory, 8 * kMiB).label, u"OLD");
}

TEST_F(FormatTest, AFullFormatReadsEverySectorAQuickOneDoesNot) {
  const std::uint64_t length = 40 * kMiB;
  MemoryDevice memory = Disk(length);
  WatchedDevice device(memory);
  ASSERT_TRUE(Format(Target(device, length), {.fsType = FSTYPE_FAT, .quick = true}, {}, {}));
  EXPECT_LT(device.readOctets, kMiB);
  device.readOctets = 0;
  ASSERT_TRUE(Format(Target(device, length), {.fsType = FSTYPE_FAT}, {}, {}));
  EXPECT_GE(device.readOctets, length);
  EXPECT_EQ(device.readUpTo, kStart + length) << "a sector that is not the volume's";
}

TEST_F(FormatTest, ASectorThatCannotBeReadFailsAFullFormatAndLeavesTheVolumeRaw) {
  const std::uint64_t length = 40 * kMiB;
  for (const std::uint32_t sector : {512U, 4096U}) {
    for (const std::uint64_t bad : {std::uint64_t{0}, 17 * kMiB + 5 * sector, length - sector}) {
      MemoryDevice memory = Disk(length, sector);
      Make(memory, length, {.fsType = FSTYPE_NTFS, .label = u"OLD"});
      WatchedDevice device(memory);
      device.badRead = kStart + bad;
      const auto made = Format(Target(device, length), {.fsType = FSTYPE_FAT}, {}, {});
      ASSERT_FALSE(made);
      EXPECT_EQ(made.error().code, StorageErrorCode::kBadSector);
      EXPECT_THAT(made.error().message, HasSubstr(fmt::format("the sector at octet {} of", bad)));
      ExpectRaw(memory, length);
      // A quick format does not notice, unless it needs that sector.
      if (bad != 17 * kMiB + 5 * sector) continue;
      const auto quick = Format(Target(device, length), {.fsType = FSTYPE_FAT, .quick = true}, {}, {});
      EXPECT_TRUE(quick) << quick.error().ToString();
    }
  }
}

TEST_F(FormatTest, AWriteThatFailsLeavesTheVolumeRawOrAsItWas) {
  const std::uint64_t length = 8 * kMiB;
  MemoryDevice memory = Disk(length);
  Make(memory, length, {.fsType = FSTYPE_NTFS, .label = u"OLD"});
  WatchedDevice device(memory);
  device.badWrite = kStart + 512;  // the first table of the FAT, and the wipe
  auto made = Format(Target(device, length), {.fsType = FSTYPE_FAT, .quick = true}, {}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, StorageErrorCode::kIoError);
  EXPECT_EQ(Describe(memory, length).type, FileSystemType::kUnknown);
  device.badWrite = kStart + 4 * kMiB;  // in the middle, where mkntfs puts a copy of the MFT
  made = Format(Target(device, length), {.fsType = FSTYPE_NTFS, .quick = true}, {}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, StorageErrorCode::kIoError);
  ExpectRaw(memory, length);
}

TEST_F(FormatTest, ABootSectorThatMayNotLastIsTakenBack) {
  const std::uint64_t length = 8 * kMiB;
  for (const std::int32_t type : {FSTYPE_FAT, FSTYPE_NTFS}) {
    MemoryDevice memory = Disk(length);
    WatchedDevice device(memory);
    device.failsOnceBooted = true;
    const auto made = Format(Target(device, length), {.fsType = type, .quick = true}, {}, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, StorageErrorCode::kIoError);
    ExpectRaw(memory, length);
  }
}

TEST_F(FormatTest, ProgressRisesWithTheWorkTo100) {
  const std::uint64_t length = 200 * kMiB;
  MemoryDevice memory = Disk(length);
  WatchedDevice device(memory);
  std::vector<unsigned> seen;
  std::vector<std::uint64_t> read_at;
  const auto note = [&](unsigned percent) {
    seen.push_back(percent);
    read_at.push_back(device.readOctets);
  };
  ASSERT_TRUE(Format(Target(device, length), {.fsType = FSTYPE_NTFS}, note, {}));
  ASSERT_GE(seen.size(), 90U);
  EXPECT_EQ(seen.front(), 0U);
  EXPECT_EQ(seen.back(), 100U);
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_GT(seen[i], seen[i - 1]);
  // The percentage is that of octets read so far; the writing is the small rest.
  for (std::size_t i = 0; i < seen.size() && seen[i] < 90; ++i) {
    EXPECT_NEAR(static_cast<double>(read_at[i]) / static_cast<double>(length) * 100, seen[i], 4);
  }
  seen.clear();
  ASSERT_TRUE(Format(Target(device, length), {.fsType = FSTYPE_NTFS, .quick = true}, note, {}));
  EXPECT_GE(seen.size(), 3U);
  EXPECT_EQ(seen.back(), 100U);
}

TEST_F(FormatTest, AnAbortStopsAtOnceAndLeavesTheVolumeRaw) {
  const std::uint64_t length = 200 * kMiB;
  for (const unsigned when : {0U, 30U, 97U}) {
    MemoryDevice memory = Disk(length);
    Make(memory, length, {.fsType = FSTYPE_NTFS, .label = u"OLD"});
    WatchedDevice device(memory);
    std::stop_source stop;
    unsigned last = 0;
    const auto made = Format(
        Target(device, length), {.fsType = FSTYPE_NTFS},
        [&](unsigned percent) {
          last = percent;
          if (percent >= when) stop.request_stop();
        },
        stop.get_token());
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, StorageErrorCode::kAborted);
    EXPECT_LE(last, when + 2);
    if (when == 30) {
      EXPECT_LT(device.readOctets, length * 33 / 100);
    }
    ExpectRaw(memory, length);
  }
  // Asked for before the first write: nothing has changed.
  MemoryDevice memory = Disk(length);
  Make(memory, length, {.fsType = FSTYPE_NTFS, .label = u"OLD"});
  std::stop_source stop;
  stop.request_stop();
  const auto made = Format(Target(memory, length), {.fsType = FSTYPE_FAT}, {}, stop.get_token());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, StorageErrorCode::kAborted);
  EXPECT_EQ(Describe(memory, length).label, u"OLD");
}

/// What a reader can say of a volume, in one line.
std::string Seen(const FileSystemDescription& seen) {
  return fmt::format("{} '{}' {}/{} of {}", static_cast<int>(seen.type), ToUtf8(seen.label),
                     seen.availableAllocationUnits, seen.totalAllocationUnits, seen.allocationUnitSize);
}

TEST_F(FormatTest, APowerCutAtAnyWriteLeavesTheOldTheRawOrTheWholeNewVolume) {
  const std::uint64_t length = 8 * kMiB;
  for (const auto& [from, to] : std::vector<std::pair<std::int32_t, std::int32_t>>{
           {FSTYPE_NTFS, FSTYPE_FAT}, {FSTYPE_FAT, FSTYPE_NTFS}, {FSTYPE_NTFS, FSTYPE_NTFS}}) {
    MemoryDevice disk = Disk(length);
    Make(disk, length, {.fsType = from, .label = u"OLD"});
    const std::string before = Seen(Describe(disk, length));
    MemoryDevice target = disk;
    RecordingDevice recorder(target);
    const auto made =
        Format(Target(recorder, length), {.fsType = to, .label = u"NEW", .quick = true}, {}, {});
    ASSERT_TRUE(made) << made.error().ToString();
    const std::string raw = Seen({});
    const std::string after = Seen(*made);
    const auto& writes = recorder.Writes();
    // One sector between the last two barriers: it alone turns raw into new.
    ASSERT_GE(writes.size(), 3U);
    EXPECT_TRUE(writes[writes.size() - 1].barrier);
    EXPECT_EQ(writes[writes.size() - 2].offset, kStart);
    EXPECT_TRUE(writes[writes.size() - 3].barrier);
    // And one that turns old into raw.
    EXPECT_EQ(writes[0].offset, kStart);
    EXPECT_TRUE(writes[1].barrier);
    for (std::size_t i = 0; i < writes.size(); ++i) {
      if (writes[i].barrier) continue;
      disk.Poke(writes[i].offset, writes[i].data);
      ASSERT_EQ(Seen(Describe(disk, length)), i + 2 == writes.size() ? after : raw) << "write " << i;
    }
    EXPECT_NE(before, raw);
  }
}

TEST_F(FormatTest, WithoutMemoryTheProgramWorksOnTheNodeItself) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("format_test.{}", ::getpid());
  const std::uint64_t length = 40 * kMiB;
  for (const std::int32_t type : {FSTYPE_FAT, FSTYPE_FAT32, FSTYPE_NTFS}) {
    auto device = CreateImage(path, {.sizeBytes = length});
    ASSERT_TRUE(device);
    const FormatTarget target{**device, 0, length, 63, path};
    const auto made = Format(target, {.fsType = type, .label = u"HERE"}, {}, {}, {.stagingLimit = 1});
    ASSERT_TRUE(made) << made.error().ToString();
    EXPECT_EQ(made->label, u"HERE");
    RunTool((type == FSTYPE_NTFS ? "ntfsfix -n " : "fsck.fat -n ") + path.string());
    // A program that fails (its node is not there) leaves the volume raw.
    const FormatTarget gone{**device, 0, length, 63, path.string() + ".gone"};
    const auto failed = Format(gone, {.fsType = type, .quick = true}, {}, {}, {.stagingLimit = 1});
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, StorageErrorCode::kToolFailed);
    EXPECT_EQ(BlkidTag(path.string(), "TYPE"), "");
  }
  std::filesystem::remove(path);
}

TEST_F(FormatTest, AnAbortKillsTheProgramThatWorksOnTheNode) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("format_test.{}", ::getpid());
  const std::uint64_t length = 64 * kGiB;
  auto device = CreateImage(path, {.sizeBytes = length});
  ASSERT_TRUE(device);
  // mkntfs has 65 MiB to write, we wiped 2: it is stopped with its boot sector and more in place.
  const FileDescriptor watch(::inotify_init1(IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.Get(), path.c_str(), IN_MODIFY), 0);
  std::stop_source stop;
  std::thread watcher([&] {
    struct stat status{};
    std::array<char, 65536> events{};
    while (status.st_blocks < 16384) {
      pollfd polled{watch.Get(), POLLIN, 0};
      if (::poll(&polled, 1, 20'000) != 1) return;
      if (::read(watch.Get(), events.data(), events.size()) < 0) return;
      if (::stat(path.c_str(), &status) != 0) return;
    }
    stop.request_stop();
  });
  const FormatTarget target{**device, 0, length, 63, path};
  const auto made =
      Format(target, {.fsType = FSTYPE_NTFS, .quick = true}, {}, stop.get_token(), {.stagingLimit = 1});
  watcher.join();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, StorageErrorCode::kAborted) << made.error().ToString();
  EXPECT_EQ(BlkidTag(path.string(), "TYPE"), "");
  EXPECT_EQ((*device)->Read(0, kMiB).value(), Bytes(kMiB)) << "what mkntfs wrote is still there";
  std::filesystem::remove(path);
}

TEST_F(FormatTest, HiddenSectorsCountFromTheBootRecordOfALogicalDrive) {
  const DiskGeometry geometry{.sizeBytes = kTiB, .bytesPerSector = 512};
  EXPECT_EQ(HiddenSectors({.kind = RegionKind::kPrimary, .start = 2048 * 512}, geometry), 2048U);
  EXPECT_EQ(HiddenSectors({.kind = RegionKind::kLogical, .start = 2048 * 512, .ebr = 1985 * 512}, geometry),
            63U);
  EXPECT_EQ(HiddenSectors({.kind = RegionKind::kWhole}, geometry), 0U);
  EXPECT_EQ(HiddenSectors({.kind = RegionKind::kPrimary, .start = 4 * kTiB}, geometry), 0U);
}

}  // namespace
}  // namespace dmrp::server
