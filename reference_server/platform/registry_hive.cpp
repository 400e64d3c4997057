#include "reference_server/platform/registry_hive.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/file_io.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <hivex.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace dmrp::server {
namespace {

struct CloseHive {
  void operator()(hive_h* hive) const { hivex_close(hive); }
};
using HiveHandle = std::unique_ptr<hive_h, CloseHive>;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using Allocated = std::unique_ptr<T, FreeMemory>;

// A value may have any number for its type, also one that hivex's enumeration cannot have in C++: such
// numbers are never loaded or converted as that enumeration.
static_assert(sizeof(hive_type) == sizeof(RegistryType));
RegistryType FromHivex(const hive_type& type) { return std::bit_cast<RegistryType>(type); }
void ToHivex(RegistryType type, hive_type& into) { std::memcpy(&into, &type, sizeof(into)); }

char FoldAscii(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

// hivex knows files only. One in memory, with a name that no other program can write to: hivex maps what it
// reads, and a mapped file that somebody truncates would kill the process.
Result<FileDescriptor> MemoryFile(std::span<const std::byte> content) {
  FileDescriptor fd(::memfd_create("hive", MFD_CLOEXEC));
  if (!fd) return FailErrno("making a file in memory", errno);
  if (const auto written = WriteFully(fd.Get(), 0, content); !written) return tl::unexpected(written.error());
  return fd;
}

std::string NameOf(const FileDescriptor& fd) { return fmt::format("/proc/self/fd/{}", fd.Get()); }

tl::unexpected<Error> Damaged(std::string_view what, std::size_t offset) {
  return Fail(ErrorKind::kMalformed,
              fmt::format("registry hive: {} at offset {}: {}", what, offset, std::strerror(errno)));
}

class HiveReader {
 public:
  HiveReader(hive_h* hive, const HiveLimits& limits) : hive_(hive), limits_(limits) {}

  Result<RegistryKey> ReadKey(hive_node_h node, std::size_t depth) {
    if (depth > limits_.depth) {
      return Fail(ErrorKind::kLimit,
                  fmt::format("registry hive: more than {} levels of keys", limits_.depth));
    }
    if (!seen_.insert(node).second) {
      return Fail(ErrorKind::kMalformed, fmt::format("registry hive: key at offset {} is met twice", node));
    }
    if (seen_.size() > limits_.keys) {
      return Fail(ErrorKind::kLimit, fmt::format("registry hive: more than {} keys", limits_.keys));
    }
    RegistryKey key;
    if (const auto read = ReadValues(node, key); !read) return tl::unexpected(read.error());
    errno = 0;
    const Allocated<hive_node_h> children(hivex_node_children(hive_, node));
    if (!children) return Damaged("subkeys of a key", node);
    for (std::size_t i = 0; children.get()[i] != 0; ++i) {
      const hive_node_h child = children.get()[i];
      const Allocated<char> name(hivex_node_name(hive_, child));
      if (!name) return Damaged("name of a key", child);
      auto below = ReadKey(child, depth + 1);
      if (!below) return below;
      key.keys.emplace(name.get(), std::move(*below));
    }
    return key;
  }

 private:
  Result<void> ReadValues(hive_node_h node, RegistryKey& key) {
    errno = 0;
    const Allocated<hive_value_h> values(hivex_node_values(hive_, node));
    if (!values) return Damaged("values of a key", node);
    for (std::size_t i = 0; values.get()[i] != 0; ++i) {
      const hive_value_h value = values.get()[i];
      if (++values_ > limits_.values) {
        return Fail(ErrorKind::kLimit, fmt::format("registry hive: more than {} values", limits_.values));
      }
      const Allocated<char> name(hivex_value_key(hive_, value));
      if (!name) return Damaged("name of a value", value);
      hive_type type{};
      std::size_t length = 0;
      const Allocated<char> data(hivex_value_value(hive_, value, &type, &length));
      if (!data) return Damaged("data of a value", value);
      octets_ += length;
      if (octets_ > limits_.octets) {
        return Fail(ErrorKind::kLimit,
                    fmt::format("registry hive: more than {} octets of values", limits_.octets));
      }
      const auto octets = std::as_bytes(std::span(data.get(), length));
      key.values.emplace(name.get(), RegistryValue{FromHivex(type), Bytes(octets.begin(), octets.end())});
    }
    return {};
  }

  hive_h* hive_;
  const HiveLimits& limits_;
  std::unordered_set<hive_node_h> seen_;
  std::size_t values_ = 0;
  std::size_t octets_ = 0;
};

// hivex cannot make a hive, so it starts from this one: the base block, one hbin, the root key without
// anything below, and the security descriptor that all keys share.
namespace minimal {

constexpr std::size_t kBlock = 4096;
constexpr std::uint32_t kNone = 0xFFFFFFFF;
constexpr std::string_view kRootName = "ROOT";
constexpr std::uint32_t kRootCell = 0x20;  // offsets of cells count from the hbin
constexpr std::uint32_t kRootCellSize = 0x58;
constexpr std::uint32_t kSecurityCell = kRootCell + kRootCellSize;
constexpr std::uint32_t kSecurityCellSize = 0x80;

class Writer {
 public:
  explicit Writer(std::span<std::byte> into) : into_(into) {}
  Writer& At(std::size_t offset) {
    at_ = offset;
    return *this;
  }
  Writer& U8(std::initializer_list<unsigned> octets) {
    for (const unsigned octet : octets) into_[at_++] = static_cast<std::byte>(octet);
    return *this;
  }
  Writer& U16(std::uint32_t value) { return U8({value & 0xFF, value >> 8 & 0xFF}); }
  Writer& U32(std::uint32_t value) { return U16(value & 0xFFFF).U16(value >> 16); }
  Writer& Text(std::string_view text) {
    for (const char c : text) into_[at_++] = static_cast<std::byte>(c);
    return *this;
  }
  [[nodiscard]] std::size_t Here() const { return at_; }

 private:
  std::span<std::byte> into_;
  std::size_t at_ = 0;
};

// Self-relative: owner and group Administrators; full access for Administrators and SYSTEM, inherited by
// keys.
void WriteSecurityDescriptor(Writer& writer) {
  constexpr std::uint32_t kHeader = 20;
  constexpr std::uint32_t kAcl = 8 + (8 + 16) + (8 + 12);
  constexpr std::uint32_t kAllAccess = 0x000F003F;
  const auto administrators = [&] { writer.U8({1, 2, 0, 0, 0, 0, 0, 5}).U32(32).U32(544); };
  writer.U8({1, 0}).U16(0x8004).U32(kHeader + kAcl).U32(kHeader + kAcl + 16).U32(0).U32(kHeader);
  writer.U8({2, 0}).U16(kAcl).U16(2).U16(0);
  writer.U8({0, 2}).U16(8 + 16).U32(kAllAccess);
  administrators();
  writer.U8({0, 2}).U16(8 + 12).U32(kAllAccess).U8({1, 1, 0, 0, 0, 0, 0, 5}).U32(18);
  administrators();
  administrators();
}
constexpr std::uint32_t kSecurityDescriptorSize = 20 + 52 + 16 + 16;

Bytes Hive() {
  Bytes octets(2 * kBlock);
  Writer base(octets);
  base.Text("regf").U32(1).U32(1).U32(0).U32(0);  // sequence numbers, time
  base.U32(1).U32(5).U32(0).U32(1);               // version 1.5, a primary file in memory layout
  base.U32(kRootCell).U32(kBlock).U32(1);         // size of all hbins, cluster factor
  Writer bin(std::span<std::byte>(octets).subspan(kBlock));
  bin.Text("hbin").U32(0).U32(kBlock);

  bin.At(kRootCell).U32(-kRootCellSize).Text("nk").U16(0x2C);  // root, not to be deleted, compressed name
  bin.U32(0).U32(0).U32(0).U32(kRootCell);                     // time, access bits, parent
  bin.U32(0).U32(0).U32(kNone).U32(kNone);                     // subkeys and volatile subkeys
  bin.U32(0).U32(kNone).U32(kSecurityCell).U32(kNone);         // values, security, class name
  bin.U32(0).U32(0).U32(0).U32(0).U32(0);                      // longest names and data below
  bin.U16(static_cast<std::uint32_t>(kRootName.size())).U16(0).Text(kRootName);

  bin.At(kSecurityCell).U32(-kSecurityCellSize).Text("sk").U16(0);
  bin.U32(kSecurityCell).U32(kSecurityCell).U32(1).U32(kSecurityDescriptorSize);
  WriteSecurityDescriptor(bin);

  const std::uint32_t free = kSecurityCell + kSecurityCellSize;
  bin.At(free).U32(kBlock - free);

  std::uint32_t checksum = 0;
  for (std::size_t at = 0; at < 508; at += 4) {
    std::uint32_t word = 0;
    for (std::size_t i = 4; i-- > 0;) word = word << 8 | std::to_integer<std::uint32_t>(octets[at + i]);
    checksum ^= word;
  }
  base.At(508).U32(checksum);
  return octets;
}

}  // namespace minimal

tl::unexpected<Error> NotStored(std::string_view what, std::string_view name) {
  const bool too_large = errno == ERANGE || errno == EOVERFLOW;
  return Fail(too_large ? ErrorKind::kLimit : ErrorKind::kSystem,
              fmt::format("registry hive: storing {} \"{}\": {}", what, name, std::strerror(errno)),
              static_cast<std::uint32_t>(too_large ? 0 : errno));
}

Result<void> StoreKey(hive_h* hive, hive_node_h node, std::string_view name, const RegistryKey& key,
                      std::size_t levels_left) {
  if (levels_left == 0) return Fail(ErrorKind::kLimit, "registry hive: too many levels of keys");
  std::vector<hive_set_value> values;
  for (const auto& [value_name, value] : key.values) {
    // hivex takes the texts as char* but only reads them.
    values.push_back({const_cast<char*>(value_name.c_str()), hive_type{}, value.data.size(),
                      const_cast<char*>(reinterpret_cast<const char*>(value.data.data()))});
    ToHivex(value.type, values.back().t);
  }
  // All values of a key in one call: each call writes the list of them anew, and hivex frees nothing.
  if (!values.empty() && hivex_node_set_values(hive, node, values.size(), values.data(), 0) != 0) {
    return NotStored("the values of key", name);
  }
  for (const auto& [child_name, child] : key.keys) {
    const hive_node_h below = hivex_node_add_child(hive, node, child_name.c_str());
    if (below == 0) return NotStored("key", child_name);
    if (const auto stored = StoreKey(hive, below, child_name, child, levels_left - 1); !stored) return stored;
  }
  return {};
}

}  // namespace

RegistryValue BinaryValue(Bytes data) { return {RegistryType::kBinary, std::move(data)}; }

RegistryValue DwordValue(std::uint32_t number) {
  RegistryValue value{RegistryType::kDword, Bytes(4)};
  for (std::size_t i = 0; i < 4; ++i) value.data[i] = static_cast<std::byte>(number >> (8 * i));
  return value;
}

std::optional<std::uint32_t> AsDword(const RegistryValue& value) {
  if (value.type != RegistryType::kDword || value.data.size() != 4) return std::nullopt;
  std::uint32_t number = 0;
  for (std::size_t i = 4; i-- > 0;) number = number << 8 | std::to_integer<std::uint32_t>(value.data[i]);
  return number;
}

bool RegistryNameLess::operator()(std::string_view left, std::string_view right) const {
  return std::ranges::lexicographical_compare(left, right, [](char a, char b) {
    return static_cast<unsigned char>(FoldAscii(a)) < static_cast<unsigned char>(FoldAscii(b));
  });
}

const RegistryKey* RegistryKey::Find(std::string_view path) const {
  const RegistryKey* key = this;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('\\'), path.size());
    const auto next = key->keys.find(path.substr(0, end));
    if (next == key->keys.end()) return nullptr;
    key = &next->second;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return key;
}

