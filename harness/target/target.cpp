#include "harness/target/target.hpp"

#include "protocol/dmrp/defaults.hpp"

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace dmrp::harness {

namespace {

constexpr std::array kCapabilities{
    Capability{"attach", "disks can be attached while the server runs"},
    Capability{"detach", "disks can be detached while the server runs"},
    Capability{"images", "the bytes of attached disks can be read on this machine"},
    Capability{"uevents", "the server notices attached and detached disks without being asked"},
    Capability{"mask-uevents", "the server's notice of attached and detached disks can be suppressed"},
    Capability{"restart", "the server can be started anew, without clients and tasks"},
    Capability{"execute", "programs can be run beside the server"},
    Capability{"resize", "disks can grow while the server runs"},
    Capability{"media", "units with removable media are available"},
    Capability{"bus-ide", "disks can be attached to an IDE or AHCI bus"},
    Capability{"bus-usb", "disks can be attached to a USB bus"},
    Capability{"error-texts", "HrGetErrorData has texts for refused calls"},
};

constexpr std::size_t kMaxFile = 1U << 20U;

// Reads one table: remembers which keys were asked for, so that a misspelt one is reported, and keeps the
// first error.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string path, const std::filesystem::path& file,
              std::optional<Error>& error)
      : table_(table), path_(std::move(path)), file_(file), error_(error) {}

  template <typename T>
  std::optional<T> Get(std::string_view key, std::string_view what) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::nullopt;
    std::optional<T> value = node->value_exact<T>();
    if (!value) Complain(*node, key, fmt::format("must be {}", what));
    return value;
  }
  void Text(std::string_view key, std::string& out) {
    if (auto value = Get<std::string>(key, "a string")) out = *value;
  }
  template <typename T>
  void Number(std::string_view key, T& out, std::int64_t least, std::int64_t most) {
    auto value = Get<std::int64_t>(key, "a whole number");
    if (!value) return;
    if (*value < least || *value > most) {
      Complain(*table_.get(key), key, fmt::format("is {}, outside of {} to {}", *value, least, most));
      return;
    }
    out = static_cast<T>(*value);
  }
  void Milliseconds(std::string_view key, std::chrono::milliseconds& out) {
    std::int64_t count = out.count();
    Number(key, count, 1, 3'600'000);
    out = std::chrono::milliseconds(count);
  }
  void Uuid(std::string_view key, Guid& out) {
    auto value = Get<std::string>(key, "a GUID in text form");
    if (!value) return;
    auto guid = Guid::Parse(*value);
    if (guid) {
      out = *guid;
    } else {
      Complain(*table_.get(key), key, fmt::format("\"{}\" is no GUID", *value));
    }
  }
  void Texts(std::string_view key, std::vector<std::string>& out) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) return Complain(*node, key, "must be an array of strings");
    out.clear();
    for (const toml::node& item : *array) {
      const auto* text = item.as_string();
      if (text == nullptr) return Complain(item, key, "must hold strings only");
      out.push_back(text->get());
    }
  }
  const toml::table* Table(std::string_view key) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) return nullptr;
    if (node->as_table() == nullptr) Complain(*node, key, "must be a table");
    return node->as_table();
  }
  std::vector<const toml::table*> Tables(std::string_view key) {
    known_.emplace(key);
    std::vector<const toml::table*> tables;
    const toml::node* node = table_.get(key);
    if (node == nullptr) return tables;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      Complain(*node, key, "must be an array of tables");
      return tables;
    }
    for (const toml::node& item : *array) {
      if (const toml::table* table = item.as_table()) {
        tables.push_back(table);
      } else {
        Complain(item, key, "must be an array of tables");
      }
    }
    return tables;
  }
  void RequireText(std::string_view key, const std::string& value) {
    if (value.empty()) Complain(table_, key, "is missing or empty");
  }
  // To be called last: keys that nobody asked for are spelling mistakes.
  void NoOthers() {
    for (const auto& [key, node] : table_) {
      if (!known_.contains(std::string_view(key.str()))) Complain(node, key.str(), "is no key of this table");
    }
  }
  void Complain(const toml::node& node, std::string_view key, std::string_view why) {
    if (error_) return;
    error_ = Error{ErrorKind::kMalformed, 0,
                   fmt::format("{}:{}: {}{}{} {}", file_.string(), node.source().begin.line, path_,
                               path_.empty() ? "" : ".", key, why)};
  }

 private:
  const toml::table& table_;
  std::string path_;
  const std::filesystem::path& file_;
  std::optional<Error>& error_;
  std::set<std::string, std::less<>> known_;
};

