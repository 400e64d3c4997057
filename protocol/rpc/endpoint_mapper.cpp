#include "protocol/rpc/endpoint_mapper.hpp"

#include "protocol/rpc/octets.hpp"

#include <algorithm>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace dmrp::rpc {
namespace {

constexpr std::uint16_t kOpLookup = 2;
constexpr std::uint16_t kOpMap = 3;
constexpr std::uint16_t kOpLookupHandleFree = 4;
constexpr std::uint16_t kOpInquireObject = 5;
constexpr std::uint16_t kOpMgmtDelete = 6;
constexpr std::uint32_t kCannotPerform = 0x16C9A0CD;  // ept_s_cant_perform_op
constexpr std::uint32_t kMaxTowers = 500;
constexpr std::uint16_t kMaxFloors = 6;
constexpr std::size_t kMaxTowerSize = 2000;
constexpr std::size_t kHandleSize = 20;
constexpr std::size_t kMaxAnnotation = 63;  // [C706] ept_max_annotation_size counts the zero.

constexpr std::uint8_t kUuidFloor = 0x0D;
constexpr std::uint8_t kConnectionOriented = 0x0B;
constexpr std::uint8_t kTcp = 0x07;
constexpr std::uint8_t kIp = 0x09;

void PutUuidFloor(OctetWriter& writer, const SyntaxId& syntax) {
  writer.U16(19);
  writer.U8(kUuidFloor);
  writer.Uuid(syntax.uuid);
  writer.U16(syntax.major);
  writer.U16(2);
  writer.U16(syntax.minor);
}

/// A tower as NDR's twr_t behind a pointer.
void PutTower(OctetWriter& writer, const Tower& tower) {
  const Bytes octets = EncodeTower(tower);
  writer.U32(static_cast<std::uint32_t>(octets.size()));
  writer.U32(static_cast<std::uint32_t>(octets.size()));
  writer.Octets(octets);
  writer.AlignTo(4);
}

Result<Bytes> TakeTower(OctetReader& reader) {
  const std::uint32_t max_count = reader.U32();
  const std::uint32_t length = reader.U32();
  if (length != max_count || length > kMaxTowerSize) {
    return Fail(ErrorKind::kMalformed, fmt::format("twr_t: length {} with max_count {}", length, max_count));
  }
  auto octets = reader.Octets(length);
  reader.AlignTo(4);
  if (reader.failed()) {
    return Fail(ErrorKind::kMalformed, fmt::format("twr_t: cut off, {} octets", length));
  }
  return Bytes(octets.begin(), octets.end());
}

std::array<std::uint8_t, 4> AddressOf(const std::string& host) {
  in_addr address{};
  std::array<std::uint8_t, 4> octets{};
  if (inet_pton(AF_INET, host.c_str(), &address) == 1) {
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&address);
    std::copy_n(raw, octets.size(), octets.begin());
  }
  return octets;
}

tl::expected<Bytes, std::uint32_t> Map(const EndpointMap& map, const CallContext& call,
                                       std::span<const std::byte> stub) {
  OctetReader reader(stub);
  Guid object;
  if (reader.U32() != 0) {
    object = reader.Uuid();
  }
  if (reader.U32() == 0) {
    return tl::unexpected(RPC_X_BAD_STUB_DATA);
  }
  auto octets = TakeTower(reader);
  if (!octets) {
    return tl::unexpected(RPC_X_BAD_STUB_DATA);
  }
  reader.Skip(kHandleSize);
  const std::uint32_t max_towers = reader.U32();
  if (reader.failed()) {
    return tl::unexpected(RPC_X_BAD_STUB_DATA);
  }
  if (max_towers == 0 || max_towers > kMaxTowers) {
    return tl::unexpected(nca_s_fault_invalid_bound);
  }

  std::vector<Tower> found;
  if (auto wanted = ParseTower(*octets); wanted && wanted->transfer == kNdr20) {
    for (const auto& entry : map.All()) {
      const bool fits = entry.interface.uuid == wanted->interface.uuid &&
                        entry.interface.major == wanted->interface.major &&
                        entry.interface.minor >= wanted->interface.minor &&
                        (entry.object.IsNull() || entry.object == object);
      if (fits && found.size() < max_towers) {
        found.push_back({entry.interface, kNdr20, entry.port, AddressOf(call.local.host)});
      }
    }
  }
  OctetWriter writer;
  writer.Fill(kHandleSize);
  writer.U32(static_cast<std::uint32_t>(found.size()));
  writer.U32(max_towers);
  writer.U32(0);
  writer.U32(static_cast<std::uint32_t>(found.size()));
  for (std::uint32_t i = 0; i < found.size(); ++i) {
    writer.U32(3 + i);
  }
  for (const auto& tower : found) {
    PutTower(writer, tower);
  }
  writer.U32(found.empty() ? ept_s_not_registered : 0);
  return writer.Take();
}

