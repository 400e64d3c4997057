// Values that the specification leaves to configuration. Each stands here once; every program lets its user
// change it.
#pragma once

#include "protocol/base/guid.hpp"

#include <cstdint>

namespace dmrp {

/// Class of the objects that serve IVolumeClient, IVolumeClient2, IVolumeClient3 and IVolumeClient4. The
/// value is this project's own: [MS-DMRP] 1.9 lists interfaces only, and the class of Windows is published
/// nowhere.
inline constexpr Guid kDefaultServerClass{
    0xd3a7c5e2, 0x6f41, 0x4b8e, {0x9c, 0x20, 0x5a, 0x1f, 0x7e, 0x84, 0xb6, 0xd1}};

/// Class of the objects that serve IDMRemoteServer; likewise this project's own.
inline constexpr Guid kDefaultRemoteServerClass{
    0x7b1f0c94, 0x2a5d, 0x4e63, {0x8f, 0x17, 0xc4, 0xd9, 0x0a, 0x6e, 0x3b, 0x52}};

/// TCP port of the endpoint mapper, the object resolver and the activator ([MS-DCOM] 1.9).
inline constexpr std::uint16_t kResolverPort = 135;

}  // namespace dmrp
