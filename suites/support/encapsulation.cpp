#include "suites/support/encapsulation.hpp"

#include "suites/support/prepared_volumes.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace dmrp::suites {

namespace {

constexpr std::string_view kBasicData = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
constexpr std::string_view kReserved = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE";

// Programs that make a file system with a file in it; the volume's image is their last argument.
std::string Fat(std::string_view bits, std::string_view label) {
  return fmt::format(
      "sh -c 'mkfs.fat -F {0} -s 1 -n {1} \"$0\" && head -c 300000 /dev/urandom > \"$0.kept\" && mcopy -i "
      "\"$0\" "
      "\"$0.kept\" ::kept && rm \"$0.kept\"'",
      bits, label);
}
std::string Ntfs(std::string_view label, std::uint64_t start) {
  return fmt::format(
      "sh -c 'mkntfs -q -F -Q -s 512 -p {1} -H 255 -S 63 -L {0} \"$0\" && head -c 300000 /dev/urandom > "
      "\"$0.kept\" && ntfscp -q \"$0\" \"$0.kept\" kept && rm \"$0.kept\"'",
      label, start);
}
// Octets that are no file system's.
constexpr std::string_view kRaw =
    "sh -c 'dd if=/dev/urandom of=\"$0\" bs=64K count=16 conv=notrunc status=none'";

PreparedVolume At(std::uint64_t sector, std::uint64_t sectors, std::string command) {
  return {sector * 512, sectors * 512, std::move(command)};
}

Outcome<GetEncapsulateDiskInfoExReply> Widened(const Outcome<GetEncapsulateDiskInfoReply>& told) {
  Outcome<GetEncapsulateDiskInfoExReply> wide;
  wide.call = told.call;
  wide.error = told.error;
  wide.value.encapInfoFlags = told->encapInfoFlags;
  for (const DISK_INFO& disk : told->affectedDiskList) {
    wide.value.affectedDiskList.push_back(harness::Widen(disk));
  }
  wide.value.affectedDiskFlags = told->affectedDiskFlags;
  wide.value.affectedVolumeList = told->affectedVolumeList;
  for (const REGION_INFO& region : told->affectedRegionList) {
    wide.value.affectedRegionList.push_back(harness::Widen(region));
  }
  wide.value.tinfo = told->tinfo;
  wide.value.result = told->result;
  return wide;
}

}  // namespace

Outcome<GetEncapsulateDiskInfoExReply> QueryEncapsulation(Session& session,
                                                          const std::vector<DISK_SPEC>& disks) {
  if (session.revision() == Revision::kIVolumeClient) {
    return Widened(session.Change<GetEncapsulateDiskInfoReply>(session.interface(), "GetEncapsulateDiskInfo",
                                                               GetEncapsulateDiskInfoRequest{disks}));
  }
  return session.Change<GetEncapsulateDiskInfoExReply>(session.interface(), "GetEncapsulateDiskInfoEx",
                                                       GetEncapsulateDiskInfoExRequest{disks});
}

Outcome<EncapsulateDiskExReply> Encapsulate(Session& session, const EncapsulateDiskExRequest& request) {
  if (session.revision() == Revision::kIVolumeClient3) {
    return session.Change<EncapsulateDiskExReply>(session.interface(), "EncapsulateDiskEx", request);
  }
  EncapsulateDiskRequest narrow;
  for (const DISK_INFO_EX& disk : request.affectedDiskList) {
    narrow.affectedDiskList.push_back(harness::Narrow(disk));
  }
  narrow.affectedVolumeList = request.affectedVolumeList;
  for (const REGION_INFO_EX& region : request.affectedRegionList) {
    narrow.affectedRegionList.push_back(harness::Narrow(region));
  }
  const auto reply = session.Change<EncapsulateDiskReply>(session.interface(), "EncapsulateDisk", narrow);
  Outcome<EncapsulateDiskExReply> same;
  same.call = reply.call;
  same.error = reply.error;
  same.value = {reply->encapInfoFlags, reply->tinfo, reply->result};
  return same;
}

Outcome<EncapsulateDiskExReply> Encapsulate(Session& session, const GetEncapsulateDiskInfoExReply& lists) {
  return Encapsulate(session, RequestOf(lists));
}

EncapsulateDiskExRequest RequestOf(const GetEncapsulateDiskInfoExReply& lists) {
  return {lists.affectedDiskList, lists.affectedVolumeList, lists.affectedRegionList};
}

