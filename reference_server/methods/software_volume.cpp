#include "reference_server/methods/software_volume.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kCopyStep = 1 << 20;

using Devices = std::map<std::filesystem::path, std::unique_ptr<BlockDevice>>;

bool IsOnline(const VolumeColumn& column) {
  return std::ranges::all_of(column,
                             [](const VolumeExtent& extent) { return extent.state == ExtentState::kOnline; });
}

bool IsOnline(const VolumePlex& plex) {
  return std::ranges::all_of(plex.columns, [](const VolumeColumn& column) { return IsOnline(column); });
}

std::uint64_t LengthOf(const VolumeColumn& column) {
  std::uint64_t length = 0;
  for (const VolumeExtent& extent : column) {
    length += extent.length;
  }
  return length;
}

// Where a run of a volume's octets lies in a plex.
struct Place {
  std::size_t column = 0;
  std::uint64_t offset = 0;  // within the column
  std::uint64_t length = 0;  // without a break
  std::size_t parity = 0;    // RAID-5: the column with the row's parity
};

Place Locate(const VolumePlex& plex, std::uint64_t offset, std::uint64_t length) {
  if (plex.layout == PlexLayout::kConcat) {
    return {0, offset, length, 0};
  }
  const std::uint64_t columns = plex.columns.size();
  const std::uint64_t data = plex.layout == PlexLayout::kRaid5 ? columns - 1 : columns;
  const std::uint64_t chunk = offset / plex.stripeSize;
  const std::uint64_t within = offset % plex.stripeSize;
  const std::uint64_t row = chunk / data;
  const std::uint64_t parity = columns - 1 - row % columns;
  const std::uint64_t column =
      plex.layout == PlexLayout::kRaid5 ? (parity + 1 + chunk % data) % columns : chunk % data;
  return {column, row * plex.stripeSize + within, std::min(length, plex.stripeSize - within), parity};
}

class Parts {
 public:
  static Result<Parts> Open(const VolumeMap& map, bool writable, const OpenPart& open) {
    Parts parts;
    for (const VolumePlex& plex : map.plexes) {
      for (const VolumeColumn& column : plex.columns) {
        for (const VolumeExtent& extent : column) {
          if (extent.state == ExtentState::kMissing || parts.devices_.contains(extent.device)) {
            continue;
          }
          auto device = open(extent.device, writable);
          if (!device) {
            return tl::unexpected(device.error());
          }
          parts.devices_.emplace(extent.device, std::move(*device));
        }
      }
    }
    return parts;
  }

  [[nodiscard]] bool ReadOnly() const {
    return std::ranges::any_of(devices_, [](const auto& entry) { return entry.second->ReadOnly(); });
  }

  Result<void> Read(const VolumeColumn& column, std::uint64_t offset, std::span<std::byte> out) {
    return EachRun(column, offset, out.size(),
                   [&](BlockDevice& device, std::uint64_t at, std::size_t done, std::size_t length) {
                     return device.Read(at, out.subspan(done, length));
                   });
  }

  Result<void> Write(const VolumeColumn& column, std::uint64_t offset, std::span<const std::byte> data) {
    return EachRun(column, offset, data.size(),
                   [&](BlockDevice& device, std::uint64_t at, std::size_t done, std::size_t length) {
                     return device.Write(at, data.subspan(done, length));
                   });
  }

  Result<void> Flush() {
    for (const auto& [path, device] : devices_) {
      if (device->ReadOnly()) {
        continue;
      }
      if (auto flushed = device->Flush(); !flushed) {
        return flushed;
      }
    }
    return {};
  }

 private:
  template <typename Work>
  Result<void> EachRun(const VolumeColumn& column, std::uint64_t offset, std::size_t length,
                       const Work& work) {
    std::uint64_t extent_start = 0;
    std::size_t done = 0;
    for (const VolumeExtent& extent : column) {
      const std::uint64_t at = offset + done;
      if (done < length && at < extent_start + extent.length) {
        const std::uint64_t within = at - extent_start;
        const auto run =
            static_cast<std::size_t>(std::min<std::uint64_t>(length - done, extent.length - within));
        if (auto did = work(*devices_.at(extent.device), extent.offset + within, done, run); !did) {
          return did;
        }
        done += run;
      }
      extent_start += extent.length;
    }
    if (done < length) {
      return Fail(ErrorKind::kLimit, fmt::format("a column ends before octet {}", offset + length));
    }
    return {};
  }

  Devices devices_;
};

