#include "suites/support/mounted_devices.hpp"

#include "harness/guest/guest.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hivex.h>

namespace dmrp::suites {

namespace {

constexpr const char* kHiveInGuest = "/system/WINNT/system32/config/system";
constexpr std::string_view kLetterPrefix = "\\DosDevices\\";
constexpr std::string_view kNamePrefix = "\\??\\Volume{";
constexpr std::string_view kRefusedPrefix = "#{";
constexpr std::string_view kDynamicPrefix = "DMIO:ID:";
constexpr std::uint32_t kHiveLimit = 4U << 20U;

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

void AppendLittleEndian(Bytes& bytes, std::uint64_t value, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

// A GUID as it lies on disk: the first three fields little-endian.
void AppendOnDisk(Bytes& bytes, const Guid& guid) {
  const std::string text = guid.ToString();
  std::string digits;
  std::ranges::copy_if(text, std::back_inserter(digits), [](char c) { return std::isxdigit(c) != 0; });
  static constexpr int kOrder[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
  for (const int at : kOrder) {
    bytes.push_back(
        static_cast<std::byte>(std::stoi(digits.substr(2 * static_cast<std::size_t>(at), 2), nullptr, 16)));
  }
}

// "{1234...}" of a name, in lower case and without braces; empty where there is none.
std::string GuidIn(std::string_view name, std::size_t prefix) {
  if (!name.ends_with('}') || name.size() != prefix + 37) return {};
  std::string guid(name.substr(prefix, 36));
  return guid;
}

// A file of this process's own that goes away with the value.
class ScratchFile {
 public:
  static Result<ScratchFile> With(std::string_view content) {
    std::string name = (std::filesystem::temp_directory_path() / "dmrp-hive-XXXXXX").string();
    const int descriptor = mkstemp(name.data());
    if (descriptor < 0) return FailErrno("make " + name, errno);
    ::close(descriptor);
    ScratchFile file(name);
    std::ofstream(name, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return file;
  }
  ScratchFile(ScratchFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~ScratchFile() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ScratchFile& operator=(ScratchFile&&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

Result<std::optional<std::string>> HiveOfGuest(Lab& lab) {
  harness::Guest* guest = lab.bed().guest();
  if (guest == nullptr) {
    return Fail(ErrorKind::kUnsupported, "the registry of the target's machine cannot be read");
  }
  auto there = guest->agent().Exec({"/bin/busybox", "test", "-e", kHiveInGuest});
  if (!there) return tl::unexpected(there.error());
  if (there->status != 0) return std::nullopt;
  auto octets = guest->agent().ReadFile(kHiveInGuest, 0, kHiveLimit);
  if (!octets) return tl::unexpected(octets.error());
  return *std::move(octets);
}

}  // namespace

Result<MountedDevices> MountedDevices::Read(Lab& lab) {
  auto octets = HiveOfGuest(lab);
  if (!octets) return tl::unexpected(octets.error());
  if (!*octets) return MountedDevices{};
  auto file = ScratchFile::With(**octets);
  if (!file) return tl::unexpected(file.error());
  return ReadFile(file->path());
}

Result<MountedDevices> MountedDevices::ReadFile(const std::filesystem::path& file) {
  auto hive = OpenHive(file, 0);
  if (!hive) return tl::unexpected(hive.error());
  MountedDevices database;
  const hive_node_h root = hivex_root(hive->get());
  const hive_node_h key = root == 0 ? 0 : hivex_node_get_child(hive->get(), root, "MountedDevices");
  if (key == 0) return database;
  const std::unique_ptr<hive_value_h[], Freer> values(hivex_node_values(hive->get(), key));
  if (!values) return FailErrno("hivex lists the values of MountedDevices", errno);
  for (std::size_t i = 0; values[i] != 0; ++i) {
    const std::unique_ptr<char, Freer> key_name(hivex_value_key(hive->get(), values[i]));
    hive_type type = hive_t_none;
    std::size_t length = 0;
    const std::unique_ptr<char, Freer> data(hivex_value_value(hive->get(), values[i], &type, &length));
    if (!key_name || !data) return FailErrno("hivex reads a value of MountedDevices", errno);
    const std::string name = key_name.get();
    const auto* octets = reinterpret_cast<const std::byte*>(data.get());
    const std::string id = ToHex(Bytes(octets, octets + length));
    if (type != hive_t_REG_BINARY) {
      database.strange.push_back(fmt::format("{} has type {}", name, static_cast<int>(type)));
    } else if (name.starts_with(kLetterPrefix) && name.size() == kLetterPrefix.size() + 2 &&
               name.back() == ':' && std::isupper(name[kLetterPrefix.size()]) != 0) {
      database.letters.emplace(static_cast<char16_t>(name[kLetterPrefix.size()]), id);
    } else if (std::string guid = GuidIn(name, kNamePrefix.size());
               name.starts_with(kNamePrefix) && !guid.empty()) {
      database.names.emplace(guid, id);
    } else if (guid = GuidIn(name, kRefusedPrefix.size());
               name.starts_with(kRefusedPrefix) && !guid.empty()) {
      database.refused.emplace(guid, id);
    } else {
      database.strange.push_back(name);
    }
  }
  return database;
}

std::string MountedDevices::UniqueIdOf(const REGION_INFO_EX& region, const DISK_INFO_EX& disk) {
  Bytes id;
  if (region.gpt) {
    for (const char c : kDynamicPrefix) id.push_back(static_cast<std::byte>(c));
    AppendOnDisk(id, region.gpt->partitionId);
  } else {
    AppendLittleEndian(id, disk.mbr ? disk.mbr->signature : 0, 4);
    AppendLittleEndian(id, static_cast<std::uint64_t>(region.start), 8);
  }
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

Result<void> EditMountedDevices(Lab& lab, const std::map<std::string, Bytes>& set,
                                const std::vector<std::string>& remove) {
  auto octets = HiveOfGuest(lab);
  if (!octets) return tl::unexpected(octets.error());
  if (!*octets) return Fail(ErrorKind::kUnavailable, "the target's machine has no hive yet");
  auto file = ScratchFile::With(**octets);
  if (!file) return tl::unexpected(file.error());
  {
    auto hive = OpenHive(file->path(), HIVEX_OPEN_WRITE);
    if (!hive) return tl::unexpected(hive.error());
    const hive_node_h root = hivex_root(hive->get());
    hive_node_h key = root == 0 ? 0 : hivex_node_get_child(hive->get(), root, "MountedDevices");
    if (key == 0 && root != 0) key = hivex_node_add_child(hive->get(), root, "MountedDevices");
    if (key == 0) return FailErrno("hivex finds MountedDevices", errno);
    // Values can only be replaced all at once: what stays is gathered first.
    std::map<std::string, std::pair<hive_type, std::string>> kept;
    const std::unique_ptr<hive_value_h[], Freer> values(hivex_node_values(hive->get(), key));
    if (!values) return FailErrno("hivex lists the values of MountedDevices", errno);
    for (std::size_t i = 0; values[i] != 0; ++i) {
      const std::unique_ptr<char, Freer> name(hivex_value_key(hive->get(), values[i]));
      hive_type type = hive_t_none;
      std::size_t length = 0;
      const std::unique_ptr<char, Freer> data(hivex_value_value(hive->get(), values[i], &type, &length));
      if (!name || !data) return FailErrno("hivex reads a value of MountedDevices", errno);
      kept[name.get()] = {type, std::string(data.get(), length)};
    }
    for (const std::string& name : remove) kept.erase(name);
    for (const auto& [name, data] : set) {
      kept[name] = {hive_t_REG_BINARY, std::string(reinterpret_cast<const char*>(data.data()), data.size())};
    }
    std::vector<hive_set_value> written;
    for (auto& [name, value] : kept) {
      written.push_back(
          {const_cast<char*>(name.c_str()), value.first, value.second.size(), value.second.data()});
    }
    if (hivex_node_set_values(hive->get(), key, written.size(), written.data(), 0) != 0 ||
        hivex_commit(hive->get(), nullptr, 0) != 0) {
      return FailErrno("hivex writes MountedDevices", errno);
    }
  }
  std::ifstream written(file->path(), std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(written), {}};
  harness::AgentClient& agent = lab.bed().guest()->agent();
  const std::string aside = std::string(kHiveInGuest) + ".edited";
  if (auto done = agent.WriteFile(aside, content); !done) return done;
  auto moved = agent.Shell(fmt::format("mv -f '{}' '{}'", aside, kHiveInGuest));
  if (!moved) return tl::unexpected(moved.error());
  return {};
}

}  // namespace dmrp::suites
