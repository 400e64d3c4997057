#include "reference_server/methods/image_disk_source.hpp"

#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/media.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

namespace dmrp::server {
namespace {

constexpr std::array<std::pair<std::string_view, BusKind>, 7> kBuses = {{{"ide", BusKind::kIde},
                                                                         {"ahci", BusKind::kAhci},
                                                                         {"scsi", BusKind::kScsi},
                                                                         {"sas", BusKind::kSas},
                                                                         {"usb", BusKind::kUsb},
                                                                         {"virtio", BusKind::kVirtio},
                                                                         {"nvme", BusKind::kNvme}}};

Result<std::uint32_t> ParseNumber(std::string_view key, std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}={}: not a number", key, text));
  }
  return value;
}

Result<BusKind> ParseBus(std::string_view text) {
  for (const auto& [name, bus] : kBuses) {
    if (name == text) {
      return bus;
    }
  }
  return Fail(ErrorKind::kMalformed, fmt::format("bus={}: unknown bus", text));
}

template <typename T>
Result<void> Assign(T& target, const Result<T>& value) {
  if (!value) {
    return tl::unexpected(value.error());
  }
  target = *value;
  return {};
}

Result<void> SetOption(ImageSpec& spec, std::string_view key, std::string_view value) {
  if (key == "sector") {
    return Assign(spec.geometry.bytesPerSector, ParseNumber(key, value));
  }
  if (key == "heads") {
    return Assign(spec.geometry.heads, ParseNumber(key, value));
  }
  if (key == "sectors") {
    return Assign(spec.geometry.sectorsPerTrack, ParseNumber(key, value));
  }
  if (key == "bus") {
    return Assign(spec.bus, ParseBus(value));
  }
  if (key == "model") {
    spec.model = value;
  } else if (key == "serial") {
    spec.serial = value;
  } else if (key == "removable" && value.empty()) {
    spec.kind = DeviceKind::kRemovableDisk;
  } else if (key == "readonly" && value.empty()) {
    spec.read_only = true;
  } else {
    return Fail(ErrorKind::kMalformed, fmt::format("unknown image option \"{}\"", key));
  }
  return {};
}

// A number that stays the same for the same file, for the instance id.
std::uint32_t Fingerprint(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  }
  return hash;
}

std::uint64_t Inode(const std::filesystem::path& file) {
  struct stat status{};
  return stat(file.c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace

Result<ImageSpec> ImageSpec::Parse(std::string_view text) {
  ImageSpec spec;
  std::size_t comma = text.find(',');
  spec.path = text.substr(0, comma);
  while (comma != std::string_view::npos) {
    const std::size_t start = comma + 1;
    comma = text.find(',', start);
    const std::string_view part = text.substr(start, comma == std::string_view::npos ? comma : comma - start);
    const std::size_t equals = part.find('=');
    const std::string_view value = equals == std::string_view::npos ? "" : part.substr(equals + 1);
    if (auto set = SetOption(spec, part.substr(0, equals), value); !set) {
      return tl::unexpected(set.error());
    }
  }
  if (spec.path.empty() || !IsValid(spec.geometry)) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("image \"{}\": no file name, or an impossible geometry", text));
  }
  return spec;
}

ImageDiskSource::ImageDiskSource(std::vector<ImageSpec> images)
    : images_(std::move(images)),
      volumes_([specs = images_](const std::filesystem::path& node,
                                 bool writable) -> Result<std::unique_ptr<BlockDevice>> {
        const auto found = std::ranges::find(specs, node, &ImageSpec::path);
        if (found == specs.end()) {
          return Fail(ErrorKind::kUnavailable, fmt::format("{} is no disk", node.string()));
        }
        return OpenImage(node, found->geometry, writable && !found->read_only);
      }) {}

std::vector<DeviceInfo> ImageDiskSource::Scan() {
  std::vector<DeviceInfo> devices;
  std::int32_t target = 0;
  for (const ImageSpec& image : images_) {
    const std::int32_t own_target = target++;
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(image.path, error);
    if (error) {
      continue;
    }
    DeviceInfo device;
    device.name = image.path.string();
    device.node = image.path;
    device.kind = image.kind;
    device.bus = image.bus;
    device.readOnly = image.read_only;
    device.removable = image.kind != DeviceKind::kDisk;
    device.geometry = image.geometry;
    if (device.geometry.sizeBytes == 0) {
      device.geometry.sizeBytes = size;
    }
    const auto out = ejected_.find(device.name);
    if (out != ejected_.end() && out->second == Inode(image.path)) {
      device.mediaPresent = false;
      device.geometry.sizeBytes = 0;
    }
    device.physicalSectorSize = device.geometry.bytesPerSector;
    device.vendor = "DMRP";
    device.model = image.model;
    device.serial = image.serial;
    device.friendlyName = fmt::format("DMRP {}", image.model);
    device.address = ScsiAddress{.port = 0, .bus = 0, .target = own_target, .lun = 0};
    device.adapterName = "Image file adapter";
    device.instanceId = fmt::format("SCSI\\DISK&VEN_DMRP&PROD_{}\\5&{:X}&0&00{:02X}00", image.model,
                                    Fingerprint(device.name), own_target);
    devices.push_back(std::move(device));
  }
  return devices;
}

Result<std::unique_ptr<BlockDevice>> ImageDiskSource::Open(const DeviceInfo& device, bool writable) {
  return OpenImage(device.node, device.geometry, writable && !device.readOnly);
}

Result<void> ImageDiskSource::PublishLayout(const DeviceInfo& /*device*/, const DiskLayout& /*layout*/) {
  return {};
}

PartitionUse ImageDiskSource::Mounts(const DeviceInfo& /*device*/, std::uint64_t /*start*/) { return {}; }

Result<PartitionUse> ImageDiskSource::Use(const DeviceInfo& /*device*/, std::uint64_t /*start*/) {
  return PartitionUse{};
}

std::filesystem::path ImageDiskSource::VolumeNode(const DeviceInfo& /*device*/, std::uint64_t /*start*/) {
  return {};
}

Result<PartitionUse> ImageDiskSource::ReleaseByForce(const DeviceInfo& /*device*/, std::uint64_t /*start*/) {
  return PartitionUse{};
}

Result<void> ImageDiskSource::Eject(const DeviceInfo& device) {
  if (!CanEject(device)) {
    return Fail(ErrorKind::kUnsupported, fmt::format("{} is no drive that opens", device.name));
  }
  ejected_[device.name] = Inode(device.node);
  return {};
}

Result<void> ImageDiskSource::RescanBuses() { return {}; }

}  // namespace dmrp::server