void XorInto(std::span<std::byte> target, std::span<const std::byte> other) {
  std::ranges::transform(target, other, target.begin(), std::bit_xor<std::byte>());
}

// The sum of all columns of a RAID-5 plex at one place but those in `except`.
Result<Bytes> SumOfColumns(Parts& parts, const VolumePlex& plex, std::uint64_t offset, std::size_t length,
                           std::initializer_list<std::size_t> except) {
  Bytes sum(length);
  Bytes octets(length);
  for (std::size_t i = 0; i < plex.columns.size(); ++i) {
    if (std::ranges::find(except, i) != except.end()) {
      continue;
    }
    if (auto read = parts.Read(plex.columns[i], offset, octets); !read) {
      return tl::unexpected(read.error());
    }
    XorInto(sum, octets);
  }
  return sum;
}

class SoftwareVolume final : public BlockDevice {
 public:
  SoftwareVolume(VolumeMap map, DiskGeometry geometry, bool writable, Parts parts)
      : map_(std::move(map)), geometry_(geometry), writable_(writable), parts_(std::move(parts)) {}

  [[nodiscard]] const DiskGeometry& Geometry() const override { return geometry_; }
  [[nodiscard]] bool ReadOnly() const override { return !writable_ || parts_.ReadOnly(); }

 private:
  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override {
    const auto plex = std::ranges::find_if(map_.plexes, [](const VolumePlex& p) { return IsOnline(p); });
    const VolumePlex& source = plex == map_.plexes.end() ? map_.plexes.front() : *plex;
    std::size_t done = 0;
    while (done < out.size()) {
      const Place place = Locate(source, offset + done, out.size() - done);
      const auto run = out.subspan(done, static_cast<std::size_t>(place.length));
      if (auto read = ReadRun(source, place, run); !read) {
        return read;
      }
      done += run.size();
    }
    return {};
  }

  Result<void> ReadRun(const VolumePlex& plex, const Place& place, std::span<std::byte> out) {
    if (IsOnline(plex.columns[place.column])) {
      return parts_.Read(plex.columns[place.column], place.offset, out);
    }
    if (plex.layout != PlexLayout::kRaid5) {
      return Fail(ErrorKind::kUnavailable, "the volume has no member that can be read");
    }
    const auto sum = SumOfColumns(parts_, plex, place.offset, out.size(), {place.column});
    if (!sum) {
      return tl::unexpected(sum.error());
    }
    std::ranges::copy(*sum, out.begin());
    return {};
  }

  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override {
    for (const VolumePlex& plex : map_.plexes) {
      if (plex.layout != PlexLayout::kRaid5 && !IsOnline(plex)) {
        continue;
      }
      std::size_t done = 0;
      while (done < data.size()) {
        const Place place = Locate(plex, offset + done, data.size() - done);
        const auto run = data.subspan(done, static_cast<std::size_t>(place.length));
        auto written = plex.layout == PlexLayout::kRaid5
                           ? WriteRaid(plex, place, run)
                           : parts_.Write(plex.columns[place.column], place.offset, run);
        if (!written) {
          return written;
        }
        done += run.size();
      }
    }
    return {};
  }

  Result<void> WriteRaid(const VolumePlex& plex, const Place& place, std::span<const std::byte> data) {
    if (IsOnline(plex.columns[place.parity])) {
      auto parity = SumOfColumns(parts_, plex, place.offset, data.size(), {place.column, place.parity});
      if (!parity) {
        return tl::unexpected(parity.error());
      }
      XorInto(*parity, data);
      if (auto written = parts_.Write(plex.columns[place.parity], place.offset, *parity); !written) {
        return written;
      }
    }
    if (IsOnline(plex.columns[place.column])) {
      return parts_.Write(plex.columns[place.column], place.offset, data);
    }
    return {};
  }

  Result<void> DoFlush() override { return parts_.Flush(); }

  VolumeMap map_;
  DiskGeometry geometry_;
  bool writable_;
  Parts parts_;
};

Result<void> EachStep(std::uint64_t length,
                      const std::function<Result<void>(std::uint64_t at, std::size_t step)>& work) {
  for (std::uint64_t at = 0; at < length;) {
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(kCopyStep, length - at));
    if (auto done = work(at, step); !done) {
      return done;
    }
    at += step;
  }
  return {};
}

