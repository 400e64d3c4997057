#include "harness/disks/disk_spec.hpp"

#include "harness/disks/toml_rows.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

constexpr std::size_t kLongestSerial = 20;
constexpr std::uint32_t kMostHeads = 255;
constexpr std::uint32_t kMostSectors = 63;
constexpr std::uint32_t kCdSector = 2048;
constexpr std::uint64_t kFloppy720 = 720U << 10U;
constexpr std::uint64_t kFloppy1440 = 1440U << 10U;
constexpr std::uint64_t kLeastDamaged = 16U << 20U;
constexpr std::uint64_t kMostFormatted = 16ULL << 30U;
constexpr std::size_t kLongestVolume = 11;  // of FAT, the shortest

template <typename T>
using NameTable = std::vector<std::pair<std::string_view, T>>;

const NameTable<DiskBus>& BusNames() {
  static const NameTable<DiskBus> kNames = {{"virtio-scsi", DiskBus::kVirtioScsi},
                                            {"usb", DiskBus::kUsb},
                                            {"ide", DiskBus::kIde},
                                            {"ahci", DiskBus::kAhci},
                                            {"lsi", DiskBus::kLsi},
                                            {"nvme", DiskBus::kNvme},
                                            {"floppy", DiskBus::kFloppy}};
  return kNames;
}

const NameTable<DiskMedia>& MediaNames() {
  static const NameTable<DiskMedia> kNames = {{"fixed", DiskMedia::kFixed},
                                              {"removable", DiskMedia::kRemovable},
                                              {"cdrom", DiskMedia::kCdrom},
                                              {"floppy", DiskMedia::kFloppy}};
  return kNames;
}

const NameTable<DiskFileSystem>& FileSystemNames() {
  static const NameTable<DiskFileSystem> kNames = {
      {"none", DiskFileSystem::kNone},   {"fat12", DiskFileSystem::kFat12},
      {"fat16", DiskFileSystem::kFat16}, {"fat32", DiskFileSystem::kFat32},
      {"ntfs", DiskFileSystem::kNtfs},   {"iso9660", DiskFileSystem::kIso9660},
      {"udf", DiskFileSystem::kUdf}};
  return kNames;
}

const NameTable<DiskDamage>& DamageNames() {
  static const NameTable<DiskDamage> kNames = {{"none", DiskDamage::kNone},
                                               {"boot-signature", DiskDamage::kBootSignature},
                                               {"overlap", DiskDamage::kOverlap},
                                               {"outside", DiskDamage::kOutside},
                                               {"extended-loop", DiskDamage::kExtendedLoop},
                                               {"gpt-header-crc", DiskDamage::kGptHeaderCrc},
                                               {"gpt-entries-crc", DiskDamage::kGptEntriesCrc},
                                               {"gpt-backup", DiskDamage::kGptBackup},
                                               {"gpt-both-headers", DiskDamage::kGptBothHeaders}};
  return kNames;
}

const NameTable<bool>& PresenceNames() {
  static const NameTable<bool> kNames = {{"present", true}, {"none", false}};
  return kNames;
}

const NameTable<DiskLabel>& LabelNames() {
  static const NameTable<DiskLabel> kNames = {
      {"none", DiskLabel::kNone}, {"mbr", DiskLabel::kMbr}, {"gpt", DiskLabel::kGpt}};
  return kNames;
}

const NameTable<DiskFormat>& FormatNames() {
  static const NameTable<DiskFormat> kNames = {{"raw", DiskFormat::kRaw}, {"qcow2", DiskFormat::kQcow2}};
  return kNames;
}

const NameTable<bool>& AnswerNames() {
  static const NameTable<bool> kNames = {{"yes", true}, {"no", false}};
  return kNames;
}

template <typename T>
std::string_view NameOf(const NameTable<T>& names, T value) {
  for (const auto& [name, known] : names) {
    if (known == value) {
      return name;
    }
  }
  return "unknown";
}

