// Disks that fail and disks whose writes are recorded.
#include "harness/disks/write_log.hpp"
#include "harness/guest/guest_fixture.hpp"

#include <fstream>
#include <iterator>

namespace dmrp::harness {
namespace {

class Faults : public GuestTest {
 protected:
  static bool Dd(Guest& guest, const std::string& arguments) {
    auto done = guest.agent().Exec({"sh", "-c", "dd bs=512 count=1 " + arguments + " 2>&1"});
    return done && done->status == 0;
  }
};

TEST_F(Faults, ARangeOfSectorsIsUnreadable) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=16M"));
  ASSERT_TRUE(disk.has_value());
  const auto set = guest.SetFaults(disk->id, {{.on_read = true, .sector = 1000, .sectors = 16}});
  ASSERT_TRUE(set.has_value()) << set.error().message;
  const auto reads = [&](int sector) {
    return Dd(guest,
              "if=/dev/" + disk->guest_device + " of=/dev/null iflag=direct skip=" + std::to_string(sector));
  };
  EXPECT_TRUE(reads(999));
  EXPECT_FALSE(reads(1000));
  EXPECT_FALSE(reads(1015));
  EXPECT_TRUE(reads(1016));
}

TEST_F(Faults, TheNthWriteFailsAndAllAfterIt) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=16M"));
  ASSERT_TRUE(disk.has_value());
  ASSERT_TRUE(guest.SetFaults(disk->id, {{.on_write = true, .after = 2}}).has_value());
  const auto writes = [&] {
    return Dd(guest, "if=/dev/zero of=/dev/" + disk->guest_device + " oflag=direct");
  };
  EXPECT_TRUE(writes());
  EXPECT_TRUE(writes());
  EXPECT_FALSE(writes());
  EXPECT_FALSE(writes());
  ASSERT_TRUE(guest.ClearFaults(disk->id).has_value());
  EXPECT_TRUE(writes());
}

TEST_F(Faults, AFaultyDiskCanBeFrozen) {
  Guest guest = Started(Bare());
  const auto disk = guest.AttachDisk(Disk("size=16M"));
  ASSERT_TRUE(disk.has_value());
  ASSERT_TRUE(guest.SetFaults(disk->id, {{.on_read = true, .sector = 1000}}).has_value());
  const auto reads = [&] {
    return Dd(guest, "if=/dev/" + disk->guest_device + " of=/dev/null iflag=direct skip=1000");
  };
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(guest.FreezeDisks().has_value());
    EXPECT_FALSE(reads());
    const auto thawed = guest.ThawDisks();
    ASSERT_TRUE(thawed.has_value()) << thawed.error().message;
    EXPECT_FALSE(reads());
  }
  ASSERT_TRUE(guest.ClearFaults(disk->id).has_value());
  EXPECT_TRUE(reads());
}

TEST_F(Faults, AWriteLogReplaysToWhatTheDiskHolds) {
  Guest guest = Started(Bare());
  const auto image = Disk("size=1M");
  const auto disk = guest.AttachDisk(image);
  ASSERT_TRUE(disk.has_value());
  const auto base = factory_->directory() / "replayed.raw";
  ASSERT_TRUE(CopySparse(image.path, base).has_value());
  const auto log = factory_->directory() / "writes.log";
  const auto begun = guest.StartWriteLog(disk->id, log);
  ASSERT_TRUE(begun.has_value()) << begun.error().message;
  const std::string device = "/dev/" + disk->guest_device;
  for (const int sector : {7, 1, 7}) {
    Shell(guest, "head -c 512 /dev/urandom | dd bs=512 count=1 conv=fsync oflag=direct seek=" +
                     std::to_string(sector) + " of=" + device + " 2>/dev/null");
  }
  ASSERT_TRUE(guest.ClearFaults(disk->id).has_value());
  Shell(guest, "dd if=/dev/zero bs=512 count=1 oflag=direct seek=9 of=" + device + " 2>/dev/null");
  const auto writes = WriteLog::Read(log);
  ASSERT_TRUE(writes.has_value()) << writes.error().message;
  const auto count = std::count_if(writes->writes().begin(), writes->writes().end(),
                                   [](const LoggedWrite& write) { return write.length > 0; });
  EXPECT_EQ(count, 3) << "and none after its end";
  ASSERT_TRUE(writes->Replay(writes->writes().size(), base).has_value());
  const auto octets = [](const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  EXPECT_TRUE(octets(base) == octets(image.path));
  EXPECT_FALSE(guest.StartWriteLog(disk->id, log).has_value()) << "the log of before is not overwritten";
}

}  // namespace
}  // namespace dmrp::harness
