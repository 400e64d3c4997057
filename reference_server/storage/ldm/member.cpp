#include "reference_server/storage/ldm/member.hpp"

#include "reference_server/storage/gpt.hpp"
#include "reference_server/storage/ldm/vmdb.hpp"
#include "reference_server/storage/mbr.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

/// Where the backup copy of the header lies in every region of 1 MiB: sector 1856 of 512 octets.
constexpr std::uint64_t kBackupOffset = std::uint64_t{1856} * 512;
/// Octets before region "config": sector 17 of 512 octets, or the next whole sector.
constexpr std::uint64_t kConfigOffset = std::uint64_t{17} * 512;

struct Candidate {
  std::string place;
  std::uint64_t sector = 0;  ///< from the start of the disk
  std::optional<PrivateHeader> header{};
};

Bytes Sectors(std::span<const std::byte> octets, std::uint64_t sectors, std::uint32_t sector_size) {
  Bytes padded(static_cast<std::size_t>(sectors) * sector_size);
  std::copy(octets.begin(), octets.end(), padded.begin());
  return padded;
}

Result<void> WriteSector(const Member& member, std::uint64_t sector, std::span<const std::byte> octets) {
  const std::uint32_t size = member.header.bytesPerSector;
  return member.device->Write(sector * size, Sectors(octets, 1, size));
}

/// All copies of a member's header, in the order in which they are read and written.
std::vector<Candidate> HeaderPlaces(std::uint64_t private_start, std::uint32_t sector_size, bool gpt) {
  std::vector<Candidate> places{
      {.place = "primary", .sector = private_start + kPrivateRegionBytes / sector_size - 1},
      {.place = "backup", .sector = private_start + kBackupOffset / sector_size}};
  if (!gpt) places.push_back({.place = "sector 6", .sector = kMbrHeaderSector});
  return places;
}

Result<void> WriteHeaders(const Member& member) {
  const auto octets = SerializePrivateHeader(member.header);
  if (!octets) return tl::unexpected(octets.error());
  for (const Candidate& one :
       HeaderPlaces(member.header.privateStart, member.header.bytesPerSector, member.gpt)) {
    if (auto written = WriteSector(member, one.sector, *octets); !written) return written;
  }
  return member.device->Flush();
}

/// The header must describe this disk.
Result<void> Fits(const PrivateHeader& header, const BlockDevice& device, std::uint64_t private_start) {
  const std::uint64_t sectors = device.Geometry().Sectors();
  if (header.bytesPerSector != device.Geometry().bytesPerSector) {
    return Fail(ErrorKind::kMalformed, fmt::format("private header: sectors of {} octets on a disk of {}",
                                                   header.bytesPerSector, device.Geometry().bytesPerSector));
  }
  if (header.privateStart != private_start || header.privateStart + header.privateSize > sectors ||
      header.publicStart + header.publicSize > sectors) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("private header: public {}+{}, private {}+{} on a disk of {} sectors, read at {}",
                            header.publicStart, header.publicSize, header.privateStart, header.privateSize,
                            sectors, private_start));
  }
  if (header.publicStart < header.privateStart + header.privateSize &&
      header.privateStart < header.publicStart + header.publicSize) {
    return Fail(ErrorKind::kMalformed, "private header: public and private region overlap");
  }
  return {};
}

/// The regions must lie in the private region, apart from each other and from the headers.
Result<void> RegionsFit(const TocBlock& toc, const PrivateHeader& header) {
  const TocRegion* config = toc.Find(kConfigRegion);
  const TocRegion* log = toc.Find(kLogRegion);
  if (config == nullptr || log == nullptr) {
    return Fail(ErrorKind::kMalformed, "table of contents: no config or no log");
  }
  const auto inside = [&](const TocRegion& one) {
    return one.size != 0 && one.start < header.privateSize && one.size <= header.privateSize - one.start;
  };
  const auto holds = [](const TocRegion& one, std::uint64_t sector) {
    return sector >= one.start && sector - one.start < one.size;
  };
  if (!inside(*config) || !inside(*log) || holds(*config, log->start) || holds(*log, config->start)) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("table of contents: config {}+{}, log {}+{} in {} sectors", config->start,
                            config->size, log->start, log->size, header.privateSize));
  }
  const std::uint64_t backup = kBackupOffset / header.bytesPerSector;
  for (const std::uint64_t sector :
       {header.privateSize - 1, backup, header.primaryTocAt, header.secondaryTocAt}) {
    if (holds(*config, sector) || holds(*log, sector)) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("table of contents: a region covers the header at {}", sector));
    }
  }
  return {};
}