template <typename T>
Result<void> ByName(const NameTable<T>& names, std::string_view key, std::string_view text, T& target) {
  std::string known;
  for (const auto& [name, value] : names) {
    if (name == text) {
      target = value;
      return {};
    }
    known += known.empty() ? "" : ", ";
    known += name;
  }
  return Fail(ErrorKind::kUsage, fmt::format("disk {}={}: known are {}", key, text, known));
}

Result<std::uint64_t> Number(std::string_view key, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || trouble != std::errc() || end != text.data() + text.size()) {
    return Fail(ErrorKind::kUsage, fmt::format("disk {}={}: not a whole number", key, text));
  }
  return value;
}

Result<void> Size(std::string_view text, std::uint64_t& target) {
  constexpr std::string_view kUnits = "KMGT";
  unsigned shift = 0;
  std::string_view digits = text;
  if (!text.empty()) {
    const auto unit = kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text.back()))));
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      digits.remove_suffix(1);
    }
  }
  const auto value = Number("size", digits);
  if (!value) {
    return Fail(ErrorKind::kUsage,
                fmt::format("disk size={}: expected octets, or a number with K, M, G or T behind it", text));
  }
  if (*value > (kMaxSize >> shift)) {
    return Fail(ErrorKind::kLimit,
                fmt::format("disk size={}: the largest is {} octets (64T)", text, kMaxSize));
  }
  target = *value << shift;
  return {};
}

// "A/B"; without the slash both are A where `single` allows it.
Result<std::pair<std::uint32_t, std::uint32_t>> Pair(std::string_view key, std::string_view text,
                                                     bool single) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos && !single) {
    return Fail(ErrorKind::kUsage, fmt::format("disk {}={}: expected two numbers as in 255/63", key, text));
  }
  const auto first = Number(key, text.substr(0, slash));
  const auto second = slash == std::string_view::npos ? first : Number(key, text.substr(slash + 1));
  if (!first || !second) {
    return tl::unexpected((first ? second : first).error());
  }
  if (std::max(*first, *second) > UINT32_MAX) {
    return Fail(ErrorKind::kLimit, fmt::format("disk {}={}: too large", key, text));
  }
  return std::pair{static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*second)};
}

Result<void> ApplyField(DiskSpec& spec, std::string_view key, std::string_view value) {
  if (key == "size") {
    return Size(value, spec.size);
  }
  if (key == "bus") {
    return ByName(BusNames(), key, value, spec.bus);
  }
  if (key == "label") {
    return ByName(LabelNames(), key, value, spec.label);
  }
  if (key == "media") {
    return ByName(MediaNames(), key, value, spec.media);
  }
  if (key == "medium") {
    return ByName(PresenceNames(), key, value, spec.medium);
  }
  if (key == "damage") {
    return ByName(DamageNames(), key, value, spec.damage);
  }
  if (key == "filesystem") {
    return ByName(FileSystemNames(), key, value, spec.file_system);
  }
  if (key == "volume") {
    spec.volume = value;
    return {};
  }
  if (key == "format") {
    return ByName(FormatNames(), key, value, spec.format);
  }
  if (key == "read-only") {
    return ByName(AnswerNames(), key, value, spec.read_only);
  }
  if (key == "serial") {
    spec.serial = value;
    return {};
  }
  if (key == "name") {
    spec.name = value;
    return {};
  }
  if (key == "sector") {
    return Pair(key, value, true).map([&](const auto& sizes) {
      std::tie(spec.logical_sector, spec.physical_sector) = sizes;
    });
  }
  if (key == "geometry") {
    return Pair(key, value, false).map([&](const auto& pair) {
      spec.geometry = DiskGeometry{pair.first, pair.second};
    });
  }
  return Fail(ErrorKind::kUsage,
              fmt::format("disk {}=: unknown; known are size, bus, media, medium, sector, label, damage, "
                          "filesystem, volume, geometry, serial, read-only, format, name",
                          key));
}

bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

std::string_view Name(DiskBus bus) { return NameOf(BusNames(), bus); }
std::string_view Name(DiskMedia media) { return NameOf(MediaNames(), media); }
std::string_view Name(DiskFileSystem file_system) { return NameOf(FileSystemNames(), file_system); }
std::string_view Name(DiskDamage damage) { return NameOf(DamageNames(), damage); }
std::string_view Name(DiskLabel label) { return NameOf(LabelNames(), label); }
std::string_view Name(DiskFormat format) { return NameOf(FormatNames(), format); }