RegistryKey& RegistryKey::Make(std::string_view path) {
  RegistryKey* key = this;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('\\'), path.size());
    key = &key->keys[std::string(path.substr(0, end))];
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return *key;
}

const RegistryValue* RegistryKey::FindValue(std::string_view path, std::string_view name) const {
  const RegistryKey* key = Find(path);
  if (key == nullptr) return nullptr;
  const auto value = key->values.find(name);
  return value == key->values.end() ? nullptr : &value->second;
}

Result<RegistryKey> ParseHive(std::span<const std::byte> octets, const HiveLimits& limits) {
  if (octets.size() > limits.octets) {
    return Fail(ErrorKind::kLimit,
                fmt::format("registry hive: {} octets, at most {} are read", octets.size(), limits.octets));
  }
  const auto file = MemoryFile(octets);
  if (!file) return tl::unexpected(file.error());
  errno = 0;
  const HiveHandle hive(hivex_open(NameOf(*file).c_str(), 0));
  if (!hive) return Damaged("structure", 0);
  const hive_node_h root = hivex_root(hive.get());
  if (root == 0) return Damaged("root key", 0);
  return HiveReader(hive.get(), limits).ReadKey(root, 1);
}

Result<Bytes> SerializeHive(const RegistryKey& root, const HiveLimits& limits) {
  const auto start = MemoryFile(minimal::Hive());
  if (!start) return tl::unexpected(start.error());
  const auto result = MemoryFile({});
  if (!result) return tl::unexpected(result.error());
  const HiveHandle hive(hivex_open(NameOf(*start).c_str(), HIVEX_OPEN_WRITE));
  if (!hive) return FailErrno("opening the minimal registry hive", errno);
  if (const auto stored = StoreKey(hive.get(), hivex_root(hive.get()), "", root, limits.depth); !stored) {
    return tl::unexpected(stored.error());
  }
  if (hivex_commit(hive.get(), NameOf(*result).c_str(), 0) != 0) return FailErrno("writing a hive", errno);
  struct stat status{};
  if (::fstat(result->Get(), &status) != 0) return FailErrno("stat of a hive", errno);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > limits.octets) {
    return Fail(ErrorKind::kLimit,
                fmt::format("registry hive: {} octets, at most {} are written", size, limits.octets));
  }
  Bytes octets(size);
  if (const auto read = ReadFully(result->Get(), 0, octets); !read) return tl::unexpected(read.error());
  return octets;
}

}  // namespace dmrp::server
