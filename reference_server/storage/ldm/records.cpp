#include "reference_server/storage/ldm/records.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::size_t kRecordHeader = 8;
constexpr std::size_t kVolumeStateBytes = 14;

constexpr std::uint8_t kTypePlex = 0x32;
constexpr std::uint8_t kTypeSubdisk = 0x33;
constexpr std::uint8_t kTypeDisk = 0x34;
constexpr std::uint8_t kTypeGroup = 0x35;
constexpr std::uint8_t kTypeDiskBinary = 0x44;
constexpr std::uint8_t kTypeGroupBinary = 0x45;
constexpr std::uint8_t kTypeVolume = 0x51;

constexpr std::uint8_t kGroupCopies = 0x08;
constexpr std::uint8_t kGroupMinors = 0x10;
constexpr std::uint8_t kVolumeHint = 0x02;
constexpr std::uint8_t kVolumeId1 = 0x08;
constexpr std::uint8_t kVolumeId2 = 0x20;
constexpr std::uint8_t kVolumeColumnSize = 0x80;
constexpr std::uint8_t kPlexStripe = 0x10;
constexpr std::uint8_t kSubdiskHidden = 0x02;
constexpr std::uint8_t kSubdiskColumn = 0x08;
constexpr std::uint8_t kSubdiskTransaction = 0x20;
constexpr std::uint8_t kSubdiskUnknown = 0x40;

/// Takes fields one after the other. The first fault is kept; what is read after it is zero.
class FieldReader {
 public:
  FieldReader(std::span<const std::byte> fields, std::string_view kind) : fields_(fields), kind_(kind) {}

  template <std::unsigned_integral T>
  T Fixed(std::string_view name) {
    if (!Need(sizeof(T), name)) return 0;
    const T value = LoadBe<T>(fields_, at_);
    at_ += sizeof(T);
    return value;
  }

  /// A length octet and that many octets; leading zeros are accepted (the padded form has them).
  std::uint64_t Number(std::string_view name) {
    const auto length = Fixed<std::uint8_t>(name);
    if (length > 8) Fault(name, fmt::format("a number of {} octets", length));
    if (!Need(length, name)) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < length; ++i) {
      value = value << 8 | std::to_integer<std::uint64_t>(fields_[at_ + i]);
    }
    at_ += length;
    return value;
  }

  std::string Text(std::string_view name) {
    const auto length = Fixed<std::uint8_t>(name);
    if (!Need(length, name)) return {};
    std::string text(reinterpret_cast<const char*>(fields_.data() + at_), length);
    at_ += length;
    return text;
  }

  /// A text of at most this many octets in a field of this many.
  std::string PaddedText(std::size_t size, std::string_view name) {
    if (!Need(size, name)) return {};
    auto text = LoadText(fields_.subspan(at_, size), name);
    at_ += size;
    if (!text) {
      Fault(name, "octets behind the end of the text");
      return {};
    }
    return std::move(*text);
  }

  Guid TextGuid(std::string_view name) {
    const std::string text = Text(name);
    const auto guid = Guid::Parse(text);
    if (!guid || text.size() != 36) {
      Fault(name, fmt::format("'{}' is no GUID", text));
      return {};
    }
    return *guid;
  }

  Guid BinaryGuid(std::string_view name) {
    if (!Need(16, name)) return {};
    const Guid guid = GuidFromNetworkOrder(fields_.subspan(at_).first<16>());
    at_ += 16;
    return guid;
  }

  void Fault(std::string_view name, std::string_view what) {
    if (fault_.empty()) fault_ = fmt::format("{} record: {}: {}", kind_, name, what);
  }

  [[nodiscard]] std::string Finish() {
    if (at_ != fields_.size())
      Fault("length", fmt::format("{} octets after the last field", fields_.size() - at_));
    return fault_;
  }

 private:
  bool Need(std::size_t octets, std::string_view name) {
    if (!fault_.empty()) return false;
    if (fields_.size() - at_ < octets) {
      Fault(name, "ends behind the record");
      return false;
    }
    return true;
  }

  std::span<const std::byte> fields_;
  std::string_view kind_;
  std::size_t at_ = 0;
  std::string fault_;
};