Result<TocBlock> ReadToc(BlockDevice& device, const PrivateHeader& header, std::uint64_t at) {
  const auto octets = device.Read((header.privateStart + at) * header.bytesPerSector, kHeaderBytes);
  if (!octets) return tl::unexpected(octets.error());
  auto toc = ParseTocBlock(*octets);
  if (!toc) return toc;
  if (auto fit = RegionsFit(*toc, header); !fit) return tl::unexpected(fit.error());
  return toc;
}

/// The current TOC, else the one before it.
Result<void> FindToc(Member& member) {
  const PrivateHeader& header = member.header;
  const TocPair current{header.primaryTocAt, header.secondaryTocAt};
  const TocPair other = OtherTocPair(current, header.privateSize, header.bytesPerSector);
  std::optional<Error> first_error;
  std::optional<TocBlock> found;
  for (const std::uint64_t at : {current.first, current.second, other.first, other.second}) {
    const bool is_current = at == current.first || at == current.second;
    if (!is_current && found) break;
    const auto toc = ReadToc(*member.device, header, at);
    if (!toc) {
      if (!first_error) first_error = toc.error();
      if (is_current) member.faults.push_back(fmt::format("TOC at {}: {}", at, toc.error().message));
    } else if (!found) {
      found = *toc;
      if (!is_current) member.faults.push_back(fmt::format("TOC taken from {}, which is not current", at));
    } else if (*toc != *found) {
      member.faults.push_back(fmt::format("TOC at {} differs from the first", at));
    }
  }
  if (!found) return tl::unexpected(*first_error);
  if (found->sequence != header.sequence) {
    member.faults.push_back(
        fmt::format("TOC of sequence {}, the header says {}", found->sequence, header.sequence));
    found->sequence = header.sequence;
  }
  member.toc = std::move(*found);
  return {};
}

}  // namespace

Result<Member> OpenMemberAt(BlockDevice& device, std::uint64_t private_start, bool gpt) {
  const DiskGeometry& geometry = device.Geometry();
  const std::uint32_t size = geometry.bytesPerSector;
  const std::uint64_t region = kPrivateRegionBytes / size;
  if (geometry.Sectors() < region || private_start > geometry.Sectors() - region) {
    return Fail(ErrorKind::kMalformed, fmt::format("a private region at {} on a disk of {} sectors",
                                                   private_start, geometry.Sectors()));
  }
  Member member{.device = &device, .gpt = gpt};
  std::optional<PrivateHeader> found;
  std::optional<Error> first_error;
  for (const Candidate& one : HeaderPlaces(private_start, size, gpt)) {
    const auto octets = device.Read(one.sector * size, kHeaderBytes);
    auto header = octets ? ParsePrivateHeader(*octets) : tl::unexpected(octets.error());
    if (header) {
      if (auto fit = Fits(*header, device, private_start); !fit) header = tl::unexpected(fit.error());
    }
    if (!header) {
      if (!first_error) first_error = header.error();
      member.faults.push_back(fmt::format("{} header: {}", one.place, header.error().message));
    } else if (!found) {
      found = std::move(*header);
    } else if (*header != *found) {
      member.faults.push_back(fmt::format("{} header differs from the first", one.place));
    }
  }
  if (!found) return tl::unexpected(*first_error);
  member.header = std::move(*found);
  if (auto toc = FindToc(member); !toc) return tl::unexpected(toc.error());
  return member;
}

