#include "reference_server/storage/volume_map.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1048576;

VolumeExtent Extent(const std::string& disk, std::uint64_t sector, std::uint64_t length,
                    ExtentState state = ExtentState::kOnline) {
  return {.device = "/dev/" + disk, .offset = sector * 512, .length = length, .state = state};
}

VolumePlex Concat(VolumeColumn extents) {
  return {.layout = PlexLayout::kConcat, .columns = {std::move(extents)}};
}

VolumeMap Map(std::uint64_t length, std::vector<VolumePlex> plexes) {
  return {.name = "dmrp-g-v", .length = length, .plexes = std::move(plexes)};
}

/// "NAME: LINE; LINE" of each device.
std::vector<std::string> Text(const Result<VolumePlan>& plan) {
  std::vector<std::string> lines;
  if (!plan) return {plan.error().ToString()};
  for (const PlannedDevice& device : *plan) {
    std::string line = device.name + ":";
    for (const MappedTarget& target : device.table) line += " " + target.ToString() + ";";
    lines.push_back(line);
  }
  return lines;
}

/// The plan of a map that has to be refused: "kind: message".
std::string Refusal(const VolumeMap& map) {
  const auto plan = PlanVolume(map);
  return plan ? "accepted" : plan.error().ToString();
}

TEST(VolumeMapTest, ASimpleVolumeIsOneRun) {
  EXPECT_THAT(Text(PlanVolume(Map(5 * kMiB, {Concat({Extent("sdb", 63, 5 * kMiB)})}))),
              ElementsAre("dmrp-g-v: 0 10240 linear /dev/sdb 63;"));
}

TEST(VolumeMapTest, ASpannedVolumeIsItsUnequalExtentsInOrder) {
  EXPECT_THAT(
      Text(PlanVolume(Map(3 * kMiB + 512, {Concat({Extent("sdc", 2048, 2 * kMiB), Extent("sdb", 63, 512),
                                                   Extent("sdb", 100, kMiB)})}))),
      ElementsAre("dmrp-g-v: 0 4096 linear /dev/sdc 2048; 4096 1 linear /dev/sdb 63; "
                  "4097 2048 linear /dev/sdb 100;"));
}

TEST(VolumeMapTest, WhatColumnsHaveBeyondTheVolumeIsNotUsed) {
  EXPECT_THAT(Text(PlanVolume(Map(kMiB, {Concat({Extent("sdb", 63, 2 * kMiB), Extent("sdc", 63, kMiB)})}))),
              ElementsAre("dmrp-g-v: 0 2048 linear /dev/sdb 63;"));
}

TEST(VolumeMapTest, AStripedVolumeHasChunksOf128Sectors) {
  const VolumePlex plex{.layout = PlexLayout::kStripe,
                        .columns = {{Extent("sdb", 63, kMiB)}, {Extent("sdc", 128, kMiB)}}};
  EXPECT_THAT(Text(PlanVolume(Map(2 * kMiB, {plex}))),
              ElementsAre("dmrp-g-v: 0 4096 striped 2 128 /dev/sdb 63 /dev/sdc 128;"));
}

TEST(VolumeMapTest, AColumnOfSeveralExtentsIsADeviceOfItsOwn) {
  const VolumePlex plex{
      .layout = PlexLayout::kStripe,
      .columns = {{Extent("sdb", 63, kMiB), Extent("sdd", 7, kMiB)}, {Extent("sdc", 128, 2 * kMiB)}}};
  const auto text = Text(PlanVolume(Map(4 * kMiB, {plex})));
  ASSERT_EQ(text.size(), 2U);
  EXPECT_THAT(text[0], testing::MatchesRegex("dmrp-g-v\\.p0c0-[0-9a-f]{8}: 0 2048 linear /dev/sdb 63; "
                                             "2048 2048 linear /dev/sdd 7;"));
  const std::string column = text[0].substr(0, text[0].find(':'));
  EXPECT_EQ(text[1], "dmrp-g-v: 0 8192 striped 2 128 @" + column + " 0 /dev/sdc 128;");
}

std::vector<std::string> Names(const std::vector<std::string>& text) {
  std::vector<std::string> names;
  for (const std::string& line : text) names.push_back("@" + line.substr(0, line.find(':')));
  return names;
}

