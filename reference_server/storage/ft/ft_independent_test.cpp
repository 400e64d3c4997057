// Sets that the harness made, operations on image files and a hive file, and what hivex and libfdisk read
// then: none of it shares code with this folder.
#include "harness/ft/ft_disks.hpp"
#include "harness/ft/ft_record.hpp"
#include "harness/layout/readers.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/storage/ft/ft_test_support.hpp"

#include <filesystem>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server::ft {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kDescription = R"({
  "disks": [{"name": "a", "size": "40M", "signature": 286331153},
            {"name": "b", "size": "40M", "signature": 572662306},
            {"name": "c", "size": "40M", "signature": 858993459},
            {"name": "d", "size": "40M", "signature": 1145324612, "partitions": [{"size": "8M"}, {"size": "9M"}]}],
  "names": "x",
  "sets": [{"type": "mirror", "letter": "E", "filesystem": "ntfs", "state": "orphan",
            "members": [{"disk": "a", "size": "8M"}, {"disk": "b", "size": "8M", "state": "orphaned"}]},
           {"type": "parity", "letter": "F", "filesystem": "ntfs",
            "members": [{"disk": "a", "size": "8M", "logical": true}, {"disk": "b", "size": "8M", "logical": true},
                        {"disk": "c", "size": "9M"}]},
           {"type": "stripe", "members": [{"disk": "b", "size": "1M"}, {"disk": "a", "size": "1M"}]},
           {"type": "volume", "members": [{"disk": "c", "size": "1M"}, {"disk": "a", "size": "2M"}]}]})";

class FtIndependent : public testing::Test {
 protected:
  FtIndependent() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ft_independent.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FtIndependent() override { std::filesystem::remove_all(folder_); }

  void Make(std::string_view description = kDescription) {
    auto made = harness::MakeFtDisks(description, folder_);
    ASSERT_TRUE(made) << made.error().ToString();
    made_ = *std::move(made);
    registry_ = Registry(made_.hive);
    for (const harness::FtDisk& disk : made_.disks) {
      auto device = OpenImage(disk.image.path, {.sizeBytes = disk.image.spec.size}, true);
      ASSERT_TRUE(device) << device.error().ToString();
      devices_.push_back(*std::move(device));
    }
  }
  DiskRegistry Record() {
    auto record = ReadRecord(registry_);
    EXPECT_TRUE(record) << record.error().ToString();
    return record && *record ? **record : DiskRegistry{};
  }
  std::vector<FtDisk> Present() {
    std::vector<FtDisk> present;
    for (const auto& device : devices_) present.push_back({LayoutOf(*device)});
    return present;
  }
  template <typename T>
  void Do(const StorageResult<T>& change) {
    ASSERT_TRUE(change) << change.error().ToString();
    const auto done = Commit(registry_, *change, [&](std::size_t disk) { return devices_[disk].get(); });
    ASSERT_TRUE(done) << done.error().ToString();
    for (const CommittedPartition& partition : *done) {
      EXPECT_TRUE(partition.outcome) << partition.outcome.error().ToString();
    }
    ASSERT_TRUE(devices_[0]->Flush());
  }
  /// What others read in the hive.
  std::string Seen() {
    const auto record = harness::FtRecord::ReadFile(made_.hive);
    EXPECT_TRUE(record && *record);
    if (!record || !*record) return {};
    EXPECT_THAT((*record)->problems, IsEmpty());
    return harness::ToText(**record);
  }
  /// "63 87, ..." as libfdisk reads a disk, in sectors; extended partitions left out.
  std::string Table(std::string_view name) {
    const auto seen = harness::Observe(made_.Find(name)->image.path, 512);
    EXPECT_TRUE(seen);
    EXPECT_THAT(seen->dissents, IsEmpty());
    EXPECT_THAT(seen->layout.problems, IsEmpty());
    std::string text;
    for (const harness::DiskPartition& partition : seen->layout.partitions) {
      if (!partition.IsExtended())
        text += fmt::format("{} {:02x}, ", partition.start / 512, *partition.mbr_type);
    }
    return text;
  }

  std::filesystem::path folder_;
  harness::FtDisks made_;
  Registry registry_;
  std::vector<std::unique_ptr<BlockDevice>> devices_;
};

constexpr std::string_view kRest =
    "parity 0 ok F: [11111111+11598848+8388608 healthy, 22222222+9501696+8388608 healthy, "
    "33333333+32256+9437184 healthy]\n"
    "stripe 0 ok [22222222+8420864+1048576 healthy, 11111111+8420864+1048576 healthy]\n"
    "volume 0 ok [33333333+9469440+1048576 healthy, 11111111+9469440+2097152 healthy]\n";