Result<std::optional<Member>> OpenMember(BlockDevice& device) {
  const DiskGeometry& geometry = device.Geometry();
  const std::uint64_t region = kPrivateRegionBytes / geometry.bytesPerSector;
  if (geometry.Sectors() < region) return std::nullopt;
  const auto mbr = device.Read(0, geometry.bytesPerSector);
  if (!mbr) return tl::unexpected(mbr.error());
  const auto as_found = [](Result<Member> member) -> Result<std::optional<Member>> {
    if (!member) return tl::unexpected(member.error());
    return std::optional<Member>(std::move(*member));
  };
  if (IsProtectiveMbr(*mbr)) {
    std::vector<TableAnomaly> anomalies;
    const auto gpt = ReadGpt(device, anomalies);
    if (!gpt) return Fail(ErrorKind::kSystem, gpt.error().ToString());
    if (!*gpt) return std::nullopt;
    for (std::uint32_t i = 0; i < (*gpt)->entryCount; ++i) {
      const GptEntry entry = (*gpt)->Entry(i);
      if (entry.type != kGptTypeLdmMetadata) continue;
      return as_found(OpenMemberAt(device, entry.firstSector, true));
    }
    return std::nullopt;
  }
  bool dynamic = false;
  for (std::size_t slot = 0; slot < 4; ++slot) {
    dynamic = dynamic || (HasBootMark(*mbr) && GetEntry(*mbr, slot).type == kMbrTypeLdm);
  }
  if (!dynamic) return std::nullopt;
  auto member = OpenMemberAt(device, geometry.Sectors() - region, false);
  if (member) return as_found(std::move(member));
  // A disk that was copied to a larger one has its region where sector 6 says.
  const auto sector = device.Read(kMbrHeaderSector * geometry.bytesPerSector, kHeaderBytes);
  const auto header = sector ? ParsePrivateHeader(*sector) : tl::unexpected(sector.error());
  if (!header || header->privateStart == geometry.Sectors() - region) return tl::unexpected(member.error());
  return as_found(OpenMemberAt(device, header->privateStart, false));
}

Result<void> MendCopies(Member& member) {
  if (member.faults.empty()) return {};
  const auto toc = SerializeTocBlock(member.toc);
  if (!toc) return tl::unexpected(toc.error());
  // One after the other: a copy that is good stays so until another one is.
  for (const std::uint64_t at : {member.header.secondaryTocAt, member.header.primaryTocAt}) {
    if (auto written = WriteSector(member, member.header.privateStart + at, *toc); !written) return written;
    if (auto flushed = member.device->Flush(); !flushed) return flushed;
  }
  if (auto written = WriteHeaders(member); !written) return written;
  member.faults.clear();
  return {};
}

Result<void> UpdateHeader(Member& member, PrivateHeader next) {
  const TocPair pair = OtherTocPair({member.header.primaryTocAt, member.header.secondaryTocAt},
                                    member.header.privateSize, member.header.bytesPerSector);
  next.sequence = member.header.sequence + 1;
  next.primaryTocAt = pair.first;
  next.secondaryTocAt = pair.second;
  TocBlock toc = member.toc;
  toc.sequence = next.sequence;
  const auto octets = SerializeTocBlock(toc);
  if (!octets) return tl::unexpected(octets.error());
  if (auto fits = SerializePrivateHeader(next); !fits) return tl::unexpected(fits.error());
  for (const std::uint64_t at : {pair.first, pair.second}) {
    if (auto written = WriteSector(member, next.privateStart + at, *octets); !written) return written;
  }
  if (auto flushed = member.device->Flush(); !flushed) return flushed;
  Member updated = member;
  updated.header = std::move(next);
  updated.toc = std::move(toc);
  updated.faults.clear();
  if (auto written = WriteHeaders(updated); !written) return written;
  member = std::move(updated);
  return {};
}