namespace {

tl::unexpected<Error> Refuse(ErrorKind kind, const std::string& text) { return Fail(kind, "disk " + text); }

Result<void> ValidateSize(const DiskSpec& spec) {
  const bool cd = spec.media == DiskMedia::kCdrom;
  for (const std::uint32_t sector : {spec.logical_sector, spec.physical_sector}) {
    if (cd ? sector != kCdSector : sector != 512 && sector != 4096) {
      return Refuse(ErrorKind::kUsage, cd ? fmt::format("sector={}: CDs have 2048", sector)
                                          : fmt::format("sector={}: known are 512 and 4096", sector));
    }
  }
  if (spec.physical_sector < spec.logical_sector) {
    return Refuse(ErrorKind::kUsage,
                  fmt::format("sector={}/{}: the physical sector is smaller than the logical one",
                              spec.logical_sector, spec.physical_sector));
  }
  if (spec.media == DiskMedia::kFloppy) {
    if (spec.size != kFloppy720 && spec.size != kFloppy1440) {
      return Refuse(ErrorKind::kUsage, fmt::format("size={}: floppies have 720K or 1440K", spec.size));
    }
  } else if (spec.size < kMinSize || spec.size > kMaxSize) {
    return Refuse(ErrorKind::kLimit,
                  fmt::format("size={}: allowed are {} (1M) to {} (64T)", spec.size, kMinSize, kMaxSize));
  }
  if (spec.size % spec.logical_sector != 0) {
    return Refuse(ErrorKind::kUsage, fmt::format("size={}: not a multiple of the sector size {}", spec.size,
                                                 spec.logical_sector));
  }
  if (spec.format == DiskFormat::kRaw && spec.size > kMaxRawSize) {
    return Refuse(ErrorKind::kLimit, fmt::format("format=raw: at most {} octets; use qcow2", kMaxRawSize));
  }
  return {};
}

Result<void> ValidateBus(const DiskSpec& spec) {
  const bool ata = spec.bus == DiskBus::kIde || spec.bus == DiskBus::kAhci;
  if ((ata || spec.bus == DiskBus::kFloppy) && spec.media != DiskMedia::kCdrom &&
      spec.logical_sector != 512) {
    return Refuse(ErrorKind::kUnsupported, fmt::format("sector={}: the bus {} has 512-octet sectors only",
                                                       spec.logical_sector, Name(spec.bus)));
  }
  if (spec.bus == DiskBus::kNvme && spec.logical_sector != spec.physical_sector) {
    return Refuse(ErrorKind::kUnsupported, fmt::format("sector={}/{}: on the bus nvme both are the same",
                                                       spec.logical_sector, spec.physical_sector));
  }
  if ((ata || spec.bus == DiskBus::kNvme) && spec.read_only && spec.media != DiskMedia::kCdrom) {
    return Refuse(ErrorKind::kUnsupported, fmt::format("read-only=yes: not on the bus {}", Name(spec.bus)));
  }
  const bool floppy_bus = spec.bus == DiskBus::kFloppy;
  const bool fits = spec.media == DiskMedia::kFloppy      ? floppy_bus
                    : spec.media == DiskMedia::kRemovable ? !ata && !floppy_bus && spec.bus != DiskBus::kNvme
                    : spec.media == DiskMedia::kCdrom     ? !floppy_bus && spec.bus != DiskBus::kNvme
                                                          : !floppy_bus;
  if (!fits) {
    return Refuse(ErrorKind::kUnsupported,
                  fmt::format("media={}: not on the bus {}", Name(spec.media), Name(spec.bus)));
  }
  if (!spec.medium && spec.media == DiskMedia::kFixed) {
    return Refuse(ErrorKind::kUsage, "medium=none: fixed disks have theirs always");
  }
  return {};
}

Result<void> ValidateGeometry(const DiskSpec& spec) {
  if (!spec.geometry) {
    return {};
  }
  if (spec.label != DiskLabel::kMbr) {
    return Refuse(ErrorKind::kUsage, "geometry: lives in the partition table, so it needs label=mbr");
  }
  if (spec.geometry->heads < 1 || spec.geometry->heads > kMostHeads || spec.geometry->sectors < 1 ||
      spec.geometry->sectors > kMostSectors) {
    return Refuse(ErrorKind::kLimit,
                  fmt::format("geometry={}/{}: 1 to {} heads, 1 to {} sectors", spec.geometry->heads,
                              spec.geometry->sectors, kMostHeads, kMostSectors));
  }
  const std::uint64_t cylinder =
      std::uint64_t{spec.geometry->heads} * spec.geometry->sectors * spec.logical_sector;
  if (2 * cylinder > spec.size) {
    return Refuse(ErrorKind::kUsage, fmt::format("geometry={}/{}: the disk has less than two such cylinders",
                                                 spec.geometry->heads, spec.geometry->sectors));
  }
  return {};
}

Result<void> ValidateContents(const DiskSpec& spec) {
  const bool optical =
      spec.file_system == DiskFileSystem::kIso9660 || spec.file_system == DiskFileSystem::kUdf;
  const bool blank = spec.label == DiskLabel::kNone && spec.file_system == DiskFileSystem::kNone;
  if (!spec.medium && (!blank || spec.read_only)) {
    return Refuse(ErrorKind::kUsage, "medium=none: an empty drive has no label, filesystem or read-only");
  }
  if (spec.label != DiskLabel::kNone && spec.media == DiskMedia::kCdrom) {
    return Refuse(ErrorKind::kUnsupported, fmt::format("label={}: not on CDs", Name(spec.label)));
  }
  if (spec.label != DiskLabel::kNone && spec.size > kMaxRawSize) {
    return Refuse(
        ErrorKind::kUnsupported,
        fmt::format("label={}: disks above {} octets start without a table", Name(spec.label), kMaxRawSize));
  }
  if (spec.label != DiskLabel::kNone && spec.media == DiskMedia::kFloppy) {
    return Refuse(ErrorKind::kUnsupported, fmt::format("label={}: not on floppies", Name(spec.label)));
  }
  const bool gpt_damage = spec.damage >= DiskDamage::kGptHeaderCrc;
  if (spec.damage != DiskDamage::kNone &&
      (spec.label != (gpt_damage ? DiskLabel::kGpt : DiskLabel::kMbr) || spec.geometry)) {
    return Refuse(ErrorKind::kUsage, fmt::format("damage={}: needs label={} and no geometry",
                                                 Name(spec.damage), gpt_damage ? "gpt" : "mbr"));
  }
  if (spec.damage != DiskDamage::kNone && (spec.size < kLeastDamaged || spec.logical_sector != 512)) {
    return Refuse(ErrorKind::kLimit,
                  fmt::format("damage={}: the disk needs 16M and sectors of 512 octets", Name(spec.damage)));
  }
  if (spec.file_system != DiskFileSystem::kNone) {
    if (spec.label != DiskLabel::kNone || spec.format != DiskFormat::kRaw || spec.size > kMostFormatted) {
      return Refuse(ErrorKind::kUsage,
                    fmt::format("filesystem={}: fills a raw disk of at most 16G without a label",
                                Name(spec.file_system)));
    }
    if (optical ? spec.logical_sector == 4096 || spec.media == DiskMedia::kFloppy
                : spec.media == DiskMedia::kCdrom) {
      return Refuse(ErrorKind::kUnsupported,
                    fmt::format("filesystem={}: not on media={} with sector={}", Name(spec.file_system),
                                Name(spec.media), spec.logical_sector));
    }
  }
  if (spec.volume.size() > kLongestVolume || !IsPlain(spec.volume) ||
      (!spec.volume.empty() && spec.file_system == DiskFileSystem::kNone)) {
    return Refuse(ErrorKind::kUsage, fmt::format("volume={}: the label of a filesystem, at most {} letters, "
                                                 "digits, '-', '_' or '.'",
                                                 spec.volume, kLongestVolume));
  }
  return {};
}

}  // namespace

