#include "harness/layout/mounted_devices.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hivex.h>

namespace dmrp::harness {

namespace {

constexpr const char* kKey = "MountedDevices";
constexpr std::string_view kLetterPrefix = "\\DosDevices\\";
constexpr std::string_view kNamePrefix = "\\??\\Volume{";
constexpr std::string_view kRefusedPrefix = "#{";
constexpr std::string_view kDynamicPrefix = "DMIO:ID:";

struct Closer {
  void operator()(hive_h* hive) const { hivex_close(hive); }
};
using Hive = std::unique_ptr<hive_h, Closer>;
struct Freer {
  void operator()(void* memory) const { std::free(memory); }
};

Result<Hive> OpenHive(const std::filesystem::path& file, int flags) {
  Hive hive(hivex_open(file.c_str(), flags));
  if (!hive) return FailErrno("hivex opens " + file.string(), errno);
  return hive;
}

// The key, 0 where the hive has none.
Result<hive_node_h> FindKey(hive_h* hive) {
  const hive_node_h root = hivex_root(hive);
  if (root == 0) return FailErrno("hivex finds the root", errno);
  errno = 0;  // hivex leaves it alone when there is just no such child
  const hive_node_h key = hivex_node_get_child(hive, root, kKey);
  if (key == 0 && errno != 0) return FailErrno("hivex looks for MountedDevices", errno);
  return key;
}

struct Value {
  hive_type type = hive_t_none;
  std::string data;
};

Result<std::map<std::string, Value>> ValuesOf(hive_h* hive, hive_node_h key) {
  std::map<std::string, Value> found;
  const std::unique_ptr<hive_value_h[], Freer> values(hivex_node_values(hive, key));
  if (!values) return FailErrno("hivex lists the values of MountedDevices", errno);
  for (std::size_t i = 0; values[i] != 0; ++i) {
    const std::unique_ptr<char, Freer> name(hivex_value_key(hive, values[i]));
    hive_type type = hive_t_none;
    std::size_t length = 0;
    const std::unique_ptr<char, Freer> data(hivex_value_value(hive, values[i], &type, &length));
    if (!name || !data) return FailErrno("hivex reads a value of MountedDevices", errno);
    found[name.get()] = {type, std::string(data.get(), length)};
  }
  return found;
}

// The GUID of "PREFIX1234...}" in lower case; empty for other names.
std::string GuidBehind(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with('}')) return {};
  name.remove_prefix(prefix.size());
  name.remove_suffix(1);
  const auto guid = name.size() == 36 ? Guid::Parse(name) : Fail(ErrorKind::kMalformed, "no GUID");
  return guid ? guid->ToString() : std::string();
}

}  // namespace

Result<MountedDevices> MountedDevices::ReadFile(const std::filesystem::path& file) {
  auto hive = OpenHive(file, 0);
  if (!hive) return tl::unexpected(hive.error());
  const auto key = FindKey(hive->get());
  if (!key) return tl::unexpected(key.error());
  MountedDevices database;
  if (*key == 0) return database;
  const auto values = ValuesOf(hive->get(), *key);
  if (!values) return tl::unexpected(values.error());
  for (const auto& [name, value] : *values) {
    const std::string id = ToHex(std::as_bytes(std::span(value.data)));
    if (value.type != hive_t_REG_BINARY) {
      database.strange.push_back(fmt::format("{} has type {}", name, static_cast<int>(value.type)));
    } else if (name.starts_with(kLetterPrefix) && name.size() == kLetterPrefix.size() + 2 &&
               name.back() == ':' &&
               std::isupper(static_cast<unsigned char>(name[kLetterPrefix.size()])) != 0) {
      database.letters.emplace(static_cast<char16_t>(name[kLetterPrefix.size()]), id);
    } else if (std::string guid = GuidBehind(kNamePrefix, name); !guid.empty()) {
      database.names.emplace(std::move(guid), id);
    } else if (guid = GuidBehind(kRefusedPrefix, name); !guid.empty()) {
      database.refused.emplace(std::move(guid), id);
    } else {
      database.strange.push_back(name);
    }
  }
  return database;
}

std::string UniqueIdOfMbrPartition(std::uint32_t signature, std::uint64_t offset) {
  Bytes id;
  for (int i = 0; i < 4; ++i) id.push_back(static_cast<std::byte>(signature >> (8 * i)));
  for (int i = 0; i < 8; ++i) id.push_back(static_cast<std::byte>(offset >> (8 * i)));
  return ToHex(id);
}

std::string UniqueIdOfGptPartition(const Guid& partition) {
  const auto prefix = std::as_bytes(std::span(kDynamicPrefix));
  Bytes id(prefix.begin(), prefix.end());
  const auto guid = partition.ToBytes();
  id.insert(id.end(), guid.begin(), guid.end());
  return ToHex(id);
}

std::vector<char16_t> MountedDevices::LettersOf(const std::string& id) const {
  std::vector<char16_t> found;
  for (const auto& [letter, owner] : letters) {
    if (owner == id) found.push_back(letter);
  }
  return found;
}

std::vector<std::string> MountedDevices::NamesOf(const std::string& id) const {
  std::vector<std::string> found;
  for (const auto& [guid, owner] : names) {
    if (owner == id) found.push_back(guid);
  }
  return found;
}

bool MountedDevices::RefusesLetter(const std::string& id) const {
  return std::ranges::any_of(refused, [&](const auto& entry) { return entry.second == id; });
}

std::string MountedDevices::ToText() const {
  std::string text;
  for (const auto& [letter, id] : letters) text += fmt::format("{}: {}\n", static_cast<char>(letter), id);
  for (const auto& [guid, id] : names) text += fmt::format("Volume{{{}}} {}\n", guid, id);
  for (const auto& [guid, id] : refused) text += fmt::format("#{{{}}} {}\n", guid, id);
  if (!strange.empty()) text += fmt::format("others: {}\n", fmt::join(strange, ", "));
  return text.empty() ? "no mounted devices\n" : text;
}

Result<void> EditMountedDevices(const std::filesystem::path& file, const std::map<std::string, Bytes>& set,
                                const std::vector<std::string>& remove) {
  auto hive = OpenHive(file, HIVEX_OPEN_WRITE);
  if (!hive) return tl::unexpected(hive.error());
  auto key = FindKey(hive->get());
  if (!key) return tl::unexpected(key.error());
  if (*key == 0) key = hivex_node_add_child(hive->get(), hivex_root(hive->get()), kKey);
  if (*key == 0) return FailErrno("hivex adds MountedDevices", errno);
  // Values can only be replaced all at once: what stays is gathered first.
  auto kept = ValuesOf(hive->get(), *key);
  if (!kept) return tl::unexpected(kept.error());
  for (const std::string& name : remove) kept->erase(name);
  for (const auto& [name, data] : set) {
    (*kept)[name] = {hive_t_REG_BINARY, std::string(reinterpret_cast<const char*>(data.data()), data.size())};
  }
  std::vector<hive_set_value> written;
  for (auto& [name, value] : *kept) {
    written.push_back({const_cast<char*>(name.c_str()), value.type, value.data.size(), value.data.data()});
  }
  if (hivex_node_set_values(hive->get(), *key, written.size(), written.data(), 0) != 0 ||
      hivex_commit(hive->get(), nullptr, 0) != 0) {
    return FailErrno("hivex writes MountedDevices", errno);
  }
  return {};
}

}  // namespace dmrp::harness
