#include "harness/layout/readers.hpp"

#include "harness/layout/test_images.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::uint64_t kMiB = 1 << 20;

class Readers : public ImageTest {
 protected:
  LayoutObservation Seen(const std::filesystem::path& image, std::uint32_t sector_bytes = 512) {
    auto observed = Observe(image, sector_bytes);
    if (!observed) {
      ADD_FAILURE() << observed.error().ToString();
      return {};
    }
    return *observed;
  }
};

TEST_F(Readers, AgreeOnAnMbrDiskWithLogicalDrives) {
  const LayoutObservation seen = Seen(MbrDisk());
  EXPECT_THAT(seen.dissents, IsEmpty());
  EXPECT_THAT(seen.witnesses, SizeIs(2));
  EXPECT_EQ(seen.layout.style, TableStyle::kMbr);
  EXPECT_EQ(seen.layout.signature, 0x12345678U);
  EXPECT_EQ(seen.layout.size_bytes, 64 * kMiB);
  ASSERT_THAT(seen.layout.partitions, SizeIs(4));
  const DiskPartition primary{
      .number = 1, .start = 63 * 512, .length = 20000 * 512, .mbr_type = 0x07, .active = true};
  EXPECT_EQ(seen.layout.partitions[0], primary);
  const DiskPartition extended{.number = 2, .start = 20480 * 512, .length = 60000 * 512, .mbr_type = 0x05};
  EXPECT_EQ(seen.layout.partitions[1], extended);
  const DiskPartition drive{
      .number = 5, .start = 20543 * 512, .length = 8000 * 512, .mbr_type = 0x06, .logical = true};
  EXPECT_EQ(*seen.layout.Find(5), drive);
  EXPECT_EQ(seen.layout.Find(6)->mbr_type, 0x0B);
}