Result<void> Validate(const DiskSpec& spec) {
  for (const auto check : {ValidateSize, ValidateBus, ValidateContents, ValidateGeometry}) {
    if (auto done = check(spec); !done) {
      return done;
    }
  }
  if (spec.serial.size() > kLongestSerial || !IsPlain(spec.serial)) {
    return Refuse(ErrorKind::kUsage, fmt::format("serial={}: at most {} letters, digits, '-', '_' or '.'",
                                                 spec.serial, kLongestSerial));
  }
  if (!IsPlain(spec.name)) {
    return Refuse(ErrorKind::kUsage,
                  fmt::format("name={}: letters, digits, '-', '_' or '.' only", spec.name));
  }
  return {};
}

Result<DiskSpec> ParseDiskSpec(std::string_view text) {
  DiskSpec spec;
  std::map<std::string_view, bool> seen;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view field = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const auto equals = field.find('=');
    if (equals == std::string_view::npos) {
      return Fail(ErrorKind::kUsage, fmt::format("disk \"{}\": expected key=value", field));
    }
    const std::string_view key = field.substr(0, equals);
    if (std::exchange(seen[key], true)) {
      return Fail(ErrorKind::kUsage, fmt::format("disk {}=: given twice", key));
    }
    if (auto done = ApplyField(spec, key, field.substr(equals + 1)); !done) {
      return tl::unexpected(done.error());
    }
  }
  if (!seen["format"] && spec.size > kMaxRawSize) {
    spec.format = DiskFormat::kQcow2;
  }
  if (!seen["media"] && spec.bus == DiskBus::kFloppy) {
    spec.media = DiskMedia::kFloppy;
  }
  if (!seen["size"] && spec.media == DiskMedia::kFloppy) {
    spec.size = kFloppy1440;
  }
  if (!seen["sector"] && spec.media == DiskMedia::kCdrom) {
    spec.logical_sector = spec.physical_sector = kCdSector;
  }
  return Validate(spec).map([&] { return spec; });
}

