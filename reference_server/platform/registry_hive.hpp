// A Windows registry hive ("regf" file) as a value: read whole, changed, written whole.
//
//   auto root = ParseHive(octets);                 (any hive that hivex understands)
//   root->Make("ControlSet001\\Services\\x").values["Name"] = DwordValue(1);
//   auto octets = SerializeHive(*root);
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dmrp::server {

/// REG_*: the types of registry values ([MS-RRP] 3.1.1.5). Values of other types are carried as they are.
enum class RegistryType : std::uint32_t {
  kNone = 0,
  kString = 1,
  kExpandString = 2,
  kBinary = 3,
  kDword = 4,
  kMultiString = 7,
  kQword = 11,
};

struct RegistryValue {
  RegistryType type = RegistryType::kNone;
  Bytes data;  ///< as it lies in the hive: numbers little-endian, texts UTF-16LE
  friend bool operator==(const RegistryValue&, const RegistryValue&) = default;
};

[[nodiscard]] RegistryValue BinaryValue(Bytes data);
[[nodiscard]] RegistryValue DwordValue(std::uint32_t number);
/// The number of a REG_DWORD of four octets; nothing for any other value.
[[nodiscard]] std::optional<std::uint32_t> AsDword(const RegistryValue& value);

/// Names of keys and values are equal whatever the case of their ASCII letters.
struct RegistryNameLess {
  using is_transparent = void;
  bool operator()(std::string_view left, std::string_view right) const;
};

/// A key with all that is below it. Names are UTF-8; the default value has the name "".
struct RegistryKey {
  std::map<std::string, RegistryValue, RegistryNameLess> values;
  std::map<std::string, RegistryKey, RegistryNameLess> keys;

  /// The key at a path like "ControlSet001\\Services"; "" is this key. nullptr when there is none.
  [[nodiscard]] const RegistryKey* Find(std::string_view path) const;
  /// The key at a path, made with all keys on the way to it if need be.
  RegistryKey& Make(std::string_view path);
  /// The value of a key below; nullptr when there is none.
  [[nodiscard]] const RegistryValue* FindValue(std::string_view path, std::string_view name) const;

  friend bool operator==(const RegistryKey&, const RegistryKey&) = default;
};

/// What ParseHive accepts at most; SerializeHive keeps to the same.
struct HiveLimits {
  std::size_t octets = std::size_t{64} << 20;  ///< of the file, and of all value data together
  std::size_t keys = 100'000;
  std::size_t values = 500'000;
  std::size_t depth = 512;  ///< levels of keys, as in Windows
};

/// Everything in a hive. kMalformed when it is damaged (names that are no valid UTF-16 count as damage, keys
/// that contain themselves too), kLimit when it exceeds `limits`.
Result<RegistryKey> ParseHive(std::span<const std::byte> octets, const HiveLimits& limits = {});

/// A fresh hive that holds `root`: one hbin after the other without gaps that earlier states left, every key
/// with one security descriptor (full access for Administrators and SYSTEM). Class names of keys and their
/// times are not kept. kLimit when a value or the hive is too large.
Result<Bytes> SerializeHive(const RegistryKey& root, const HiveLimits& limits = {});

}  // namespace dmrp::server