class FieldWriter {
 public:
  template <std::unsigned_integral T>
  void Fixed(T value) {
    std::array<std::byte, sizeof(T)> octets{};
    StoreBe(octets, 0, value);
    octets_.insert(octets_.end(), octets.begin(), octets.end());
  }

  void Number(std::uint64_t value) {
    std::size_t length = 0;
    while (length < 8 && value >> (8 * length) != 0) ++length;
    Fixed(static_cast<std::uint8_t>(length));
    for (std::size_t i = length; i-- > 0;) octets_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }

  /// A size: as Number below 2^32, else all eight octets.
  void Size(std::uint64_t value) {
    if (value >> 32 == 0) return Number(value);
    Fixed(std::uint8_t{8});
    Fixed(value);
  }

  void Text(std::string_view text) {
    if (text.size() > 255) too_long_ = true;
    Fixed(static_cast<std::uint8_t>(text.size()));
    Append(text);
  }

  void PaddedText(std::string_view text, std::size_t size) {
    if (text.size() > size) too_long_ = true;
    const std::size_t end = octets_.size() + size;
    Append(text.substr(0, size));
    octets_.resize(end);
  }

  void BinaryGuid(const Guid& guid) {
    std::array<std::byte, 16> octets{};
    StoreGuidNetworkOrder(octets, guid);
    octets_.insert(octets_.end(), octets.begin(), octets.end());
  }

  [[nodiscard]] bool TooLong() const { return too_long_; }
  [[nodiscard]] const Bytes& Octets() const { return octets_; }

 private:
  void Append(std::string_view text) {
    const auto octets = std::as_bytes(std::span(text));
    octets_.insert(octets_.end(), octets.begin(), octets.end());
  }

  Bytes octets_;
  bool too_long_ = false;
};

DiskGroupRecord ReadGroup(FieldReader& in, std::uint8_t flags, bool binary) {
  DiskGroupRecord group;
  group.id = in.Number("id");
  group.name = in.Text("name");
  if (binary) {
    group.guid = in.BinaryGuid("guid");
    group.diskSetGuid = in.BinaryGuid("diskSetGuid");
  } else {
    group.guid = in.TextGuid("guid");
  }
  group.unknown = in.Fixed<std::uint32_t>("unknown");
  group.commitTransaction = in.Fixed<std::uint64_t>("commitTransaction");
  if ((flags & kGroupCopies) != 0) {
    DiskGroupRecord::Copies copies;
    copies.config = in.Number("copies.config");
    copies.log = in.Number("copies.log");
    group.copies = copies;
  }
  if ((flags & kGroupMinors) != 0) group.minors = in.Number("minors");
  return group;
}

DiskRecord ReadDisk(FieldReader& in, bool binary) {
  DiskRecord disk;
  disk.id = in.Number("id");
  disk.name = in.Text("name");
  if (binary) {
    disk.guid = in.BinaryGuid("guid");
    disk.diskSetGuid = in.BinaryGuid("diskSetGuid");
  } else {
    disk.guid = in.TextGuid("guid");
  }
  disk.lastDeviceName = in.Text("lastDeviceName");
  disk.flags = in.Fixed<std::uint32_t>("flags");
  disk.commitTransaction = in.Fixed<std::uint64_t>("commitTransaction");
  return disk;
}

VolumeRecord ReadVolume(FieldReader& in, std::uint8_t flags) {
  VolumeRecord volume;
  volume.id = in.Number("id");
  volume.name = in.Text("name");
  volume.type = in.Text("type");
  volume.noDriveLetter = in.Text("noDriveLetter");
  volume.state = in.PaddedText(kVolumeStateBytes, "state");
  volume.readPolicy = in.Fixed<std::uint8_t>("readPolicy");
  volume.volumeNumber = in.Number("volumeNumber");
  volume.flags = in.Fixed<std::uint32_t>("flags");
  volume.plexCount = in.Number("plexCount");
  volume.commitTransaction = in.Fixed<std::uint64_t>("commitTransaction");
  volume.updateId = in.Fixed<std::uint64_t>("updateId");
  volume.size = in.Number("size");
  volume.unknown = in.Fixed<std::uint32_t>("unknown");
  volume.partitionType = in.Fixed<std::uint8_t>("partitionType");
  volume.guid = in.BinaryGuid("guid");
  if ((flags & kVolumeId1) != 0) volume.id1 = in.Number("id1");
  if ((flags & kVolumeId2) != 0) volume.id2 = in.Number("id2");
  if ((flags & kVolumeColumnSize) != 0) volume.columnSize = in.Number("columnSize");
  if ((flags & kVolumeHint) != 0) volume.hint = in.Text("hint");
  return volume;
}

