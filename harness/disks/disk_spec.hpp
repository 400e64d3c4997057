// What a virtual hard disk is: its size, sectors, bus, label and geometry, as a value and as one line of
// text.
//
//   Result<DiskSpec> spec = ParseDiskSpec("size=64M,bus=virtio-scsi,sector=512,label=mbr");
#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

enum class DiskBus { kVirtioScsi, kUsb, kIde, kAhci, kLsi, kNvme, kFloppy };
/// What kind of drive it is.
enum class DiskMedia {
  kFixed,
  kRemovable,  ///< a disk drive whose medium can be taken out
  kCdrom,      ///< CD or DVD, by its size: see kMaxCdSize
  kFloppy,
};
enum class DiskLabel { kNone, kMbr, kGpt };
/// A file system that fills the whole disk or medium, without a partition table.
enum class DiskFileSystem { kNone, kFat12, kFat16, kFat32, kNtfs, kIso9660, kUdf };
/// What is broken about a partition table, on purpose.
enum class DiskDamage {
  kNone,
  kBootSignature,   ///< MBR: the two octets 55 AA are gone
  kOverlap,         ///< MBR: the second entry lies across the end of the first
  kOutside,         ///< MBR: an entry ends behind the end of the disk
  kExtendedLoop,    ///< MBR: the chain in the extended partition comes back to its start
  kGptHeaderCrc,    ///< GPT: the primary header's checksum is wrong
  kGptEntriesCrc,   ///< GPT: the primary entries do not fit their checksum
  kGptBackup,       ///< GPT: the backup header is gone
  kGptBothHeaders,  ///< GPT: both headers' checksums are wrong
};
enum class DiskFormat { kRaw, kQcow2 };

/// Heads and sectors per track. On SCSI and USB disks the guest's kernel takes them from the end of a
/// partition in the MBR, so a geometry is made by writing a table with one partition that ends on its last
/// head and sector.
struct DiskGeometry {
  std::uint32_t heads = 255;
  std::uint32_t sectors = 63;
  friend bool operator==(const DiskGeometry&, const DiskGeometry&) = default;
};

struct DiskSpec {
  std::string name;                     ///< for people: "mbr-512n"; empty where nobody named it
  std::uint64_t size = 64U << 20U;      ///< octets; a multiple of logical_sector
  std::uint32_t logical_sector = 512;   ///< octets: 512 or 4096; 2048 on CDs and DVDs, and only there
  std::uint32_t physical_sector = 512;  ///< octets: the same, never below logical_sector
  DiskBus bus = DiskBus::kVirtioScsi;
  DiskMedia media = DiskMedia::kFixed;
  bool medium = true;  ///< false: the drive is empty; not on fixed disks
  DiskLabel label = DiskLabel::kNone;
  DiskDamage damage = DiskDamage::kNone;  ///< of the label
  DiskFileSystem file_system = DiskFileSystem::kNone;
  std::string volume;  ///< label of the file system: 1 to 11 letters, digits, '-', '_'; or empty
  std::optional<DiskGeometry> geometry;  ///< only with label mbr; creates the partition described above
  std::string serial;                    ///< at most 20 characters; empty: one is made when the image is
  bool read_only = false;
  DiskFormat format = DiskFormat::kRaw;

  friend bool operator==(const DiskSpec&, const DiskSpec&) = default;
};

/// Largest raw image: ext4 ends at 16 TiB. Bigger disks are made as qcow2.
inline constexpr std::uint64_t kMaxRawSize = (16ULL << 40U) - 4096;
/// Largest disk of any kind (64 TiB).
inline constexpr std::uint64_t kMaxSize = 64ULL << 40U;
/// Smallest disk (1 MiB): room for a GPT with its copy. Floppies are 720 KiB or 1440 KiB.
inline constexpr std::uint64_t kMinSize = 1ULL << 20U;
/// Largest medium that a drive shows as a CD; above, it is a DVD.
inline constexpr std::uint64_t kMaxCdSize = 737'280'000;

/// Parses "key=value,..." with the keys size (octets, or with K, M, G, T for powers of 1024), bus
/// (virtio-scsi, usb, ide, ahci, lsi, nvme, floppy), media (fixed, removable, cdrom, floppy), medium
/// (present, none), sector (512 or 4096, or LOGICAL/PHYSICAL as in 512/4096), label (none, mbr, gpt), damage
/// (none, boot-signature, overlap, outside, extended-loop, gpt-header-crc, gpt-entries-crc, gpt-backup,
/// gpt-both-headers), filesystem (none, fat12, fat16, fat32, ntfs, iso9660, udf), volume, geometry
/// (HEADS/SECTORS), serial, read-only (yes, no), format (raw, qcow2), name. CDs get their sectors of 2048
/// octets and are read-only by themselves; bus=floppy is media=floppy. kUsage or kLimit errors name the key
/// and what is allowed.
Result<DiskSpec> ParseDiskSpec(std::string_view text);

/// The same text, canonical: parses back to an equal value.
std::string ToText(const DiskSpec& spec);

/// Checks the rules between fields (sizes against sectors, bus against sector size and read-only, geometry
/// against label). ParseDiskSpec has done this already.
Result<void> Validate(const DiskSpec& spec);

/// The disks of a geometries file (vms/geometries.toml), in its order.
Result<std::vector<DiskSpec>> LoadGeometries(const std::filesystem::path& file);

std::string_view Name(DiskBus bus);
std::string_view Name(DiskMedia media);
std::string_view Name(DiskLabel label);
std::string_view Name(DiskFileSystem file_system);
std::string_view Name(DiskDamage damage);
std::string_view Name(DiskFormat format);

}  // namespace dmrp::harness
