#include "reference_server/daemon/config.hpp"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace dmrp::server {
namespace {

using Setter = std::function<Result<void>(const toml::node&)>;

tl::unexpected<Error> WrongValue(const toml::node& node, std::string_view wanted) {
  return Fail(ErrorKind::kMalformed, fmt::format("line {}: expected {}", node.source().begin.line, wanted));
}

template <typename T>
Setter Value(T& target, std::string_view wanted) {
  return [&target, wanted](const toml::node& node) -> Result<void> {
    const auto value = node.value_exact<T>();
    if (!value) {
      return WrongValue(node, wanted);
    }
    target = *value;
    return {};
  };
}

Setter Text(std::string& target) { return Value(target, "a string"); }
Setter Flag(bool& target) { return Value(target, "true or false"); }

Setter Texts(std::vector<std::string>& target) {
  return [&target](const toml::node& node) -> Result<void> {
    const toml::array* array = node.as_array();
    if (array == nullptr) {
      return WrongValue(node, "an array of strings");
    }
    std::vector<std::string> values;
    for (const toml::node& element : *array) {
      const auto value = element.value_exact<std::string>();
      if (!value) {
        return WrongValue(element, "a string");
      }
      values.push_back(*value);
    }
    target = std::move(values);
    return {};
  };
}

Setter Port(std::uint16_t& target) {
  return [&target](const toml::node& node) -> Result<void> {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 0 || *value > 0xFFFF) {
      return WrongValue(node, "a port, 0 to 65535");
    }
    target = static_cast<std::uint16_t>(*value);
    return {};
  };
}

Setter Milliseconds(std::chrono::milliseconds& target) {
  return [&target](const toml::node& node) -> Result<void> {
    constexpr std::int64_t kOneHour = 3'600'000;
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 1 || *value > kOneHour) {
      return WrongValue(node, "milliseconds, 1 to 3600000");
    }
    target = std::chrono::milliseconds(*value);
    return {};
  };
}

Setter Seconds(std::chrono::seconds& target) {
  return [&target](const toml::node& node) -> Result<void> {
    constexpr std::int64_t kOneHour = 3600;
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 1 || *value > kOneHour) {
      return WrongValue(node, "seconds, 1 to 3600");
    }
    target = std::chrono::seconds(*value);
    return {};
  };
}

// A string that `parse` turns into the target's type.
template <typename T, typename Parse>
Setter Parsed(T& target, Parse parse) {
  return [&target, parse](const toml::node& node) -> Result<void> {
    const auto text = node.value_exact<std::string>();
    if (!text) {
      return WrongValue(node, "a string");
    }
    auto value = parse(*text);
    if (!value) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("line {}: {}", node.source().begin.line, value.error().message));
    }
    target = std::move(*value);
    return {};
  };
}

Setter Advertise(std::vector<dcom::Advertised>& target) {
  return [&target](const toml::node& node) -> Result<void> {
    std::vector<std::string> texts;
    if (auto read = Texts(texts)(node); !read) {
      return read;
    }
    std::vector<dcom::Advertised> addresses;
    for (const std::string& text : texts) {
      auto address = ParseAdvertised(text);
      if (!address) {
        return WrongValue(node, address.error().message);
      }
      addresses.push_back(std::move(*address));
    }
    target = std::move(addresses);
    return {};
  };
}

using Section = std::map<std::string, Setter, std::less<>>;

Result<void> ReadSection(const toml::table& table, const Section& section, std::string_view name) {
  for (const auto& [key, node] : table) {
    const auto setter = section.find(key.str());
    if (setter == section.end()) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("line {}: unknown key {}.{}", node.source().begin.line, name, key.str()));
    }
    if (auto done = setter->second(node); !done) {
      return Fail(done.error().kind, fmt::format("{}.{}: {}", name, key.str(), done.error().message));
    }
  }
  return {};
}

Result<std::string> ReadText(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Fail(ErrorKind::kUnavailable, fmt::format("cannot open {}", path.string()));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

Result<toml::table> ParseToml(std::string_view text) {
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("line {}: {}", parsed.error().source().begin.line, parsed.error().description()));
  }
  return std::move(parsed).table();
}

