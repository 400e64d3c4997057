#pragma once

#include "protocol/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace dmrp::server {

/// pread until `out` is full; kSystem on an error or a short file.
Result<void> ReadFully(int fd, std::uint64_t offset, std::span<std::byte> out);
/// pwrite until all is written.
Result<void> WriteFully(int fd, std::uint64_t offset, std::span<const std::byte> data);

}  // namespace dmrp::server