TEST(VolumeMapTest, AMirrorIsARaidOfItsPlexes) {
  const auto text = Text(
      PlanVolume(Map(kMiB, {Concat({Extent("sdb", 63, kMiB)}),
                            Concat({Extent("sdc", 128, 512), Extent("sdd", 1, kMiB)}),
                            {.layout = PlexLayout::kStripe,
                             .columns = {{Extent("sde", 5, kMiB / 2)}, {Extent("sdf", 6, kMiB / 2)}}}})));
  const auto names = Names(text);
  ASSERT_EQ(text.size(), 4U);
  EXPECT_THAT(text[0], HasSubstr(".p0-"));
  EXPECT_THAT(text[0], HasSubstr(": 0 2048 linear /dev/sdb 63;"));
  EXPECT_THAT(text[1], HasSubstr(": 0 1 linear /dev/sdc 128; 1 2047 linear /dev/sdd 1;"));
  EXPECT_THAT(text[2], HasSubstr(": 0 2048 striped 2 128 /dev/sde 5 /dev/sdf 6;"));
  EXPECT_EQ(text[3],
            "dmrp-g-v: 0 2048 raid raid1 1 0 3 #0 " + names[0] + " #1 " + names[1] + " #2 " + names[2] + ";");
}

TEST(VolumeMapTest, MissingAndStalePlexesOfAMirror) {
  VolumeMap map = Map(kMiB, {Concat({Extent("sdb", 63, kMiB)}), Concat({Extent("sdc", 63, kMiB)}),
                             Concat({Extent("sdd", 63, kMiB)})});
  SetMemberExtentState(map, 0, ExtentState::kMissing);
  SetMemberExtentState(map, 2, ExtentState::kStale);
  const auto text = Text(PlanVolume(map));
  const auto names = Names(text);
  ASSERT_EQ(text.size(), 3U);
  EXPECT_EQ(text[2],
            "dmrp-g-v: 0 2048 raid raid1 3 0 rebuild 2 3 - - #1 " + names[0] + " #2 " + names[1] + ";");
  SetMemberExtentState(map, 1, ExtentState::kMissing);
  EXPECT_THAT(Refusal(map), HasSubstr("Unavailable: dmrp-g-v: 3 of its 3 members are missing or stale"));
}

VolumeMap Raid5() {
  return Map(2 * kMiB, {{.layout = PlexLayout::kRaid5,
                         .columns = {{Extent("sdb", 63, kMiB)},
                                     {Extent("sdc", 63, kMiB)},
                                     {Extent("sdd", 63, kMiB / 2), Extent("sde", 9, kMiB / 2)}}}});
}

TEST(VolumeMapTest, Raid5IsLeftSymmetric) {
  const auto text = Text(PlanVolume(Raid5()));
  const auto names = Names(text);
  ASSERT_EQ(text.size(), 4U);
  EXPECT_THAT(text[2], HasSubstr(": 0 1024 linear /dev/sdd 63; 1024 1024 linear /dev/sde 9;"));
  EXPECT_EQ(text[3], "dmrp-g-v: 0 4096 raid raid5_ls 1 128 3 #0 " + names[0] + " #1 " + names[1] + " #2 " +
                         names[2] + ";");
}

TEST(VolumeMapTest, Raid5StandsOneColumnLess) {
  VolumeMap map = Raid5();
  map.plexes[0].columns[2][1].state = ExtentState::kMissing;
  auto text = Text(PlanVolume(map));
  auto names = Names(text);
  ASSERT_EQ(text.size(), 3U);
  EXPECT_EQ(text[2], "dmrp-g-v: 0 4096 raid raid5_ls 1 128 3 #0 " + names[0] + " #1 " + names[1] + " - -;");
  SetMemberExtentState(map, 2, ExtentState::kStale);
  text = Text(PlanVolume(map));
  names = Names(text);
  EXPECT_EQ(text[3], "dmrp-g-v: 0 4096 raid raid5_ls 3 128 rebuild 2 3 #0 " + names[0] + " #1 " + names[1] +
                         " #2 " + names[2] + ";");
  SetMemberExtentState(map, 0, ExtentState::kMissing);
  EXPECT_THAT(Refusal(map), HasSubstr("2 of its 3 members are missing or stale"));
}

