// What is written here, in the eyes of ldmtool (libldm), which shares no code with it.
#include "reference_server/storage/ldm/ldm_test_support.hpp"

#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace dmrp::server::ldm {
namespace {

using nlohmann::json;

/// Scans the disks and shows the group, each of its volumes and each of its disks.
struct Seen {
  json group;
  std::map<std::string, json> volumes;
  std::map<std::string, json> disks;
};

Seen ReadWithLdmtool(const Disks& disks) {
  std::deque<ScratchImage> images;
  std::string devices;
  for (const MemoryDevice& disk : disks) {
    images.emplace_back(disk);
    devices += " -d " + images.back().Path().string();
  }
  const auto run = [&](const std::string& command) {
    // On stderr it tells that it took image files to have sectors of 512 octets.
    const std::string answer = RunTool("sh -c 'ldmtool" + devices + " " + command + " 2>/dev/null'");
    json parsed = json::parse(answer, nullptr, false);
    if (parsed.is_discarded()) {
      ADD_FAILURE() << command << ": " << answer;
      return json::object();
    }
    return parsed;
  };
  Seen seen;
  const json groups = run("scan");
  if (groups.size() != 1) {
    ADD_FAILURE() << groups.dump();
    return seen;
  }
  const std::string guid = groups.front();
  seen.group = run("show diskgroup " + guid);
  for (const std::string volume : seen.group.value("volumes", json::array())) {
    seen.volumes[volume] = run(fmt::format("show volume {} {}", guid, volume));
  }
  for (const std::string disk : seen.group.value("disks", json::array())) {
    seen.disks[disk] = run(fmt::format("show disk {} {}", guid, disk));
  }
  return seen;
}

class LdmToolTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v ldmtool > /dev/null") != 0) GTEST_SKIP() << "ldmtool is not installed";
  }
};

TEST_F(LdmToolTest, AGroupOfEveryKindOfVolumeReadsAsItWasMade) {
  for (const Convention convention : {Convention::k2003, Convention::k2008}) {
    Disks disks = MakeGroup({{}, {.gpt = true}, {}, {.sizeBytes = 30 * kMiB}}, convention);
    auto group = DiskGroup::Load(OpenAll(disks));
    ASSERT_TRUE(group) << group.error().ToString();
    Database next = group->Current();
    std::vector<ObjectId> ids;
    for (const DiskRecord& disk : next.disks) ids.push_back(disk.id);
    AddVolume(next, VolumeShape::kConcat, {ids[0]}, 0, 2048);
    AddVolume(next, VolumeShape::kConcat, {ids[2], ids[1]}, 4096, 2048);
    ASSERT_TRUE(group->Commit(next));
    next = group->Current();
    AddVolume(next, VolumeShape::kStripe, {ids[0], ids[1], ids[3]}, 8192, 1280);
    AddVolume(next, VolumeShape::kMirror, {ids[2], ids[3]}, 12288, 2048);
    AddVolume(next, VolumeShape::kRaid5, {ids[3], ids[2], ids[1]}, 16384, 1280);
    next.volumes.back().hint = "R:";
    ASSERT_TRUE(group->Commit(next));

    const Seen seen = ReadWithLdmtool(disks);
    EXPECT_EQ(seen.group["name"], "TestDg0");
    EXPECT_EQ(seen.group["guid"], next.group.guid.ToString());
    EXPECT_FALSE(seen.group.contains("missing"));
    ASSERT_EQ(seen.disks.size(), 4U);
    for (const DiskRecord& disk : next.disks) {
      const Member* member = group->MemberOf(disk.id);
      const json& shown = seen.disks.at(disk.name);
      EXPECT_EQ(shown["guid"], disk.guid.ToString());
      EXPECT_EQ(shown["present"], true);
      EXPECT_EQ(shown["data-start"], member->header.publicStart);
      EXPECT_EQ(shown["data-size"], member->header.publicSize);
      EXPECT_EQ(shown["metadata-start"], member->header.privateStart);
      EXPECT_EQ(shown["metadata-size"], member->header.privateSize);
    }
    std::string text;
    for (const auto& [name, volume] : seen.volumes) {
      text +=
          fmt::format("{} {} {} {} {} {}\n", name, volume.value("type", ""), volume.value("size", 0),
                      volume.value("chunk-size", 0), volume.value("hint", ""), volume["partitions"].dump());
    }
    EXPECT_EQ(text,
              "Raid1 RAID5 2560 128 R: [\"Disk4-03\",\"Disk3-03\",\"Disk2-03\"]\n"
              "Stripe1 striped 3840 128  [\"Disk1-02\",\"Disk2-02\",\"Disk4-01\"]\n"
              "Volume1 simple 2048 0  [\"Disk1-01\"]\n"
              "Volume2 spanned 4096 0  [\"Disk3-01\",\"Disk2-01\"]\n"
              "Volume3 mirrored 2048 0  [\"Disk3-02\",\"Disk4-02\"]\n");
    EXPECT_EQ(seen.volumes.size(), 5U);
  }
}

TEST_F(LdmToolTest, VolumesThatGoAreGone) {
  Disks disks = MakeGroup({{}, {}});
  auto group = DiskGroup::Load(OpenAll(disks));
  Database next = group->Current();
  const ObjectId disk = next.disks.front().id;
  const ObjectId first = AddVolume(next, VolumeShape::kConcat, {disk}, 0, 2048);
  AddVolume(next, VolumeShape::kConcat, {disk}, 4096, 2048);
  ASSERT_TRUE(group->Commit(next));
  next = group->Current();
  next.EraseVolume(first);
  ASSERT_TRUE(group->Commit(next));
  const Seen seen = ReadWithLdmtool(disks);
  EXPECT_EQ(seen.volumes.size(), 1U);
  EXPECT_TRUE(seen.volumes.contains("Volume2"));
}

TEST_F(LdmToolTest, ARecoveredGroupReadsAgain) {
  Disks disks = MakeGroup({{}, {}});
  std::vector<JournalEntry> journal;
  {
    Disks scratch = disks;
    std::deque<JournalDevice> devices;
    std::vector<Member> members;
    for (MemoryDevice& disk : scratch) {
      devices.emplace_back(disk, devices.size(), journal);
      members.push_back(Opened(devices.back()));
    }
    auto group = DiskGroup::Load(members);
    Database next = group->Current();
    AddVolume(next, VolumeShape::kMirror, {next.disks[0].id, next.disks[1].id}, 0, 2048);
    ASSERT_TRUE(group->Commit(next));
  }
  for (const std::size_t cut : {journal.size() / 4, journal.size() * 3 / 4}) {
    Disks crashed = disks;
    for (std::size_t i = 0; i < cut; ++i) {
      if (!journal[i].barrier) crashed[journal[i].disk].Poke(journal[i].offset, journal[i].data);
    }
    const auto group = DiskGroup::Load(OpenAll(crashed));
    ASSERT_TRUE(group) << group.error().ToString();
    EXPECT_EQ(ReadWithLdmtool(crashed).volumes.size(), group->Current().volumes.size());
  }
}

}  // namespace
}  // namespace dmrp::server::ldm
