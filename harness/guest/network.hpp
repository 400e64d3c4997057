// How guests are reached. ci/namespace.py, in which every program that starts guests runs, decides and says
// so in DMRP_NETWORK: a bridge inside a user and network namespace, QEMU's own user-mode network inside such
// a namespace, or that network on the host with forwarded ports.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace dmrp::harness {

enum class NetworkKind {
  kBridge,          ///< guests have addresses of their own on 10.9.0.0/24, any port, callbacks to any of ours
  kUserNamespaced,  ///< forwarded ports on 127.77.0.N, the real port numbers
  kUserForwarded,   ///< forwarded ports on 127.77.0.N, 135 as 10135
};

std::string_view Name(NetworkKind kind);

/// The one port of dmadmind's object exporter in bundled guests, so that it can be forwarded.
inline constexpr std::uint16_t kExporterPort = 49152;

/// Where a guest's server is, seen from here, and what the guest can call back.
struct GuestAddress {
  std::string host;          ///< address to connect to
  std::uint16_t port = 135;  ///< port of the endpoint mapper and resolver there
  std::uint16_t exporter_port = kExporterPort;
  std::string listen_address;  ///< local address on which a client's own servers must listen
  std::string
      callback_address;  ///< what the client must put into its string bindings for the guest to find it
  std::vector<std::string>
      client_addresses;       ///< further local addresses, each seen as such by the guest (bridge only)
  std::string guest_address;  ///< the guest's own idea of its address
  std::string gateway;        ///< of the guest
  std::string mac;            ///< of the guest
  bool server_must_advertise =
      false;  ///< the server has to be told `host`, since its own address is not reachable
};

/// A guest's place in the network, kept while the guest lives.
struct GuestLink {
  GuestAddress address;
  std::string netdev;          ///< QEMU's -netdev argument, without "id=net0," behind its kind; see Netdev()
  FileDescriptor tap;          ///< to be inherited by QEMU under the number that `netdev` names
  FileDescriptor reservation;  ///< holds the guest's number
};

class Network {
 public:
  /// From DMRP_NETWORK; without it, kUserForwarded.
  static Result<Network> Detect();
  explicit Network(NetworkKind kind) : kind_(kind) {}

  [[nodiscard]] NetworkKind kind() const { return kind_; }
  /// Takes the next free number: a tap on the bridge, or forwarded ports. kLimit when all are taken.
  [[nodiscard]] Result<GuestLink> NewLink() const;

 private:
  NetworkKind kind_;
};

/// Continues this program inside ci/namespace.py unless it is there already: call it first in main(). Returns
/// only when inside; DMRP_NETWORK is set from then on.
Result<void> EnterNamespace(int argc, char** argv);

}  // namespace dmrp::harness