PlexRecord ReadPlex(FieldReader& in, std::uint8_t flags) {
  PlexRecord plex;
  plex.id = in.Number("id");
  plex.name = in.Text("name");
  plex.state = in.Text("state");
  const auto layout = in.Fixed<std::uint8_t>("layout");
  if (layout < 1 || layout > 3) in.Fault("layout", fmt::format("{} is none of 1, 2, 3", layout));
  plex.layout = static_cast<PlexLayout>(layout);
  plex.flags = in.Fixed<std::uint32_t>("flags");
  plex.subdiskCount = in.Number("subdiskCount");
  plex.commitTransaction = in.Fixed<std::uint64_t>("commitTransaction");
  plex.unknown = in.Fixed<std::uint64_t>("unknown");
  plex.volumeId = in.Number("volumeId");
  plex.logSubdiskId = in.Number("logSubdiskId");
  if ((flags & kPlexStripe) != 0) {
    PlexRecord::Stripe stripe;
    stripe.size = in.Number("stripe.size");
    stripe.columns = in.Number("stripe.columns");
    plex.stripe = stripe;
  }
  return plex;
}

SubdiskRecord ReadSubdisk(FieldReader& in, std::uint8_t flags) {
  SubdiskRecord subdisk;
  subdisk.id = in.Number("id");
  subdisk.name = in.Text("name");
  subdisk.flags = in.Fixed<std::uint32_t>("flags");
  subdisk.commitTransaction = in.Fixed<std::uint64_t>("commitTransaction");
  subdisk.start = in.Fixed<std::uint64_t>("start");
  subdisk.offset = in.Fixed<std::uint64_t>("offset");
  subdisk.size = in.Number("size");
  subdisk.plexId = in.Number("plexId");
  subdisk.diskId = in.Number("diskId");
  if ((flags & kSubdiskColumn) != 0) subdisk.column = in.Number("column");
  if ((flags & kSubdiskTransaction) != 0) {
    subdisk.secondTransaction = in.Fixed<std::uint64_t>("secondTransaction");
  }
  if ((flags & kSubdiskUnknown) != 0) subdisk.unknown40 = in.Number("unknown40");
  if ((flags & kSubdiskHidden) != 0) subdisk.hidden = in.Number("hidden");
  return subdisk;
}

/// Type octet and flags octet of a record; the fields go to `out`.
struct Head {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
};

Head Write(FieldWriter& out, const DiskGroupRecord& group) {
  out.Number(group.id);
  out.Text(group.name);
  if (group.diskSetGuid) {
    out.BinaryGuid(group.guid);
    out.BinaryGuid(*group.diskSetGuid);
  } else {
    out.Text(group.guid.ToString());
  }
  out.Fixed(group.unknown);
  out.Fixed(group.commitTransaction);
  Head head{.type = group.diskSetGuid ? kTypeGroupBinary : kTypeGroup};
  if (group.copies) {
    head.flags |= kGroupCopies;
    out.Number(group.copies->config);
    out.Number(group.copies->log);
  }
  if (group.minors) {
    head.flags |= kGroupMinors;
    out.Number(*group.minors);
  }
  return head;
}

