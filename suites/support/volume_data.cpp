#include "suites/support/volume_data.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/guest/guest.hpp"
#include "harness/layout/guest_volumes.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

// What a synchronisation of a few mebibytes may take on a busy machine.
constexpr std::chrono::seconds kLongestChange{120};

}  // namespace

std::string VolumeDataTest::DeviceOf(LdmObjectId volume) {
  GetVolumeDeviceNameRequest request;
  request._volumeId = volume;
  const auto reply = SessionOf(Revision::kIVolumeClient3)
                         .Call<GetVolumeDeviceNameReply>(kIVolumeClient4, "GetVolumeDeviceName", request);
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  const std::string name = ToUtf8(reply->pwszVolumeDevice);
  constexpr std::string_view kFolder = "\\Device\\";
  [&] { ASSERT_TRUE(name.starts_with(kFolder) && name.back() == '\0') << name; }();
  return "/dev/mapper/" + name.substr(kFolder.size(), name.size() - kFolder.size() - 1);
}

VOLUME_INFO VolumeDataTest::FormatVolume(Session& session, LdmObjectId volume, std::u16string label,
                                         std::int32_t type) {
  FormatRequest request;
  request.storageId = volume;
  request.storageLastKnownState = VolumeNow(session, volume).lastKnownState;
  request.fsSpec = FileSystemSpec(type, 4096, std::move(label));
  request.quickFormat = true;
  const std::uint64_t mark = session.sink().Count();
  const auto reply = session.Format(request);
  [&] { ASSERT_THAT(reply, StartsTask()); }();
  const auto end = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.task && object.id == reply->tinfo.id && IsFinal(object.task->status);
      },
      kFormatLimit, mark);
  if (!end || end->task->status != REQ_COMPLETED) {
    Need(Result<void>(Fail(ErrorKind::kSystem, "no formatted volume to test with: " + reply.call.text)));
  }
  return VolumeNow(session, volume);
}

DRIVE_LETTER_INFO VolumeDataTest::FreeLetter(Session& session, std::size_t number) {
  const auto reply = session.EnumDriveLetters();
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  const auto& letters = reply->driveLetterList;
  for (auto letter = letters.rbegin(); letter != letters.rend(); ++letter) {
    if (!letter->isUsed && number-- == 0) return *letter;
  }
  [&] { FAIL() << kEnvironmentMark << "no drive letter is free"; }();
  throw std::logic_error("unreachable");
}

DRIVE_LETTER_INFO VolumeDataTest::LetterNow(Session& session, char16_t letter) {
  const StorageView view = Need(session.View());
  const DRIVE_LETTER_INFO* found = view.FindLetter(letter);
  [&] { ASSERT_NE(found, nullptr) << "letter " << static_cast<char>(letter) << " is not listed"; }();
  return *found;
}

DRIVE_LETTER_INFO VolumeDataTest::GiveLetter(Session& session, LdmObjectId volume) {
  const DRIVE_LETTER_INFO free = FreeLetter(session);
  AssignDriveLetterRequest request;
  request.letter = free.letter;
  request.letterLastKnownState = free.lastKnownState;
  request.storageId = volume;
  request.storageLastKnownState = VolumeNow(session, volume).lastKnownState;
  const auto reply =
      session.Change<AssignDriveLetterReply>(session.interface(), "AssignDriveLetter", request);
  if (!reply.succeeded()) {
    Need(Result<void>(Fail(ErrorKind::kSystem, "no volume with a letter to test with: " + reply.call.text)));
  }
  return LetterNow(session, free.letter);
}

std::string VolumeDataTest::LettersOf(Session& session, LdmObjectId storage) {
  const auto reply = session.EnumDriveLetters();
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  std::string used;
  for (const DRIVE_LETTER_INFO& each : reply->driveLetterList) {
    if (each.isUsed && each.storageId == storage) used.push_back(static_cast<char>(each.letter));
  }
  return used;
}

void VolumeDataTest::WritePattern(Session& session, LdmObjectId volume, std::uint64_t seed) {
  Need(harness::VolumePattern{seed}.Write(harness::DeviceInGuest(GuestOrSkip().agent(), DeviceOf(volume)),
                                          kFirstBlock, kBlocks));
  // The server may have seen that somebody wrote to the volume, and may say so in its own time.
  [&] { ASSERT_THAT(session.RefreshFileSys(), Succeeds()); }();
}

std::vector<std::string> VolumeDataTest::PatternProblems(LdmObjectId volume, std::uint64_t seed) {
  return Need(harness::VolumePattern{seed}.Check(
      harness::DeviceInGuest(GuestOrSkip().agent(), DeviceOf(volume)), kFirstBlock, kBlocks));
}

std::vector<std::string> VolumeDataTest::PatternProblemsOnDisk(const harness::DynamicGroup& group,
                                                               const harness::DynamicVolume& volume,
                                                               std::uint64_t seed) {
  using harness::VolumePattern;
  const auto members = Need(harness::VolumeMembers::Open(group, volume));
  std::vector<std::string> problems;
  for (std::size_t leg = 0; leg < volume.plexes.size(); ++leg) {
    const Bytes octets =
        Need(members.ReadLeg(leg, kFirstBlock * VolumePattern::kBlock, kBlocks * VolumePattern::kBlock));
    for (const std::string& mismatch : VolumePattern{seed}.Mismatches(kFirstBlock, octets)) {
      problems.push_back(fmt::format("{} copy {}: {}", volume.name, leg, mismatch));
    }
  }
  return problems;
}