Result<rpc::NtHash> ParseNtHash(const std::string& text) {
  const auto bytes = FromHex(text);
  rpc::NtHash hash{};
  if (!bytes || bytes->size() != hash.size()) {
    return Fail(ErrorKind::kMalformed, "nt_hash must be 32 hexadecimal digits");
  }
  std::ranges::copy(*bytes, hash.begin());
  return hash;
}

Result<rpc::Account> ReadAccount(const toml::table& table) {
  rpc::Account account;
  bool has_secret = false;
  const auto password = [&](const std::string& text) {
    has_secret = true;
    return rpc::HashPassword(text);
  };
  const auto hash = [&](const std::string& text) {
    has_secret = true;
    return ParseNtHash(text);
  };
  const Section section = {{"user", Text(account.user)},
                           {"domain", Text(account.domain)},
                           {"groups", Texts(account.groups)},
                           {"password", Parsed(account.nt_hash, password)},
                           {"nt_hash", Parsed(account.nt_hash, hash)}};
  if (auto done = ReadSection(table, section, "account"); !done) {
    return tl::unexpected(done.error());
  }
  if (account.user.empty() || !has_secret) {
    return Fail(ErrorKind::kMalformed, fmt::format("line {}: an account needs user, and password or nt_hash",
                                                   table.source().begin.line));
  }
  return account;
}

Result<std::vector<rpc::Account>> ReadAccounts(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    return WrongValue(node, "[[account]] tables");
  }
  std::vector<rpc::Account> accounts;
  for (const toml::node& element : *array) {
    const toml::table* table = element.as_table();
    if (table == nullptr) {
      return WrongValue(element, "a table");
    }
    auto account = ReadAccount(*table);
    if (!account) {
      return tl::unexpected(account.error());
    }
    accounts.push_back(std::move(*account));
  }
  return accounts;
}

template <typename T, std::size_t N>
Result<T> ParseName(std::string_view text, const std::array<std::pair<std::string_view, T>, N>& names,
                    std::string_view what) {
  std::string known;
  for (const auto& [name, value] : names) {
    if (name == text) {
      return value;
    }
    known += known.empty() ? "" : ", ";
    known += name;
  }
  return Fail(ErrorKind::kMalformed, fmt::format("\"{}\" is no {}; known: {}", text, what, known));
}

// The sections of the file, bound to the members of `config`.
std::map<std::string, Section, std::less<>> Sections(const std::filesystem::path& folder, Config& config) {
  const auto guid = [](const std::string& text) { return Guid::Parse(text); };
  const auto accounts_file = [folder](const std::string& name) { return ReadAccountsFile(folder / name); };
  const auto path = [folder](const std::string& name) -> Result<std::filesystem::path> {
    return name.empty() ? std::filesystem::path() : folder / name;
  };
  std::map<std::string, Section, std::less<>> sections;
  sections["log"] = {{"level", Parsed(config.log_level, ParseLogLevel)},
                     {"file", Parsed(config.log_file, path)}};
  sections["server"] = {{"class_id", Parsed(config.class_id, guid)},
                        {"remote_class_id", Parsed(config.remote_class_id, guid)},
                        {"listen", Text(config.listen)},
                        {"resolver_port", Port(config.resolver_port)},
                        {"exporter_port", Port(config.exporter_port)},
                        {"advertise", Advertise(config.advertise)},
                        {"ping_period_s", Seconds(config.ping_period)},
                        {"computer", Text(config.computer)},
                        {"domain", Text(config.domain)}};
  sections["security"] = {{"accounts_file", Parsed(config.accounts, accounts_file)},
                          {"allow_anonymous", Flag(config.allow_anonymous)},
                          {"activation_level", Parsed(config.activation_level, ParseAuthLevel)},
                          {"call_level", Parsed(config.call_level, ParseAuthLevel)},
                          {"managers", Texts(config.managers)}};
  sections["callback"] = {{"user", Text(config.callback.user)},
                          {"domain", Text(config.callback.domain)},
                          {"password", Text(config.callback.password)},
                          {"anonymous", Flag(config.callback.anonymous)},
                          {"level", Parsed(config.callback_level, ParseAuthLevel)},
                          {"deadline_ms", Milliseconds(config.notification_deadline)}};
  sections["remote"] = {{"user", Text(config.remote.user)},
                        {"domain", Text(config.remote.domain)},
                        {"password", Text(config.remote.password)},
                        {"port", Port(config.remote_port)},
                        {"deadline_ms", Milliseconds(config.remote_deadline)}};
  sections["system"] = {{"shutdown", Parsed(config.shutdown, ParseShutdownAction)}};
  sections["storage"] = {{"images", Texts(config.images)}, {"registry", Parsed(config.registry, path)}};
  return sections;
}

}  // namespace

