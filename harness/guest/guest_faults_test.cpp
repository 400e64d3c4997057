// Disks that fail and disks whose writes are recorded.
#include "harness/guest/guest_fixture.hpp"

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

}  // namespace
}  // namespace dmrp::harness
