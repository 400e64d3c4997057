#include "suites/support/foreign_groups.hpp"

#include "harness/disks/dynamic_disks.hpp"
#include "harness/guest/guest.hpp"
#include "harness/layout/guest_volumes.hpp"
#include "harness/layout/volume_pattern.hpp"
#include "protocol/base/text.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <mutex>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace dmrp::suites {

namespace {

// No two volumes have the same length: a client knows them by that.
constexpr std::string_view kAllLayouts = R"({"name": "ForeignAll-Dg0", "seed": 201,
  "disks": [{"size": "64M"}, {"size": "80M"}, {"size": "96M"}, {"size": "112M", "table": "gpt"}],
  "volumes": [
    {"kind": "simple", "size": "9M", "disks": ["Disk1"], "letter": "P:"},
    {"kind": "spanned", "extents": [{"disk": "Disk3", "size": "4M"}, {"disk": "Disk1", "size": "6M"}], "letter": "Q:"},
    {"kind": "striped", "size": "16M", "disks": ["Disk2", "Disk4"], "letter": "R:"},
    {"kind": "mirror", "size": "8M", "disks": ["Disk1", "Disk4"], "letter": "S:"},
    {"kind": "raid5", "size": "12M", "disks": ["Disk2", "Disk3", "Disk4"], "letter": "T:"},
    {"kind": "simple", "size": "5M", "disks": ["Disk3"]}]})";

constexpr std::string_view kMixedSectors = R"({"name": "ForeignMix-Dg0", "seed": 202,
  "disks": [{"size": "64M"}, {"size": "80M", "sector": 4096}, {"size": "96M", "table": "gpt", "sector": 4096},
            {"size": "112M", "table": "gpt"}],
  "volumes": [
    {"kind": "mirror", "size": "8M", "disks": ["Disk1", "Disk2"]},
    {"kind": "raid5", "size": "12M", "disks": ["Disk2", "Disk3", "Disk4"]},
    {"kind": "spanned", "size": "10M", "disks": ["Disk3", "Disk1"]}]})";

constexpr std::string_view kOldFormat = R"({"name": "Foreign03Dg0", "style": "2003", "seed": 203,
  "disks": [{"size": "64M"}, {"size": "80M"}, {"size": "96M"}],
  "volumes": [
    {"kind": "simple", "size": "9M", "disks": ["Disk1"], "letter": "P:"},
    {"kind": "striped", "size": "16M", "disks": ["Disk2", "Disk3"], "letter": "R:"},
    {"kind": "mirror", "size": "8M", "disks": ["Disk1", "Disk3"], "letter": "S:"},
    {"kind": "raid5", "size": "12M", "disks": ["Disk1", "Disk2", "Disk3"]}]})";

constexpr std::string_view kOpenTransaction = R"({"name": "ForeignRedo-Dg0", "seed": 205,
  "disks": [{"size": "64M"}, {"size": "80M", "step": 3}],
  "volumes": [{"kind": "simple", "size": "9M", "disks": ["Disk1"], "letter": "P:"}],
  "pending": {"step": 4, "add": {"kind": "mirror", "size": "8M", "disks": ["Disk1", "Disk2"]}}})";

// The second disk missed the creation of the last volume.
constexpr std::string_view kStaleMirror = R"({"name": "ForeignStal-Dg0", "seed": 204,
  "disks": [{"size": "64M"}, {"size": "80M", "stale": 1}],
  "volumes": [
    {"kind": "mirror", "size": "8M", "disks": ["Disk1", "Disk2"], "letter": "S:"},
    {"kind": "simple", "size": "9M", "disks": ["Disk1"]}]})";

}  // namespace