Head Write(FieldWriter& out, const DiskRecord& disk) {
  out.Number(disk.id);
  out.Text(disk.name);
  if (disk.diskSetGuid) {
    out.BinaryGuid(disk.guid);
    out.BinaryGuid(*disk.diskSetGuid);
  } else {
    out.Text(disk.guid.ToString());
  }
  out.Text(disk.lastDeviceName);
  out.Fixed(disk.flags);
  out.Fixed(disk.commitTransaction);
  return {.type = disk.diskSetGuid ? kTypeDiskBinary : kTypeDisk};
}

Head Write(FieldWriter& out, const VolumeRecord& volume) {
  out.Number(volume.id);
  out.Text(volume.name);
  out.Text(volume.type);
  out.Text(volume.noDriveLetter);
  out.PaddedText(volume.state, kVolumeStateBytes);
  out.Fixed(volume.readPolicy);
  out.Number(volume.volumeNumber);
  out.Fixed(volume.flags);
  out.Number(volume.plexCount);
  out.Fixed(volume.commitTransaction);
  out.Fixed(volume.updateId);
  out.Size(volume.size);
  out.Fixed(volume.unknown);
  out.Fixed(volume.partitionType);
  out.BinaryGuid(volume.guid);
  Head head{.type = kTypeVolume};
  if (volume.id1) {
    head.flags |= kVolumeId1;
    out.Number(*volume.id1);
  }
  if (volume.id2) {
    head.flags |= kVolumeId2;
    out.Number(*volume.id2);
  }
  if (volume.columnSize) {
    head.flags |= kVolumeColumnSize;
    out.Size(*volume.columnSize);
  }
  if (volume.hint) {
    head.flags |= kVolumeHint;
    out.Text(*volume.hint);
  }
  return head;
}

Head Write(FieldWriter& out, const PlexRecord& plex) {
  out.Number(plex.id);
  out.Text(plex.name);
  out.Text(plex.state);
  out.Fixed(static_cast<std::uint8_t>(plex.layout));
  out.Fixed(plex.flags);
  out.Number(plex.subdiskCount);
  out.Fixed(plex.commitTransaction);
  out.Fixed(plex.unknown);
  out.Number(plex.volumeId);
  out.Number(plex.logSubdiskId);
  Head head{.type = kTypePlex};
  if (plex.stripe) {
    head.flags |= kPlexStripe;
    out.Size(plex.stripe->size);
    out.Number(plex.stripe->columns);
  }
  return head;
}

Head Write(FieldWriter& out, const SubdiskRecord& subdisk) {
  out.Number(subdisk.id);
  out.Text(subdisk.name);
  out.Fixed(subdisk.flags);
  out.Fixed(subdisk.commitTransaction);
  out.Fixed(subdisk.start);
  out.Fixed(subdisk.offset);
  out.Size(subdisk.size);
  out.Number(subdisk.plexId);
  out.Number(subdisk.diskId);
  Head head{.type = kTypeSubdisk};
  if (subdisk.column != 0) {
    head.flags |= kSubdiskColumn;
    out.Number(subdisk.column);
  }
  if (subdisk.secondTransaction) {
    head.flags |= kSubdiskTransaction;
    out.Fixed(*subdisk.secondTransaction);
  }
  if (subdisk.unknown40) {
    head.flags |= kSubdiskUnknown;
    out.Number(*subdisk.unknown40);
  }
  if (subdisk.hidden) {
    head.flags |= kSubdiskHidden;
    out.Size(*subdisk.hidden);
  }
  return head;
}

struct Kind {
  std::string_view name;
  std::uint8_t knownFlags = 0;
};

std::optional<Kind> KindOf(std::uint8_t type) {
  switch (type) {
    case kTypeGroup:
    case kTypeGroupBinary:
      return Kind{"disk group", kGroupCopies | kGroupMinors};
    case kTypeDisk:
    case kTypeDiskBinary:
      return Kind{"disk", 0};
    case kTypeVolume:
      return Kind{"volume", kVolumeHint | kVolumeId1 | kVolumeId2 | kVolumeColumnSize};
    case kTypePlex:
      return Kind{"plex", kPlexStripe};
    case kTypeSubdisk:
      return Kind{"subdisk", kSubdiskHidden | kSubdiskColumn | kSubdiskTransaction | kSubdiskUnknown};
    default:
      return std::nullopt;
  }
}

