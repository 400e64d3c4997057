#include "harness/ft/ft_disks.hpp"

#include "harness/ft/ft_record.hpp"
#include "harness/ft/ft_volume.hpp"
#include "harness/layout/readers.hpp"
#include "harness/layout/volume_pattern.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::harness {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kTwoSets = R"({
  "disks": [{"name": "a", "size": "40M", "signature": 286331153, "partitions": [{"size": "1M", "letter": "C"}]},
            {"name": "b", "size": "40M", "signature": 572662306},
            {"name": "c", "size": "40M", "signature": 858993459}],
  "sets": [{"type": "mirror", "letter": "E", "filesystem": "ntfs", "label": "MIR",
            "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size": "8M", "state": "orphaned"}]},
           {"type": "parity", "letter": "F", "filesystem": "fat", "state": "orphan",
            "members": [{"disk": "a", "size": "8M", "logical": true}, {"disk": "b", "size": "8M", "logical": true},
                        {"disk": "c", "size": "9M"}]}]})";

class FtDisksTest : public testing::Test {
 protected:
  FtDisksTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ft_disks_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FtDisksTest() override { std::filesystem::remove_all(folder_); }

  FtDisks Make(std::string_view description) {
    auto made = MakeFtDisks(description, folder_);
    EXPECT_TRUE(made) << made.error().ToString();
    return made ? *std::move(made) : FtDisks{};
  }
  FtRecord Read(const std::filesystem::path& hive) {
    auto record = FtRecord::ReadFile(hive);
    EXPECT_TRUE(record) << record.error().ToString();
    return record && *record ? **std::move(record) : FtRecord{};
  }

  std::filesystem::path folder_;
};

TEST_F(FtDisksTest, TheRecordReadsAsItWasDescribed) {
  const FtDisks made = Make(kTwoSets);
  const FtRecord record = Read(made.hive);
  EXPECT_THAT(record.problems, IsEmpty());
  EXPECT_THAT(record.disks, ElementsAre(0x11111111U, 0x22222222U, 0x33333333U));
  EXPECT_EQ(ToText(record),
            "mirror 0 ok E: [11111111+32256+8388608 healthy, 22222222+32256+8388608 orphaned]\n"
            "parity 0 orphan F: [11111111+9501696+8388608 healthy, 22222222+8453120+8388608 healthy, "
            "33333333+32256+9437184 healthy]\n");
  const FtRecordPartition* plain = record.FindPartition(0x11111111, 32256 + 8388608);
  ASSERT_NE(plain, nullptr);
  EXPECT_EQ(plain->ft_type, 4U);
  EXPECT_EQ(plain->letter, 'C');
  EXPECT_EQ(plain->number, 2);
}

TEST_F(FtDisksTest, TheTablesAreSoundAndCarryTheBits) {
  for (const std::uint32_t sector : {512U, 4096U}) {
    std::string description(kTwoSets);
    if (sector != 512) {
      for (std::size_t at = 0; (at = description.find("\"40M\"", at)) != std::string::npos; at += 5) {
        description.insert(at + 5, fmt::format(", \"sector\": {}", sector));
      }
      description.replace(description.find("\"fat\""), 5, "\"ntfs\"");
    }
    const FtDisks made = Make(description);
    ASSERT_THAT(made.disks, SizeIs(3));
    for (const FtMadeSet& set : made.sets) {
      for (const FtMadeMember& member : set.members) {
        const FtDisk* disk = made.Find(member.disk);
        ASSERT_NE(disk, nullptr);
        EXPECT_EQ(disk->image.spec.logical_sector, sector);
        const auto seen = Observe(disk->image.path, sector);
        ASSERT_TRUE(seen) << seen.error().ToString();
        EXPECT_THAT(seen->dissents, IsEmpty());
        EXPECT_THAT(seen->layout.problems, IsEmpty());
        EXPECT_EQ(seen->layout.signature, disk->signature);
        const DiskPartition* partition = seen->layout.FindAt(member.start);
        ASSERT_NE(partition, nullptr) << ToText(seen->layout);
        EXPECT_EQ(partition->length, member.length);
        EXPECT_EQ(partition->mbr_type, member.type);
      }
    }
    EXPECT_EQ(made.sets[0].members[0].type, 0x87);
    EXPECT_EQ(made.sets[0].members[1].type, 0xC7);
  }
}

TEST_F(FtDisksTest, ARecordGoesIntoAHiveThatHasOtherThings) {
  const FtDisks made = Make(kTwoSets);
  const auto hive = folder_ / "system";
  ASSERT_TRUE(PutFtRecord(hive, made.value));
  const auto shell = [&](const std::string& commands) {
    const std::string command = fmt::format("printf '{}' | hivexsh -w '{}' 2>&1", commands, hive.string());
    std::string output;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::array<char, 4096> part{};
    while (const auto count = std::fread(part.data(), 1, part.size(), pipe))
      output.append(part.data(), count);
    EXPECT_EQ(::pclose(pipe), 0) << output;
    return output;
  };
  shell("add Select\\ncd Select\\nsetval 1\\nCurrent\\ndword:1\\ncommit\\n");
  const FtDisks other = Make(R"({"disks": [{"name": "x", "size": "4M"}], "sets": []})");
  ASSERT_TRUE(PutFtRecord(hive, other.value));
  EXPECT_THAT(Read(hive).sets, IsEmpty());
  EXPECT_THAT(shell("ls\\n"), HasSubstr("Select"));
}