bool VersionFits(std::uint32_t option, const SyntaxId& entry, const SyntaxId& wanted) {
  switch (option) {
    case 1:
      return true;
    case 2:
      return entry.major == wanted.major && entry.minor >= wanted.minor;
    case 3:
      return entry.major == wanted.major && entry.minor == wanted.minor;
    case 4:
      return entry.major == wanted.major;
    case 5:
      return entry.major < wanted.major || (entry.major == wanted.major && entry.minor <= wanted.minor);
    default:
      return false;
  }
}

tl::expected<Bytes, std::uint32_t> Lookup(const EndpointMap& map, const CallContext& call,
                                          std::span<const std::byte> stub) {
  OctetReader reader(stub);
  const std::uint32_t inquiry = reader.U32();
  Guid object;
  SyntaxId wanted;
  if (reader.U32() != 0) {
    object = reader.Uuid();
  }
  if (reader.U32() != 0) {
    wanted = reader.Syntax();
  }
  const std::uint32_t version_option = reader.U32();
  const auto handle = reader.Octets(kHandleSize);
  const std::uint32_t max_entries = reader.U32();
  if (reader.failed() || inquiry > 3) {
    return tl::unexpected(RPC_X_BAD_STUB_DATA);
  }
  if (max_entries == 0 || max_entries > kMaxTowers) {
    return tl::unexpected(nca_s_fault_invalid_bound);
  }
  // All was said in the first answer, so a handle can only be a stranger's.
  const bool continued = std::ranges::any_of(handle, [](std::byte octet) { return octet != std::byte{0}; });

  std::vector<MappedEndpoint> found;
  for (auto& entry : map.All()) {
    const bool by_interface = inquiry == 1 || inquiry == 3;
    const bool by_object = inquiry == 2 || inquiry == 3;
    if (continued || found.size() >= max_entries) {
      break;
    }
    if (by_interface &&
        (entry.interface.uuid != wanted.uuid || !VersionFits(version_option, entry.interface, wanted))) {
      continue;
    }
    if (by_object && entry.object != object) {
      continue;
    }
    found.push_back(std::move(entry));
  }
  OctetWriter writer;
  writer.Fill(kHandleSize);
  writer.U32(static_cast<std::uint32_t>(found.size()));
  writer.U32(max_entries);
  writer.U32(0);
  writer.U32(static_cast<std::uint32_t>(found.size()));
  std::uint32_t id = 3;
  for (const auto& entry : found) {
    writer.Uuid(entry.object);
    writer.U32(id++);
    const std::string text = entry.annotation.substr(0, kMaxAnnotation);
    writer.U32(0);
    writer.U32(static_cast<std::uint32_t>(text.size() + 1));
    writer.Octets(AsOctets(text));
    writer.U8(0);
    writer.AlignTo(4);
  }
  for (const auto& entry : found) {
    PutTower(writer, {entry.interface, kNdr20, entry.port, AddressOf(call.local.host)});
  }
  writer.U32(found.empty() ? ept_s_not_registered : 0);
  return writer.Take();
}

}  // namespace

Bytes EncodeTower(const Tower& tower) {
  OctetWriter writer;
  writer.U16(5);
  PutUuidFloor(writer, tower.interface);
  PutUuidFloor(writer, tower.transfer);
  writer.U16(1);
  writer.U8(kConnectionOriented);
  writer.U16(2);
  writer.U16(0);
  writer.U16(1);
  writer.U8(kTcp);
  writer.U16(2);
  writer.U8(static_cast<std::uint8_t>(tower.port >> 8U));
  writer.U8(static_cast<std::uint8_t>(tower.port & 0xFFU));
  writer.U16(1);
  writer.U8(kIp);
  writer.U16(4);
  for (auto octet : tower.address) {
    writer.U8(octet);
  }
  return writer.Take();
}

