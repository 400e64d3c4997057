// CheckMember: what a private region at rest looks like when a correct writer has written it.
#include "reference_server/storage/ldm/big_endian.hpp"
#include "reference_server/storage/ldm/copy_state.hpp"
#include "reference_server/storage/ldm/klog.hpp"
#include "reference_server/storage/ldm/member.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

class MemberChecker {
 public:
  MemberChecker(const Member& member, Bytes region)
      : member_(member), header_(member.header), region_(std::move(region)) {}

  std::vector<std::string> Run(std::span<const std::byte> mbr_header) {
    for (const std::string& fault : member_.faults) Find(fault);
    CheckHeaders(mbr_header);
    CheckTocs();
    CheckConfig();
    CheckLog();
    CheckRest();
    return std::move(findings_);
  }

 private:
  void Find(std::string text) { findings_.push_back(std::move(text)); }

  [[nodiscard]] std::span<const std::byte> Sector(std::uint64_t sector) const {
    return std::span(region_).subspan(static_cast<std::size_t>(sector) * header_.bytesPerSector,
                                      header_.bytesPerSector);
  }
  [[nodiscard]] std::span<const std::byte> Sectors(const TocRegion& place) const {
    return std::span(region_).subspan(static_cast<std::size_t>(place.start) * header_.bytesPerSector,
                                      static_cast<std::size_t>(place.size) * header_.bytesPerSector);
  }

  void CheckHeaders(std::span<const std::byte> mbr_header) {
    const auto written = SerializePrivateHeader(header_);
    const auto alike = [&](std::span<const std::byte> sector, std::string_view name) {
      if (!written || !std::ranges::equal(sector.first(kHeaderBytes), *written) ||
          !IsZero(sector.subspan(kHeaderBytes))) {
        Find(fmt::format("the {} header has other octets than its fields take", name));
      }
    };
    alike(Sector(header_.privateSize - 1), "primary");
    alike(Sector(std::uint64_t{1856} * 512 / header_.bytesPerSector), "backup");
    if (!member_.gpt) alike(mbr_header, "third");
    if (header_.primaryAt != header_.privateSize - 1 ||
        header_.backupAt != std::uint64_t{1856} * 512 / header_.bytesPerSector) {
      Find(fmt::format("header copies are said to lie at {} and {}", header_.primaryAt, header_.backupAt));
    }
    if (header_.hostGuid != kHostGuid) Find("host GUID " + header_.hostGuid);
    if (header_.sequence == 0) Find("header sequence 0");
    if (header_.publicSlice != 0 || header_.privateSlice != 0 || !header_.diskSetGuid.IsNull() ||
        !header_.diskSetGuidCopy.IsNull()) {
      Find("slice numbers or disk-set GUIDs are not zero");
    }
    if (header_.configs != 1 || header_.logs != 1 || header_.configSize != member_.Config().size ||
        header_.logSize != member_.Log().size) {
      Find("the header counts other regions than the TOC");
    }
  }

  void CheckTocs() {
    const TocBlock& toc = member_.toc;
    if (toc.regions.size() != 2 || toc.regions.front().name != kConfigRegion ||
        toc.regions.back().name != kLogRegion) {
      Find("the TOC lists other regions than config and log");
    }
    for (const TocRegion& region : toc.regions) {
      if (region.flags != 0 || region.unknown != 6 || region.copyNumber != 1) {
        Find(fmt::format("region '{}': flags {:x}, {:x}, copy {}", region.name, region.flags, region.unknown,
                         region.copyNumber));
      }
    }
    const TocPair current{header_.primaryTocAt, header_.secondaryTocAt};
    const TocPair first = FirstTocPair(header_.privateSize, header_.bytesPerSector);
    const TocPair second = OtherTocPair(first, header_.privateSize, header_.bytesPerSector);
    if (current != first && current != second) {
      Find(fmt::format("the TOC lies at {} and {}", current.first, current.second));
      return;
    }
    const auto written = SerializeTocBlock(toc);
    for (const std::uint64_t at : {current.first, current.second}) {
      if (!written || !std::ranges::equal(Sector(at).first(kHeaderBytes), *written)) {
        Find(fmt::format("the TOC at {} has other octets than its fields take", at));
      }
    }
    const TocPair other = current == first ? second : first;
    const auto before = Sector(other.first);
    if (!std::ranges::equal(before, Sector(other.second))) return Find("the earlier TOC's copies differ");
    if (IsZero(before)) return;
    const auto earlier = ParseTocBlock(before);
    if (!earlier || earlier->sequence + 1 != toc.sequence)
      return Find("the earlier TOC is not the one before");
    for (const TocRegion& region : toc.regions) {
      const TocRegion* same = earlier->Find(region.name);
      if (same == nullptr || same->start != region.start || same->size != region.size) {
        Find(fmt::format("region '{}' lay elsewhere before", region.name));
      }
    }
  }