FileSystemOnDisk VolumeDataTest::FileSystemOnMembers(const harness::DynamicGroup& group,
                                                     const harness::DynamicVolume& volume) {
  const Bytes octets = Need(harness::ReadThroughMembers(group, volume, 0, volume.size));
  const auto first = std::ranges::find(group.disks, true, &harness::DynamicMember::present);
  [&] { ASSERT_NE(first, group.disks.end()); }();
  const ImageCopy image(first->image.string() + ".volume", 512);
  std::ofstream file(image.path(), std::ios::binary);
  file.write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  file.close();
  [&] { ASSERT_TRUE(file.good()) << kEnvironmentMark << "cannot write " << image.path(); }();
  return Need(harness::ReadFileSystem(image.path(), 0, volume.size));
}

harness::HeldFile VolumeDataTest::HoldFile(LdmObjectId volume, const std::string& folder,
                                           const std::string& text) {
  harness::AgentClient& agent = GuestOrSkip().agent();
  Need(
      agent.Shell(fmt::format("mkdir -p {1} && mount -t vfat {0} {1} && echo {2} > {1}/file && umount {1} "
                              "&& mount -t vfat -o ro {0} {1}",
                              DeviceOf(volume), folder, text)));
  return Need(harness::HeldFile::Hold(agent, folder + "/file"));
}

std::int64_t VolumeDataTest::FragmentDisk(Session& session, std::size_t index) {
  const std::int64_t piece = DiskNow(session, index).freeBytes / 4 / MiB(1) * MiB(1);
  std::vector<LdmObjectId> volumes;
  for (int i = 0; i < 3; ++i) {
    volumes.push_back(Make(session, {"Piece", VOLUMELAYOUT_SIMPLE, {{index, piece}}, piece}).id);
  }
  const VOLUME_INFO middle = VolumeNow(session, volumes[1]);
  [&] { ASSERT_THAT(DeleteVolume(session, middle.id, middle.lastKnownState), Succeeds()); }();
  std::int64_t largest = 0;
  std::int64_t sum = 0;
  for (const REGION_INFO_EX& region : RegionsNow(session, index)) {
    if (!harness::IsFree(region)) continue;
    largest = std::max(largest, region.length);
    sum += region.length;
  }
  const std::int64_t wanted = (largest + MiB(2)) / MiB(1) * MiB(1);
  [&] { ASSERT_LT(wanted, sum); }();
  return wanted;
}

VOLUME_INFO VolumeDataTest::AwaitStatus(Session& session, LdmObjectId volume, VOLUMESTATUS status,
                                        std::uint64_t mark) {
  const auto told = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.id == volume && object.volume && object.volume->status == status;
      },
      kLongestChange, mark);
  if (!told) {
    Need(Result<void>(
        Fail(ErrorKind::kTimeout, fmt::format("volume {} is not told to be {}: {}", volume, NameOf(status),
                                              ToText(VolumeNow(session, volume))))));
  }
  return VolumeNow(session, volume);
}

PulledDisk VolumeDataTest::PullDisk(Session& session, std::size_t index, LdmObjectId volume,
                                    VOLUMESTATUS status) {
  NeedsCapability("images");
  const BedDisk disk = lab().bed().disks().at(index);
  const auto contents =
      std::make_shared<ImageCopy>(Need(lab().bed().Snapshot(disk.id)), disk.spec.logical_sector);
  const std::uint64_t mark = session.sink().Count();
  Need(lab().bed().Detach(disk.id));
  const bool gone = session.sink()
                        .WaitFor(
                            [](const ReceivedObject& object) {
                              return object.type == DMNOTIFY_DISK_INFO && object.action == LDMACTION_DELETED;
                            },
                            target().notification_timeout, mark)
                        .has_value();
  if (!gone) Need(Result<void>(Fail(ErrorKind::kTimeout, "the disk that was pulled is not told to be gone")));
  AwaitStatus(session, volume, status, mark);
  // Whatever else the event brings about.
  [&] { ASSERT_THAT(session.Refresh(), Succeeds()); }();
  PulledDisk pulled{disk.spec, contents};
  // The disk is known by what is on it, whatever drive it is in.
  pulled.spec.serial.clear();
  return pulled;
}

DISK_INFO_EX VolumeDataTest::ReturnDisk(Session& session, const PulledDisk& disk) {
  const std::uint64_t mark = session.sink().Count();
  Need(lab().bed().Attach({disk.spec, harness::ContentsOf(disk.contents->path())}));
  const auto back = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.disk && object.action != LDMACTION_DELETED &&
               object.disk->length == static_cast<std::int64_t>(disk.spec.size) &&
               (object.disk->deviceState & DEVICESTATE_MISSING) == 0;
      },
      target().notification_timeout, mark);
  if (!back) {
    Need(Result<void>(Fail(ErrorKind::kTimeout, "the disk that came back is not told")));
  }
  const StorageView view = Need(session.View());
  [&] { ASSERT_NE(view.FindDisk(back->id), nullptr) << "the disk that came back is not listed"; }();
  return *view.FindDisk(back->id);
}

}  // namespace dmrp::suites
