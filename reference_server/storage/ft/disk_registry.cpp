#include "reference_server/storage/ft/disk_registry.hpp"

#include "reference_server/storage/little_endian.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <type_traits>

#include <fmt/format.h>

namespace dmrp::server::ft {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::size_t kHeader = 44;
constexpr std::size_t kDiskHead = 8;
constexpr std::size_t kPartition = 52;
constexpr std::size_t kSetHead = 12;
constexpr std::size_t kMember = 16;
constexpr std::size_t kCounts = 4;

/// Where something lies in the value.
struct Part {
  std::string_view name;
  std::size_t offset = 0;
  std::size_t size = 0;
  [[nodiscard]] std::size_t End() const { return offset + size; }
};

/// Takes structures one after the other out of one part of the value.
class Cursor {
 public:
  Cursor(std::span<const std::byte> value, const Part& part) : value_(value), part_(part), at_(part.offset) {}

  /// The next `size` octets.
  Result<std::span<const std::byte>> Take(std::size_t size, std::string_view what) {
    if (size > part_.End() - at_) {
      return Fail(ErrorKind::kMalformed, fmt::format("{} at {} needs {} octets, {} ends at {}", what, at_,
                                                     size, part_.name, part_.End()));
    }
    const auto taken = value_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  [[nodiscard]] std::size_t At() const { return at_; }

 private:
  std::span<const std::byte> value_;
  Part part_;
  std::size_t at_;
};

Result<Part> PartAt(std::span<const std::byte> value, std::string_view name, std::size_t field) {
  const Part part{name, LoadLe<std::uint32_t>(value, field), LoadLe<std::uint32_t>(value, field + 4)};
  if (part.size == 0) return Part{name, 0, 0};
  if (part.offset < kHeader || part.offset > value.size() || part.size > value.size() - part.offset) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: {} octets at {} leave the value of {}", name,
                                                   part.size, part.offset, value.size()));
  }
  return part;
}

Result<void> CheckApart(const Part& one, const Part& other) {
  if (one.size != 0 && other.size != 0 && one.offset < other.End() && other.offset < one.End()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{} at {} and {} at {} overlap", one.name, one.offset, other.name, other.offset));
  }
  return {};
}

std::uint8_t LoadOctet(std::span<const std::byte> from, std::size_t offset) {
  return LoadLe<std::uint8_t>(from, offset);
}

Result<DiskPartition> ReadPartition(std::span<const std::byte> raw, std::size_t at) {
  DiskPartition partition;
  const auto type = LoadLe<std::uint32_t>(raw, 0);
  if (type > std::numeric_limits<std::uint16_t>::max()) {
    return Fail(ErrorKind::kMalformed, fmt::format("FtType {:#x} of the DISK_PARTITION at {}", type, at));
  }
  partition.ftType = static_cast<FtType>(type);
  partition.ftState = LoadLe<std::uint32_t>(raw, 4);
  partition.startingOffset = LoadLe<std::uint64_t>(raw, 8);
  partition.length = LoadLe<std::uint64_t>(raw, 16);
  partition.ftLength = LoadLe<std::uint64_t>(raw, 24);
  partition.reserved32 = {LoadLe<std::uint32_t>(raw, 32), LoadLe<std::uint32_t>(raw, 36)};
  partition.driveLetter = LoadOctet(raw, 40);
  partition.assignDriveLetter = LoadOctet(raw, 41);
  partition.logicalNumber = LoadLe<std::uint16_t>(raw, 42);
  partition.ftGroup = LoadLe<std::uint16_t>(raw, 44);
  partition.ftMember = LoadLe<std::uint16_t>(raw, 46);
  partition.modified = LoadOctet(raw, 48);
  for (std::size_t i = 0; i < 3; ++i) partition.reserved48[i] = LoadOctet(raw, 49 + i);
  return partition;
}