  void CheckConfig() {
    const auto octets = Sectors(member_.Config());
    auto table = ConfigTable::Parse(Bytes(octets.begin(), octets.end()));
    if (!table) return Find(table.error().message);
    const Vmdb& vmdb = table->Header();
    if (vmdb.status != VmdbStatus::kClean || vmdb.pendingTransaction != vmdb.committedTransaction ||
        vmdb.pending != vmdb.committed || vmdb.committedTransaction == 0) {
      Find(fmt::format("VMDB: status {}, committed {}, pending {}", static_cast<int>(vmdb.status),
                       vmdb.committedTransaction, vmdb.pendingTransaction));
    }
    if (vmdb.groupName != header_.groupName || vmdb.groupGuid != header_.groupGuid) {
      Find("VMDB and header name different groups");
    }
    if (octets.size() - table->Octets().size() >= header_.bytesPerSector ||
        !IsZero(octets.subspan(table->Octets().size()))) {
      Find(fmt::format("{} slots do not fill the region", vmdb.slotCount));
    }
    for (std::uint32_t number = kFirstSlot; number < vmdb.slotCount; ++number) {
      const auto slot = octets.subspan(std::size_t{number} * kSlotBytes, kSlotBytes);
      if (LoadBe<std::uint16_t>(slot, 0x0E) == 0 && !IsZero(slot.subspan(8))) {
        Find(fmt::format("free slot {} is not zero", number));
        break;
      }
    }
    CheckRecords(*table);
    const auto resting = RollBack(std::move(*table));
    if (!resting) return Find(resting.error().message);
    const DiskRecord* disk = resting->database.FindDisk(header_.diskGuid);
    if (disk == nullptr) return Find("the database has no record of this disk");
    if ((disk->flags & (kDiskRemoved | kDiskDetached)) != 0)
      Find("its record says the disk is removed or detached");
    const auto subdisks = resting->database.SubdisksOn(disk->id);
    if (!subdisks.empty() && subdisks.back()->start + subdisks.back()->size > header_.PublicBlocks()) {
      Find(Describe(*subdisks.back()) + " ends behind the public region");
    }
  }

  /// Each record has the octets that its fields take, in rising slots, as few as it needs.
  void CheckRecords(const ConfigTable& table) {
    const auto scan = table.Scan();
    if (!scan) return Find(scan.error().message);
    if (!scan->remnants.empty()) Find("fragments without their record");
    for (const PlacedRecord& one : scan->records) {
      const std::string name = Describe(one.stored.record);
      if (one.stored.status != RecordStatus::kActive) Find(name + " is part of a transaction");
      if (!std::is_sorted(one.placement.slots.begin(), one.placement.slots.end()))
        Find(name + " lies in falling slots");
      const auto octets = SerializeRecord(one.stored.record, one.stored.status);
      if (!octets || (octets->size() + kSlotPayload - 1) / kSlotPayload != one.placement.slots.size()) {
        Find(name + " takes another number of slots than it needs");
        continue;
      }
      Bytes stored;
      for (const std::uint32_t slot : one.placement.slots) {
        const auto payload = table.Octets().subspan(std::size_t{slot} * kSlotBytes + 16, kSlotPayload);
        stored.insert(stored.end(), payload.begin(), payload.end());
      }
      if (!std::equal(octets->begin(), octets->end(), stored.begin())) {
        Find(name + " has other octets than its fields take");
      }
    }
  }

  void CheckLog() {
    const auto octets = Sectors(member_.Log());
    const auto log = LogRegion::Parse(Bytes(octets.begin(), octets.end()));
    if (!log) return Find(log.error().message);
    std::uint32_t index = 0;
    for (const LogPage& page : log->Pages()) {
      const auto at = octets.subspan(index * kLogPageBytes, kLogPageBytes);
      if (page.index != index || page.pages != log->Pages().front().pages ||
          page.transaction != log->Pages().front().transaction ||
          !std::ranges::equal(at, SerializeLogPage(page))) {
        Find(fmt::format("log page {} is none of this log", index));
      }
      ++index;
    }
    if (!IsZero(octets.subspan(log->Pages().size() * kLogPageBytes)))
      Find("the log is not zero behind its pages");
  }

  /// Whatever lies outside of all structures is zero.
  void CheckRest() {
    std::set<std::uint64_t> used{header_.privateSize - 1, std::uint64_t{1856} * 512 / header_.bytesPerSector,
                                 header_.primaryTocAt, header_.secondaryTocAt};
    const TocPair other = OtherTocPair({header_.primaryTocAt, header_.secondaryTocAt}, header_.privateSize,
                                       header_.bytesPerSector);
    used.insert({other.first, other.second});
    const auto inside = [](const TocRegion& one, std::uint64_t sector) {
      return sector >= one.start && sector - one.start < one.size;
    };
    for (std::uint64_t sector = 0; sector < header_.privateSize; ++sector) {
      if (used.contains(sector) || inside(member_.Config(), sector) || inside(member_.Log(), sector))
        continue;
      if (!IsZero(Sector(sector)))
        return Find(fmt::format("sector {} of the private region is not zero", sector));
    }
  }

  const Member& member_;
  const PrivateHeader& header_;
  Bytes region_;
  std::vector<std::string> findings_;
};

}  // namespace

Result<std::vector<std::string>> CheckMember(const Member& member) {
  auto region = member.device->Read(member.RelativeOffset(0), kPrivateRegionBytes);
  if (!region) return tl::unexpected(region.error());
  const std::uint32_t size = member.header.bytesPerSector;
  const auto mbr_header = member.device->Read(kMbrHeaderSector * size, size);
  if (!mbr_header) return tl::unexpected(mbr_header.error());
  return MemberChecker(member, std::move(*region)).Run(*mbr_header);
}

}  // namespace dmrp::server::ldm
