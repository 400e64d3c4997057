// What a target's machine keeps of drive letters and volume names: the values of HKLM\SYSTEM\MountedDevices,
// read by hivex.
#pragma once

#include "suites/support/lab.hpp"

#include <map>
#include <string>
#include <vector>

namespace dmrp::suites {

struct MountedDevices {
  /// Reads the hive of the target's machine. kUnsupported for targets whose machine cannot be looked into;
  /// a hive that is not there yet is an empty database.
  static Result<MountedDevices> Read(Lab& lab);
  /// From a hive file on this machine.
  static Result<MountedDevices> ReadFile(const std::filesystem::path& hive);

  /// The data by which a partition of a basic disk that is no removable medium is known, in hexadecimal:
  /// signature and offset for MBR, "DMIO:ID:" and the partition's GUID for GPT.
  static std::string UniqueIdOf(const REGION_INFO_EX& region, const DISK_INFO_EX& disk);

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

/// Changes the database behind the server's back, as a mount manager of the same machine does. The file is
/// replaced in one step.
Result<void> EditMountedDevices(Lab& lab, const std::map<std::string, Bytes>& set,
                                const std::vector<std::string>& remove);

}  // namespace dmrp::suites
