#pragma once

#include "protocol/base/error.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>

namespace dmrp::server {

/// Puts `content` in place of a file, so that after a power cut at any moment the name leads to the old
/// content or to the new one: written beside it as NAME.new, flushed, renamed, the folder flushed.
/// `ready`, if given, is asked just before the rename; false leaves the old file and returns false.
Result<bool> ReplaceFile(const std::filesystem::path& path, std::span<const std::byte> content,
                         const std::function<bool()>& ready = {});

}  // namespace dmrp::server