// Fills a plex of a mirror from another one.
Result<void> CopyPlex(const VolumeMap& map, std::size_t from, std::size_t to, Parts& parts,
                      std::uint64_t length) {
  return EachStep(length, [&](std::uint64_t at, std::size_t step) -> Result<void> {
    Bytes octets(step);
    if (auto read = parts.Read(map.plexes[from].columns.front(), at, octets); !read) {
      return read;
    }
    return parts.Write(map.plexes[to].columns.front(), at, octets);
  });
}

// Makes a column the sum of the others.
Result<void> MakeColumn(const VolumePlex& plex, std::size_t column, Parts& parts) {
  return EachStep(LengthOf(plex.columns[column]), [&](std::uint64_t at, std::size_t step) -> Result<void> {
    const auto sum = SumOfColumns(parts, plex, at, step, {column});
    if (!sum) {
      return tl::unexpected(sum.error());
    }
    return parts.Write(plex.columns[column], at, *sum);
  });
}

// The chunk of parity in each row, from the row's data.
Result<void> MakeParity(const VolumePlex& plex, Parts& parts) {
  const std::uint64_t rows = LengthOf(plex.columns.front()) / plex.stripeSize;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::size_t column = plex.columns.size() - 1 - row % plex.columns.size();
    const auto sum =
        SumOfColumns(parts, plex, row * plex.stripeSize, static_cast<std::size_t>(plex.stripeSize), {column});
    if (!sum) {
      return tl::unexpected(sum.error());
    }
    if (auto written = parts.Write(plex.columns[column], row * plex.stripeSize, *sum); !written) {
      return written;
    }
  }
  return {};
}

std::optional<std::size_t> FirstOnlinePlex(const VolumeMap& map) {
  const auto found = std::ranges::find_if(map.plexes, [](const VolumePlex& plex) { return IsOnline(plex); });
  return found == map.plexes.end() ? std::nullopt
                                   : std::optional(static_cast<std::size_t>(found - map.plexes.begin()));
}

// Mirrors whose plexes are more than one run of octets are made by other systems only.
Result<std::size_t> MirrorSource(const VolumeMap& map) {
  const bool plain = std::ranges::all_of(
      map.plexes, [](const VolumePlex& plex) { return plex.layout == PlexLayout::kConcat; });
  const auto source = FirstOnlinePlex(map);
  if (!plain || !source) {
    return Fail(plain ? ErrorKind::kUnavailable : ErrorKind::kUnsupported,
                plain ? "no plex can be read" : "a mirror of striped plexes");
  }
  return *source;
}

}  // namespace

Result<std::unique_ptr<BlockDevice>> OpenSoftwareVolume(const VolumeMap& map, DiskGeometry geometry,
                                                        bool writable, const OpenPart& open) {
  if (const auto plan = PlanVolume(map); !plan) {
    return tl::unexpected(plan.error());
  }
  auto parts = Parts::Open(map, writable, open);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  geometry.sizeBytes = map.length;
  return std::make_unique<SoftwareVolume>(map, geometry, writable && !map.readOnly, std::move(*parts));
}

Result<void> RebuildMember(const VolumeMap& map, std::size_t member, const OpenPart& open) {
  auto parts = Parts::Open(map, true, open);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  Result<void> made;
  if (map.plexes.front().layout == PlexLayout::kRaid5) {
    made = MakeColumn(map.plexes.front(), member, *parts);
  } else {
    const auto source = MirrorSource(map);
    if (!source) {
      return tl::unexpected(source.error());
    }
    made = CopyPlex(map, *source, member, *parts, map.length);
  }
  return made ? parts->Flush() : made;
}

Result<void> MakeMembersAlike(const VolumeMap& map, const OpenPart& open) {
  auto parts = Parts::Open(map, true, open);
  if (!parts) {
    return tl::unexpected(parts.error());
  }
  if (map.plexes.front().layout == PlexLayout::kRaid5) {
    if (!IsOnline(map.plexes.front())) {
      return Fail(ErrorKind::kUnavailable, "a column is missing");
    }
    auto made = MakeParity(map.plexes.front(), *parts);
    return made ? parts->Flush() : made;
  }
  const auto source = MirrorSource(map);
  if (!source) {
    return tl::unexpected(source.error());
  }
  for (std::size_t i = 0; i < map.plexes.size(); ++i) {
    if (i != *source && IsOnline(map.plexes[i])) {
      if (auto made = CopyPlex(map, *source, i, *parts, map.length); !made) {
        return made;
      }
    }
  }
  return parts->Flush();
}

}  // namespace dmrp::server