void WritePartition(std::span<std::byte> raw, const DiskPartition& partition) {
  StoreLe<std::uint32_t>(raw, 0, static_cast<std::uint16_t>(partition.ftType));
  StoreLe(raw, 4, partition.ftState);
  StoreLe(raw, 8, partition.startingOffset);
  StoreLe(raw, 16, partition.length);
  StoreLe(raw, 24, partition.ftLength);
  StoreLe(raw, 32, partition.reserved32[0]);
  StoreLe(raw, 36, partition.reserved32[1]);
  StoreLe(raw, 40, partition.driveLetter);
  StoreLe(raw, 41, partition.assignDriveLetter);
  StoreLe(raw, 42, partition.logicalNumber);
  StoreLe(raw, 44, partition.ftGroup);
  StoreLe(raw, 46, partition.ftMember);
  StoreLe(raw, 48, partition.modified);
  for (std::size_t i = 0; i < 3; ++i) StoreLe(raw, 49 + i, partition.reserved48[i]);
}

/// Octets that grow at their end.
class Writer {
 public:
  [[nodiscard]] std::size_t Size() const { return octets_.size(); }
  /// A fresh zeroed structure; holds until the next Add.
  std::span<std::byte> Add(std::size_t size) {
    octets_.resize(octets_.size() + size);
    return std::span(octets_).last(size);
  }
  std::span<std::byte> All() { return octets_; }
  Bytes Take() { return std::move(octets_); }

 private:
  Bytes octets_;
};

Result<std::uint16_t> Count(std::size_t count, std::string_view what) {
  if (count > std::numeric_limits<std::uint16_t>::max()) {
    return Fail(ErrorKind::kLimit, fmt::format("{} {} do not fit 16 bits", count, what));
  }
  return static_cast<std::uint16_t>(count);
}

}  // namespace

Result<DiskRegistry> DiskRegistry::Parse(std::span<const std::byte> value) {
  if (value.size() > kMaxDiskRegistry) {
    return Fail(ErrorKind::kLimit,
                fmt::format("the value has {} octets, the limit is {}", value.size(), kMaxDiskRegistry));
  }
  if (value.size() < kHeader) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("the value has {} octets, DISK_CONFIG_HEADER needs {}", value.size(), kHeader));
  }
  if (const auto version = LoadLe<std::uint32_t>(value, 0); version != kVersion) {
    return Fail(ErrorKind::kUnsupported, fmt::format("Version is {}, not {}", version, kVersion));
  }
  const auto disk_part = PartAt(value, "DISK_REGISTRY", 12);
  if (!disk_part) return tl::unexpected(disk_part.error());
  const auto ft_part = PartAt(value, "FT_REGISTRY", 20);
  if (!ft_part) return tl::unexpected(ft_part.error());
  const auto name_part = PartAt(value, "names", 36);
  if (!name_part) return tl::unexpected(name_part.error());
  for (const auto& [one, other] : {std::pair(&*disk_part, &*ft_part), std::pair(&*disk_part, &*name_part),
                                   std::pair(&*ft_part, &*name_part)}) {
    if (auto apart = CheckApart(*one, *other); !apart) return tl::unexpected(apart.error());
  }

  DiskRegistry registry;
  registry.checkSum = LoadLe<std::uint32_t>(value, 4);
  registry.dirtyShutdown = LoadOctet(value, 8);
  for (std::size_t i = 0; i < 3; ++i) registry.reserved9[i] = LoadOctet(value, 9 + i);
  registry.ftStripeWidth = LoadLe<std::uint32_t>(value, 28);
  registry.ftPoolSize = LoadLe<std::uint32_t>(value, 32);

  std::map<std::size_t, PartitionRef> partition_at;
  if (disk_part->size != 0) {
    Cursor cursor(value, *disk_part);
    const auto counts = cursor.Take(kCounts, "DISK_REGISTRY");
    if (!counts) return tl::unexpected(counts.error());
    const auto disk_count = LoadLe<std::uint16_t>(*counts, 0);
    registry.disksReserved2 = LoadLe<std::uint16_t>(*counts, 2);
    for (std::size_t disk = 0; disk < disk_count; ++disk) {
      const auto head = cursor.Take(kDiskHead, "DISK_DESCRIPTION");
      if (!head) return tl::unexpected(head.error());
      DiskDescription& description = registry.disks.emplace_back();
      description.reserved2 = LoadLe<std::uint16_t>(*head, 2);
      description.signature = LoadLe<std::uint32_t>(*head, 4);
      const auto partition_count = LoadLe<std::uint16_t>(*head, 0);
      for (std::size_t index = 0; index < partition_count; ++index) {
        const std::size_t at = cursor.At();
        const auto raw = cursor.Take(kPartition, "DISK_PARTITION");
        if (!raw) return tl::unexpected(raw.error());
        auto partition = ReadPartition(*raw, at);
        if (!partition) return tl::unexpected(partition.error());
        description.partitions.push_back(*partition);
        partition_at[at] = {disk, index};
      }
    }
  }
  if (ft_part->size != 0) {
    Cursor cursor(value, *ft_part);
    const auto counts = cursor.Take(kCounts, "FT_REGISTRY");
    if (!counts) return tl::unexpected(counts.error());
    const auto set_count = LoadLe<std::uint16_t>(*counts, 0);
    registry.setsReserved2 = LoadLe<std::uint16_t>(*counts, 2);
    for (std::size_t index = 0; index < set_count; ++index) {
      const auto head = cursor.Take(kSetHead, "FT_DESCRIPTION");
      if (!head) return tl::unexpected(head.error());
      FtSetRecord& set = registry.sets.emplace_back();
      set.type = static_cast<FtType>(LoadLe<std::uint16_t>(*head, 2));
      set.reserved4 = LoadLe<std::uint32_t>(*head, 4);
      set.state = static_cast<FtSetState>(LoadLe<std::uint32_t>(*head, 8));
      const auto member_count = LoadLe<std::uint16_t>(*head, 0);
      for (std::size_t place = 0; place < member_count; ++place) {
        const std::size_t at = cursor.At();
        const auto raw = cursor.Take(kMember, "FT_MEMBER_DESCRIPTION");
        if (!raw) return tl::unexpected(raw.error());
        const auto target = partition_at.find(LoadLe<std::uint32_t>(*raw, 8));
        if (target == partition_at.end()) {
          return Fail(ErrorKind::kMalformed,
                      fmt::format("OffsetToPartitionInfo {} of the member at {} leads to no DISK_PARTITION",
                                  LoadLe<std::uint32_t>(*raw, 8), at));
        }
        set.members.push_back({static_cast<FtMemberState>(LoadLe<std::uint16_t>(*raw, 0)),
                               LoadLe<std::uint16_t>(*raw, 2), LoadLe<std::uint32_t>(*raw, 4), target->second,
                               LoadLe<std::uint32_t>(*raw, 12)});
      }
    }
  }
  const auto names = value.subspan(name_part->offset, name_part->size);
  registry.names.assign(names.begin(), names.end());
  registry.parsed_.assign(value.begin(), value.end());
  return registry;
}

