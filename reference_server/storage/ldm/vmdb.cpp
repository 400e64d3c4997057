#include "reference_server/storage/ldm/vmdb.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"
#include "reference_server/storage/ldm/privhead.hpp"

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::string_view kMagic = "VMDB";
constexpr std::size_t kNameField = 31;
constexpr std::size_t kGuidField = 64;

tl::unexpected<Error> Malformed(std::string what) {
  return Fail(ErrorKind::kMalformed, "VMDB: " + std::move(what));
}

RecordCounts LoadCounts(std::span<const std::byte> octets, std::size_t at) {
  RecordCounts counts;
  counts.volumes = LoadBe<std::uint32_t>(octets, at);
  counts.plexes = LoadBe<std::uint32_t>(octets, at + 4);
  counts.subdisks = LoadBe<std::uint32_t>(octets, at + 8);
  counts.disks = LoadBe<std::uint32_t>(octets, at + 12);
  for (std::size_t i = 0; i < 3; ++i) counts.unused[i] = LoadBe<std::uint32_t>(octets, at + 16 + 4 * i);
  return counts;
}

void StoreCounts(std::span<std::byte> octets, std::size_t at, const RecordCounts& counts) {
  StoreBe(octets, at, counts.volumes);
  StoreBe(octets, at + 4, counts.plexes);
  StoreBe(octets, at + 8, counts.subdisks);
  StoreBe(octets, at + 12, counts.disks);
  for (std::size_t i = 0; i < 3; ++i) StoreBe(octets, at + 16 + 4 * i, counts.unused[i]);
}

bool IsKnown(std::uint16_t status) { return (status >= 1 && status <= 6) || status == 8; }

}  // namespace

Result<Vmdb> ParseVmdb(std::span<const std::byte> octets) {
  if (octets.size() < kVmdbBytes) return Malformed(fmt::format("{} octets", octets.size()));
  octets = octets.first(kVmdbBytes);
  if (!HasMagic(octets, kMagic)) return Malformed("no VMDB");
  const auto major = LoadBe<std::uint16_t>(octets, 0x12);
  const auto minor = LoadBe<std::uint16_t>(octets, 0x14);
  if (major != 4 || minor != 10) {
    return Fail(ErrorKind::kUnsupported, fmt::format("VMDB of version {}.{}", major, minor));
  }
  Vmdb vmdb;
  vmdb.slotCount = LoadBe<std::uint32_t>(octets, 0x04);
  if (vmdb.slotCount <= kFirstSlot || vmdb.slotCount > kMaxSlotCount) {
    return Malformed(fmt::format("{} slots", vmdb.slotCount));
  }
  if (const auto size = LoadBe<std::uint32_t>(octets, 0x08); size != kSlotBytes) {
    return Malformed(fmt::format("slots of {} octets", size));
  }
  if (const auto size = LoadBe<std::uint32_t>(octets, 0x0C); size != kVmdbBytes) {
    return Malformed(fmt::format("first slot at {}", size));
  }
  const auto status = LoadBe<std::uint16_t>(octets, 0x10);
  if (!IsKnown(status)) return Malformed(fmt::format("status {}", status));
  vmdb.status = static_cast<VmdbStatus>(status);
  auto name = LoadText(octets.subspan(0x16, kNameField), "VMDB: group name");
  if (!name) return tl::unexpected(name.error());
  vmdb.groupName = std::move(*name);
  const auto guid = LoadGuidText(octets.subspan(0x35, kGuidField), "VMDB: group GUID");
  if (!guid) return tl::unexpected(guid.error());
  vmdb.groupGuid = *guid;
  vmdb.committedTransaction = LoadBe<std::uint64_t>(octets, 0x75);
  vmdb.pendingTransaction = LoadBe<std::uint64_t>(octets, 0x7D);
  vmdb.committed = LoadCounts(octets, 0x85);
  vmdb.pending = LoadCounts(octets, 0xA1);
  vmdb.time = LoadBe<std::uint64_t>(octets, 0xBD);
  if (!IsZero(octets.subspan(0xC5))) return Malformed("octets behind the last field");
  return vmdb;
}

Result<Bytes> SerializeVmdb(const Vmdb& vmdb) {
  Bytes octets(kVmdbBytes);
  const std::span<std::byte> all(octets);
  for (const auto& stored :
       {StoreText(all.first(kMagic.size()), kMagic, kMagic.size(), "magic"),
        StoreText(all.subspan(0x16, kNameField), vmdb.groupName, kMaxGroupName, "VMDB: group name"),
        StoreText(all.subspan(0x35, kGuidField), vmdb.groupGuid.ToString(), kGuidField,
                  "VMDB: group GUID")}) {
    if (!stored) return tl::unexpected(stored.error());
  }
  StoreBe(all, 0x04, vmdb.slotCount);
  StoreBe(all, 0x08, static_cast<std::uint32_t>(kSlotBytes));
  StoreBe(all, 0x0C, static_cast<std::uint32_t>(kVmdbBytes));
  StoreBe(all, 0x10, static_cast<std::uint16_t>(vmdb.status));
  StoreBe(all, 0x12, std::uint16_t{4});
  StoreBe(all, 0x14, std::uint16_t{10});
  StoreBe(all, 0x75, vmdb.committedTransaction);
  StoreBe(all, 0x7D, vmdb.pendingTransaction);
  StoreCounts(all, 0x85, vmdb.committed);
  StoreCounts(all, 0xA1, vmdb.pending);
  StoreBe(all, 0xBD, vmdb.time);
  return octets;
}

}  // namespace dmrp::server::ldm