void ReadAccounts(TableReader& root, Target& target, std::optional<Error>& error) {
  const toml::table* accounts = root.Table("accounts");
  if (accounts == nullptr) return;
  target.accounts.clear();
  TableReader reader(*accounts, "accounts", target.file, error);
  for (Role role : {Role::kAdministrator, Role::kBackupOperator, Role::kUser}) {
    const toml::table* table = reader.Table(ToString(role));
    if (table == nullptr) continue;
    TableReader fields(*table, fmt::format("accounts.{}", ToString(role)), target.file, error);
    Account account;
    fields.Text("user", account.user);
    fields.Text("password", account.password);
    fields.Text("domain", account.domain);
    fields.RequireText("user", account.user);
    fields.NoOthers();
    target.accounts.emplace(role, std::move(account));
  }
  reader.NoOthers();
}

void ReadCallbackAccounts(TableReader& root, Target& target, std::optional<Error>& error) {
  const auto tables = root.Tables("callback_account");
  if (!tables.empty()) target.callback_accounts.clear();
  for (const toml::table* table : tables) {
    TableReader fields(*table, "callback_account", target.file, error);
    Account account;
    fields.Text("user", account.user);
    fields.Text("password", account.password);
    fields.Text("domain", account.domain);
    fields.RequireText("user", account.user);
    fields.NoOthers();
    target.callback_accounts.push_back(std::move(account));
  }
}

void ReadKnownFailures(TableReader& root, Target& target, std::optional<Error>& error) {
  for (const toml::table* table : root.Tables("known_failure")) {
    TableReader fields(*table, "known_failure", target.file, error);
    KnownFailure failure;
    fields.Text("requirement", failure.requirement);
    fields.Text("test", failure.test);
    fields.Text("reason", failure.reason);
    fields.RequireText("reason", failure.reason);
    if (failure.requirement.empty() && failure.test.empty()) {
      fields.Complain(*table, "requirement", "or known_failure.test is needed");
    }
    auto expires = fields.Get<toml::date>("expires", "a date such as 2027-01-31");
    if (expires) {
      failure.expires =
          std::chrono::year_month_day(std::chrono::year(expires->year), std::chrono::month(expires->month),
                                      std::chrono::day(expires->day));
    } else {
      fields.Complain(*table, "expires", "is missing: a known failure ends on a day");
    }
    fields.NoOthers();
    target.known_failures.push_back(std::move(failure));
  }
}

void ReadDisks(TableReader& root, Target& target, std::optional<Error>& error) {
  const toml::table* disks = root.Table("disks");
  if (disks == nullptr) return;
  TableReader reader(*disks, "disks", target.file, error);
  reader.Texts("attach", target.disk_commands.attach);
  reader.Texts("detach", target.disk_commands.detach);
  for (const toml::table* table : reader.Tables("scratch")) {
    TableReader fields(*table, "disks.scratch", target.file, error);
    ScratchDisk disk;
    std::string image;
    fields.Text("serial", disk.serial);
    fields.Text("name", disk.name);
    fields.Text("image", image);
    fields.Text("bus", disk.bus);
    fields.Number("size", disk.size, 1, std::numeric_limits<std::int64_t>::max());
    fields.Number("sector", disk.sector, 512, 4096);
    fields.RequireText("name", disk.name);
    if (!image.empty()) disk.image = target.file.parent_path() / image;
    fields.NoOthers();
    target.scratch_disks.push_back(std::move(disk));
  }
  reader.NoOthers();
}

void ReadCapabilities(TableReader& root, Target& target, const toml::table& table) {
  std::vector<std::string> names;
  root.Texts("capabilities", names);
  if (table.get("capabilities") == nullptr) return;
  target.capabilities.clear();
  for (const std::string& name : names) {
    bool known = false;
    for (const Capability& capability : kCapabilities) known = known || capability.name == name;
    if (!known) {
      root.Complain(*table.get("capabilities"), "capabilities",
                    fmt::format("has \"{}\", which is none of the known ones", name));
    }
    target.capabilities.insert(name);
  }
}

}  // namespace

std::string_view ToString(TargetKind kind) {
  switch (kind) {
    case TargetKind::kBundled:
      return "bundled";
    case TargetKind::kProcess:
      return "process";
    case TargetKind::kAddress:
      return "address";
  }
  return "?";
}

std::string_view ToString(Role role) {
  switch (role) {
    case Role::kAdministrator:
      return "administrator";
    case Role::kBackupOperator:
      return "backup_operator";
    case Role::kUser:
      return "user";
  }
  return "?";
}

