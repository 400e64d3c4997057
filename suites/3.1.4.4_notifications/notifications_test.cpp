// IDMNotify::ObjectsChanged (3.1.4.4.1.1): the byte stream that the server sends, and when
// (3.1.4.3, 3.2.4.2).
#include "protocol/dmrp/notification.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <cstring>
#include <future>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

class Notifications : public RevisionTest {
 protected:
  void SetUp() override { Start({kMbr512}); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  Outcome<CreatePartitionReply> Create(Session& session) {
    const REGION_INFO_EX free = FreeRegion(session);
    return session.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4)));
  }
  std::vector<harness::ReceivedNotification> Received() {
    Session& watcher = Open({.revision = GetParam(), .name = "watcher", .account = {}, .auth_level = {}});
    EXPECT_THAT(Create(SessionOf(GetParam())), Succeeds());
    EXPECT_THAT(watcher.sink().Objects(), Not(IsEmpty()));
    return watcher.sink().All();
  }
};

std::uint32_t Word(const Bytes& bytes, std::size_t offset) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// The stream is a row of frames, each with a header of size, type and action; size counts the whole frame,
// and the last one ends where the stream does.
TEST_P(Notifications, AreFramesInARow) {
  Checks("DMRP-0452", "DMRP-0453", "DMRP-0455", "DMRP-0456", "DMRP-0467", "DMRP-0248", "DMRP-0249");
  for (const auto& notification : Received()) {
    const Bytes& stream = notification.stream;
    std::size_t offset = 0;
    while (offset < stream.size()) {
      ASSERT_LE(offset + 12, stream.size()) << ToHex(stream);
      const std::uint32_t size = Word(stream, offset);
      ASSERT_GT(size, 12U) << ToHex(stream);
      ASSERT_LE(size, stream.size() - offset) << ToHex(stream);
      const std::uint32_t type = Word(stream, offset + 4);
      const std::uint32_t action = Word(stream, offset + 8);
      EXPECT_TRUE(type >= DMNOTIFY_DISK_INFO && type <= DMNOTIFY_SYSTEM_INFO) << type;
      EXPECT_TRUE(action >= LDMACTION_CREATED && action <= LDMACTION_FAILED) << action;
      offset += size;
    }
    EXPECT_EQ(offset, stream.size());
    EXPECT_THAT(notification.problems, IsEmpty());
  }
}

// Structures are C structures of a 32-bit or 64-bit machine, not NDR: the body begins right behind the
// header, enumerations take four octets, pointers are left out, and strings follow without padding, each with
// its null.
TEST_P(Notifications, HoldStructuresInCLayout) {
  Checks("DMRP-0464", "DMRP-0468", "DMRP-0469", "DMRP-0470", "DMRP-0471", "DMRP-0472");
  for (const auto& notification : Received()) {
    const NotificationStream read = ReadNotifications(notification.stream, GetParam());
    EXPECT_THAT(read.errors, IsEmpty());
    EXPECT_THAT(read.anomalies, IsEmpty());
    std::optional<Pointers> layout;
    for (std::size_t i = 0; i < read.items.size(); ++i) {
      if (!read.frames[i].pointers) {
        continue;
      }
      if (layout) {
        EXPECT_EQ(*layout, *read.frames[i].pointers) << "one machine has one layout";
      }
      layout = read.frames[i].pointers;
      // Written again by the layout rules, the frame has the same octets.
      const auto again = WriteNotifications({&read.items[i], 1}, *read.frames[i].pointers);
      ASSERT_TRUE(again);
      const auto* begin = notification.stream.data() + read.frames[i].offset;
      EXPECT_EQ(ToHex(*again), ToHex({begin, begin + read.frames[i].size})) << ToText(read.items[i]);
    }
  }
}

// A client of IVolumeClient gets DISK_INFO and REGION_INFO, one of IVolumeClient3 the Ex structures.
TEST_P(Notifications, HaveTheStructuresOfTheClientsInterface) {
  Checks("DMRP-0462", "DMRP-0463");
  bool disk_seen = false;
  bool region_seen = false;
  for (const auto& notification : Received()) {
    for (const auto& item : ReadNotifications(notification.stream, GetParam()).items) {
      disk_seen = disk_seen || (third() ? std::holds_alternative<DISK_INFO_EX>(item.object)
                                        : std::holds_alternative<DISK_INFO>(item.object));
      region_seen = region_seen || (third() ? std::holds_alternative<REGION_INFO_EX>(item.object)
                                            : std::holds_alternative<REGION_INFO>(item.object));
    }
  }
  EXPECT_TRUE(disk_seen);
  EXPECT_TRUE(region_seen);
  const auto objects = SessionOf(GetParam()).sink().Objects();
  for (const ReceivedObject& object : objects) {
    if (object.disk) {
      EXPECT_EQ(harness::Narrow(*object.disk), harness::Narrow(DiskNow(SessionOf(GetParam()))));
    }
  }
}

// Notifications come before the reply.
TEST_P(Notifications, PrecedeTheReply) {
  Checks("DMRP-0532", "DMRP-0435");
  Session& session = SessionOf(GetParam());
  const std::uint64_t mark = session.sink().Count();
  const auto made = Create(session);
  ASSERT_THAT(made, Succeeds());
  int counted = 0;
  for (const auto& notification : session.sink().All()) {
    if (notification.number <= mark) {
      continue;
    }
    EXPECT_LE(notification.received, made.call.replied);
    ++counted;
  }
  EXPECT_GT(counted, 0);
}

// A notification of a change says something new of the object.
TEST_P(Notifications, TellAChangeOfState) {
  Checks("DMRP-0436", "DMRP-0527");
  Session& session = SessionOf(GetParam());
  const DISK_INFO_EX before = DiskNow(session);
  const std::uint64_t mark = session.sink().Count();
  ASSERT_THAT(Create(session), Succeeds());
  const auto objects = session.sink().Objects(mark);
  auto told =
      std::ranges::find_if(objects, harness::Action(DMNOTIFY_DISK_INFO, LDMACTION_MODIFIED, before.id));
  ASSERT_NE(told, objects.end());
  EXPECT_GT(told->lastKnownState, before.lastKnownState);
  EXPECT_NE(harness::DifferenceText(before, *told->disk), "");
  EXPECT_NE(told->disk->freeBytes, before.freeBytes);
}

// Methods that are done with their reply send nothing about their task afterwards.
TEST_P(Notifications, SayNothingAboutATaskThatIsOver) {
  Checks("DMRP-0439", "DMRP-0442", "DMRP-0443");
  Session& session = SessionOf(GetParam());
  const auto made = Create(session);
  ASSERT_THAT(made, Succeeds());
  ASSERT_EQ(made->tinfo.status, REQ_COMPLETED);
  // Another change, so that anything late about the first task would have come by now.
  const REGION_INFO_EX free = FreeRegion(session);
  ASSERT_THAT(session.CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4))), Succeeds());
  int frames = 0;
  for (const ReceivedObject& object : session.sink().Objects()) {
    if (object.type == DMNOTIFY_TASK_INFO && object.id == made->tinfo.id) {
      ++frames;
    }
  }
  EXPECT_LE(frames, 1) << "one completion notification is allowed";
}

INSTANTIATE_TEST_SUITE_P(Both, Notifications, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