std::uint32_t EncapsulationFlagsOf(Revision revision) {
  constexpr std::uint32_t kBoth = ENCAP_INFO_CANT_PROCEED | ENCAP_INFO_NO_FREE_SPACE | ENCAP_INFO_BAD_ACTIVE |
                                  ENCAP_INFO_UNKNOWN_PART | ENCAP_INFO_FT_UNHEALTHY |
                                  ENCAP_INFO_FT_QUERY_FAILED | ENCAP_INFO_REBOOT_REQD |
                                  ENCAP_INFO_CONTAINS_FT | ENCAP_INFO_VOLUME_BUSY | ENCAP_INFO_PART_NR_CHANGE;
  return revision == Revision::kIVolumeClient ? kBoth | ENCAP_INFO_FT_HAS_RAID5 | ENCAP_INFO_FT_ON_BOOT
                                              : kBoth | ENCAP_INFO_MIXED_PARTITIONS | ENCAP_INFO_OPEN_FAILED;
}

std::uint32_t EncapsulationDiskFlagsOf(Revision revision) {
  constexpr std::uint32_t kBoth =
      CONTAINS_FT | CONTAINS_RAID5 | CONTAINS_BOOTABLE_PARTITION | CONTAINS_LOCKED_PARTITION |
      CONTAINS_NO_FREE_SPACE | CONTAINS_EXTENDED_PARTITION | PARTITION_NUMBER_CHANGE |
      CONTAINS_BOOTINDICATOR | CONTAINS_BOOTLOADER | CONTAINS_SYSTEMDIR | CONTAINS_MIXED_PARTITIONS;
  return revision == Revision::kIVolumeClient ? kBoth | CONTAINS_REDISTRIBUTION : kBoth;
}

BedDiskRequest MbrDiskWithPartitions() {
  return {harness::ParseDiskSpec("size=96M").value(),
          Volumes("label: dos\nlabel-id: 0x5eed0044\n"
                  "start=2048, size=32768, type=7\n"
                  "start=34816, size=16384, type=6\n"
                  "start=53248, size=114688, type=f\n"
                  "start=55296, size=73728, type=b\n"
                  "start=131072, size=16384, type=6\n",
                  {At(2048, 32768, Ntfs("NTFS", 2048)), At(34816, 16384, Fat("16", "FAT")),
                   At(55296, 73728, Fat("32", "LOGICAL")), At(131072, 16384, std::string(kRaw))})};
}

BedDiskRequest GptDiskWithPartitions() {
  return {harness::ParseDiskSpec("size=80M").value(),
          Volumes(fmt::format("label: gpt\n"
                              "start=2048, size=65536, type={1}\n"
                              "start=67584, size=32768, type={0}\n"
                              "start=100352, size=16384, type={0}\n",
                              kBasicData, kReserved),
                  {At(67584, 32768, Ntfs("GPTNTFS", 67584)), At(100352, 16384, Fat("16", "GPTFAT"))})};
}

BedDiskRequest MbrDiskWithOnePartition() {
  return {harness::ParseDiskSpec("size=64M").value(),
          Volumes("label: dos\nlabel-id: 0x5eed0045\nstart=4096, size=40960, type=6\n",
                  {At(4096, 40960, Fat("16", "SECOND"))})};
}

BedDiskRequest MbrDiskWithoutPartitions() {
  return {harness::ParseDiskSpec("size=48M,label=mbr").value(), {}};
}

DISK_SPEC EncapsulationTest::DiskSpecOf(Session& session, std::size_t disk) {
  const DISK_INFO_EX info = DiskNow(session, disk);
  DISK_SPEC spec;
  spec.diskId = info.id;
  spec.lastKnownState = info.lastKnownState;
  return spec;
}

Outcome<GetEncapsulateDiskInfoExReply> EncapsulationTest::Query(Session& session,
                                                                const std::vector<std::size_t>& disks) {
  std::vector<DISK_SPEC> specs;
  for (const std::size_t disk : disks) specs.push_back(DiskSpecOf(session, disk));
  return QueryEncapsulation(session, specs);
}

std::vector<REGION_INFO_EX> EncapsulationTest::DataRegions(const StorageView& view,
                                                           const std::vector<std::size_t>& disks) {
  std::vector<REGION_INFO_EX> found;
  for (const std::size_t disk : disks) {
    for (const REGION_INFO_EX& region : view.RegionsOf(lab().DiskId(disk))) {
      if (region.fsId != 0) found.push_back(region);
    }
  }
  return found;
}

}  // namespace dmrp::suites