const ForeignGroup kForeignComplete{"Complete", std::string(kAllLayouts)};
const ForeignGroup kForeignIncomplete{"Incomplete", std::string(kAllLayouts), {3}};
const ForeignGroup kForeignMixed{"MixedSectors", std::string(kMixedSectors)};
const ForeignGroup kForeignStale{"Stale", std::string(kStaleMirror)};
const ForeignGroup kForeignOpen{"OpenTransaction", std::string(kOpenTransaction)};
const ForeignGroup kForeign2003{"OfServer2003", std::string(kOldFormat)};

ForeignGroup GroupOfManyDisks(std::size_t disks, std::size_t members) {
  nlohmann::json description{{"name", "ForeignMany-Dg0"}, {"seed", 206}};
  for (std::size_t i = 0; i < disks; ++i) description["disks"].push_back({{"size", "12M"}});
  const auto disk = [](std::size_t number) { return fmt::format("Disk{}", number); };
  nlohmann::json spanned{{"kind", "spanned"}};
  for (std::size_t i = 0; i < members; ++i) {
    spanned["extents"].push_back({{"disk", disk(1 + i % disks)}, {"size", "1M"}});
  }
  description["volumes"] = {spanned,
                            {{"kind", "mirror"}, {"size", "5M"}, {"disks", {disk(disks - 1), disk(disks)}}}};
  return {"ManyDisks", description.dump()};
}

namespace {

constexpr std::uint64_t kPiece = 1U << 20U;

// Where a volume's pattern begins: behind what a file system writes at its front.
std::uint64_t PatternStart(const harness::DynamicVolume& volume) {
  return LetterOf(volume) == 0 ? 0 : 2 * kPiece;
}

harness::VolumePattern PatternOf(const harness::DynamicVolume& volume) { return {.seed = volume.guid.Data1}; }

Result<void> Fill(const harness::DynamicGroup& group, const harness::DynamicVolume& volume,
                  const std::filesystem::path& folder) {
  auto members = harness::VolumeMembers::Open(group, volume, true);
  if (!members) return tl::unexpected(members.error());
  if (const char letter = LetterOf(volume); letter != 0) {
    auto spec = harness::ParseDiskSpec(
        fmt::format("size={},filesystem=fat12,volume={}", volume.size, LabelOfVolume(letter)));
    if (!spec) return tl::unexpected(spec.error());
    const auto made = harness::CreateDiskImage(*spec, folder);
    if (!made) return tl::unexpected(made.error());
    std::string front(PatternStart(volume), '\0');
    std::ifstream(made->path, std::ios::binary)
        .read(front.data(), static_cast<std::streamsize>(front.size()));
    if (auto written = members->Write(0, std::as_bytes(std::span(front))); !written) return written;
  }
  constexpr std::uint64_t kBlock = harness::VolumePattern::kBlock;
  return PatternOf(volume).Write(AccessTo(*members), PatternStart(volume) / kBlock,
                                 (volume.size - PatternStart(volume)) / kBlock);
}

// The images of a group: made when the first of them is asked for, removed with the last request.
class Images {
 public:
  explicit Images(std::string description) : description_(std::move(description)) {}
  ~Images() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  Images(const Images&) = delete;
  Images& operator=(const Images&) = delete;

  Result<void> CopyTo(std::size_t index, const std::filesystem::path& image) {
    const std::lock_guard lock(mutex_);
    if (folder_.empty()) {
      if (auto made = Make(); !made) return made;
    }
    return harness::ContentsOf(images_.at(index))(image);
  }

