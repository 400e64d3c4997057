// Dynamic disks over image files, for the tests of the methods that change their volumes.
#pragma once

#include "reference_server/methods/methods_test_support.hpp"

#include <cctype>
#include <utility>

namespace dmrp::server {

class DynamicVolumesTest : public MethodsTest {
 protected:
  void SetUp() override {
    MethodsTest::SetUp();
    MakeFile("c.img");
    server->Refresh();
    for (std::size_t i = 0; i < 3; ++i) {
      const DISK_INFO_EX disk = Disk(i);
      InitializeDiskReply reply;
      ASSERT_EQ(client->InitializeDisk(late_call,
                                       {.diskId = disk.id, .diskLastKnownState = disk.lastKnownState}, reply),
                0);
    }
    TakeFrames();
  }

  DISK_SPEC Member(std::size_t index, LONGLONG length) {
    const DISK_INFO_EX disk = Disk(index);
    return {
        .diskId = disk.id, .length = length, .needContiguous = true, .lastKnownState = disk.lastKnownState};
  }
  CreateVolumeRequest Request(VOLUMELAYOUT layout, LONGLONG length, std::vector<LONGLONG> members) {
    CreateVolumeRequest request;
    request.volumeSpec.layout = layout;
    request.volumeSpec.length = length;
    for (std::size_t i = 0; i < members.size(); ++i) {
      request.diskList.push_back(Member(i, members[i]));
    }
    return request;
  }
  CreateVolumeReply Create(const CreateVolumeRequest& request) {
    CreateVolumeReply reply;
    reply.result = client->CreateVolume(late_call, request, reply);
    return reply;
  }
  std::vector<VOLUME_INFO> Volumes() {
    EnumVolumesReply reply;
    EXPECT_EQ(client->EnumVolumes(late_call, {}, reply), 0);
    return reply.LdmVolumeList;
  }
  VOLUME_INFO Volume(LdmObjectId id) {
    for (const VOLUME_INFO& volume : Volumes()) {
      if (volume.id == id) {
        return volume;
      }
    }
    ADD_FAILURE() << "no volume " << id;
    return {};
  }
  std::vector<LdmObjectId> Members(LdmObjectId id) {
    EnumVolumeMembersReply reply;
    EXPECT_EQ(client->EnumVolumeMembers(late_call, {.volumeId = id}, reply), 0);
    return reply.memberList;
  }
  HRESULT Delete(LdmObjectId id, bool force = false) {
    DeleteVolumeReply reply;
    return client->DeleteVolume(
        late_call, {.volumeId = id, .force = force, .volumeLastKnownState = Volume(id).lastKnownState},
        reply);
  }
  DRIVE_LETTER_INFO Letter(char16_t letter) {
    EnumDriveLettersReply reply;
    EXPECT_EQ(client->EnumDriveLetters(late_call, {}, reply), 0);
    for (const DRIVE_LETTER_INFO& info : reply.driveLetterList) {
      if (info.letter == letter) {
        return info;
      }
    }
    return {};
  }
  HRESULT Assign(char16_t letter, LdmObjectId volume) {
    AssignDriveLetterReply reply;
    return client->AssignDriveLetter(
        late_call,
        {.letter = letter,
         .forceOption = 0,
         .letterLastKnownState = Letter(static_cast<char16_t>(std::toupper(letter))).lastKnownState,
         .storageId = volume,
         .storageLastKnownState = Volume(volume).lastKnownState},
        reply);
  }
  std::vector<FILE_SYSTEM_INFO> FileSystems() {
    EnumLocalFileSystemsReply reply;
    EXPECT_EQ(client->EnumLocalFileSystems(late_call, {}, reply), 0);
    return reply.fileSystemList;
  }
  LdmObjectId Make(VOLUMELAYOUT layout, LONGLONG length, std::vector<LONGLONG> members) {
    const CreateVolumeReply made = Create(Request(layout, length, std::move(members)));
    EXPECT_EQ(made.result, 0);
    return made.tinfo.storageId;
  }
  // The volume, open as users have it.
  DiskInventory::OpenVolume Open(LdmObjectId id) {
    const auto operation = server->model().BeginOperation();
    const auto state = server->model().State();
    const auto* volume = state->FindAs<VolumeObject>(id);
    auto opened = server->inventory().OpenerOf({.volume_key = volume->key})(true);
    EXPECT_TRUE(opened.has_value());
    return std::move(*opened);
  }
  // Octets that differ from sector to sector.
  static Bytes Pattern(LONGLONG length, std::uint32_t seed) {
    Bytes pattern(static_cast<std::size_t>(length));
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      pattern[i] = static_cast<std::byte>((i / 512 * 7 + i + seed) & 0xFFU);
    }
    return pattern;
  }
  void Put(LdmObjectId id, const Bytes& octets) {
    const auto open = Open(id);
    ASSERT_TRUE(open.device->Write(open.start, octets).has_value());
    ASSERT_TRUE(open.device->Flush().has_value());
  }
  Bytes Get(LdmObjectId id, LONGLONG length) {
    const auto open = Open(id);
    Bytes octets(static_cast<std::size_t>(length));
    EXPECT_TRUE(open.device->Read(open.start, octets).has_value());
    return octets;
  }
  // What a disk's file holds where a region of the volume lies on it.
  Bytes MemberOctets(std::size_t index, LdmObjectId volume, const std::string& file) {
    for (const REGION_INFO_EX& region : Regions(Disk(index).id)) {
      if (region.volId == volume) {
        std::ifstream stream(folder / file, std::ios::binary);
        stream.seekg(region.start);
        Bytes octets(static_cast<std::size_t>(region.length));
        stream.read(reinterpret_cast<char*>(octets.data()), region.length);
        return octets;
      }
    }
    ADD_FAILURE() << file << " has no member of volume " << volume;
    return {};
  }
};

}  // namespace dmrp::server