Result<Bytes> DiskRegistry::Serialize() const {
  if (!parsed_.empty()) {
    if (const auto before = Parse(parsed_); before && *before == *this) return parsed_;
  }
  Writer writer;
  writer.Add(kHeader);

  const std::size_t disks_at = writer.Size();
  const auto disk_count = Count(disks.size(), "disks");
  if (!disk_count) return tl::unexpected(disk_count.error());
  const auto disk_head = writer.Add(kCounts);
  StoreLe(disk_head, 0, *disk_count);
  StoreLe(disk_head, 2, disksReserved2);
  std::map<PartitionRef, std::size_t> offset_of;
  for (std::size_t disk = 0; disk < disks.size(); ++disk) {
    const DiskDescription& description = disks[disk];
    const auto count = Count(description.partitions.size(), "partitions");
    if (!count) return tl::unexpected(count.error());
    const auto head = writer.Add(kDiskHead);
    StoreLe(head, 0, *count);
    StoreLe(head, 2, description.reserved2);
    StoreLe(head, 4, description.signature);
    for (std::size_t index = 0; index < description.partitions.size(); ++index) {
      offset_of[{disk, index}] = writer.Size();
      WritePartition(writer.Add(kPartition), description.partitions[index]);
    }
  }
  const std::size_t sets_at = writer.Size();
  const auto set_count = Count(sets.size(), "FT sets");
  if (!set_count) return tl::unexpected(set_count.error());
  const bool has_sets = !sets.empty() || setsReserved2 != 0;
  if (has_sets) {
    const auto head = writer.Add(kCounts);
    StoreLe(head, 0, *set_count);
    StoreLe(head, 2, setsReserved2);
  }
  for (const FtSetRecord& set : sets) {
    const auto count = Count(set.members.size(), "members");
    if (!count) return tl::unexpected(count.error());
    const auto head = writer.Add(kSetHead);
    StoreLe(head, 0, *count);
    StoreLe(head, 2, static_cast<std::uint16_t>(set.type));
    StoreLe(head, 4, set.reserved4);
    StoreLe(head, 8, static_cast<std::uint32_t>(set.state));
    for (const FtMemberRecord& member : set.members) {
      const auto target = offset_of.find(member.partition);
      if (target == offset_of.end()) {
        return Fail(ErrorKind::kUsage, fmt::format("a member lies in partition {} of disk {}, which is none",
                                                   member.partition.partition, member.partition.disk));
      }
      const auto raw = writer.Add(kMember);
      StoreLe(raw, 0, static_cast<std::uint16_t>(member.state));
      StoreLe(raw, 2, member.reserved2);
      StoreLe(raw, 4, member.signature);
      StoreLe(raw, 8, static_cast<std::uint32_t>(target->second));
      StoreLe(raw, 12, member.logicalNumber);
    }
  }
  const std::size_t names_at = writer.Size();
  std::ranges::copy(names, writer.Add(names.size()).begin());
  if (writer.Size() > kMaxDiskRegistry) {
    return Fail(ErrorKind::kLimit,
                fmt::format("the value has {} octets, the limit is {}", writer.Size(), kMaxDiskRegistry));
  }

  const auto header = writer.All();
  StoreLe(header, 0, kVersion);
  StoreLe(header, 8, dirtyShutdown);
  for (std::size_t i = 0; i < 3; ++i) StoreLe(header, 9 + i, reserved9[i]);
  StoreLe(header, 12, static_cast<std::uint32_t>(disks_at));
  StoreLe(header, 16, static_cast<std::uint32_t>(sets_at - disks_at));
  // Parts without contents lie nowhere.
  StoreLe(header, 20, has_sets ? static_cast<std::uint32_t>(sets_at) : 0U);
  StoreLe(header, 24, static_cast<std::uint32_t>(names_at - sets_at));
  StoreLe(header, 28, ftStripeWidth);
  StoreLe(header, 32, ftPoolSize);
  StoreLe(header, 36, names.empty() ? 0U : static_cast<std::uint32_t>(names_at));
  StoreLe(header, 40, static_cast<std::uint32_t>(names.size()));
  return writer.Take();
}

