// The endpoint mapper ([C706] appendices L and O, [MS-RPCE] 2.2.1.2): which port serves an interface.
//
//   auto map = std::make_shared<EndpointMap>();
//   map->Add({.interface = kSome, .port = 49664});
//   server.Register(kEndpointMapper, MakeEndpointMapper(map));
#pragma once

#include "protocol/rpc/client.hpp"
#include "protocol/rpc/server.hpp"
#include "protocol/rpc/types.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::rpc {

/// A protocol tower of ncacn_ip_tcp: interface, transfer syntax, port and IPv4 address.
struct Tower {
  SyntaxId interface{};
  SyntaxId transfer = kNdr20;
  std::uint16_t port = 0;
  std::array<std::uint8_t, 4> address{};  ///< in network order; 0.0.0.0 when it has no IPv4 form

  friend bool operator==(const Tower&, const Tower&) = default;
};

/// The 75 octets of a tower.
Bytes EncodeTower(const Tower& tower);
/// kMalformed on anything cut or with fewer than 5 floors, kLimit above 6 floors, kUnsupported when it is not
/// ncacn_ip_tcp. A sixth floor is ignored.
Result<Tower> ParseTower(std::span<const std::byte> octets);

/// One entry of the map.
struct MappedEndpoint {
  SyntaxId interface{};
  std::uint16_t port = 0;
  Guid object{};  ///< null: any object
  std::string annotation{};
};

/// What a mapper answers from. Thread-safe.
class EndpointMap {
 public:
  /// Entries that are equal in interface, port and object are kept once.
  void Add(MappedEndpoint endpoint);
  void Remove(const SyntaxId& interface);
  [[nodiscard]] std::vector<MappedEndpoint> All() const;

 private:
  mutable std::mutex mutex_;
  std::vector<MappedEndpoint> entries_;
};

/// Opnums 2 ept_lookup, 3 ept_map and 4 ept_lookup_handle_free; ept_insert, ept_delete and ept_mgmt_delete
/// answer EPT_S_CANT_PERFORM_OP, inq_object and anything above are out of range. Needs no authentication.
/// Every lookup answers with the address that the client reached, and in one go (the handle stays null).
Interface MakeEndpointMapper(std::shared_ptr<const EndpointMap> map);

/// Asks the mapper behind a connection (port 135) for the ports of an interface, best first. Empty when none
/// is registered.
Result<std::vector<std::uint16_t>> AskEndpointMapper(ClientConnection& connection, const SyntaxId& interface,
                                                     const CallOptions& options = {});

/// The request stub of ept_map for an interface, as AskEndpointMapper sends it.
Bytes EncodeEptMapRequest(const SyntaxId& interface, std::uint32_t max_towers);
/// Towers of an ept_map reply; empty for ept_s_not_registered, kFault for any other status.
Result<std::vector<Tower>> ParseEptMapReply(std::span<const std::byte> stub);

}  // namespace dmrp::rpc
