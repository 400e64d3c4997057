// Volumes in a guest, on real disks: where their octets lie, and what becomes of them when members fail,
// come and go. The images of the disks are read on the host.
#include "reference_server/storage/volume_device_test_support.hpp"

#include <cerrno>

namespace dmrp::server {
namespace {

using testing::HasSubstr;

class VolumeDeviceTest : public VolumeTest {};

std::vector<Json> AllLayouts(const std::vector<harness::AttachedDisk>& disks, auto extent, auto plex,
                             auto concat, auto map) {
  // Odd starts, as on MBR disks of Windows 2003; volumes lie side by side on the disks.
  Json stripe =
      plex("stripe", std::vector<Json>{extent(disks[0], 8 * 511, kMiB), extent(disks[1], 8 * 511, kMiB),
                                       extent(disks[2], 8 * 511, kMiB)});
  stripe["columns"][1] = {extent(disks[1], 8 * 511, 16 * kChunk / 2),
                          extent(disks[3], 8 * 511, 16 * kChunk / 2)};
  return {
      map("simple", 2 * kMiB,
          std::vector<Json>{concat(std::vector<Json>{extent(disks[0], 16384 + 8, 2 * kMiB)})}),
      map("spanned", 2 * kMiB,
          std::vector<Json>{concat(std::vector<Json>{extent(disks[1], 16384 + 8, kMiB + 12288),
                                                     extent(disks[0], 24576, 8192),
                                                     extent(disks[2], 16384, kMiB - 20480)})}),
      map("striped", 3 * kMiB, std::vector<Json>{stripe}),
      map("mirrored", kMiB,
          std::vector<Json>{
              concat(std::vector<Json>{extent(disks[0], 26624, kMiB)}),
              concat(std::vector<Json>{extent(disks[1], 26624, 8192), extent(disks[2], 26624, kMiB - 8192)}),
              plex("stripe",
                   std::vector<Json>{extent(disks[3], 26624, kMiB / 2), extent(disks[4], 26624, kMiB / 2)})}),
      map("raid5", 3 * 20 * kChunk,
          std::vector<Json>{plex("raid5", std::vector<Json>{extent(disks[0], 32768 + 8, 20 * kChunk),
                                                            extent(disks[1], 32768, 20 * kChunk),
                                                            extent(disks[2], 32768, 20 * kChunk),
                                                            extent(disks[4], 32768, 20 * kChunk)})}),
  };
}

class VolumeLayoutTest : public VolumeTest, public testing::WithParamInterface<const char*> {};

TEST_P(VolumeLayoutTest, OctetsLieOnTheMembersWhereTheFormatSays) {
  Bench bench = Start(5, GetParam());
  Guest& guest = bench.guest;
  const auto maps = AllLayouts(
      bench.disks, [](auto&&... a) { return Extent(a...); }, [](auto&&... a) { return Plex(a...); },
      [](auto&&... a) { return Concat(a...); }, [](auto&&... a) { return Map(a...); });
  std::uint64_t seed = 1;
  for (const Json& map : maps) {
    SCOPED_TRACE(map["name"].get<std::string>());
    const std::string node = Activate(guest, map);
    EXPECT_EQ(Status(guest, map)["length"], map["length"]);
    const std::string octets = Pattern(map["length"], seed++);
    if (map["plexes"].size() > 1 || map["plexes"][0]["layout"] == "raid5") {
      // The members hold what came from the factory: they are made alike without touching the data.
      EXPECT_EQ(Probe(guest, {"resynchronise", map["name"]}), Json::object());
      Wait(guest, map);
      const std::string first = Read(guest, node, map["length"]);
      ASSERT_EQ(first.size(), map["length"].get<std::size_t>());
      ExpectOnMembers(bench, map, first);
    }
    ASSERT_TRUE(Write(guest, node, octets));
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    ExpectOnMembers(bench, map, octets);
  }
  const Json active = Probe(guest, {"list"});
  EXPECT_EQ(active.size(), maps.size()) << active;
  EXPECT_EQ(Shell(guest, "ls /sys/block | grep -c ^md || true"), "0\n");
  for (const Json& map : maps) Deactivate(guest, map);
  EXPECT_EQ(Shell(guest, "dmsetup ls"), "No devices found\n");
}

INSTANTIATE_TEST_SUITE_P(Disks, VolumeLayoutTest, testing::Values("size=24M", "size=24M,sector=4096"),
                         [](const auto& run) { return run.index == 0 ? "Sectors512" : "Sectors4096"; });

TEST_F(VolumeDeviceTest, ADegradedMirrorKeepsWorkingAndANewPlexIsFilled) {
  Bench bench = Start(3);
  Guest& guest = bench.guest;
  Json map = Map("m", 2 * kMiB,
                 {Concat({Extent(bench.disks[0], 63, 2 * kMiB)}),
                  Concat({Extent(bench.disks[1], 63, 2 * kMiB, "missing")})});
  const std::string node = Activate(guest, map);
  EXPECT_EQ(Status(guest, map)["members"], "S-");
  const std::string octets = Pattern(2 * kMiB, 7);
  ASSERT_TRUE(Write(guest, node, octets));
  map["plexes"][1] = Concat({Extent(bench.disks[2], 2048, 2 * kMiB, "stale")});
  EXPECT_EQ(Activate(guest, map), node) << "the device stays the same";
  EXPECT_EQ(Wait(guest, map)["members"], "SS");
  ExpectOnMembers(bench, map, octets);
  // Now the new plex alone.
  SetState(map, 0, "missing");
  Activate(guest, map);
  EXPECT_EQ(Status(guest, map)["members"], "-S");
  EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
}

TEST_F(VolumeDeviceTest, ADegradedRaid5ReadsWritesAndRegeneratesAnyColumn) {
  Bench bench = Start(4);
  Guest& guest = bench.guest;
  const auto extents = [&](std::uint64_t sector) {
    std::vector<Json> all;
    for (std::size_t i = 0; i < 3; ++i) all.push_back(Extent(bench.disks[i], sector, kMiB));
    return all;
  };
  Json map = Map("r", 2 * kMiB, {Plex("raid5", extents(63))});
  const std::string node = Activate(guest, map);
  Probe(guest, {"resynchronise", map["name"]});
  Wait(guest, map);
  std::string octets = Pattern(2 * kMiB, 11);
  ASSERT_TRUE(Write(guest, node, octets));
  for (std::size_t lost = 0; lost < 3; ++lost) {
    SCOPED_TRACE(lost);
    SetState(map, lost, "missing");
    Activate(guest, map);
    EXPECT_EQ(Status(guest, map)["members"].get<std::string>()[lost], '-');
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    octets.replace(lost * kChunk, 5 * kChunk, Pattern(5 * kChunk, 20 + lost));
    ASSERT_TRUE(Write(guest, node, octets.substr(lost * kChunk, 5 * kChunk), lost * kChunk));
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    // Another place takes the lost column's; each time another one, once in two parts.
    Json& column = map["plexes"][0]["columns"][lost];
    column = Json::array({Extent(bench.disks[3], 2048 * (1 + 2 * lost), kMiB / 2, "stale"),
                          Extent(bench.disks[3], 16384 + 2048 * lost, kMiB / 2, "stale")});
    Activate(guest, map);
    EXPECT_EQ(Wait(guest, map)["members"], "SSS");
    SetState(map, lost, "online");
    Activate(guest, map);
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    ExpectOnMembers(bench, map, octets);
  }
  SetState(map, 0, "missing");
  SetState(map, 1, "missing");
  EXPECT_EQ(Probe(guest, {"activate"}, map.dump())["kind"], "Unavailable");
  EXPECT_TRUE(Read(guest, node, octets.size()) == octets) << "a refusal changes nothing";
}

TEST_F(VolumeDeviceTest, AMemberThatFailsIsLeftOutAndComesBackByARebuild) {
  Bench bench = Start(3);
  Guest& guest = bench.guest;
  const std::vector<Json> maps{
      Map("m", 2 * kMiB,
          {Concat({Extent(bench.disks[0], 63, 2 * kMiB)}), Concat({Extent(bench.disks[1], 63, 2 * kMiB)})}),
      Map("r", 2 * kMiB,
          {Plex("raid5", {Extent(bench.disks[0], 8192, kMiB), Extent(bench.disks[1], 8192, kMiB),
                          Extent(bench.disks[2], 8192, kMiB)})})};
  for (Json map : maps) {
    SCOPED_TRACE(map["name"].get<std::string>());
    const std::string node = Activate(guest, map);
    Probe(guest, {"resynchronise", map["name"]});
    const Json before = Wait(guest, map);
    std::string octets = Pattern(2 * kMiB, 3);
    ASSERT_TRUE(Write(guest, node, octets));

    // Sectors that cannot be read are read from the others and written again.
    ASSERT_TRUE(guest
                    .SetFaults(bench.disks[1].id, {{.on_read = true, .sector = 8192, .sectors = 8},
                                                   {.on_read = true, .sector = 63, .sectors = 8}})
                    .has_value());
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    ASSERT_TRUE(guest.SetFaults(bench.disks[1].id, {{.on_read = true, .on_write = true}}).has_value());
    octets = Pattern(2 * kMiB, 4);
    ASSERT_TRUE(Write(guest, node, octets)) << "the volume goes on without the member";
    const Json after =
        Probe(guest, {"change", map["name"], std::to_string(before["event"].get<int>()), "10000"});
    EXPECT_EQ(after["members"].get<std::string>()[1], 'F') << after;
    EXPECT_GT(after["event"], before["event"]);
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    ASSERT_TRUE(guest.ClearFaults(bench.disks[1].id).has_value());

    // What it missed must not come back, though the map does not know of it.
    Activate(guest, map);
    EXPECT_EQ(Status(guest, map)["members"].get<std::string>()[1], '-');
    EXPECT_TRUE(Read(guest, node, octets.size()) == octets);
    SetState(map, 1, "stale");
    Activate(guest, map);
    EXPECT_EQ(Wait(guest, map)["members"].get<std::string>()[1], 'S');
    ExpectOnMembers(bench, map, octets);
    Deactivate(guest, map);
  }
}

TEST_F(VolumeDeviceTest, APulledDiskIsAFailedMemberAndItsReturnIsRebuilt) {
  Bench bench = Start(2);
  Guest& guest = bench.guest;
  Json map =
      Map("m", 2 * kMiB,
          {Concat({Extent(bench.disks[0], 63, 2 * kMiB)}), Concat({Extent(bench.disks[1], 63, 2 * kMiB)})});
  const std::string node = Activate(guest, map);
  ASSERT_TRUE(Write(guest, node, Pattern(2 * kMiB, 1)));
  const auto image = bench.disks[0].image;
  ASSERT_TRUE(guest.DetachDisk(bench.disks[0].id).has_value());
  const std::string octets = Pattern(2 * kMiB, 2);
  ASSERT_TRUE(Write(guest, node, octets));
  EXPECT_EQ(Status(guest, map)["members"], "FS");
  const auto back = guest.AttachDisk(image);
  ASSERT_TRUE(back.has_value());
  bench.disks[0] = *back;
  map["plexes"][0] = Concat({Extent(bench.disks[0], 63, 2 * kMiB, "stale")});
  Activate(guest, map);
  EXPECT_EQ(Wait(guest, map)["members"], "SS");
  ExpectOnMembers(bench, map, octets);
  Deactivate(guest, map);
  EXPECT_EQ(Shell(guest, "dmsetup ls"), "No devices found\n");
}

TEST_F(VolumeDeviceTest, SynchronisationTellsItsProgressAndGoesOnThroughAnotherActivation) {
  Bench bench = Start(2, "size=64M");
  Guest& guest = bench.guest;
  constexpr std::uint64_t kLength = 24 * kMiB;
  Json map = Map("m", kLength,
                 {Concat({Extent(bench.disks[0], 63, kLength)}),
                  Concat({Extent(bench.disks[1], 63, kLength, "stale")})});
  ASSERT_TRUE(guest.SetThrottle(bench.disks[1].id, {.bytes_per_second = 2 * kMiB}).has_value());
  const std::string node = Activate(guest, map);
  Json status = Status(guest, map);
  EXPECT_EQ(status["members"], "SR") << status;
  const Json looked = Probe(guest, {"wait", map["name"], "1000"});
  EXPECT_EQ(looked["sync"], "rebuild") << "the deadline ends the wait, not the work";
  EXPECT_EQ(looked["total"], kLength);
  EXPECT_GT(looked["synced"], 0) << looked;
  // A member that is being rebuilt is not trusted and not begun anew, whatever the map says.
  Activate(guest, map);
  SetState(map, 1, "online");
  Activate(guest, map);
  status = Status(guest, map);
  EXPECT_EQ(status["members"], "SR");
  EXPECT_GE(status["synced"], looked["synced"]) << status;
  std::uint64_t last = looked["synced"];
  std::size_t steps = 0;
  for (int wait = 0; wait < 20 && steps < 3; ++wait) {
    for (const Json& look : ProbeLines(guest, {"wait", map["name"], "1000"})) {
      ASSERT_EQ(look["sync"], "rebuild") << "it was to take longer";
      EXPECT_GE(look["synced"], last);
      if (look["synced"] > last) ++steps;
      last = look["synced"];
    }
  }
  EXPECT_GE(steps, 3U);
  ASSERT_TRUE(guest.ClearFaults(bench.disks[1].id).has_value());
  const auto looks = ProbeLines(guest, {"wait", map["name"], "60000"});
  EXPECT_EQ(looks.back()["members"], "SS");
  EXPECT_TRUE(OnDisk(bench.disks[0], 63 * 512, kLength) == OnDisk(bench.disks[1], 63 * 512, kLength));
  const int event = looks.back()["event"];
  SetState(map, 1, "stale");
  Activate(guest, map);
  EXPECT_EQ(Status(guest, map)["members"], "SS") << "it was rebuilt since";
  EXPECT_EQ(Status(guest, map)["event"], event);
  EXPECT_EQ(Probe(guest, {"change", map["name"], std::to_string(event), "100"})["event"], event);
}

TEST_F(VolumeDeviceTest, ARebuildWhoseTargetFailsEnds) {
  Bench bench = Start(2);
  Guest& guest = bench.guest;
  Json map = Map("m", 8 * kMiB,
                 {Concat({Extent(bench.disks[0], 63, 8 * kMiB)}),
                  Concat({Extent(bench.disks[1], 63, 8 * kMiB, "stale")})});
  ASSERT_TRUE(guest.SetFaults(bench.disks[1].id, {{.on_write = true, .after = 4}}).has_value());
  const std::string node = Activate(guest, map);
  const Json ended = Probe(guest, {"wait", map["name"], "60000"});
  EXPECT_EQ(ended["sync"], "none") << ended;
  EXPECT_EQ(ended["members"], "SF") << ended;
  EXPECT_TRUE(Read(guest, node, kMiB) == OnDisk(bench.disks[0], 63 * 512, kMiB));
}

TEST_F(VolumeDeviceTest, AMountedVolumeIsInUseAndCanBeChangedNevertheless) {
  Bench bench = Start(3, "size=64M");
  Guest& guest = bench.guest;
  Json map = Map("v", 16 * kMiB, {Concat({Extent(bench.disks[0], 63, 16 * kMiB)})});
  const std::string node = Activate(guest, map);
  Shell(guest, "mkfs.fat -F 16 " + node + " >/dev/null && mkdir -p /tmp/v && mount " + node + " /tmp/v");
  Shell(guest, "head -c 3000000 /dev/urandom > /tmp/v/file && sync");
  const std::string sum = Shell(guest, "md5sum < /tmp/v/file");
  const auto intact = [&] {
    Shell(guest, "sync; echo 3 > /proc/sys/vm/drop_caches");
    return Shell(guest, "md5sum < /tmp/v/file") == sum;
  };
  const Json refused = Probe(guest, {"deactivate", map["name"]});
  EXPECT_EQ(refused["status"], EBUSY) << refused;
  EXPECT_THAT(refused["error"].get<std::string>(), HasSubstr("/tmp/v"));
  EXPECT_EQ(Status(guest, map)["openCount"], 1);

  // It grows in place, then onto another disk.
  map["length"] = 24 * kMiB;
  map["plexes"][0] = Concat({Extent(bench.disks[0], 63, 20 * kMiB), Extent(bench.disks[1], 2048, 4 * kMiB)});
  Activate(guest, map);
  EXPECT_EQ(Shell(guest, "blockdev --getsize64 " + node), std::to_string(24 * kMiB) + "\n");
  EXPECT_TRUE(intact());

  // A mirror is added, and the volume is written to meanwhile.
  ASSERT_TRUE(guest.SetThrottle(bench.disks[2].id, {.bytes_per_second = 16 * kMiB}).has_value());
  map["plexes"].push_back(Concat({Extent(bench.disks[2], 63, 24 * kMiB, "stale")}));
  Activate(guest, map);
  EXPECT_EQ(Status(guest, map)["members"], "SR");
  Shell(guest, "head -c 2000000 /dev/urandom > /tmp/v/second && sync");
  const std::string second = Shell(guest, "md5sum < /tmp/v/second");
  EXPECT_EQ(Wait(guest, map)["members"], "SS");
  SetState(map, 1, "online");
  ASSERT_TRUE(guest.ClearFaults(bench.disks[2].id).has_value());

  // It is split: the second plex becomes a volume of its own, the first stays mounted.
  Shell(guest, "sync");
  const Json split = Map("w", 24 * kMiB, {map["plexes"][1]});
  map["plexes"].erase(1);
  Activate(guest, map);
  const std::string other = Activate(guest, split);
  EXPECT_TRUE(intact());
  Shell(guest, "mkdir -p /tmp/w && mount -o ro " + other + " /tmp/w");
  EXPECT_EQ(Shell(guest, "md5sum < /tmp/w/file"), sum);
  EXPECT_EQ(Shell(guest, "md5sum < /tmp/w/second"), second);
  Shell(guest, "umount /tmp/w");
  Deactivate(guest, split);

  // Joined again, then the other plex goes: the volume moved to another disk below its file system.
  map["plexes"].push_back(Concat({Extent(bench.disks[2], 63, 24 * kMiB, "stale")}));
  Activate(guest, map);
  EXPECT_EQ(Wait(guest, map)["members"], "SS");
  map["plexes"].erase(0);
  SetState(map, 0, "online");
  map["plexes"][0]["columns"][0][0]["state"] = "online";
  Activate(guest, map);
  EXPECT_EQ(Shell(guest, "dmsetup ls | wc -l"), "1\n") << "nothing is left of the mirror";
  Shell(guest, "dd if=/dev/zero of=/dev/" + bench.disks[0].guest_device + " bs=1M count=30 2>/dev/null");
  EXPECT_TRUE(intact());
  EXPECT_EQ(Shell(guest, "md5sum < /tmp/v/second"), second);
  Shell(guest, "umount /tmp/v");
  Deactivate(guest, map);
  EXPECT_EQ(Probe(guest, {"list"}), Json::array());
  EXPECT_EQ(Shell(guest, "ls /dev/mapper"), "control\n");
  Deactivate(guest, map);
}

TEST_F(VolumeDeviceTest, BiggerSectorsAreNotPutUnderAVolumeInUse) {
  Bench bench = Start(1);
  Guest& guest = bench.guest;
  Attach(bench, "size=24M,sector=4096");
  Json map = Map("v", 2 * kMiB, {Concat({Extent(bench.disks[0], 64, 2 * kMiB)})});
  const std::string node = Activate(guest, map);
  map["plexes"].push_back(Concat({Extent(bench.disks[1], 64, 2 * kMiB, "stale")}));
  auto held = harness::HeldFile::Hold(guest.agent(), node, harness::HeldFile::Use::kRead);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(Probe(guest, {"activate"}, map.dump())["kind"], "Unsupported");
  EXPECT_EQ(Shell(guest, "blockdev --getss " + node), "512\n");
  ASSERT_TRUE(held->Release().has_value());
  Activate(guest, map);
  EXPECT_EQ(Wait(guest, map)["members"], "SS");
  EXPECT_EQ(Shell(guest, "blockdev --getss " + node), "4096\n");
}

TEST_F(VolumeDeviceTest, VolumesOnReadOnlyDisksAreRead) {
  Bench bench = Start(3, "size=24M,read-only=yes");
  Guest& guest = bench.guest;
  std::vector<Json> maps{
      Map("s", 2 * kMiB, {Concat({Extent(bench.disks[0], 63, 2 * kMiB)})}),
      Map("m", 2 * kMiB,
          {Concat({Extent(bench.disks[0], 8192, 2 * kMiB)}),
           Concat({Extent(bench.disks[1], 8192, 2 * kMiB, "missing")})}),
      Map("r", 2 * kMiB,
          {Plex("raid5", {Extent(bench.disks[0], 16384, kMiB), Extent(bench.disks[1], 16384, kMiB),
                          Extent(bench.disks[2], 16384, kMiB)})})};
  for (Json& map : maps) {
    SCOPED_TRACE(map["name"].get<std::string>());
    map["readOnly"] = true;
    const std::string node = Activate(guest, map);
    const std::string octets = Read(guest, node, map["length"]);
    ASSERT_EQ(octets.size(), map["length"]);
    const Json& plex = map["plexes"][0];
    const auto columns = Columns(plex["layout"], plex["columns"].size(), octets);
    // Nobody made the parity fit: only the data chunks of the first row are sure.
    EXPECT_TRUE(ColumnOnDisk(bench, plex["columns"][0]).substr(0, kChunk) == columns[0].substr(0, kChunk));
    EXPECT_FALSE(Write(guest, node, octets));
    Deactivate(guest, map);
  }
}

TEST_F(VolumeDeviceTest, TwoStalePlexesAreRebuiltWhileAThirdIsMissing) {
  Bench bench = Start(4);
  Guest& guest = bench.guest;
  const Json map =
      Map("m", kMiB,
          {Concat({Extent(bench.disks[0], 63, kMiB, "stale")}),
           Concat({Extent(bench.disks[1], 63, kMiB, "missing")}), Concat({Extent(bench.disks[2], 63, kMiB)}),
           Concat({Extent(bench.disks[3], 63, kMiB, "stale")})});
  const std::string before = OnDisk(bench.disks[2], 63 * 512, kMiB);
  const std::string node = Activate(guest, map);
  EXPECT_TRUE(Read(guest, node, kMiB) == before) << "stale members are not read";
  EXPECT_EQ(Wait(guest, map)["members"], "S-SS");
  ExpectOnMembers(bench, map, before);
}

TEST_F(VolumeDeviceTest, AReplacementThatIsCalledOffChangesNothing) {
  Bench bench = Start(2);
  Guest& guest = bench.guest;
  const Json map = Map(
      "m", kMiB, {Concat({Extent(bench.disks[0], 63, kMiB)}), Concat({Extent(bench.disks[1], 63, kMiB)})});
  const std::string node = Activate(guest, map);
  const std::string table = Shell(guest, "dmsetup table");
  EXPECT_EQ(Probe(guest, {"call-off", map["name"]}), Json::object());
  EXPECT_EQ(Shell(guest, "dmsetup table"), table);
  EXPECT_THAT(Shell(guest, "dmsetup table --inactive"), testing::Not(HasSubstr("zero")));
  const std::string octets = Pattern(kMiB, 5);
  EXPECT_TRUE(Write(guest, node, octets)) << "it goes on";
  ExpectOnMembers(bench, map, octets);
}

TEST_F(VolumeDeviceTest, WhatTheKernelRefusesLeavesNothingBehind) {
  Bench bench = Start(2);
  Guest& guest = bench.guest;
  // The second leg leaves its disk.
  Json map = Map(
      "v", 8 * kMiB,
      {Concat({Extent(bench.disks[0], 63, 8 * kMiB)}), Concat({Extent(bench.disks[1], 40000, 8 * kMiB)})});
  const Json refused = Probe(guest, {"activate"}, map.dump());
  EXPECT_EQ(refused["status"], EINVAL) << refused;
  EXPECT_THAT(refused["error"].get<std::string>(), HasSubstr("device-mapper: table"));
  EXPECT_EQ(Shell(guest, "dmsetup ls"), "No devices found\n");
  map["plexes"].erase(1);
  const std::string node = Activate(guest, map);
  const std::string table = Shell(guest, "dmsetup table");
  map["plexes"].push_back(Concat({Extent(bench.disks[1], 40000, 8 * kMiB, "stale")}));
  EXPECT_EQ(Probe(guest, {"activate"}, map.dump())["status"], EINVAL);
  EXPECT_EQ(Shell(guest, "dmsetup table"), table);
  map["plexes"][1] =
      Concat({{{"device", "/dev/none"}, {"offset", 0}, {"length", 8 * kMiB}, {"state", "stale"}}});
  EXPECT_EQ(Probe(guest, {"activate"}, map.dump())["kind"], "Unavailable");
  EXPECT_EQ(Shell(guest, "dmsetup table"), table);
  EXPECT_EQ(Probe(guest, {"status", "dmrp-test-none"})["status"], ENXIO);
}

}  // namespace
}  // namespace dmrp::server
