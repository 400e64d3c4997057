#include "protocol/rpc/accounts.hpp"

#include "protocol/rpc/ntlm_session.hpp"

namespace dmrp::rpc {
namespace {

/// The form in which names compare: upper case; text that is not UTF-8 equals nothing.
std::optional<std::u16string> Folded(std::string_view name) {
  auto text = ToUtf16(name);
  if (!text) {
    return std::nullopt;
  }
  return UpperCase(*text);
}

class FixedStore final : public AccountStore {
 public:
  explicit FixedStore(std::vector<Account> accounts) : accounts_(std::move(accounts)) {}

  std::optional<Account> Find(std::string_view user, std::string_view domain) const override {
    const auto wanted = Folded(user);
    const auto place = Folded(domain);
    if (!wanted || !place) {
      return std::nullopt;
    }
    for (const auto& account : accounts_) {
      if (Folded(account.user) != wanted) {
        continue;
      }
      if (account.domain.empty() || domain.empty() || domain == "." || Folded(account.domain) == place) {
        return account;
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<Account> accounts_;
};

}  // namespace

std::shared_ptr<const AccountStore> MakeAccountStore(std::vector<Account> accounts) {
  return std::make_shared<FixedStore>(std::move(accounts));
}

}  // namespace dmrp::rpc