TEST(VolumeMapTest, WhatHasNoRedundancyNeedsAllItsParts) {
  EXPECT_THAT(
      Refusal(
          Map(2 * kMiB, {Concat({Extent("sdb", 63, kMiB), Extent("sdc", 63, kMiB, ExtentState::kMissing)})})),
      HasSubstr("Unavailable"));
}

TEST(VolumeMapTest, ThePartsNameChangesWithItsPlace) {
  const auto names = [](std::uint64_t sector) {
    return Names(Text(
        PlanVolume(Map(kMiB, {Concat({Extent("sdb", sector, kMiB)}), Concat({Extent("sdc", 63, kMiB)})}))));
  };
  EXPECT_NE(names(63)[0], names(64)[0]);
  EXPECT_EQ(names(63)[1], names(64)[1]);
}

TEST(VolumeMapTest, RefusesWhatContradictsItself) {
  const auto simple = [](VolumeExtent extent, std::uint64_t length) {
    return Refusal(Map(length, {Concat({std::move(extent)})}));
  };
  EXPECT_EQ(simple(Extent("sdb", 63, kMiB), kMiB), "accepted");
  EXPECT_THAT(simple(Extent("sdb", 63, kMiB), kMiB + 512), HasSubstr("has 1048576 of the 1049088 octets"));
  EXPECT_THAT(simple(Extent("sdb", 63, kMiB), kMiB - 1), HasSubstr("no number of sectors"));
  EXPECT_THAT(simple(Extent("sdb", 63, kMiB), 0), HasSubstr("no number of sectors"));
  EXPECT_THAT(simple(Extent("sd b", 63, kMiB), kMiB), HasSubstr("no device node"));
  EXPECT_THAT(simple({.device = "sdb", .offset = 0, .length = kMiB}, kMiB), HasSubstr("no device node"));
  EXPECT_THAT(simple({.device = "/dev/sdb", .offset = 1, .length = kMiB}, kMiB),
              HasSubstr("at 1 of /dev/sdb"));
  EXPECT_THAT(simple({.device = "/dev/sdb", .offset = UINT64_MAX - 511, .length = kMiB}, kMiB),
              HasSubstr("extent of"));
  EXPECT_THAT(Refusal(Map(kMiB, {})), HasSubstr("0 plexes"));
  EXPECT_THAT(Refusal(Map(kMiB, {{.layout = PlexLayout::kConcat, .columns = {}}})), HasSubstr("one column"));
  EXPECT_THAT(Refusal(Map(kMiB, {{.layout = PlexLayout::kStripe, .columns = {{Extent("sdb", 0, kMiB)}}}})),
              HasSubstr("1 columns, 2 to 32"));
  EXPECT_THAT(Refusal(Map(kMiB, {{.layout = PlexLayout::kRaid5, .columns = {}}})), HasSubstr("0 columns"));
  VolumeMap raid = Raid5();
  raid.length -= 512;
  EXPECT_THAT(Refusal(raid), HasSubstr("no multiple of 2 chunks of 65536 octets"));
  raid = Raid5();
  raid.plexes[0].stripeSize = 3 * 65536;
  EXPECT_THAT(Refusal(raid), HasSubstr("chunks of"));
  raid = Raid5();
  raid.plexes.push_back(Concat({Extent("sdx", 0, 2 * kMiB)}));
  EXPECT_THAT(Refusal(raid), HasSubstr("Unsupported"));
  for (const std::string name : {"", "a.b", "a/b", "a b"}) {
    VolumeMap map = Map(kMiB, {Concat({Extent("sdb", 63, kMiB)})});
    map.name = name;
    EXPECT_THAT(Refusal(map), HasSubstr("no name")) << name;
  }
}

TEST(VolumeDeviceNameTest, HoldsWhatDeviceMapperAllows) {
  EXPECT_EQ(VolumeDeviceName("Red-nzv8Dg0", "Volume1"), "dmrp-Red=2dnzv8Dg0-Volume1");
  EXPECT_EQ(VolumeDeviceName("a.b/c", "v\xc3\xa4 1"), "dmrp-a=2eb=2fc-v=c3=a4=201");
  EXPECT_NE(VolumeDeviceName("a-b", "c"), VolumeDeviceName("a", "b-c"));
  const std::string first = VolumeDeviceName(std::string(200, '/'), "Volume1");
  const std::string second = VolumeDeviceName(std::string(200, '/'), "Volume2");
  EXPECT_LE(first.size() + 16, kMaxMapperName);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace dmrp::server
