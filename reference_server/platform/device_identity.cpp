#include "reference_server/platform/device_identity.hpp"

#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

namespace dmrp::server {
namespace fs = std::filesystem;

namespace {

/// "2:0:3:0" as host, channel, target, LUN.
std::optional<ScsiAddress> ParseAddress(std::string_view text) {
  std::array<std::int32_t, 4> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto colon = text.find(':');
    if ((colon == std::string_view::npos) != (i + 1 == parts.size())) return std::nullopt;
    const auto value = ParseDecimal(text.substr(0, colon));
    if (!value || *value > 0x7FFFFFFF) return std::nullopt;
    parts[i] = static_cast<std::int32_t>(*value);
    text.remove_prefix(colon == std::string_view::npos ? text.size() : colon + 1);
  }
  return ScsiAddress{parts[0], parts[1], parts[2], parts[3]};
}

bool HasComponent(const fs::path& path, std::string_view prefix) {
  return std::ranges::any_of(path, [&](const fs::path& part) { return part.string().starts_with(prefix); });
}

BusKind ClassifyBus(const DeviceInfo& device, const fs::path& real) {
  if (device.name.starts_with("loop")) return BusKind::kLoop;
  if (device.name.starts_with("fd")) return BusKind::kFloppy;
  if (device.name.starts_with("mmcblk")) return BusKind::kMmc;
  if (HasComponent(real, "usb")) return BusKind::kUsb;
  if (HasComponent(real, "fw")) return BusKind::kFirewire;
  if (HasComponent(real, "nvme")) return BusKind::kNvme;
  if (HasComponent(real, "ata")) {
    return device.adapterDriver.starts_with("ahci") ? BusKind::kAhci : BusKind::kIde;
  }
  if (HasComponent(real, "rport-")) return BusKind::kFibre;
  if (HasComponent(real, "session")) return BusKind::kIscsi;
  if (HasComponent(real, "end_device-")) return BusKind::kSas;
  if (device.address) return BusKind::kScsi;
  if (HasComponent(real, "virtio")) return BusKind::kVirtio;
  return BusKind::kUnknown;
}

std::uint32_t Fnv1a(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

/// Windows puts underscores for everything but letters, digits and a few signs, up to a fixed width.
std::string IdPart(std::string_view text, std::size_t width, bool pad) {
  std::string part;
  for (const char c : text.substr(0, width)) {
    const auto value = static_cast<unsigned char>(c);
    const bool keep = std::isalnum(value) != 0 || c == '-' || c == '.' || c == '+';
    part.push_back(keep ? static_cast<char>(std::toupper(value)) : '_');
  }
  if (pad) part.resize(width, '_');
  return part;
}

std::string MakeInstanceId(const DeviceInfo& device, const fs::path& controller) {
  const bool optical = device.kind == DeviceKind::kCdrom || device.kind == DeviceKind::kDvd;
  const std::string_view kind = optical ? "CDROM" : device.kind == DeviceKind::kFloppy ? "GENERIC" : "DISK";
  // Without an address only the whole path tells two disks of one controller apart.
  const std::uint32_t hash = Fnv1a(device.address ? controller.string() : device.sysfsPath);
  const ScsiAddress address = device.address.value_or(ScsiAddress{});
  if (device.bus == BusKind::kIde || device.bus == BusKind::kAhci) {
    return fmt::format("IDE\\{}{}{}\\5&{:X}&0&{}.{}.{}", kind, IdPart(device.model, 40, true),
                       IdPart(device.revision, 8, true), hash, address.bus, address.target, address.lun);
  }
  const std::string_view enumerator = device.bus == BusKind::kUsb        ? "USBSTOR"
                                      : device.bus == BusKind::kFirewire ? "SBP2"
                                      : device.bus == BusKind::kFloppy   ? "FDC"
                                                                         : "SCSI";
  return fmt::format("{}\\{}&VEN_{}&PROD_{}&REV_{}\\5&{:X}&0&{:X}{:X}{:X}", enumerator, kind,
                     IdPart(device.vendor, 8, false), IdPart(device.model, 16, false),
                     IdPart(device.revision, 4, false), hash, address.bus, address.target, address.lun);
}

}  // namespace

void IdentifyDevice(DeviceInfo& device, const SystemRoots& roots) {
  const fs::path block = roots.sys / "block" / device.name;
  std::error_code error;
  const fs::path real_block = fs::canonical(block, error);
  const fs::path real_root = fs::canonical(roots.sys, error);
  device.sysfsPath = real_block.lexically_relative(real_root).string();
  const fs::path real = fs::path(device.sysfsPath);
  const fs::path scsi = block / "device";

  device.vendor = ReadAttribute(scsi / "vendor");
  device.model = ReadAttribute(scsi / "model");
  device.revision = ReadAttribute(scsi / "rev");
  if (device.revision.empty()) device.revision = ReadAttribute(scsi / "firmware_rev");
  device.serial = ReadAttribute(scsi / "serial");
  if (device.serial.empty()) device.serial = ReadAttribute(block / "serial");
  if (device.serial.empty()) {
    // VPD page 80h: four octets of header, then the serial number.
    const std::string page = ReadWholeFile(scsi / "vpd_pg80");
    if (page.size() > 4) {
      const auto first = page.find_first_not_of(std::string_view{" \0", 2}, 4);
      const auto last = page.find_last_not_of(std::string_view{" \0", 2});
      if (first != std::string::npos) device.serial = page.substr(first, last - first + 1);
    }
  }

  device.address = ParseAddress(LinkName(scsi));
  if (device.name.starts_with("nvme")) {
    const auto space = device.name.find('n', 4);
    const auto controller = ParseDecimal(std::string_view(device.name).substr(4, space - 4));
    const auto name_space = space == std::string::npos
                                ? std::nullopt
                                : ParseDecimal(std::string_view(device.name).substr(space + 1));
    if (controller && name_space && *name_space != 0) {
      device.address = ScsiAddress{static_cast<std::int32_t>(*controller), 0, 0,
                                   static_cast<std::int32_t>(*name_space - 1)};
    }
  }

  // The controller is the nearest PCI function above the disk.
  fs::path controller = real.parent_path();
  for (fs::path up = real.parent_path(); up.has_relative_path(); up = up.parent_path()) {
    const fs::path here = roots.sys / up;
    const std::string subsystem = LinkName(here / "subsystem");
    const std::string driver = LinkName(here / "driver");
    if (device.adapterDriver.empty() && (subsystem == "pci" || subsystem == "virtio")) {
      device.adapterDriver = driver;
    }
    if (subsystem == "pci") {
      const auto id = [&](const char* name) {
        std::string text = ReadAttribute(here / name);
        return text.starts_with("0x") ? text.substr(2) : text;
      };
      device.adapterPciId = fmt::format("{}:{}", id("vendor"), id("device"));
      controller = up;
      break;
    }
  }
  if (device.address && !device.name.starts_with("nvme")) {
    const std::string driver = ReadAttribute(roots.sys / "class" / "scsi_host" /
                                             fmt::format("host{}", device.address->port) / "proc_name");
    if (!driver.empty() && driver != "<NULL>") device.adapterDriver = driver;
  }
  device.bus = ClassifyBus(device, real);
  if (device.vendor == "ATA" || device.vendor.starts_with("0x")) device.vendor.clear();
  device.friendlyName = device.vendor;
  if (!device.model.empty() && !device.model.starts_with(device.vendor + " ")) {
    if (!device.friendlyName.empty()) device.friendlyName += ' ';
    device.friendlyName += device.model;
  } else if (!device.model.empty()) {
    device.friendlyName = device.model;
  }
  if (device.friendlyName.empty()) device.friendlyName = fmt::format("{} disk", BusKindName(device.bus));
  device.adapterName =
      device.adapterDriver.empty() ? std::string(BusKindName(device.bus)) : device.adapterDriver;
  if (!device.adapterPciId.empty()) device.adapterName += fmt::format(" (PCI {})", device.adapterPciId);
  device.instanceId = MakeInstanceId(device, controller);
}

}  // namespace dmrp::server
