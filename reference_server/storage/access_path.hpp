// Paths of mounted folders as clients write them ([MS-DMRP] 2.2.19, 3.2.4.4.1.63, 3.2.4.4.1.64).
#pragma once

#include "protocol/base/guid.hpp"
#include "reference_server/storage/mount_error.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// A path, taken apart. It names its host volume by a letter (`D:\data\old`), by a volume name
/// (`\\?\Volume{guid}\data\old`), or not at all (`\data\old`, `data\old`): AddAccessPath has no other
/// parameter that could.
struct AccessPath {
  std::optional<char16_t> letter;       ///< in capitals
  std::optional<Guid> volume;           ///< from `\\?\Volume{guid}\` or `\??\Volume{guid}\`
  std::vector<std::u16string> folders;  ///< from the root of the host volume; never empty

  /// "data\old": the folders alone, joined.
  [[nodiscard]] std::u16string Relative() const;
};

/// Takes a path apart: one null and one backslash may stand at its end, / counts as \. kBadPath for an empty
/// path or the root of a volume, other nulls, empty names, "." and "..", names over 255 characters, names
/// with control characters or any of `" * : < > ? |` or with a space or a dot at the end, and for more than
/// 32,767 characters.
MountResult<AccessPath> ParseAccessPath(std::u16string_view path);

}  // namespace dmrp::server