 private:
  Result<void> Make() {
    std::string folder = (std::filesystem::temp_directory_path() / "dmrp-group-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) return FailErrno("make a folder for disks", errno);
    folder_ = folder;
    const auto set = harness::MakeDynamicDisks(description_, folder_);
    if (!set) return tl::unexpected(set.error());
    std::vector<harness::DynamicImage> images;
    for (const harness::DynamicDisk& disk : set->disks) {
      images_.push_back(disk.image.path);
      images.push_back({disk.image.path, disk.image.spec.logical_sector});
    }
    const auto layout = harness::ReadDynamicLayout(harness::DynamicReader::kLdmLayout, images);
    if (!layout) return tl::unexpected(layout.error());
    for (const harness::DynamicVolume& volume : layout->groups.at(0).volumes) {
      if (auto filled = Fill(layout->groups[0], volume, folder_); !filled) return filled;
    }
    return {};
  }

  const std::string description_;
  std::mutex mutex_;
  std::filesystem::path folder_;
  std::vector<std::filesystem::path> images_;
};

harness::DiskSpec SpecOfDisk(const ForeignGroup& group, std::size_t index) {
  const auto disk = nlohmann::json::parse(group.description).at("disks").at(index);
  return harness::ParseDiskSpec(
             fmt::format("size={},sector={}", disk.at("size").get<std::string>(), disk.value("sector", 512)))
      .value();
}

BedDiskRequest Request(const ForeignGroup& group, std::size_t index, const std::shared_ptr<Images>& images) {
  return {SpecOfDisk(group, index),
          [images, index](const std::filesystem::path& image) { return images->CopyTo(index, image); }};
}

}  // namespace

Bytes TerminatedOctets(std::string_view text) {
  const auto octets = std::as_bytes(std::span(text));
  Bytes terminated(octets.begin(), octets.end());
  terminated.push_back(std::byte{0});
  return terminated;
}

std::string LabelOfVolume(char letter) { return std::string("LABEL") + letter; }

char LetterOf(const harness::DynamicVolume& volume) {
  return volume.hint && volume.hint->size() == 2 ? volume.hint->front() : '\0';
}

std::vector<BedDiskRequest> GroupRequests(const ForeignGroup& group) {
  const auto images = std::make_shared<Images>(group.description);
  const std::size_t count = nlohmann::json::parse(group.description).at("disks").size();
  std::vector<BedDiskRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    if (!group.away.contains(i)) requests.push_back(Request(group, i, images));
  }
  return requests;
}

BedDiskRequest GroupDisk(const ForeignGroup& group, std::size_t index) {
  return Request(group, index, std::make_shared<Images>(group.description));
}

bool LacksMember(const harness::DynamicGroup& group, const harness::DynamicVolume& volume) {
  for (const harness::DynamicPlex& plex : volume.plexes) {
    for (const harness::DynamicExtent& extent : plex.extents) {
      const harness::DynamicMember* disk = group.FindDisk(extent.disk);
      if (disk == nullptr || !disk->present) return true;
    }
  }
  return false;
}

VOLUMESTATUS StatusOf(const harness::DynamicGroup& group, const harness::DynamicVolume& volume) {
  if (!LacksMember(group, volume)) return VOLUME_STATUS_HEALTHY;
  const bool redundant = volume.type == harness::DynamicVolumeType::kMirrored ||
                         volume.type == harness::DynamicVolumeType::kRaid5;
  return redundant ? VOLUME_STATUS_FAILED_REDUNDANCY : VOLUME_STATUS_FAILED;
}

std::vector<harness::DynamicVolume> Readable(const harness::DynamicGroup& group) {
  std::vector<harness::DynamicVolume> volumes;
  for (const harness::DynamicVolume& volume : group.volumes) {
    if (StatusOf(group, volume) != VOLUME_STATUS_FAILED) volumes.push_back(volume);
  }
  return volumes;
}

VOLUMELAYOUT LayoutOnWire(harness::DynamicVolumeType type) {
  for (const VOLUMELAYOUT layout :
       {VOLUMELAYOUT_SPANNED, VOLUMELAYOUT_STRIPE, VOLUMELAYOUT_MIRROR, VOLUMELAYOUT_RAID5}) {
    if (TypeOnDisk(layout) == type) return layout;
  }
  return VOLUMELAYOUT_SIMPLE;
}