struct Describer {
  std::string operator()(const DiskGroupRecord& r) const { return Say("Group", r); }
  std::string operator()(const DiskRecord& r) const { return Say("Disk", r); }
  std::string operator()(const VolumeRecord& r) const { return Say("Volume", r); }
  std::string operator()(const PlexRecord& r) const { return Say("Plex", r); }
  std::string operator()(const SubdiskRecord& r) const { return Say("Subdisk", r); }
  template <typename T>
  static std::string Say(std::string_view kind, const T& record) {
    return fmt::format("{} '{}' ({})", kind, record.name, record.id);
  }
};

}  // namespace

ObjectId IdOf(const Record& record) {
  return std::visit([](const auto& one) { return one.id; }, record);
}

std::string Describe(const Record& record) { return std::visit(Describer{}, record); }

Result<StoredRecord> ParseRecord(std::span<const std::byte> payload) {
  if (payload.size() < kRecordHeader || payload.size() > kMaxRecordBytes) {
    return Fail(ErrorKind::kMalformed, fmt::format("record of {} octets", payload.size()));
  }
  const auto status = LoadBe<std::uint16_t>(payload, 0);
  const auto flags = LoadBe<std::uint8_t>(payload, 2);
  const auto type = LoadBe<std::uint8_t>(payload, 3);
  const auto length = LoadBe<std::uint32_t>(payload, 4);
  const auto kind = KindOf(type);
  if (!kind) return Fail(ErrorKind::kUnsupported, fmt::format("record of kind {:02x}", type));
  if ((flags & ~kind->knownFlags) != 0) {
    return Fail(ErrorKind::kUnsupported, fmt::format("{} record with flags {:02x}", kind->name, flags));
  }
  if (status > static_cast<std::uint16_t>(RecordStatus::kToBeActivated)) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{} record: status {} is none of 0, 1, 2", kind->name, status));
  }
  if (length > payload.size() - kRecordHeader) {
    return Fail(ErrorKind::kMalformed, fmt::format("{} record: length {} with room for {} octets", kind->name,
                                                   length, payload.size() - kRecordHeader));
  }
  if (!IsZero(payload.subspan(kRecordHeader + length))) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{} record: octets behind its length {}", kind->name, length));
  }
  FieldReader in(payload.subspan(kRecordHeader, length), kind->name);
  StoredRecord stored{.status = static_cast<RecordStatus>(status), .record = {}};
  switch (type) {
    case kTypeGroup:
    case kTypeGroupBinary:
      stored.record = ReadGroup(in, flags, type == kTypeGroupBinary);
      break;
    case kTypeDisk:
    case kTypeDiskBinary:
      stored.record = ReadDisk(in, type == kTypeDiskBinary);
      break;
    case kTypeVolume:
      stored.record = ReadVolume(in, flags);
      break;
    case kTypePlex:
      stored.record = ReadPlex(in, flags);
      break;
    default:
      stored.record = ReadSubdisk(in, flags);
      break;
  }
  const std::string fault = in.Finish();
  if (!fault.empty()) return Fail(ErrorKind::kMalformed, fault);
  return stored;
}

Result<Bytes> SerializeRecord(const Record& record, RecordStatus status) {
  FieldWriter out;
  const Head head = std::visit([&](const auto& one) { return Write(out, one); }, record);
  if (out.TooLong() || out.Octets().size() > kMaxRecordBytes - kRecordHeader) {
    return Fail(ErrorKind::kLimit,
                fmt::format("{} takes more than {} octets, or a text in it more than its field",
                            Describe(record), kMaxRecordBytes));
  }
  Bytes octets(kRecordHeader);
  StoreBe(octets, 0, static_cast<std::uint16_t>(status));
  StoreBe(octets, 2, head.flags);
  StoreBe(octets, 3, head.type);
  StoreBe(octets, 4, static_cast<std::uint32_t>(out.Octets().size()));
  octets.insert(octets.end(), out.Octets().begin(), out.Octets().end());
  return octets;
}

}  // namespace dmrp::server::ldm
