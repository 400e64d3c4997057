// Volumes that Windows Server 2003 R2 wrote, put together from what libldm says of their disks: their octets
// are those that libldm's own devices give, and their files are read through them.
#include "harness/disks/dynamic_disks.hpp"
#include "reference_server/storage/volume_device_test_support.hpp"

#include <map>
#include <optional>

namespace dmrp::server {
namespace {

class WindowsVolumesTest : public VolumeTest {
 protected:
  void SetUp() override {
    if (!harness::WindowsDisksArchive()) GTEST_SKIP() << "the disks of Windows are not there";
    const auto set = harness::UnpackWindowsDisks(factory_->directory());
    ASSERT_TRUE(set.has_value()) << set.error().message;
    bench_.emplace(Bench{Started(Bare()), {}});
    InstallProbe(bench_->guest);
    std::string nodes;
    for (const auto& disk : set->disks) {
      const auto attached = bench_->guest.AttachDisk(disk.image);
      ASSERT_TRUE(attached.has_value()) << attached.error().message;
      bench_->disks.push_back(*attached);
      nodes += " /dev/" + attached->guest_device;
    }
    scan_ = "scan" + nodes + "\n";
    const Json groups = Ldmtool("");
    ASSERT_EQ(groups.size(), 1U) << groups;
    group_ = groups[0];
  }

  /// The last answer of ldmtool after a scan.
  Json Ldmtool(const std::string& command) {
    const std::string text =
        "\n" + Shell(bench_->guest, "printf '" + scan_ + command + "\\n' | ldmtool 2>/dev/null");
    // Each answer is an array or an object that begins a line.
    std::size_t begin = 0;
    for (const char* start : {"\n[", "\n{"}) {
      if (const auto at = text.rfind(start); at != text.npos) begin = std::max(begin, at);
    }
    const auto end = text.find_last_of("]}");
    return Json::parse(text.substr(begin, end + 1 - begin), nullptr, false);
  }
  Json Show(const std::string& what, const std::string& name) {
    return Ldmtool("show " + what + " " + group_ + " " + name);
  }
  Json MapOf(const std::string& volume) {
    const Json shown = Show("volume", volume);
    std::vector<Json> extents;
    for (const std::string name : shown["partitions"]) {
      const Json part = Show("partition", name);
      const Json disk = Show("disk", part["disk"]);
      extents.push_back(
          {{"device", disk["device"]},
           {"offset", (disk["data-start"].get<std::uint64_t>() + part["start"].get<std::uint64_t>()) * 512},
           {"length", part["size"].get<std::uint64_t>() * 512},
           {"state", "online"}});
    }
    std::vector<Json> plexes;
    const std::string type = shown["type"];
    if (type == "mirrored") {
      for (const Json& extent : extents) plexes.push_back(Concat({extent}));
    } else if (type == "striped") {
      plexes = {Plex("stripe", extents)};
    } else if (type == "RAID5") {
      plexes = {Plex("raid5", extents)};
    } else {
      plexes = {Concat(extents)};
    }
    return Map(volume, shown["size"].get<std::uint64_t>() * 512, plexes);
  }
  /// Names and checksums of all files.
  std::string Files(const std::string& node) {
    return LongShell("mkdir -p /tmp/w && ntfs-3g -o ro " + node +
                     " /tmp/w && (cd /tmp/w && find . -type f -exec md5sum {} ';' | sort) && umount /tmp/w");
  }
  std::string Octets(const std::string& node) { return LongShell("md5sum < " + node); }
  std::string LongShell(const std::string& script) {
    const auto output = bench_->guest.agent().Shell(script, std::chrono::seconds(60));
    EXPECT_TRUE(output.has_value()) << output.error().message;
    return output.value_or("");
  }

  std::optional<Bench> bench_;
  std::string scan_;
  std::string group_;
};

TEST_F(WindowsVolumesTest, HoldWhatLibldmReadsDegradedOnesToo) {
  Guest& guest = bench_->guest;
  const Json names = Ldmtool("show diskgroup " + group_)["volumes"];
  ASSERT_EQ(names.size(), 6U);
  Shell(guest, "printf '" + scan_ + "create all\\n' | ldmtool >/dev/null && dmsetup mknodes");
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> octets;
  for (const std::string name : names) {
    const std::string node = "/dev/mapper/ldm_vol_Red-nzv8x6obywgDg0_" + name;
    octets[name] = Octets(node);
    files[name] = Files(node);
    EXPECT_THAT(files[name], testing::HasSubstr("test.txt")) << name;
  }
  Shell(guest, "printf '" + scan_ + "remove all\\n' | ldmtool >/dev/null; dmsetup remove_all");
  EXPECT_EQ(Shell(guest, "dmsetup ls"), "No devices found\n");

  for (const std::string name : names) {
    SCOPED_TRACE(name);
    Json map = MapOf(name);
    const std::string node = Activate(guest, map);
    EXPECT_EQ(Octets(node), octets[name]);
    EXPECT_EQ(Files(node), files[name]);
    const std::size_t members = Status(guest, map)["members"].get<std::string>().size();
    Deactivate(guest, map);
    for (std::size_t lost = 0; lost < members; ++lost) {
      SCOPED_TRACE(lost);
      Json degraded = map;
      SetState(degraded, lost, "missing");
      EXPECT_EQ(Files(Activate(guest, degraded)), files[name]);
      EXPECT_EQ(Status(guest, degraded)["members"].get<std::string>()[lost], '-');
      Deactivate(guest, degraded);
    }
  }
}

}  // namespace
}  // namespace dmrp::server
