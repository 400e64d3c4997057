#include "reference_server/storage/ldm/privhead.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"
#include "reference_server/storage/ldm/klog.hpp"
#include "reference_server/storage/ldm/tocblock.hpp"
#include "reference_server/storage/ldm/vmdb.hpp"

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::string_view kMagic = "PRIVHEAD";
constexpr std::size_t kChecksumAt = 0x08;
constexpr std::size_t kGuidField = 64;
constexpr std::size_t kGroupNameField = 31;
/// Where the backup copy lies in a region of 1 MiB, in octets: sector 1856 of 512 octets.
constexpr std::uint64_t kBackupOffset = 1856 * 512;
/// A 255/63 cylinder, by which Server 2003 rounds the public region whatever the disk says of itself.
constexpr std::uint64_t kCylinderSectors = 255 * 63;

tl::unexpected<Error> Malformed(std::string what) {
  return Fail(ErrorKind::kMalformed, "private header: " + std::move(what));
}

}  // namespace

Result<PrivateHeader> ParsePrivateHeader(std::span<const std::byte> sector) {
  if (sector.size() < kHeaderBytes) return Malformed(fmt::format("{} octets", sector.size()));
  const auto octets = sector.first(kHeaderBytes);
  if (!HasMagic(octets, kMagic)) return Malformed("no PRIVHEAD");
  const auto checksum = LoadBe<std::uint32_t>(octets, kChecksumAt);
  if (checksum != OctetSum(octets, kChecksumAt)) {
    return Malformed(
        fmt::format("checksum {:08x}, its octets sum up to {:08x}", checksum, OctetSum(octets, kChecksumAt)));
  }
  PrivateHeader header;
  header.majorVersion = LoadBe<std::uint16_t>(octets, 0x0C);
  header.minorVersion = LoadBe<std::uint16_t>(octets, 0x0E);
  if (header.majorVersion != 2 || (header.minorVersion != 11 && header.minorVersion != 12)) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("private header of version {}.{}", header.majorVersion, header.minorVersion));
  }
  header.time = LoadBe<std::uint64_t>(octets, 0x10);
  header.sequence = LoadBe<std::uint64_t>(octets, 0x18);
  header.primaryAt = LoadBe<std::uint64_t>(octets, 0x20);
  header.backupAt = LoadBe<std::uint64_t>(octets, 0x28);
  const auto disk = LoadGuidText(octets.subspan(0x30, kGuidField), "private header: disk GUID");
  if (!disk) return tl::unexpected(disk.error());
  header.diskGuid = *disk;
  auto host = LoadText(octets.subspan(0x70, kGuidField), "private header: host GUID");
  if (!host) return tl::unexpected(host.error());
  header.hostGuid = std::move(*host);
  const auto group = LoadGuidText(octets.subspan(0xB0, kGuidField), "private header: group GUID");
  if (!group) return tl::unexpected(group.error());
  header.groupGuid = *group;
  auto name = LoadText(octets.subspan(0xF0, kGroupNameField), "private header: group name");
  if (!name) return tl::unexpected(name.error());
  header.groupName = std::move(*name);
  header.bytesPerSector = LoadBe<std::uint32_t>(octets, 0x10F);
  header.flags = LoadBe<std::uint32_t>(octets, 0x113);
  header.publicSlice = LoadBe<std::uint16_t>(octets, 0x117);
  header.privateSlice = LoadBe<std::uint16_t>(octets, 0x119);
  header.publicStart = LoadBe<std::uint64_t>(octets, 0x11B);
  header.publicSize = LoadBe<std::uint64_t>(octets, 0x123);
  header.privateStart = LoadBe<std::uint64_t>(octets, 0x12B);
  header.privateSize = LoadBe<std::uint64_t>(octets, 0x133);
  header.primaryTocAt = LoadBe<std::uint64_t>(octets, 0x13B);
  header.secondaryTocAt = LoadBe<std::uint64_t>(octets, 0x143);
  header.configs = LoadBe<std::uint32_t>(octets, 0x14B);
  header.logs = LoadBe<std::uint32_t>(octets, 0x14F);
  header.configSize = LoadBe<std::uint64_t>(octets, 0x153);
  header.logSize = LoadBe<std::uint64_t>(octets, 0x15B);
  header.hostSignature = LoadBe<std::uint32_t>(octets, 0x163);
  header.diskSetGuid = GuidFromNetworkOrder(octets.subspan(0x167).first<16>());
  header.diskSetGuidCopy = GuidFromNetworkOrder(octets.subspan(0x177).first<16>());
  if (!IsZero(octets.subspan(0x187))) return Malformed("octets behind the last field");
  const std::uint32_t sector_size = header.bytesPerSector;
  if (sector_size < kMinSectorSize || sector_size > kMaxSectorSize ||
      (sector_size & (sector_size - 1)) != 0) {
    return Malformed(fmt::format("sectors of {} octets", sector_size));
  }
  if (header.privateSize != kPrivateRegionBytes / sector_size) {
    return Malformed(fmt::format("a private region of {} sectors of {} octets, not 1 MiB", header.privateSize,
                                 sector_size));
  }
  constexpr std::uint64_t kSectorLimit = std::uint64_t{1}
                                         << 54;  // octets, and starts plus sizes, fit in 64 bits
  if (header.privateStart >= kSectorLimit || header.publicStart >= kSectorLimit ||
      header.publicSize >= kSectorLimit) {
    return Malformed(fmt::format("regions at {} and {}+{} lie beyond any disk", header.privateStart,
                                 header.publicStart, header.publicSize));
  }
  for (const std::uint64_t place :
       {header.primaryAt, header.backupAt, header.primaryTocAt, header.secondaryTocAt}) {
    if (place >= header.privateSize) {
      return Malformed(fmt::format("a header at sector {} of {}", place, header.privateSize));
    }
  }
  return header;
}

