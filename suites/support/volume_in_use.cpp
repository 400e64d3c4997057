#include "suites/support/volume_in_use.hpp"

#include "harness/guest/guest.hpp"
#include "suites/support/prepared_volumes.hpp"

#include <utility>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

constexpr std::string_view kTable = R"(label: dos
label-id: 0x5eed0021
start=2048, size=16384, type=6
start=20480, size=32768, type=82
start=55296, size=40960, type=f
start=57344, size=16384, type=6
)";

}  // namespace

void VolumeInUseTest::StartWithFileSystems() {
  NeedsCapability("execute");
  StartSharedWith("file-systems-in-use",
                  {{kBlank.Spec(), Volumes(std::string(kTable), {{2048 * 512, 16384 * 512, "mkfs.fat"},
                                                                 {57344 * 512, 16384 * 512, "mkfs.fat"}})}});
  GuestOrSkip();
  LettersAreOurs();
}

void VolumeInUseTest::TearDown() {
  if (!let_go_.empty()) LetGo();
  DriveLetterTest::TearDown();
}

std::string VolumeInUseTest::DeviceOf(const Place& place) {
  const harness::AttachedDisk disk = lab().bed().guest()->disks().at(place.disk);
  const std::size_t number = place.type == REGION_LOGICAL ? 5 + place.number : 1 + place.number;
  return fmt::format("/dev/{}{}", disk.guest_device, number);
}

void VolumeInUseTest::HoldFileOpen(const Place& place) {
  harness::AgentClient& agent = lab().bed().guest()->agent();
  const std::string folder = "/tmp/held";
  Need(agent.Shell(
      fmt::format("mkdir -p {0} && mount -t vfat {1} {0} && echo held > {0}/file", folder, DeviceOf(place))));
  let_go_ = "umount " + folder;
  held_ = Need(harness::HeldFile::Hold(agent, folder + "/file"));
}

void VolumeInUseTest::UseAsPageFile(const Place& place) {
  const std::string device = DeviceOf(place);
  Need(lab().bed().guest()->agent().Shell(fmt::format("mkswap {0} >/dev/null && swapon {0}", device)));
  let_go_ = "swapoff " + device;
  page_file_ = true;
  Look();
}

void VolumeInUseTest::LetGo() {
  harness::AgentClient& agent = lab().bed().guest()->agent();
  if (held_) {
    Need(held_->Release());
    held_.reset();
  }
  Need(agent.Shell(let_go_));
  let_go_.clear();
  if (std::exchange(page_file_, false)) Look();
}

// Paging changes a region's flags, and with them its state, once the server looks.
void VolumeInUseTest::Look() {
  [&] { ASSERT_THAT(SessionOf(Revision::kIVolumeClient3).Refresh(), Succeeds()); }();
}

}  // namespace dmrp::suites
