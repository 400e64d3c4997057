#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dmrp::server {

/// CRC-32 of IEEE 802.3 (polynomial 04C11DB7 reflected), as UEFI uses it for GPT headers and entries.
[[nodiscard]] std::uint32_t Crc32(std::span<const std::byte> data);

}  // namespace dmrp::server