Result<Bytes> SerializePrivateHeader(const PrivateHeader& header) {
  Bytes octets(kHeaderBytes);
  const std::span<std::byte> all(octets);
  for (const auto& stored :
       {StoreText(all.subspan(0x00, kMagic.size()), kMagic, kMagic.size(), "magic"),
        StoreText(all.subspan(0x30, kGuidField), header.diskGuid.ToString(), kGuidField, "disk GUID"),
        StoreText(all.subspan(0x70, kGuidField), header.hostGuid, kGuidField, "host GUID"),
        StoreText(all.subspan(0xB0, kGuidField), header.groupGuid.ToString(), kGuidField, "group GUID"),
        StoreText(all.subspan(0xF0, kGroupNameField), header.groupName, kMaxGroupName, "group name")}) {
    if (!stored) return tl::unexpected(stored.error());
  }
  StoreBe(all, 0x0C, header.majorVersion);
  StoreBe(all, 0x0E, header.minorVersion);
  StoreBe(all, 0x10, header.time);
  StoreBe(all, 0x18, header.sequence);
  StoreBe(all, 0x20, header.primaryAt);
  StoreBe(all, 0x28, header.backupAt);
  StoreBe(all, 0x10F, header.bytesPerSector);
  StoreBe(all, 0x113, header.flags);
  StoreBe(all, 0x117, header.publicSlice);
  StoreBe(all, 0x119, header.privateSlice);
  StoreBe(all, 0x11B, header.publicStart);
  StoreBe(all, 0x123, header.publicSize);
  StoreBe(all, 0x12B, header.privateStart);
  StoreBe(all, 0x133, header.privateSize);
  StoreBe(all, 0x13B, header.primaryTocAt);
  StoreBe(all, 0x143, header.secondaryTocAt);
  StoreBe(all, 0x14B, header.configs);
  StoreBe(all, 0x14F, header.logs);
  StoreBe(all, 0x153, header.configSize);
  StoreBe(all, 0x15B, header.logSize);
  StoreBe(all, 0x163, header.hostSignature);
  StoreGuidNetworkOrder(all.subspan(0x167).first<16>(), header.diskSetGuid);
  StoreGuidNetworkOrder(all.subspan(0x177).first<16>(), header.diskSetGuidCopy);
  StoreBe(all, kChecksumAt, OctetSum(all, kChecksumAt));
  return octets;
}

PrivateHeader MakePrivateHeader(const DiskGeometry& geometry, const NewMember& member, std::uint64_t time) {
  PrivateHeader header;
  const std::uint32_t sector = geometry.bytesPerSector;
  const auto sectors = [&](std::uint64_t octets) { return (octets + sector - 1) / sector; };
  header.minorVersion = member.minorVersion;
  header.time = time;
  header.diskGuid = member.diskGuid;
  header.bytesPerSector = sector;
  header.flags = member.flags;
  header.publicStart = member.publicStart;
  header.publicSize = member.publicSize;
  header.privateStart = member.privateStart;
  header.privateSize = kPrivateRegionBytes / sector;
  header.primaryAt = header.privateSize - 1;
  header.backupAt = kBackupOffset / sector;
  const TocPair toc = FirstTocPair(header.privateSize, sector);
  header.primaryTocAt = toc.first;
  header.secondaryTocAt = toc.second;
  header.configSize = sectors(std::uint64_t{kSlotCount} * kSlotBytes);
  header.logSize = sectors(kLogRegionBytes);
  header.hostSignature = member.hostSignature;
  return header;
}

std::uint64_t MbrPrivateStart(const DiskGeometry& geometry) {
  const std::uint64_t size = kPrivateRegionBytes / geometry.bytesPerSector;
  return geometry.Sectors() < size ? 0 : geometry.Sectors() - size;
}

std::uint64_t MbrPublicEnd(const DiskGeometry& geometry, std::uint16_t minor_version) {
  const std::uint64_t end = MbrPrivateStart(geometry);
  const std::uint64_t boundary = end / kCylinderSectors * kCylinderSectors;
  // A disk without a whole cylinder would have no public region.
  return minor_version >= 12 || boundary <= kMbrPublicStart ? end : boundary;
}

}  // namespace dmrp::server::ldm