const DiskPartition* DiskRegistry::Find(const PartitionRef& ref) const {
  if (ref.disk >= disks.size() || ref.partition >= disks[ref.disk].partitions.size()) return nullptr;
  return &disks[ref.disk].partitions[ref.partition];
}

DiskPartition* DiskRegistry::Find(const PartitionRef& ref) {
  return const_cast<DiskPartition*>(std::as_const(*this).Find(ref));
}

std::string_view FtTypeName(FtType type) {
  switch (type) {
    case FtType::kMirror:
      return "Mirror";
    case FtType::kStripe:
      return "Stripe";
    case FtType::kStripeWithParity:
      return "StripeWithParity";
    case FtType::kVolumeSet:
      return "VolumeSet";
    case FtType::kNotAnFtMember:
      return "NotAnFtMember";
    case FtType::kWholeDisk:
      return "WholeDisk";
  }
  return "Unknown";
}

std::string_view FtMemberStateName(FtMemberState state) {
  switch (state) {
    case FtMemberState::kHealthy:
      return "Healthy";
    case FtMemberState::kOrphaned:
      return "Orphaned";
    case FtMemberState::kRegenerating:
      return "Regenerating";
    case FtMemberState::kInitializing:
      return "Initializing";
    case FtMemberState::kSyncRedundantCopy:
      return "SyncRedundantCopy";
  }
  return "Unknown";
}

std::string_view FtSetStateName(FtSetState state) {
  switch (state) {
    case FtSetState::kOk:
      return "Ok";
    case FtSetState::kHasOrphan:
      return "HasOrphan";
    case FtSetState::kDisabled:
      return "Disabled";
    case FtSetState::kRegenerating:
      return "Regenerating";
    case FtSetState::kInitializing:
      return "Initializing";
    case FtSetState::kCheckParity:
      return "CheckParity";
    case FtSetState::kNoCheckData:
      return "NoCheckData";
  }
  return "Unknown";
}

}  // namespace dmrp::server::ft