const Account* Target::Find(Role role) const {
  auto found = accounts.find(role);
  return found == accounts.end() ? nullptr : &found->second;
}

std::span<const Capability> KnownCapabilities() { return kCapabilities; }

Target DefaultTarget() {
  Target target;
  target.name = "reference server";
  target.class_id = kDefaultServerClass;
  target.remote_class_id = kDefaultRemoteServerClass;
  target.port = kResolverPort;
  target.accounts = {
      {Role::kAdministrator, {"dmrp-admin", "dmrp-Admin-1", "DMRP"}},
      {Role::kBackupOperator, {"dmrp-operator", "dmrp-Operator-1", "DMRP"}},
      {Role::kUser, {"dmrp-user", "dmrp-User-1", "DMRP"}},
  };
  target.callback_accounts = {{"dmrp-server", "dmrp-Server-1", "DMRP"}};
  target.capabilities = {"attach",  "detach", "images", "uevents",     "mask-uevents", "restart",
                         "execute", "resize", "media",  "error-texts", "bus-ide",      "bus-usb"};
  return target;
}

Result<Target> ParseTarget(std::string_view text, const std::filesystem::path& file) {
  if (text.size() > kMaxFile) {
    return Fail(ErrorKind::kLimit, fmt::format("{}: {} octets; a target file has at most {}", file.string(),
                                               text.size(), kMaxFile));
  }
  toml::table table;
  try {
    table = toml::parse(text, file.string());
  } catch (const toml::parse_error& failure) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{}:{}: {}", file.string(), failure.source().begin.line, failure.description()));
  }

  Target target = DefaultTarget();
  target.file = file;
  target.name = file.stem().string();
  std::optional<Error> error;
  TableReader root(table, "", target.file, error);
  std::string kind = "bundled";
  root.Text("kind", kind);
  if (kind == "bundled") {
    target.kind = TargetKind::kBundled;
  } else if (kind == "process") {
    target.kind = TargetKind::kProcess;
    target.capabilities = {"images", "restart"};
  } else if (kind == "address") {
    target.kind = TargetKind::kAddress;
    target.capabilities.clear();
    target.accounts.clear();
    target.callback_accounts.clear();
  } else {
    root.Complain(*table.get("kind"), "kind",
                  fmt::format("is \"{}\"; it must be \"bundled\", \"process\" or \"address\"", kind));
  }
  root.Text("name", target.name);
  root.Text("host", target.host);
  root.Number("port", target.port, 1, 65535);
  root.Uuid("class_id", target.class_id);
  root.Uuid("remote_class_id", target.remote_class_id);
  root.Text("callback_address", target.callback_address);
  root.Text("profile", target.profile);
  root.Texts("server", target.server);
  root.Milliseconds("call_timeout_ms", target.call_timeout);
  root.Milliseconds("notification_timeout_ms", target.notification_timeout);
  ReadAccounts(root, target, error);
  ReadCallbackAccounts(root, target, error);
  ReadCapabilities(root, target, table);
  ReadKnownFailures(root, target, error);
  ReadDisks(root, target, error);
  root.NoOthers();

  if (target.profile != "strict") {
    root.Complain(table, "profile",
                  fmt::format("is \"{}\"; the profile that exists is \"strict\"", target.profile));
  }
  if (target.kind == TargetKind::kAddress) {
    root.RequireText("host", target.host);
    if (target.Find(Role::kAdministrator) == nullptr) {
      root.Complain(table, "accounts.administrator", "is missing: nothing can be tested without it");
    }
    if (target.callback_accounts.empty()) {
      root.Complain(
          table, "callback_account",
          "is missing: who the server is when it calls back; nobody else is let in, and a server that "
          "cannot call back refuses Initialize");
    }
    if (!target.disk_commands.attach.empty()) target.capabilities.insert("attach");
    if (!target.disk_commands.detach.empty()) target.capabilities.insert("detach");
  }
  if (target.kind == TargetKind::kProcess && target.server.empty()) {
    root.Complain(table, "server", "is missing: the program to start, with its arguments");
  }
  if (error) return tl::unexpected(*error);
  return target;
}

Result<Target> LoadTarget(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return FailErrno(fmt::format("open target file {}", file.string()), errno);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  return ParseTarget(text, std::filesystem::absolute(file));
}

Result<Target> TargetFromEnvironment() {
  const char* file = std::getenv("DMRP_TARGET");
  if (file == nullptr || *file == '\0') return DefaultTarget();
  return LoadTarget(file);
}

}  // namespace dmrp::harness
