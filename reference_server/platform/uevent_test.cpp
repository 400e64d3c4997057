#include "reference_server/platform/uevent.hpp"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace dmrp::server {
namespace {

Result<Uevent> Parse(std::string_view text) { return ParseUevent(std::as_bytes(std::span(text))); }

TEST(Uevent, ReadsAMediaChangeOfARemovableDisk) {
  using namespace std::string_view_literals;
  const auto event = Parse(
      "change@/devices/pci0000:00/0000:00:04.0/virtio1/host2/target2:0:1/2:0:1:0/block/sr0\0"
      "ACTION=change\0DEVPATH=/devices/pci0000:00/0000:00:04.0/virtio1/host2/target2:0:1/2:0:1:0/block/sr0\0"
      "SUBSYSTEM=block\0DISK_MEDIA_CHANGE=1\0MAJOR=11\0MINOR=0\0DEVNAME=sr0\0DEVTYPE=disk\0DISKSEQ=7\0SEQNUM=1234\0"sv);
  ASSERT_TRUE(event) << event.error().ToString();
  EXPECT_EQ(event->action, UeventAction::kChange);
  EXPECT_EQ(event->deviceName, "sr0");
  EXPECT_EQ(event->subsystem, "block");
  EXPECT_EQ(event->diskSequence, 7U);
  EXPECT_TRUE(event->mediaChange);
  EXPECT_FALSE(event->ejectRequest);
  EXPECT_FALSE(event->partition);
  EXPECT_EQ(event->variables.at("SEQNUM"), "1234");
}

TEST(Uevent, TellsPartitionsAndResizesApart) {
  using namespace std::string_view_literals;
  const auto partition = Parse(
      "add@/block/sda/sda1\0ACTION=add\0DEVPATH=/block/sda/sda1\0SUBSYSTEM=block\0"
      "DEVNAME=sda1\0DEVTYPE=partition\0"sv);
  ASSERT_TRUE(partition);
  EXPECT_TRUE(partition->partition);
  EXPECT_EQ(partition->action, UeventAction::kAdd);
  const auto resize =
      Parse("change@/block/sda\0ACTION=change\0DEVPATH=/block/sda\0SUBSYSTEM=block\0RESIZE=1\0"sv);
  ASSERT_TRUE(resize);
  EXPECT_TRUE(resize->resized);
}

TEST(Uevent, RefusesWhatTheKernelDoesNotSend) {
  using namespace std::string_view_literals;
  EXPECT_EQ(Parse("").error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(Parse("libudev\0rest"sv).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(Parse("add@/a\0ACTION=add\0DEVPATH=/a\0NOVALUE\0"sv).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(Parse("add@/a\0ACTION=remove\0DEVPATH=/a\0"sv).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(Parse("add@/a\0ACTION=add\0DEVPATH=/b\0"sv).error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(Parse(std::string(70000, 'x')).error().kind, ErrorKind::kLimit);
}

TEST(UeventListener, HasNothingToTakeUntilSomethingHappens) {
  auto listener = UeventListener::Open();
  if (!listener) GTEST_SKIP() << "no netlink here: " << listener.error().ToString();
  EXPECT_GE(listener->FileDescriptor(), 0);
  UeventListener moved = std::move(*listener);
  EXPECT_TRUE(moved.Take());
}

}  // namespace
}  // namespace dmrp::server
