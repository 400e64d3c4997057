// What tests run inside a guest: one call of VolumeDevices, its arguments as JSON on standard input and in
// the command line, its answer as JSON on standard output.
//
//   volume_device_probe activate < MAP        volume_device_probe resynchronise NAME
//   volume_device_probe deactivate NAME       volume_device_probe wait NAME MILLISECONDS
//   volume_device_probe status NAME           volume_device_probe list
//
// `wait` prints each look on a line of its own. `change NAME EVENT MILLISECONDS` waits for a later event.
// `call-off NAME` begins to put another table in the place of the device's and calls it off.
#include "reference_server/storage/volume_device.hpp"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace dmrp::server {
namespace {

using Json = nlohmann::json;

VolumeMap ReadMap(const Json& json) {
  VolumeMap map{.name = json.at("name"), .length = json.at("length"), .plexes = {}, .readOnly = false};
  map.readOnly = json.value("readOnly", false);
  for (const Json& plex : json.at("plexes")) {
    const std::string layout = plex.at("layout");
    VolumePlex& made = map.plexes.emplace_back();
    made.layout = layout == "stripe"  ? PlexLayout::kStripe
                  : layout == "raid5" ? PlexLayout::kRaid5
                                      : PlexLayout::kConcat;
    for (const Json& column : plex.at("columns")) {
      VolumeColumn& extents = made.columns.emplace_back();
      for (const Json& extent : column) {
        const std::string state = extent.value("state", "online");
        extents.push_back({.device = extent.at("device").get<std::string>(),
                           .offset = extent.at("offset"),
                           .length = extent.at("length"),
                           .state = state == "stale"     ? ExtentState::kStale
                                    : state == "missing" ? ExtentState::kMissing
                                                         : ExtentState::kOnline});
      }
    }
  }
  return map;
}

Json ToJson(const MappedDevice& device) {
  return {{"node", device.Node().string()},
          {"event", device.event},
          {"openCount", device.openCount},
          {"uuid", device.uuid}};
}

Json ToJson(const VolumeStatus& status) {
  Json json = ToJson(status.device);
  std::string members;
  for (const MemberState member : status.members) {
    members += std::string_view("SRF-")[static_cast<std::size_t>(member)];
  }
  json["length"] = status.length;
  json["members"] = members;
  json["sync"] = std::vector<std::string>{"none", "rebuild", "resync"}[static_cast<std::size_t>(status.sync)];
  json["synced"] = status.syncedBytes;
  json["total"] = status.syncBytes;
  return json;
}

template <typename T>
int Answer(const Result<T>& result) {
  Json json;
  if (!result) {
    json = {{"error", result.error().ToString()},
            {"kind", ErrorKindName(result.error().kind)},
            {"status", result.error().status}};
  } else if constexpr (std::is_void_v<T>) {
    json = Json::object();
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    json = *result;
  } else {
    json = ToJson(*result);
  }
  std::cout << json.dump() << '\n';
  return EXIT_SUCCESS;
}

int Run(const std::vector<std::string>& arguments) {
  auto mapper = DeviceMapper::Open();
  if (!mapper) return Answer(Result<void>(tl::unexpected(mapper.error())));
  const VolumeDevices volumes(*mapper);
  const std::string& command = arguments.at(0);
  if (command == "activate") return Answer(volumes.Activate(ReadMap(Json::parse(std::cin))));
  if (command == "list") return Answer(volumes.List());
  const std::string& name = arguments.at(1);
  if (command == "deactivate") return Answer(volumes.Deactivate(name));
  if (command == "status") return Answer(volumes.Status(name));
  if (command == "resynchronise") return Answer(volumes.Resynchronise(name));
  if (command == "call-off") {
    const auto replaced = mapper->Replace(name, {{.start = 0, .length = 8, .type = "zero", .arguments = {}}},
                                          false, [] { return false; });
    if (!replaced) return Answer(Result<void>(tl::unexpected(replaced.error())));
    return replaced->has_value() ? EXIT_FAILURE : Answer(Result<void>());
  }
  if (command == "wait") {
    const auto print = [](const VolumeStatus& status) { std::cout << ToJson(status).dump() << '\n'; };
    return Answer(
        volumes.WaitSynchronised(name, print, std::chrono::milliseconds(std::stoul(arguments.at(2))), {}));
  }
  if (command == "change") {
    VolumeStatus seen;
    seen.device.name = name;
    seen.device.event = static_cast<std::uint32_t>(std::stoul(arguments.at(2)));
    return Answer(volumes.WaitChange(seen, std::chrono::milliseconds(std::stoul(arguments.at(3))), {}));
  }
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace dmrp::server

int main(int count, char** words) {
  try {
    return dmrp::server::Run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
