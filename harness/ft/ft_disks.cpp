#include "harness/ft/ft_disks.hpp"

#include "harness/disks/disk_contents.hpp"
#include "protocol/base/guid.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <span>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {
namespace {

constexpr const char* kScript = DMRP_SOURCE_DIRECTORY "/harness/ft/ft_image.py";

std::string Unique() { return Guid::Random().ToString(); }

Bytes ReadOctets(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto octets = std::as_bytes(std::span(text));
  return {octets.begin(), octets.end()};
}

Result<FtDisks> Parse(const nlohmann::json& told) {
  FtDisks made;
  try {
    made.hive = told.at("hive").get<std::string>();
    made.value = ReadOctets(told.at("value").get<std::string>());
    for (const nlohmann::json& disk : told.at("disks")) {
      std::string serial = Unique();
      std::erase(serial, '-');
      DiskSpec spec;
      spec.name = disk.at("name").get<std::string>();
      spec.size = disk.at("size").get<std::uint64_t>();
      spec.logical_sector = spec.physical_sector = disk.at("sector").get<std::uint32_t>();
      spec.serial = "FT" + serial.substr(0, 12);
      made.disks.push_back(
          {spec.name, disk.at("signature").get<std::uint32_t>(), {spec, disk.at("path").get<std::string>()}});
    }
    for (const nlohmann::json& set : told.at("sets")) {
      FtMadeSet& one = made.sets.emplace_back();
      one.type = set.at("type").get<std::string>();
      one.group = set.at("group").get<std::uint16_t>();
      const auto letter = set.at("letter").get<std::string>();
      one.letter = letter.empty() ? char{0} : letter.front();
      one.length = set.at("length").get<std::uint64_t>();
      for (const nlohmann::json& member : set.at("members")) {
        one.members.push_back({member.at("disk").get<std::string>(), member.at("start").get<std::uint64_t>(),
                               member.at("length").get<std::uint64_t>(),
                               member.at("type").get<std::uint8_t>(),
                               member.at("number").get<std::uint32_t>()});
      }
    }
  } catch (const nlohmann::json::exception& error) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: {}", kScript, error.what()));
  }
  return made;
}

}  // namespace

const FtDisk* FtDisks::Find(std::string_view name) const& {
  const auto found = std::ranges::find(disks, name, &FtDisk::name);
  return found == disks.end() ? nullptr : &*found;
}

Result<FtDisks> MakeFtDisks(std::string_view description, const std::filesystem::path& folder) {
  const std::string stem = "ft-" + Unique();
  const std::filesystem::path input = folder / (stem + ".json");
  const std::filesystem::path output = folder / (stem + ".out.json");
  std::ofstream(input) << description;
  Launcher launcher;
  if (auto made = RunTool(
          launcher,
          {"/usr/bin/python3", "-B", kScript, input.string(), folder.string(), "--output", output.string()},
          "", folder / stem);
      !made) {
    return tl::unexpected(made.error());
  }
  std::ifstream file(output);
  return Parse(nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false));
}

Result<void> PutFtRecord(const std::filesystem::path& hive, const Bytes& value) {
  const std::filesystem::path file = hive.string() + "." + Unique() + ".value";
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(value.data()), static_cast<std::streamsize>(value.size()));
  out.close();
  Launcher launcher;
  auto done =
      RunTool(launcher, {"/usr/bin/python3", "-B", kScript, "--put", file.string(), hive.string()}, "", hive);
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  return done;
}

}  // namespace dmrp::harness
