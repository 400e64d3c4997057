// Who may log on to a server.
#pragma once

#include "protocol/rpc/types.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::rpc {

/// MD4 of the UTF-16LE password ([MS-NLMP] 3.3.1 NTOWFv1): what a server keeps in place of the password.
using NtHash = std::array<std::byte, 16>;

/// kMalformed when `password` is not UTF-8.
Result<NtHash> HashPassword(std::string_view password);

/// One account. UTF-8.
struct Account {
  std::string user{};
  std::string domain{};  ///< empty: the account answers to any domain
  NtHash nt_hash{};
  std::vector<std::string> groups{};
};

/// Looks accounts up; called from the server's I/O threads, so it must be thread-safe and quick.
class AccountStore {
 public:
  virtual ~AccountStore() = default;
  /// The account that a client means by `user` and `domain`, as the client wrote them.
  [[nodiscard]] virtual std::optional<Account> Find(std::string_view user, std::string_view domain) const = 0;
};

/// A fixed list of accounts. User and domain compare without case; a client that sends no domain or "." means
/// the first account of that user name.
std::shared_ptr<const AccountStore> MakeAccountStore(std::vector<Account> accounts);

}  // namespace dmrp::rpc
