#include "protocol/dcom/addresses.hpp"

#include <algorithm>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

namespace dmrp::dcom {
namespace {

constexpr std::uint16_t kResolverPort = 135;

bool IsWildcard(const std::string& address) {
  return address.empty() || address == "0.0.0.0" || address == "::";
}

/// The IPv4 addresses of this machine's interfaces, loopback last, link-local ones left out.
std::vector<std::string> LocalAddresses() {
  std::vector<std::string> outside;
  std::vector<std::string> loopback;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return {};
  for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
    if (item->ifa_addr == nullptr || item->ifa_addr->sa_family != AF_INET ||
        (item->ifa_flags & IFF_UP) == 0) {
      continue;
    }
    char text[INET_ADDRSTRLEN] = {};
    const auto* address = reinterpret_cast<const sockaddr_in*>(item->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof(text)) == nullptr) continue;
    if (std::string_view(text).starts_with("169.254.")) continue;
    ((item->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : outside).emplace_back(text);
  }
  freeifaddrs(list);
  outside.insert(outside.end(), loopback.begin(), loopback.end());
  return outside;
}

}  // namespace

Addresses::Addresses(const Options& options, std::uint16_t resolver_port, std::uint16_t exporter_port)
    : advertised_(options.advertised),
      listen_address_(options.listen_address),
      resolver_port_(resolver_port),
      exporter_port_(exporter_port),
      resolver_port_in_bindings_(options.resolver_port_in_bindings) {
  // Without anybody who could log on, the empty list tells clients to call without security.
  if (options.accounts != nullptr || options.allow_anonymous) {
    security_ = {{static_cast<std::uint16_t>(rpc::AuthType::kNtlm), {}},
                 {static_cast<std::uint16_t>(rpc::AuthType::kSpnego), {}}};
  }
}

std::vector<Advertised> Addresses::Hosts(const std::string& arrival) const {
  std::vector<Advertised> hosts = advertised_;
  const auto add = [&](const std::string& host) {
    if (!IsWildcard(host) && std::ranges::find(hosts, host, &Advertised::host) == hosts.end()) {
      hosts.push_back({host, 0});
    }
  };
  add(arrival);
  if (!hosts.empty()) return hosts;
  add(listen_address_);
  if (!hosts.empty()) return hosts;
  for (const std::string& address : LocalAddresses()) add(address);
  return hosts;
}

DualStringArray Addresses::Resolver(const std::string& arrival) const {
  const bool with_port = resolver_port_in_bindings_ && resolver_port_ != kResolverPort;
  DualStringArray bindings{{}, security_};
  for (const Advertised& name : Hosts(arrival)) {
    bindings.string_bindings.push_back(StringBinding::Tcp(name.host, with_port ? resolver_port_ : 0));
  }
  return bindings;
}

DualStringArray Addresses::Exporter(const std::string& arrival) const {
  DualStringArray bindings{{}, security_};
  for (const Advertised& name : Hosts(arrival)) {
    bindings.string_bindings.push_back(
        StringBinding::Tcp(name.host, name.exporter_port != 0 ? name.exporter_port : exporter_port_));
  }
  return bindings;
}

}  // namespace dmrp::dcom
