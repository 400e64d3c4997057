#include "reference_server/storage/volume_map.hpp"

#include "reference_server/storage/crc32.hpp"

#include <algorithm>
#include <bit>
#include <cctype>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::string_view kPrefix = "dmrp-";
/// Room for what the names of parts add: ".p31c31-1a2b3c4d".
constexpr std::size_t kMaxVolumeName = kMaxMapperName - 16;
/// [MS-DMRP] and LDM have no more plexes, columns or members.
constexpr std::size_t kMaxMembers = 32;

std::uint32_t Checksum(std::string_view text) { return Crc32(std::as_bytes(std::span(text))); }

/// Gathers the devices of a plan, the lower ones first.
class Planner {
 public:
  explicit Planner(const VolumeMap& map) : map_(map) {}

  Result<VolumePlan> Plan() {
    if (auto fine = CheckMap(); !fine) return tl::unexpected(fine.error());
    auto table = map_.plexes.size() > 1 ? MirrorTable() : PlexTable(0);
    if (!table) return tl::unexpected(table.error());
    plan_.push_back({map_.name, std::move(*table)});
    return std::move(plan_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> Refuse(ErrorKind kind, std::string_view why) const {
    return Fail(kind, fmt::format("{}: {}", map_.name, why));
  }

  [[nodiscard]] Result<void> CheckMap() const {
    if (map_.name.empty() || map_.name.size() > kMaxVolumeName ||
        map_.name.find_first_of("/.@ ") != std::string::npos) {
      return Refuse(ErrorKind::kUsage, "no name for the device of a volume");
    }
    if (map_.plexes.empty() || map_.plexes.size() > kMaxMembers) {
      return Refuse(ErrorKind::kUsage, fmt::format("{} plexes, 1 to 32 are possible", map_.plexes.size()));
    }
    if (map_.length == 0 || map_.length % kMapperSector != 0) {
      return Refuse(ErrorKind::kUsage, fmt::format("length {} is no number of sectors", map_.length));
    }
    for (const VolumePlex& plex : map_.plexes) {
      if (auto fine = CheckPlex(plex); !fine) return fine;
    }
    return {};
  }

  [[nodiscard]] Result<void> CheckPlex(const VolumePlex& plex) const {
    const std::size_t count = plex.columns.size();
    std::uint64_t parts = 1;
    std::size_t least = 1;
    switch (plex.layout) {
      case PlexLayout::kConcat:
        if (count != 1) return Refuse(ErrorKind::kUsage, "a concatenation has one column");
        break;
      case PlexLayout::kStripe:
        least = 2;
        parts = count;
        break;
      case PlexLayout::kRaid5:
        if (map_.plexes.size() > 1) return Refuse(ErrorKind::kUnsupported, "a RAID-5 plex stands alone");
        least = 3;
        parts = count - std::min<std::size_t>(count, 1);
        break;
    }
    if (count < least || count > kMaxMembers) {
      return Refuse(ErrorKind::kUsage, fmt::format("{} columns, {} to 32 are possible", count, least));
    }
    if (plex.layout != PlexLayout::kConcat) {
      const bool power = std::has_single_bit(plex.stripeSize);
      if (plex.stripeSize < 4096 || plex.stripeSize % kMapperSector != 0 ||
          (plex.layout == PlexLayout::kRaid5 && !power)) {
        return Refuse(ErrorKind::kUsage, fmt::format("chunks of {} octets", plex.stripeSize));
      }
      if (map_.length % (plex.stripeSize * parts) != 0) {
        return Refuse(ErrorKind::kUsage, fmt::format("length {} is no multiple of {} chunks of {} octets",
                                                     map_.length, parts, plex.stripeSize));
      }
    }
    for (const VolumeColumn& column : plex.columns) {
      if (auto fine = CheckColumn(column, map_.length / parts); !fine) return fine;
    }
    return {};
  }

  [[nodiscard]] Result<void> CheckColumn(const VolumeColumn& column, std::uint64_t needed) const {
    std::uint64_t length = 0;
    for (const VolumeExtent& extent : column) {
      if (extent.offset % kMapperSector != 0 || extent.length % kMapperSector != 0 || extent.length == 0 ||
          extent.length > UINT64_MAX - extent.offset || extent.length > UINT64_MAX - length) {
        return Refuse(ErrorKind::kUsage, fmt::format("extent of {} octets at {} of {}", extent.length,
                                                     extent.offset, extent.device.string()));
      }
      const std::string node = extent.device.string();
      if (extent.state != ExtentState::kMissing &&
          (!node.starts_with('/') || std::ranges::any_of(node, [](unsigned char c) { return c <= ' '; }))) {
        return Refuse(ErrorKind::kUsage, fmt::format("\"{}\" is no device node", node));
      }
      length += extent.length;
    }
    if (length < needed) {
      return Refuse(ErrorKind::kUsage,
                    fmt::format("a column has {} of the {} octets that it needs", length, needed));
    }
    return {};
  }

  /// Plans a device below the volume's own; how tables name it.
  std::string AddPart(std::string_view part, MappedTable table) {
    std::string text;
    for (const MappedTarget& target : table) text += target.ToString() + "\n";
    std::string name = fmt::format("{}.{}-{:08x}", map_.name, part, Checksum(text));
    plan_.push_back({name, std::move(table)});
    return "@" + name;
  }

  static MappedTable ColumnTable(const VolumeColumn& column, std::uint64_t length) {
    MappedTable table;
    std::uint64_t at = 0;
    for (const VolumeExtent& extent : column) {
      const std::uint64_t part = std::min(extent.length, length - at);
      if (part == 0) break;
      table.push_back(
          {.start = at / kMapperSector,
           .length = part / kMapperSector,
           .type = "linear",
           .arguments = fmt::format("{} {}", extent.device.string(), extent.offset / kMapperSector)});
      at += part;
    }
    return table;
  }

  Result<MappedTable> PlexTable(std::size_t index) {
    const VolumePlex& plex = map_.plexes[index];
    if (plex.layout == PlexLayout::kRaid5) return Raid5Table(plex);
    for (const VolumeColumn& column : plex.columns) {
      for (const VolumeExtent& extent : column) {
        if (extent.state == ExtentState::kMissing) {
          return Refuse(ErrorKind::kUnavailable, "a part of it is missing, and it has no redundancy");
        }
      }
    }
    if (plex.layout == PlexLayout::kConcat) return ColumnTable(plex.columns.front(), map_.length);
    const std::uint64_t length = map_.length / plex.columns.size();
    std::string arguments = fmt::format("{} {}", plex.columns.size(), plex.stripeSize / kMapperSector);
    for (std::size_t i = 0; i < plex.columns.size(); ++i) {
      MappedTable table = ColumnTable(plex.columns[i], length);
      arguments += table.size() == 1
                       ? " " + table.front().arguments
                       : fmt::format(" {} 0", AddPart(fmt::format("p{}c{}", index, i), std::move(table)));
    }
    return WholeTable("striped", std::move(arguments));
  }

  Result<MappedTable> MirrorTable() {
    return RaidTable("raid1", 0, map_.plexes.size() - 1, [&](std::size_t member) -> Result<std::string> {
      auto table = PlexTable(member);
      if (!table) return tl::unexpected(table.error());
      return AddPart(fmt::format("p{}", member), std::move(*table));
    });
  }

  Result<MappedTable> Raid5Table(const VolumePlex& plex) {
    const std::uint64_t length = map_.length / (plex.columns.size() - 1);
    return RaidTable("raid5_ls", plex.stripeSize, 1, [&](std::size_t member) -> Result<std::string> {
      return AddPart(fmt::format("p0c{}", member), ColumnTable(plex.columns[member], length));
    });
  }

  /// `spare`: how many members may be missing or stale.
  template <typename Add>
  Result<MappedTable> RaidTable(std::string_view type, std::uint64_t chunk, std::size_t spare, Add add) {
    std::string parameters;
    std::string members;
    std::size_t parameter_count = 1;
    std::size_t useless = 0;
    const std::size_t count = MemberCount(map_);
    for (std::size_t member = 0; member < count; ++member) {
      const ExtentState state = MemberExtentState(map_, member);
      if (state != ExtentState::kOnline) ++useless;
      if (state == ExtentState::kMissing) {
        members += " - -";
        continue;
      }
      if (state == ExtentState::kStale) {
        parameters += fmt::format(" rebuild {}", member);
        parameter_count += 2;
      }
      const auto part = add(member);
      if (!part) return tl::unexpected(part.error());
      members += fmt::format(" #{} {}", member, *part);
    }
    if (useless > spare) {
      return Refuse(ErrorKind::kUnavailable,
                    fmt::format("{} of its {} members are missing or stale", useless, count));
    }
    return WholeTable("raid", fmt::format("{} {} {}{} {}{}", type, parameter_count, chunk / kMapperSector,
                                          parameters, count, members));
  }

  [[nodiscard]] MappedTable WholeTable(std::string_view type, std::string arguments) const {
    return {{.start = 0,
             .length = map_.length / kMapperSector,
             .type = std::string(type),
             .arguments = std::move(arguments)}};
  }

  const VolumeMap& map_;
  VolumePlan plan_;
};

}  // namespace

std::string VolumeDeviceName(std::string_view group, std::string_view volume) {
  std::string name(kPrefix);
  const auto append = [&](std::string_view text) {
    for (const char c : text) {
      const auto octet = static_cast<unsigned char>(c);
      if ((octet < 0x80 && std::isalnum(octet) != 0) || c == '_' || c == '+') {
        name += c;
      } else {
        name += fmt::format("={:02x}", octet);
      }
    }
  };
  append(group);
  name += '-';
  append(volume);
  if (name.size() <= kMaxVolumeName) return name;
  const std::uint32_t checksum = Checksum(name);
  name.resize(kMaxVolumeName - 9);
  return fmt::format("{}-{:08x}", name, checksum);
}

std::size_t MemberCount(const VolumeMap& map) {
  if (map.plexes.size() > 1) return map.plexes.size();
  if (map.plexes.size() == 1 && map.plexes.front().layout == PlexLayout::kRaid5) {
    return map.plexes.front().columns.size();
  }
  return 0;
}

std::vector<VolumeExtent> MemberExtents(const VolumeMap& map, std::size_t member) {
  if (map.plexes.size() == 1) return map.plexes.front().columns[member];
  std::vector<VolumeExtent> extents;
  for (const VolumeColumn& column : map.plexes[member].columns) {
    extents.insert(extents.end(), column.begin(), column.end());
  }
  return extents;
}

ExtentState MemberExtentState(const VolumeMap& map, std::size_t member) {
  ExtentState worst = ExtentState::kOnline;
  for (const VolumeExtent& extent : MemberExtents(map, member)) worst = std::max(worst, extent.state);
  return worst;
}

void SetMemberExtentState(VolumeMap& map, std::size_t member, ExtentState state) {
  const auto set = [&](VolumeColumn& column) {
    for (VolumeExtent& extent : column) extent.state = state;
  };
  if (map.plexes.size() == 1) return set(map.plexes.front().columns[member]);
  for (VolumeColumn& column : map.plexes[member].columns) set(column);
}

Result<VolumePlan> PlanVolume(const VolumeMap& map) { return Planner(map).Plan(); }

}  // namespace dmrp::server