TEST_F(FtIndependent, SetsOfOthersAreRead) {
  Make();
  EXPECT_EQ(Record().Serialize(), made_.value);
  const FtConfiguration configuration = ReadFtSets(Record(), Present());
  EXPECT_THAT(configuration.unclaimed, IsEmpty());
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < configuration.volumes.size(); ++i) {
    EXPECT_THAT(configuration.volumes[i].problems, IsEmpty());
    EXPECT_EQ(configuration.volumes[i].length, made_.sets[i].length);
    texts.push_back(ToText(configuration.volumes[i]));
  }
  EXPECT_THAT(
      texts,
      ElementsAre("mirror-0 FailedRedundancy 8388608 E [11111111+32256 Healthy 87, "
                  "22222222+32256 Orphaned c7]",
                  "parity-0 Healthy 16777216 F [11111111+11598848 Healthy 87, 22222222+9501696 Healthy 87, "
                  "33333333+32256 Healthy 87]",
                  "stripe-0 Healthy 2097152 - [22222222+8420864 Healthy 87, 11111111+8420864 Healthy 87]",
                  "volume-0 Healthy 3145728 - [33333333+9469440 Healthy 87, 11111111+9469440 Healthy 87]"));
  EXPECT_EQ(Seen(), "mirror 0 orphan E: [11111111+32256+8388608 healthy, 22222222+32256+8388608 orphaned]\n" +
                        std::string(kRest));
}

TEST_F(FtIndependent, BreakingLeavesPlainPartitionsWithTheirData) {
  Make();
  const Bytes first = devices_[0]->Read(32256, 8 << 20).value();
  Do(BreakMirror(Record(), Present(), 0));
  EXPECT_EQ(Seen(), kRest);
  EXPECT_EQ(Table("a"), "63 07, 16447 87, 18495 87, 22654 87, ");
  EXPECT_EQ(Table("b"), "63 07, 16447 87, 18558 87, ");
  EXPECT_EQ(devices_[0]->Read(32256, 8 << 20).value(), first);
  const auto record = harness::FtRecord::ReadFile(made_.hive).value().value();
  EXPECT_EQ(record.FindPartition(0x11111111, 32256)->letter, 'E');
  EXPECT_EQ(record.FindPartition(0x22222222, 32256)->letter, 0);
}

TEST_F(FtIndependent, DeletingTakesPartitionsAndDrives) {
  Make();
  Do(DeleteSet(Record(), Present(), 1));
  EXPECT_EQ(Table("a"), "63 87, 16447 87, 18495 87, ");
  EXPECT_EQ(Table("b"), "63 c7, 16447 87, ");
  EXPECT_EQ(Table("c"), "18495 87, ");
  Do(DeleteSet(Record(), Present(), 0));
  Do(DeleteSet(Record(), Present(), 0));
  Do(DeleteSet(Record(), Present(), 0));
  EXPECT_EQ(Seen(), "");
  for (const auto* name : {"a", "b", "c"}) EXPECT_EQ(Table(name), "");
}

TEST_F(FtIndependent, AMirrorIsResynchronised) {
  Make();
  Do(ResyncMirror(Record(), Present(), 0));
  EXPECT_EQ(Seen(),
            "mirror 0 regenerating E: [11111111+32256+8388608 healthy, "
            "22222222+32256+8388608 regenerating]\n" +
                std::string(kRest));
  EXPECT_EQ(Table("b"), "63 87, 16447 87, 18558 87, ");
  Do(CompleteRebuild(Record(), Present(), 0));
  EXPECT_EQ(Seen(), "mirror 0 ok E: [11111111+32256+8388608 healthy, 22222222+32256+8388608 healthy]\n" +
                        std::string(kRest));
}

TEST_F(FtIndependent, MembersAreReplaced) {
  Make();
  Do(ReplaceMember(Record(), Present(), 0, {3, 32256}));
  EXPECT_EQ(Table("d"), "63 87, 16447 07, ");
  EXPECT_EQ(Table("b"), "16447 87, 18558 87, ");
  EXPECT_EQ(Seen(),
            "mirror 0 regenerating E: [11111111+32256+8388608 healthy, "
            "44444444+32256+8388608 regenerating]\n" +
                std::string(kRest));
  Do(CompleteRebuild(Record(), Present(), 0));
  Do(OrphanMember(Record(), Present(), 1, 1));
  EXPECT_EQ(Table("b"), "16447 87, 18558 c7, ");
  Do(ReplaceMember(Record(), Present(), 1, {3, 32256 + (8 << 20)}));
  EXPECT_EQ(Table("b"), "16447 87, ");
  EXPECT_EQ(Table("d"), "63 87, 16447 87, ");
  Do(RegenerateParityStripe(Record(), Present(), 1));
  Do(CompleteRebuild(Record(), Present(), 1));
  EXPECT_EQ(ReadFtSets(Record(), Present()).volumes[1].status, FtStatus::kHealthy);
  EXPECT_EQ(ReadFtSets(Record(), Present()).volumes[1].length, 16U << 20);
}

}  // namespace
}  // namespace dmrp::server::ft