TEST_F(FtDisksTest, AHiveWithoutARecordIsNoError) {
  const FtDisks made = Make(kTwoSets);
  const auto hive = folder_ / "system";
  ASSERT_TRUE(PutFtRecord(hive, made.value));
  ASSERT_EQ(
      std::system(
          fmt::format("printf 'cd DISK\\nsetval 0\\ncommit\\n' | hivexsh -w '{}'", hive.string()).c_str()),
      0);
  const auto record = FtRecord::ReadFile(hive);
  ASSERT_TRUE(record) << record.error().ToString();
  EXPECT_FALSE(*record);
  std::ofstream(folder_ / "text") << "no hive";
  EXPECT_FALSE(FtRecord::ReadFile(folder_ / "text"));
}

TEST_F(FtDisksTest, ContradictionsAreNamed) {
  const auto problems = [&](std::string_view patch) {
    std::string description(kTwoSets);
    description.insert(description.rfind('}'), fmt::format(R"(, "patch": {})", patch));
    return Read(Make(description).hive).problems;
  };
  EXPECT_THAT(problems(R"({"0": "04"})"), ElementsAre(HasSubstr("version")));
  // The third disk's partition says that it is no member (its FtType; 44 + 4 + 8+3*52 + 8+2*52 + 8).
  EXPECT_THAT(problems(R"({"332": "04"})"), testing::Contains(HasSubstr("is not what its partition says")));
  EXPECT_THAT(FtRecord::Decode(Bytes(20)).error().message, HasSubstr("no header"));
}

TEST_F(FtDisksTest, TheDataOfASetIsReadAndWrittenThroughItsMembers) {
  for (const std::string kind : {"mirror", "stripe", "parity", "volume"}) {
    const std::string third = kind == "mirror" ? "" : R"(, {"disk": "c", "size": 4259840})";
    const FtDisks made = Make(fmt::format(R"({{
        "disks": [{{"name": "a", "size": "24M"}}, {{"name": "b", "size": "24M"}}, {{"name": "c", "size": "24M"}}],
        "sets": [{{"type": "{}", "filesystem": "ntfs", "label": "{}",
                   "members": [{{"disk": "a", "size": "4M"}}, {{"disk": "b", "size": "4M"}}{}]}}]}})",
                                          kind, kind, third));
    const FtRecord record = Read(made.hive);
    ASSERT_NE(record.Find(kind), nullptr);
    std::map<std::uint32_t, std::filesystem::path> images;
    for (const FtDisk& disk : made.disks) images[disk.signature] = disk.image.path;
    const FtVolumeView view = AsVolume(*record.Find(kind), images);
    EXPECT_EQ(view.volume.size, made.sets[0].length);
    // The file system that the maker laid across the members is whole for another one's arithmetic.
    auto members = VolumeMembers::Open(view.group, view.volume, /*writable=*/true);
    ASSERT_TRUE(members) << members.error().ToString();
    const auto octets = members->Read(0, view.volume.size);
    ASSERT_TRUE(octets) << octets.error().ToString();
    const auto whole = folder_ / (kind + ".whole");
    std::ofstream(whole, std::ios::binary)
        .write(reinterpret_cast<const char*>(octets->data()), static_cast<std::streamsize>(octets->size()));
    EXPECT_EQ(std::system(fmt::format("ntfsfix -n '{}' > /dev/null", whole.string()).c_str()), 0) << kind;
    EXPECT_THAT(*members->CheckMirrorLegsEqual(), IsEmpty());
    EXPECT_THAT(*members->CheckParity(), IsEmpty());
    const VolumePattern pattern{.seed = 7};
    ASSERT_TRUE(pattern.Write(AccessTo(*members), 0, view.volume.size / VolumePattern::kBlock));
    EXPECT_THAT(*members->CheckParity(), IsEmpty());
    EXPECT_THAT(*pattern.Check(AccessTo(*members), 0, view.volume.size / VolumePattern::kBlock), IsEmpty());
    if (kind == "mirror" || kind == "parity") {
      images.erase(made.Find("b")->signature);
      const FtVolumeView half = AsVolume(*record.Find(kind), images);
      auto rest = VolumeMembers::Open(half.group, half.volume);
      ASSERT_TRUE(rest);
      EXPECT_THAT(*pattern.Check(AccessTo(*rest), 0, 4096), IsEmpty());
    }
  }
}

TEST_F(FtDisksTest, MembersThatAreNotHealthyAreMissingUnlessAskedFor) {
  const FtDisks made = Make(kTwoSets);
  const FtRecord record = Read(made.hive);
  const std::map<std::uint32_t, std::filesystem::path> images{{0x11111111, made.disks[0].image.path},
                                                              {0x22222222, made.disks[1].image.path}};
  ASSERT_NE(record.Find("mirror"), nullptr);
  EXPECT_FALSE(AsVolume(*record.Find("mirror"), images).volume.plexes.at(1).extents.at(0).start);
  EXPECT_EQ(AsVolume(*record.Find("mirror"), images, FtMembers::kAll).volume.plexes.at(1).extents.at(0).start,
            32256U);
}

TEST_F(FtDisksTest, AnImpossibleDescriptionIsRefused) {
  const auto made = MakeFtDisks(R"({"disks": [{"name": "a", "size": "4M"}],
      "sets": [{"type": "volume", "members": [{"disk": "a", "size": "8M"}]}]})",
                                folder_);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("a: the partitions need"));
}

}  // namespace
}  // namespace dmrp::harness