Result<Tower> ParseTower(std::span<const std::byte> octets) {
  OctetReader reader(octets);
  const std::uint16_t count = reader.U16();
  if (count > kMaxFloors) {
    return Fail(ErrorKind::kLimit, fmt::format("tower of {} floors, limit 6", count));
  }
  struct Floor {
    std::span<const std::byte> left, right;
  };
  std::vector<Floor> floors;
  for (std::uint16_t i = 0; i < count && !reader.failed(); ++i) {
    const auto left = reader.Octets(reader.U16());
    floors.push_back({left, reader.Octets(reader.U16())});
  }
  if (reader.failed() || floors.size() < 5) {
    return Fail(ErrorKind::kMalformed, fmt::format("tower: {} floors in {} octets", count, octets.size()));
  }
  auto syntax = [](const Floor& floor) -> std::optional<SyntaxId> {
    if (floor.left.size() != 19 || floor.left[0] != std::byte{kUuidFloor} || floor.right.size() != 2) {
      return std::nullopt;
    }
    OctetReader fields(floor.left.subspan(1));
    SyntaxId id;
    id.uuid = fields.Uuid();
    id.major = fields.U16();
    id.minor = OctetReader(floor.right).U16();
    return id;
  };
  auto is = [](const Floor& floor, std::uint8_t protocol, std::size_t right) {
    return floor.left.size() == 1 && floor.left[0] == std::byte{protocol} && floor.right.size() == right;
  };
  const auto interface = syntax(floors[0]);
  const auto transfer = syntax(floors[1]);
  if (!interface || !transfer) {
    return Fail(ErrorKind::kMalformed, "tower: the first two floors are no UUIDs");
  }
  if (!is(floors[2], kConnectionOriented, 2) || !is(floors[3], kTcp, 2) || !is(floors[4], kIp, 4)) {
    return Fail(ErrorKind::kUnsupported, "tower: not ncacn_ip_tcp");
  }
  Tower tower{*interface, *transfer, 0, {}};
  const auto port = floors[3].right;
  tower.port = static_cast<std::uint16_t>(std::to_integer<unsigned>(port[0]) << 8U |
                                          std::to_integer<unsigned>(port[1]));
  for (std::size_t i = 0; i < 4; ++i) {
    tower.address[i] = std::to_integer<std::uint8_t>(floors[4].right[i]);
  }
  return tower;
}

void EndpointMap::Add(MappedEndpoint endpoint) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const MappedEndpoint& entry) {
    return entry.interface == endpoint.interface && entry.port == endpoint.port &&
           entry.object == endpoint.object;
  });
  entries_.push_back(std::move(endpoint));
}

void EndpointMap::Remove(const SyntaxId& interface) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const MappedEndpoint& entry) { return entry.interface == interface; });
}

std::vector<MappedEndpoint> EndpointMap::All() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

Interface MakeEndpointMapper(std::shared_ptr<const EndpointMap> map) {
  Interface entry;
  entry.handler = [map = std::move(map)](const CallContext& call,
                                         const Bytes& stub) -> tl::expected<Bytes, std::uint32_t> {
    OctetWriter status;
    switch (call.opnum) {
      case kOpLookup:
        return Lookup(*map, call, stub);
      case kOpMap:
        return Map(*map, call, stub);
      case kOpLookupHandleFree:
        status.Fill(kHandleSize);
        status.U32(0);
        return status.Take();
      case 0:
      case 1:
      case kOpMgmtDelete:
        status.U32(kCannotPerform);
        return status.Take();
      case kOpInquireObject:
      default:
        return tl::unexpected(nca_s_op_rng_error);
    }
  };
  return entry;
}

Bytes EncodeEptMapRequest(const SyntaxId& interface, std::uint32_t max_towers) {
  OctetWriter writer;
  writer.U32(1);
  writer.Uuid({});
  writer.U32(2);
  PutTower(writer, {interface, kNdr20, 135, {}});
  writer.Fill(kHandleSize);
  writer.U32(max_towers);
  return writer.Take();
}

Result<std::vector<Tower>> ParseEptMapReply(std::span<const std::byte> stub) {
  OctetReader reader(stub);
  reader.Skip(kHandleSize);
  const std::uint32_t count = reader.U32();
  reader.Skip(8);
  const std::uint32_t actual = reader.U32();
  if (reader.failed() || actual > kMaxTowers || count != actual) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("ept_map reply: {} towers, {} in the array", count, actual));
  }
  std::vector<bool> present;
  for (std::uint32_t i = 0; i < actual; ++i) {
    present.push_back(reader.U32() != 0);
  }
  std::vector<Tower> towers;
  for (bool there : present) {
    if (!there) {
      continue;
    }
    auto octets = TakeTower(reader);
    if (!octets) {
      return tl::unexpected(octets.error());
    }
    // Towers of other transports are not an error, only of no use.
    if (auto tower = ParseTower(*octets)) {
      towers.push_back(*tower);
    }
  }
  const std::uint32_t status = reader.U32();
  if (reader.failed()) {
    return Fail(ErrorKind::kMalformed, "ept_map reply: cut off before the status");
  }
  if (status == ept_s_not_registered) {
    return std::vector<Tower>{};
  }
  if (status != 0) {
    return Fail(ErrorKind::kFault, fmt::format("ept_map: status {}", FaultName(status)), status);
  }
  return towers;
}

Result<std::vector<std::uint16_t>> AskEndpointMapper(ClientConnection& connection, const SyntaxId& interface,
                                                     const CallOptions& options) {
  constexpr std::uint32_t kWanted = 16;
  auto reply = connection.Call(kEndpointMapper, kOpMap, EncodeEptMapRequest(interface, kWanted), std::nullopt,
                               options);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  auto towers = ParseEptMapReply(*reply);
  if (!towers) {
    return tl::unexpected(towers.error());
  }
  std::vector<std::uint16_t> ports;
  for (const auto& tower : *towers) {
    ports.push_back(tower.port);
  }
  return ports;
}

}  // namespace dmrp::rpc