std::string ToText(const DiskSpec& spec) {
  std::string size = std::to_string(spec.size);
  for (const auto& [unit, shift] : {std::pair{'T', 40U}, {'G', 30U}, {'M', 20U}, {'K', 10U}}) {
    if (spec.size >> shift << shift == spec.size && spec.size != 0) {
      size = fmt::format("{}{}", spec.size >> shift, unit);
      break;
    }
  }
  std::string text = fmt::format("size={},bus={}", size, Name(spec.bus));
  text += spec.logical_sector == spec.physical_sector
              ? fmt::format(",sector={}", spec.logical_sector)
              : fmt::format(",sector={}/{}", spec.logical_sector, spec.physical_sector);
  if (spec.media != DiskMedia::kFixed) {
    text += fmt::format(",media={}", Name(spec.media));
  }
  if (!spec.medium) {
    text += ",medium=none";
  }
  text += fmt::format(",label={}", Name(spec.label));
  if (spec.damage != DiskDamage::kNone) {
    text += fmt::format(",damage={}", Name(spec.damage));
  }
  if (spec.file_system != DiskFileSystem::kNone) {
    text += fmt::format(",filesystem={}", Name(spec.file_system));
  }
  if (!spec.volume.empty()) {
    text += ",volume=" + spec.volume;
  }
  if (spec.geometry) {
    text += fmt::format(",geometry={}/{}", spec.geometry->heads, spec.geometry->sectors);
  }
  if (!spec.serial.empty()) {
    text += ",serial=" + spec.serial;
  }
  if (spec.read_only) {
    text += ",read-only=yes";
  }
  text += fmt::format(",format={}", Name(spec.format));
  if (!spec.name.empty()) {
    text += ",name=" + spec.name;
  }
  return text;
}

Result<std::vector<DiskSpec>> LoadGeometries(const std::filesystem::path& file) {
  return internal::ReadTomlRows(file, "disks",
                                [](const std::string& name, const toml::node& value) -> Result<DiskSpec> {
                                  const auto text = value.value<std::string>();
                                  if (!text) return Fail(ErrorKind::kMalformed, "not a string");
                                  return ParseDiskSpec(*text + ",name=" + name);
                                });
}

}  // namespace dmrp::harness
