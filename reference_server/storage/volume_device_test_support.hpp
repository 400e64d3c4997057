// What the tests of volumes in a guest stand on: disks, maps as JSON, the probe program, patterns, and where
// their octets have to lie on the members.
#pragma once

#include "harness/guest/guest_fixture.hpp"
#include "harness/guest/held_file.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::server {

using Json = nlohmann::json;

inline constexpr std::uint64_t kMiB = 1048576;
inline constexpr std::uint64_t kChunk = 65536;

class VolumeTest : public harness::GuestTest {
 protected:
  using Guest = harness::Guest;
  using AttachedDisk = harness::AttachedDisk;

  /// A guest with disks of random contents and the probe program.
  struct Bench {
    Guest guest;
    std::vector<AttachedDisk> disks;
  };
  static Bench Start(std::size_t disks, const std::string& spec = "size=24M") {
    Bench bench{Started(Bare()), {}};
    InstallProbe(bench.guest);
    for (std::size_t i = 0; i < disks; ++i) Attach(bench, spec);
    return bench;
  }
  static void Attach(Bench& bench, const std::string& spec) {
    const auto image = Disk(spec);
    std::fstream file(image.path, std::ios::binary | std::ios::in | std::ios::out);
    file << Pattern(image.spec.size, 1000 + bench.disks.size());
    file.close();
    auto disk = bench.guest.AttachDisk(image);
    ASSERT_TRUE(disk.has_value()) << disk.error().message;
    bench.disks.push_back(*disk);
  }
  static void InstallProbe(Guest& guest) {
    std::ifstream file(DMRP_VOLUME_PROBE, std::ios::binary);
    const std::string program{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(program.empty());
    const auto written = guest.agent().WriteFile("/usr/sbin/volume_device_probe", program, 0755);
    ASSERT_TRUE(written.has_value()) << written.error().message;
  }

  /// Every line that the probe answers.
  static std::vector<Json> ProbeLines(Guest& guest, std::vector<std::string> arguments,
                                      const std::string& input = {}) {
    arguments.insert(arguments.begin(), "volume_device_probe");
    const auto done = guest.agent().Exec(arguments, input, std::chrono::seconds(100));
    EXPECT_TRUE(done.has_value()) << done.error().message;
    if (!done) return {Json::object()};
    EXPECT_EQ(done->status, 0) << done->errors;
    std::vector<Json> lines;
    std::istringstream stream(done->output);
    for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line, nullptr, false));
    if (lines.empty()) lines.emplace_back(Json::object());
    return lines;
  }
  static Json Probe(Guest& guest, std::vector<std::string> arguments, const std::string& input = {}) {
    return ProbeLines(guest, std::move(arguments), input).back();
  }
  /// Activates the map; the node of its device.
  static std::string Activate(Guest& guest, const Json& map) {
    const Json answer = Probe(guest, {"activate"}, map.dump());
    EXPECT_FALSE(answer.contains("error")) << answer << "\n" << Shell(guest, "dmesg | tail -5");
    return answer.value("node", "/dev/null");
  }
  static void Deactivate(Guest& guest, const Json& map) {
    EXPECT_EQ(Probe(guest, {"deactivate", map["name"]}), Json::object());
  }
  static Json Status(Guest& guest, const Json& map) { return Probe(guest, {"status", map["name"]}); }
  static Json Wait(Guest& guest, const Json& map) {
    Json status = Probe(guest, {"wait", map["name"], "60000"});
    EXPECT_EQ(status["sync"], "none") << status;
    EXPECT_EQ(status["synced"], status["total"]) << status;
    return status;
  }

  static Json Extent(const AttachedDisk& disk, std::uint64_t sector, std::uint64_t length,
                     const std::string& state = "online") {
    return {{"device", "/dev/" + disk.guest_device},
            {"offset", sector * 512},
            {"length", length},
            {"state", state}};
  }
  /// Columns of one extent each.
  static Json Plex(const std::string& layout, const std::vector<Json>& extents) {
    Json columns = Json::array();
    for (const Json& extent : extents) columns.push_back(Json::array({extent}));
    return {{"layout", layout}, {"columns", columns}};
  }
  static Json Concat(const std::vector<Json>& extents) {
    return {{"layout", "concat"}, {"columns", Json::array({Json(extents)})}};
  }
  static Json Map(const std::string& name, std::uint64_t length, const std::vector<Json>& plexes) {
    return {{"name", "dmrp-test-" + name}, {"length", length}, {"plexes", plexes}};
  }

  /// Octets that differ from place to place and from seed to seed.
  static std::string Pattern(std::uint64_t length, std::uint64_t seed) {
    std::string text(length, '\0');
    std::uint64_t state = seed;
    for (std::size_t i = 0; i + 8 <= text.size(); i += 8) {
      state += 0x9E3779B97F4A7C15;
      std::uint64_t z = state;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
      z ^= z >> 31;
      for (std::size_t j = 0; j < 8; ++j) text[i + j] = static_cast<char>(z >> (8 * j));
    }
    return text;
  }
  static bool Write(Guest& guest, const std::string& node, const std::string& octets,
                    std::uint64_t offset = 0) {
    EXPECT_TRUE(guest.agent().WriteFile("/tmp/octets", octets).has_value());
    const auto done = guest.agent().Exec(
        {"sh", "-c",
         fmt::format("dd if=/tmp/octets of={} bs=64k seek={} oflag=direct conv=fsync,notrunc 2>&1", node,
                     offset / kChunk)},
        {}, std::chrono::seconds(60));
    return done && done->status == 0;
  }
  /// What direct reads give; empty when they fail.
  static std::string Read(Guest& guest, const std::string& node, std::uint64_t length) {
    const auto done = guest.agent().Exec(
        {"sh", "-c",
         fmt::format("dd if={} of=/tmp/read bs=64k count={} iflag=direct 2>&1", node, length / kChunk)},
        {}, std::chrono::seconds(60));
    if (!done || done->status != 0) return {};
    return guest.agent()
        .ReadFile("/tmp/read", 0, static_cast<std::uint32_t>(length), std::chrono::seconds(30))
        .value_or("");
  }
  /// What lies in the disk's image on the host.
  static std::string OnDisk(const AttachedDisk& disk, std::uint64_t offset, std::uint64_t length) {
    std::ifstream file(disk.image.path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    std::string octets(length, '\0');
    file.read(octets.data(), static_cast<std::streamsize>(length));
    return file ? octets : std::string();
  }
  static const AttachedDisk& DiskOf(const Bench& bench, const Json& extent) {
    const auto found = std::ranges::find_if(bench.disks, [&](const AttachedDisk& disk) {
      return "/dev/" + disk.guest_device == extent["device"].get<std::string>();
    });
    EXPECT_NE(found, bench.disks.end());
    return *found;
  }
  /// A column's octets, read from the images of its extents.
  static std::string ColumnOnDisk(const Bench& bench, const Json& column) {
    std::string octets;
    for (const Json& extent : column) {
      octets += OnDisk(DiskOf(bench, extent), extent["offset"], extent["length"]);
    }
    return octets;
  }
  /// What a plex must hold where the volume holds `octets`: stripes go round the columns; in row r of a
  /// RAID-5 plex of n columns the parity lies in column n-1 - (r mod n) and data k in (parity+1+k) mod n.
  static std::vector<std::string> Columns(const std::string& layout, std::size_t count,
                                          const std::string& octets) {
    if (layout == "concat") return {octets};
    std::vector<std::string> columns(count);
    if (layout == "stripe") {
      for (std::size_t at = 0; at < octets.size(); at += kChunk) {
        columns[at / kChunk % count] += octets.substr(at, kChunk);
      }
      return columns;
    }
    const std::size_t data = count - 1;
    for (std::size_t row = 0; row * data * kChunk < octets.size(); ++row) {
      const std::size_t parity = count - 1 - row % count;
      std::string check(kChunk, '\0');
      for (std::size_t k = 0; k < data; ++k) {
        const std::string chunk = octets.substr((row * data + k) * kChunk, kChunk);
        columns[(parity + 1 + k) % count] += chunk;
        for (std::size_t i = 0; i < kChunk; ++i) check[i] = static_cast<char>(check[i] ^ chunk[i]);
      }
      columns[parity] += check;
    }
    return columns;
  }
  /// Every member holds its part of the octets, where the map says.
  static void ExpectOnMembers(const Bench& bench, const Json& map, const std::string& octets) {
    for (std::size_t p = 0; p < map["plexes"].size(); ++p) {
      const Json& plex = map["plexes"][p];
      const auto expected = Columns(plex["layout"], plex["columns"].size(), octets);
      for (std::size_t c = 0; c < expected.size(); ++c) {
        const Json& column = plex["columns"][c];
        if (std::ranges::any_of(column, [](const Json& extent) { return extent["state"] == "missing"; }))
          continue;
        EXPECT_TRUE(ColumnOnDisk(bench, column).substr(0, expected[c].size()) == expected[c])
            << map["name"] << " plex " << p << " column " << c;
      }
    }
  }
  static void SetState(Json& map, std::size_t member, const std::string& state) {
    Json& member_json =
        map["plexes"].size() > 1 ? map["plexes"][member]["columns"] : map["plexes"][0]["columns"][member];
    for (Json& part : member_json) {
      if (part.is_array()) {
        for (Json& extent : part) extent["state"] = state;
      } else {
        part["state"] = state;
      }
    }
  }
};

}  // namespace dmrp::server