const VOLUME_INFO* ObjectOf(const StorageView& view, const harness::DynamicVolume& volume) {
  if (!view.volumes) return nullptr;
  const auto found =
      std::ranges::find(*view.volumes, static_cast<std::int64_t>(volume.size), &VOLUME_INFO::length);
  return found == view.volumes->end() ? nullptr : &*found;
}

GroupImages ForeignGroupTest::CopyGroups() {
  GroupImages now;
  const auto images = CopyImages({}, now.copies);
  now.layout = Need(harness::ReadDynamicLayout(harness::DynamicReader::kLdmLayout, images));
  return now;
}

std::vector<std::string> ForeignGroupTest::DataProblems(const Guid& group,
                                                        const std::vector<harness::DynamicVolume>& volumes) {
  constexpr std::uint64_t kBlock = harness::VolumePattern::kBlock;
  std::vector<std::string> problems;
  const auto add = [&](const harness::DynamicVolume& volume, const Result<std::vector<std::string>>& found) {
    if (!found) problems.push_back(volume.name + ": " + found.error().ToString());
    for (const std::string& text : found.value_or(std::vector<std::string>())) {
      problems.push_back(volume.name + ": " + text);
    }
  };
  const GroupImages now = CopyGroups();
  for (const harness::DynamicVolume& volume : volumes) {
    const harness::DynamicGroup* holder = now.layout.FindGroup(group);
    const harness::DynamicVolume* here = nullptr;
    for (std::size_t i = 0; holder != nullptr && i < holder->volumes.size(); ++i) {
      if (holder->volumes[i].guid == volume.guid) here = &holder->volumes[i];
    }
    if (here == nullptr) {
      problems.push_back(volume.name + " is not in the group");
      continue;
    }
    auto members = harness::VolumeMembers::Open(*holder, *here);
    if (!members) {
      problems.push_back(volume.name + ": " + members.error().ToString());
      continue;
    }
    const std::uint64_t start = PatternStart(volume);
    add(volume, PatternOf(volume).Check(AccessTo(*members), start / kBlock, (volume.size - start) / kBlock));
    add(volume, members->CheckMirrorLegsEqual());
    if (!LacksMember(*holder, *here)) add(volume, members->CheckParity());
  }
  return problems;
}

std::string ForeignGroupTest::DevicePath(Session& session, LdmObjectId volume) {
  GetVolumeDeviceNameRequest request;
  request._volumeId = volume;
  const auto reply = session.Call<GetVolumeDeviceNameReply>(kIVolumeClient4, "GetVolumeDeviceName", request);
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  const std::string name = ToUtf8(reply->pwszVolumeDevice);
  return "/dev/mapper/" + name.substr(name.rfind('\\') + 1, name.find('\0') - name.rfind('\\') - 1);
}

std::vector<std::string> ForeignGroupTest::DeviceProblems(
    Session& session, const std::vector<harness::DynamicVolume>& volumes) {
  constexpr std::uint64_t kBlock = harness::VolumePattern::kBlock;
  constexpr std::uint64_t kWindow = 128U << 10U;  // two stripes
  std::vector<std::string> problems;
  harness::Guest* guest = lab().bed().guest();
  if (guest == nullptr) return problems;
  const StorageView view = Need(session.View());
  for (const harness::DynamicVolume& volume : volumes) {
    const VOLUME_INFO* object = ObjectOf(view, volume);
    if (object == nullptr) {
      problems.push_back(volume.name + " has no object");
      continue;
    }
    const auto device = harness::DeviceInGuest(guest->agent(), DevicePath(session, object->id));
    for (const std::uint64_t start : {PatternStart(volume), volume.size / 2, volume.size - kWindow}) {
      const auto found = PatternOf(volume).Check(device, start / kBlock, kWindow / kBlock);
      if (!found) problems.push_back(volume.name + ": " + found.error().ToString());
      for (const std::string& text : found.value_or(std::vector<std::string>())) {
        problems.push_back(volume.name + ": " + text);
      }
    }
  }
  return problems;
}

}  // namespace dmrp::suites