TEST_F(Readers, AgreeOnAGptDisk) {
  const LayoutObservation seen = Seen(GptDisk());
  EXPECT_THAT(seen.dissents, IsEmpty());
  EXPECT_THAT(seen.witnesses, SizeIs(2));
  EXPECT_EQ(seen.layout.style, TableStyle::kGpt);
  EXPECT_EQ(seen.layout.disk_guid->ToString(), "11111111-2222-3333-4444-555555555555");
  EXPECT_EQ(seen.layout.signature, std::nullopt);
  ASSERT_THAT(seen.layout.partitions, SizeIs(2));
  const DiskPartition data{.number = 1,
                           .start = 2048 * 512,
                           .length = 16384 * 512,
                           .gpt_type = *Guid::Parse("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
                           .guid = *Guid::Parse("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
                           .attributes = 0x8000000000000001,
                           .name = "Däta"};
  EXPECT_EQ(seen.layout.partitions[0], data);
  EXPECT_EQ(seen.layout.partitions[1].number, 3U);
  EXPECT_THAT(seen.layout.problems, IsEmpty());
}

TEST_F(Readers, SeeNoTableOnABlankDisk) {
  const LayoutObservation seen = Seen(Blank(8 * kMiB));
  EXPECT_EQ(seen.layout.style, TableStyle::kNone);
  EXPECT_THAT(seen.layout.partitions, IsEmpty());
  EXPECT_THAT(seen.dissents, IsEmpty());
}

TEST_F(Readers, CountIn4096ByteSectorsOnAnMbrDisk) {
  const auto image = Blank(64 * kMiB);
  Shell(image, R"(printf 'o\nn\np\n1\n\n+8M\nn\ne\n2\n\n+32M\nn\nl\n\n+4M\nw\n' | fdisk -b 4096 "$DISK")");
  const LayoutObservation seen = Seen(image, 4096);
  EXPECT_THAT(seen.dissents, IsEmpty());
  EXPECT_THAT(seen.witnesses, SizeIs(1));
  ASSERT_THAT(seen.layout.partitions, SizeIs(3));
  EXPECT_EQ(seen.layout.partitions[0].length, 8 * kMiB);
  EXPECT_EQ(seen.layout.partitions[0].start % kMiB, 0U);
  EXPECT_EQ(seen.layout.partitions[2].number, 5U);
  EXPECT_EQ(seen.layout.partitions[2].length, 4 * kMiB);
}

TEST_F(Readers, CountIn4096ByteSectorsOnAGptDisk) {
  const auto image = Blank(64 * kMiB);
  Shell(image, R"(printf 'g\nn\n1\n\n+8M\nw\n' | fdisk -b 4096 "$DISK")");
  const LayoutObservation seen = Seen(image, 4096);
  EXPECT_THAT(seen.dissents, IsEmpty());
  ASSERT_THAT(seen.layout.partitions, SizeIs(1));
  EXPECT_EQ(seen.layout.partitions[0].length, 8 * kMiB);
  EXPECT_EQ(Seen(image, 512).layout.style, TableStyle::kMbr)
      << "only the protective MBR fits the wrong sector size";
}

TEST_F(Readers, ReadASparseGptDiskOf3TiB) {
  const auto image = Blank(std::uint64_t{3} << 40);
  Shell(image, R"(sgdisk -n 1:2048:0 -t 1:0700 "$DISK")");
  const LayoutObservation seen = Seen(image);
  EXPECT_THAT(seen.dissents, IsEmpty());
  ASSERT_THAT(seen.layout.partitions, SizeIs(1));
  EXPECT_GT(seen.layout.partitions[0].length, std::uint64_t{2} << 40);
}

TEST_F(Readers, ReportADamagedPrimaryGptHeaderAndReadTheBackup) {
  const auto image = GptDisk();
  Poke(image, 512 + 56, {0xFF});  // the disk GUID, so that the CRC is wrong
  const LayoutObservation seen = Seen(image);
  EXPECT_THAT(seen.layout.partitions, SizeIs(2));
  EXPECT_THAT(seen.layout.problems, Contains(HasSubstr("corrupt")));
  ASSERT_THAT(seen.witnesses, SizeIs(2));
  EXPECT_THAT(seen.witnesses[1].problems, Not(IsEmpty())) << "sgdisk too";
}

TEST_F(Readers, ReportOverlappingPartitions) {
  const auto image = MbrDisk();
  Poke(image, 446 + 8, {0x00, 0x51, 0x00, 0x00});  // partition 1 now starts at LBA 20736, in partition 2
  EXPECT_THAT(Seen(image).layout.problems, Contains(HasSubstr("overlaps")));
}

TEST_F(Readers, SurviveAnExtendedChainThatLoops) {
  const auto image = MbrDisk();
  Poke(image, 20480 * 512 + 446 + 16 + 8, {0, 0, 0, 0});  // the link back to the first EBR
  const auto observed = Observe(image, 512);
  ASSERT_TRUE(observed.has_value());
  EXPECT_NE(observed->layout.Find(1), nullptr);
}

TEST_F(Readers, SeeNoTableWithoutABootSignature) {
  const auto image = MbrDisk();
  Poke(image, 510, {0, 0});
  EXPECT_EQ(Seen(image).layout.style, TableStyle::kNone);
}

TEST_F(Readers, RefuseWhatIsNoRawImage) {
  const auto image = folder() / "disk.qcow2";
  Shell(image, R"(qemu-img create -q -f qcow2 "$DISK" 8M)");
  const auto observed = Observe(image, 512);
  ASSERT_FALSE(observed.has_value());
  EXPECT_EQ(observed.error().kind, ErrorKind::kUnsupported);
  EXPECT_THAT(observed.error().message, HasSubstr("qcow2"));
}

TEST_F(Readers, RefuseASectorSizeThatIsNone) {
  for (const std::uint32_t size : {0U, 500U, 8192U}) {
    const auto observed = Observe(Blank(8 * kMiB), size);
    ASSERT_FALSE(observed.has_value()) << size;
    EXPECT_EQ(observed.error().kind, ErrorKind::kUsage);
  }
}

TEST_F(Readers, SayThatAnImageIsMissing) {
  const auto observed = Observe(folder() / "none.img", 512);
  ASSERT_FALSE(observed.has_value());
  EXPECT_EQ(observed.error().kind, ErrorKind::kSystem);
}

TEST_F(Readers, SgdiskAndPartedLeaveOtherSectorSizesToTheLibraries) {
  const auto image = Blank(8 * kMiB);
  for (const LayoutReader reader : {LayoutReader::kSgdisk, LayoutReader::kParted}) {
    const auto layout = ReadLayout(reader, image, 4096);
    ASSERT_FALSE(layout.has_value());
    EXPECT_EQ(layout.error().kind, ErrorKind::kUnsupported);
  }
}

TEST_F(Readers, WriteTheirAccountsForTheHistory) {
  const nlohmann::json json = ToJson(Seen(MbrDisk()));
  EXPECT_EQ(json["layout"]["style"], "MBR");
  EXPECT_EQ(json["layout"]["signature"], "0x12345678");
  EXPECT_EQ(json["layout"]["partitions"][0]["type"], "0x07");
  EXPECT_EQ(json["layout"]["partitions"][0]["active"], true);
  EXPECT_EQ(json["witnesses"].size(), 2U);
  EXPECT_EQ(json["dissents"], nlohmann::json::array());
}

TEST(RunProgram, EndsAProgramThatOutlivesItsDeadline) {
  const auto output = internal::RunProgram({"sleep", "60"}, std::chrono::milliseconds(50));
  ASSERT_FALSE(output.has_value());
  EXPECT_EQ(output.error().kind, ErrorKind::kTimeout);
}

TEST(RunProgram, TellsStatusAndBothOutputs) {
  const auto output = internal::RunProgram({"sh", "-c", "echo out; echo err >&2; exit 3"});
  ASSERT_TRUE(output.has_value());
  EXPECT_EQ(output->exit_status, 3);
  EXPECT_EQ(output->out, "out\n");
  EXPECT_EQ(output->err, "err\n");
  EXPECT_FALSE(internal::RunProgram({"/nonexistent/program"}).has_value());
}

}  // namespace
}  // namespace dmrp::harness
