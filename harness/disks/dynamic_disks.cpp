#include "harness/disks/dynamic_disks.hpp"

#include "harness/disks/disk_contents.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

constexpr const char* kScript = DMRP_SOURCE_DIRECTORY "/harness/disks/ldm_image.py";
constexpr const char* kArchive = DMRP_SOURCE_DIRECTORY "/../shared/fixtures/ldm-2003r2.tar.xz";
constexpr const char* kPrefix = "ldm-2003r2-";
constexpr const char* kWindowsGroup = "Red-nzv8x6obywgDg0";
constexpr const char* kWindowsGuid = "03c0c4fc-8b6f-402b-9431-4be2e5823b1c";

DynamicDisk Member(const std::string& name, const std::filesystem::path& path, std::uint64_t size,
                   std::uint32_t sector) {
  std::string serial = Guid::Random().ToString();
  std::erase(serial, '-');
  DiskSpec spec;
  spec.name = name;
  spec.size = size;
  spec.logical_sector = spec.physical_sector = sector;
  spec.serial = "LDM" + serial.substr(0, 12);
  return {name, {spec, path}};
}

Result<DynamicDiskSet> Parse(const nlohmann::json& told) {
  DynamicDiskSet set;
  try {
    set.group_name = told.at("group").at("name").get<std::string>();
    auto guid = Guid::Parse(told.at("group").at("guid").get<std::string>());
    if (!guid) return tl::unexpected(guid.error());
    set.group_guid = *guid;
    for (const nlohmann::json& disk : told.at("disks")) {
      set.disks.push_back(Member(disk.at("name").get<std::string>(), disk.at("path").get<std::string>(),
                                 disk.at("size").get<std::uint64_t>(),
                                 disk.at("sector").get<std::uint32_t>()));
    }
  } catch (const nlohmann::json::exception& error) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: {}", kScript, error.what()));
  }
  return set;
}

}  // namespace

Result<DynamicDiskSet> MakeDynamicDisks(std::string_view description, const std::filesystem::path& folder) {
  const std::string stem = "group-" + Guid::Random().ToString();
  const std::filesystem::path output = folder / (stem + ".out.json");
  std::string argument(description);
  if (description.starts_with('{')) {
    argument = (folder / (stem + ".json")).string();
    std::ofstream(argument) << description;
  }
  Launcher launcher;
  if (auto made =
          RunTool(launcher,
                  {"/usr/bin/python3", "-B", kScript, argument, folder.string(), "--output", output.string()},
                  "", folder / stem);
      !made) {
    return tl::unexpected(made.error());
  }
  std::ifstream file(output);
  return Parse(nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false));
}

std::optional<std::filesystem::path> WindowsDisksArchive() {
  const char* named = std::getenv("DMRP_LDM_FIXTURES");
  std::filesystem::path archive = named != nullptr && *named != '\0' ? named : kArchive;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(archive, ignored)) return std::nullopt;
  return archive;
}

Result<DynamicDiskSet> UnpackWindowsDisks(const std::filesystem::path& folder) {
  const auto archive = WindowsDisksArchive();
  if (!archive) {
    return Fail(ErrorKind::kUnavailable, fmt::format("neither $DMRP_LDM_FIXTURES nor {} is there", kArchive));
  }
  Launcher launcher;
  if (auto done =
          RunTool(launcher, {"tar", "-C", folder.string(), "--no-same-owner", "-xJf", archive->string()}, "",
                  folder / "windows");
      !done) {
    return tl::unexpected(done.error());
  }
  DynamicDiskSet set{kWindowsGroup, Guid::Parse(kWindowsGuid).value(), {}};
  std::error_code trouble;
  for (const auto& entry : std::filesystem::directory_iterator(folder, trouble)) {
    const std::string stem = entry.path().stem().string();
    if (!stem.starts_with(kPrefix) || entry.path().extension() != ".img") continue;
    if (auto done = RunTool(launcher, {"fallocate", "--dig-holes", entry.path().string()}, "", entry.path());
        !done) {
      return tl::unexpected(done.error());
    }
    set.disks.push_back(
        Member(stem.substr(std::string_view(kPrefix).size()), entry.path(), entry.file_size(trouble), 512));
  }
  if (trouble) return FailErrno("read " + folder.string(), trouble.value());
  std::ranges::sort(set.disks, {}, &DynamicDisk::name);
  return set;
}

std::function<Result<void>(const std::filesystem::path&)> ContentsOf(std::filesystem::path image) {
  return [image = std::move(image)](const std::filesystem::path& to) -> Result<void> {
    std::error_code trouble;
    const auto size = std::filesystem::file_size(to, trouble);
    if (trouble) return FailErrno("size of " + to.string(), trouble.value());
    if (const auto wanted = std::filesystem::file_size(image, trouble); trouble || wanted != size) {
      return Fail(ErrorKind::kUsage,
                  fmt::format("{} has {} octets, {} has not", to.string(), size, image.string()));
    }
    return CopySparse(image, to);
  };
}

}  // namespace dmrp::harness
