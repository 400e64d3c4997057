// What a machine keeps of drive letters and volume names: the values of HKLM\SYSTEM\MountedDevices, by hivex.
//
//   auto kept = MountedDevices::ReadFile("/run/system");
//   EXPECT_THAT(kept->LettersOf(UniqueIdOfMbrPartition(signature, start)), ElementsAre(u'E'));
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dmrp::harness {

/// The unique ids are the values' data, as ToHex shows them.
struct MountedDevices {
  /// From a hive file on this machine. A hive without the key is an empty database; kSystem for a file that
  /// hivex does not read as a hive, or whose key is broken.
  static Result<MountedDevices> ReadFile(const std::filesystem::path& hive);

  /// Of that unique id, in ascending order.
  [[nodiscard]] std::vector<char16_t> LettersOf(const std::string& id) const;
  /// The GUIDs of its volume names, lower case without braces.
  [[nodiscard]] std::vector<std::string> NamesOf(const std::string& id) const;
  /// Whether the volume is marked as having no letter on purpose.
  [[nodiscard]] bool RefusesLetter(const std::string& id) const;
  [[nodiscard]] std::string ToText() const;

  std::map<char16_t, std::string> letters;     ///< unique ids, by \DosDevices\X:
  std::map<std::string, std::string> names;    ///< by the GUID of \??\Volume{guid}
  std::map<std::string, std::string> refused;  ///< by the GUID of #{guid}
  std::vector<std::string> strange;            ///< values of other names or types
};

/// By what a partition of a basic MBR disk that is no removable medium is known: the disk's signature and the
/// partition's offset in octets.
std::string UniqueIdOfMbrPartition(std::uint32_t signature, std::uint64_t offset);
/// By what a partition of a basic GPT disk is known: "DMIO:ID:" and its GUID.
std::string UniqueIdOfGptPartition(const Guid& partition);

/// Changes the database in a hive file, as a mount manager does: `set` gives values data of type REG_BINARY,
/// `remove` names values that go. kSystem when hivex cannot.
Result<void> EditMountedDevices(const std::filesystem::path& hive, const std::map<std::string, Bytes>& set,
                                const std::vector<std::string>& remove);

}  // namespace dmrp::harness
