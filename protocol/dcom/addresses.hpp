// Under which names and ports this runtime tells others to reach it.
#pragma once

#include "protocol/dcom/dual_string_array.hpp"
#include "protocol/dcom/runtime.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace dmrp::dcom {

/// String and security bindings of one runtime.
class Addresses {
 public:
  /// The ports that were bound.
  Addresses(const Options& options, std::uint16_t resolver_port, std::uint16_t exporter_port);

  /// Where resolver and activator are: hosts, with the port only where it is not 135 and Options allow it.
  /// `arrival` is the address that a client reached, empty when there is none.
  [[nodiscard]] DualStringArray Resolver(const std::string& arrival) const;
  /// Where exported objects are: "host[port]".
  [[nodiscard]] DualStringArray Exporter(const std::string& arrival) const;

 private:
  std::vector<Advertised> Hosts(const std::string& arrival) const;

  std::vector<Advertised> advertised_;
  std::string listen_address_;
  std::uint16_t resolver_port_;
  std::uint16_t exporter_port_;
  bool resolver_port_in_bindings_;
  std::vector<SecurityBinding> security_;
};

}  // namespace dmrp::dcom
