// PRIVHEAD: which disk of which group this is, and where its public and private region lie. Three copies on
// an MBR disk, two on a GPT disk.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "reference_server/platform/geometry.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dmrp::server::ldm {

/// Octets of a PRIVHEAD and of a TOCBLOCK; the rest of a larger sector is zero.
inline constexpr std::size_t kHeaderBytes = 512;
/// Octets of a private region, whatever the sector size.
inline constexpr std::uint64_t kPrivateRegionBytes = 1 << 20;
/// The sector of the third copy on MBR disks.
inline constexpr std::uint64_t kMbrHeaderSector = 6;
/// First sector of the public region of a fresh MBR disk.
inline constexpr std::uint64_t kMbrPublicStart = 63;
/// The longest group name.
inline constexpr std::size_t kMaxGroupName = 30;
/// The same on every disk of every host seen; it cannot tell one host from another.
inline constexpr std::string_view kHostGuid = "1b77da20-c717-11d0-a5be-00a0c91db73c";

/// Bits of PrivateHeader::flags.
inline constexpr std::uint32_t kHeaderShared = 0x1;
inline constexpr std::uint32_t kHeaderNoAutoImport = 0x2;

/// All sectors are device sectors; "relative" ones count from privateStart.
struct PrivateHeader {
  std::uint16_t majorVersion = 2;
  std::uint16_t minorVersion = 11;  ///< 11 Server 2003, 12 Vista and later
  std::uint64_t time = 0;           ///< FILETIME of the last update
  std::uint64_t sequence = 1;       ///< that of the current TOC
  std::uint64_t primaryAt = 0;      ///< relative sector of the primary copy: the last one
  std::uint64_t backupAt = 0;       ///< relative sector of the backup copy
  Guid diskGuid{};
  std::string hostGuid{kHostGuid};
  Guid groupGuid{};
  std::string groupName;  ///< at most kMaxGroupName octets
  std::uint32_t bytesPerSector = 512;
  std::uint32_t flags = 0;
  std::uint16_t publicSlice = 0;
  std::uint16_t privateSlice = 0;
  std::uint64_t publicStart = 0;
  std::uint64_t publicSize = 0;
  std::uint64_t privateStart = 0;
  std::uint64_t privateSize = 0;
  std::uint64_t primaryTocAt = 0;    ///< relative sector of the current TOC's first copy
  std::uint64_t secondaryTocAt = 0;  ///< and of its second
  std::uint32_t configs = 1;
  std::uint32_t logs = 1;
  std::uint64_t configSize = 0;  ///< sectors
  std::uint64_t logSize = 0;     ///< sectors
  std::uint32_t hostSignature =
      0;  ///< one value per host, on Windows perhaps that of its boot disk; may be 0
  Guid diskSetGuid{};
  Guid diskSetGuidCopy{};

  [[nodiscard]] std::uint64_t PublicStartBlocks() const { return publicStart * (bytesPerSector / 512); }
  [[nodiscard]] std::uint64_t PublicBlocks() const { return publicSize * (bytesPerSector / 512); }

  friend bool operator==(const PrivateHeader&, const PrivateHeader&) = default;
};

/// Reads the 512 octets of a copy: magic, checksum, version 2.11 or 2.12, GUIDs, a private region that holds
/// all that the header places in it. kMalformed names the field, kUnsupported another version.
Result<PrivateHeader> ParsePrivateHeader(std::span<const std::byte> sector);
/// 512 octets with the checksum. kLimit for a name that is too long.
Result<Bytes> SerializePrivateHeader(const PrivateHeader& header);

/// What is to be decided for a new member; all else follows from the sector size.
struct NewMember {
  Guid diskGuid{};
  std::uint64_t publicStart = kMbrPublicStart;  ///< sectors
  std::uint64_t publicSize = 0;
  std::uint64_t privateStart = 0;
  std::uint16_t minorVersion = 11;
  std::uint32_t hostSignature = 0;
  std::uint32_t flags = 0;
};

/// The header of a fresh disk: sequence 1, regions where this sector size has them. The group's name and GUID
/// are filled in when it is written.
PrivateHeader MakePrivateHeader(const DiskGeometry& geometry, const NewMember& member, std::uint64_t time);

/// Where the private region of a fresh MBR disk begins (sectors): 1 MiB before its end.
[[nodiscard]] std::uint64_t MbrPrivateStart(const DiskGeometry& geometry);
/// End of the public region of a fresh MBR disk (sectors): for 2.11 the last boundary of a 255/63 cylinder
/// not above the private region (where there is one), for 2.12 the private region itself.
[[nodiscard]] std::uint64_t MbrPublicEnd(const DiskGeometry& geometry, std::uint16_t minor_version);

}  // namespace dmrp::server::ldm