Result<dcom::Advertised> ParseAdvertised(std::string_view text) {
  dcom::Advertised address;
  const std::size_t bracket = text.find('[');
  address.host = text.substr(0, bracket);
  if (bracket != std::string_view::npos) {
    const std::string_view rest = text.substr(bracket + 1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), address.exporter_port);
    if (error != std::errc() || std::string_view(end, rest.data() + rest.size()) != "]") {
      return Fail(ErrorKind::kMalformed, fmt::format("\"{}\" is not HOST[PORT]", text));
    }
  }
  if (address.host.empty()) {
    return Fail(ErrorKind::kMalformed, fmt::format("\"{}\" names no host", text));
  }
  return address;
}

Result<rpc::AuthLevel> ParseAuthLevel(std::string_view text) {
  using rpc::AuthLevel;
  static constexpr std::array<std::pair<std::string_view, AuthLevel>, 6> kNames = {
      {{"none", AuthLevel::kNone},
       {"connect", AuthLevel::kConnect},
       {"call", AuthLevel::kCall},
       {"packet", AuthLevel::kPacket},
       {"integrity", AuthLevel::kIntegrity},
       {"privacy", AuthLevel::kPrivacy}}};
  return ParseName(text, kNames, "authentication level");
}

Result<LogLevel> ParseLogLevel(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kNames = {
      {{"debug", LogLevel::kDebug},
       {"info", LogLevel::kInfo},
       {"warning", LogLevel::kWarning},
       {"error", LogLevel::kError}}};
  return ParseName(text, kNames, "log level");
}

Result<ShutdownAction> ParseShutdownAction(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, ShutdownAction>, 3> kNames = {
      {{"none", ShutdownAction::kNone},
       {"reboot", ShutdownAction::kReboot},
       {"power-off", ShutdownAction::kPowerOff}}};
  return ParseName(text, kNames, "way to shut down");
}

Result<void> ReadConfig(std::string_view text, const std::filesystem::path& folder, Config& config) {
  auto parsed = ParseToml(text);
  if (!parsed) {
    return tl::unexpected(parsed.error());
  }
  const auto sections = Sections(folder, config);
  for (const auto& [name, node] : *parsed) {
    if (name.str() == "account") {
      auto accounts = ReadAccounts(node);
      if (!accounts) {
        return tl::unexpected(accounts.error());
      }
      config.accounts = std::move(*accounts);
      continue;
    }
    const auto section = sections.find(name.str());
    const toml::table* table = node.as_table();
    if (section == sections.end() || table == nullptr) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("line {}: unknown section {}", node.source().begin.line, name.str()));
    }
    if (auto done = ReadSection(*table, section->second, name.str()); !done) {
      return done;
    }
  }
  return {};
}

Result<void> ReadConfigFile(const std::filesystem::path& path, Config& config) {
  const auto text = ReadText(path);
  if (!text) {
    return tl::unexpected(text.error());
  }
  if (auto done = ReadConfig(*text, path.parent_path(), config); !done) {
    return Fail(done.error().kind, fmt::format("{}: {}", path.string(), done.error().message));
  }
  return {};
}

Result<std::vector<rpc::Account>> ReadAccountsFile(const std::filesystem::path& path) {
  const auto text = ReadText(path);
  if (!text) {
    return tl::unexpected(text.error());
  }
  auto parsed = ParseToml(*text);
  if (!parsed) {
    return Fail(parsed.error().kind, fmt::format("{}: {}", path.string(), parsed.error().message));
  }
  const toml::node* accounts = parsed->get("account");
  if (accounts == nullptr || parsed->size() != 1) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: expected [[account]] tables only", path.string()));
  }
  auto read = ReadAccounts(*accounts);
  if (!read) {
    return Fail(read.error().kind, fmt::format("{}: {}", path.string(), read.error().message));
  }
  return read;
}

}  // namespace dmrp::server