Result<Member> WriteNewPrivateRegion(BlockDevice& device, bool gpt, const PrivateHeader& header,
                                     std::span<const std::byte> config, std::span<const std::byte> log) {
  const std::uint32_t size = header.bytesPerSector;
  if (auto fit = Fits(header, device, header.privateStart); !fit) return tl::unexpected(fit.error());
  const std::uint64_t config_start = (kConfigOffset + size - 1) / size;
  Member member{.device = &device, .gpt = gpt, .header = header};
  member.toc = {
      .sequence = header.sequence,
      .regions = {{.name = std::string(kConfigRegion), .start = config_start, .size = header.configSize},
                  {.name = std::string(kLogRegion),
                   .start = config_start + header.configSize,
                   .size = header.logSize}}};
  if (auto fit = RegionsFit(member.toc, header); !fit) return tl::unexpected(fit.error());
  if (config.size() > header.configSize * size || log.size() > header.logSize * size) {
    return Fail(ErrorKind::kLimit,
                fmt::format("a database of {} and a log of {} octets for regions of {} and {}", config.size(),
                            log.size(), header.configSize * size, header.logSize * size));
  }
  const auto toc = SerializeTocBlock(member.toc);
  if (!toc) return tl::unexpected(toc.error());
  Bytes region(kPrivateRegionBytes);
  const auto put = [&](std::uint64_t sector, std::span<const std::byte> octets) {
    std::copy(octets.begin(), octets.end(), region.begin() + static_cast<std::ptrdiff_t>(sector * size));
  };
  put(member.Config().start, config);
  put(member.Log().start, log);
  put(header.primaryTocAt, *toc);
  put(header.secondaryTocAt, *toc);
  if (auto written = device.Write(header.privateStart * size, region); !written)
    return tl::unexpected(written.error());
  if (auto flushed = device.Flush(); !flushed) return tl::unexpected(flushed.error());
  if (auto written = WriteHeaders(member); !written) return tl::unexpected(written.error());
  return member;
}

Result<void> ReplacePrivateRegion(Member& member, PrivateHeader next, std::span<const std::byte> config,
                                  std::span<const std::byte> log) {
  const std::uint32_t size = member.header.bytesPerSector;
  const TocRegion& config_region = member.Config();
  const TocRegion& log_region = member.Log();
  if (config.size() > config_region.size * size || log.size() > log_region.size * size) {
    return Fail(ErrorKind::kLimit,
                fmt::format("a database of {} and a log of {} octets for regions of {} and {}", config.size(),
                            log.size(), config_region.size * size, log_region.size * size));
  }
  auto vmdb = ParseVmdb(config);
  if (!vmdb) return tl::unexpected(vmdb.error());
  if (auto fits = SerializePrivateHeader(next); !fits) return tl::unexpected(fits.error());
  vmdb->status = VmdbStatus::kStale;
  const auto stale = SerializeVmdb(*vmdb);
  if (!stale) return tl::unexpected(stale.error());
  const Bytes whole = Sectors(config, config_region.size, size);
  Bytes first(whole.begin(), whole.begin() + size);
  std::copy(stale->begin(), stale->end(), first.begin());
  const std::uint64_t config_at = member.RelativeOffset(config_region.start);
  BlockDevice& device = *member.device;
  const auto step = [&](auto&&... writes) -> Result<void> {
    for (const Result<void>& written : {writes()...}) {
      if (!written) return written;
    }
    return device.Flush();
  };
  if (auto done = step([&] { return device.Write(config_at, first); }); !done) return done;
  if (auto done = step([&] { return device.Write(config_at + size, std::span(whole).subspan(size)); },
                       [&] {
                         return device.Write(member.RelativeOffset(log_region.start),
                                             Sectors(log, log_region.size, size));
                       });
      !done) {
    return done;
  }
  if (auto done = step([&] { return device.Write(config_at, std::span(whole).first(size)); }); !done)
    return done;
  return UpdateHeader(member, std::move(next));
}

Result<void> WipePrivateRegion(const Member& member) {
  const Bytes nothing;
  for (const Candidate& one :
       HeaderPlaces(member.header.privateStart, member.header.bytesPerSector, member.gpt)) {
    if (auto written = WriteSector(member, one.sector, nothing); !written) return written;
  }
  if (auto flushed = member.device->Flush(); !flushed) return flushed;
  if (auto written = member.device->Write(member.RelativeOffset(0), Bytes(kPrivateRegionBytes)); !written) {
    return written;
  }
  return member.device->Flush();
}

}  // namespace dmrp::server::ldm
