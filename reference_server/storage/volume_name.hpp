// The names under which Windows knows a volume: \\?\Volume{guid} to programs, \??\Volume{guid} to the kernel
// and in the registry.
#pragma once

#include "protocol/base/guid.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace dmrp::server {

/// `\\?\Volume{guid}`, lower case, without a backslash or a null at the end: 48 characters. What
/// GetVolumeMountName returns ([MS-DMRP] 3.2.4.4.1.29).
[[nodiscard]] std::u16string VolumeMountName(const Guid& volume);
/// `\??\Volume{guid}`, likewise: the name of a value in MountedDevices and, with a backslash, the target of a
/// mount point.
[[nodiscard]] std::u16string VolumeLinkName(const Guid& volume);
/// The GUID of a name in either form, with or without one backslash at the end, in any case.
[[nodiscard]] std::optional<Guid> ParseVolumeName(std::u16string_view name);

}  // namespace dmrp::server
