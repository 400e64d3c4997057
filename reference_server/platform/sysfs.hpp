#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

/// The text of an attribute without white space around it; "" when it cannot be read.
std::string ReadAttribute(const std::filesystem::path& path);
/// The decimal number in an attribute.
std::optional<std::uint64_t> ReadNumber(const std::filesystem::path& path);
/// All of a small file of /proc; "" when it cannot be read.
std::string ReadWholeFile(const std::filesystem::path& path);
Result<void> WriteAttribute(const std::filesystem::path& path, std::string_view text);
/// The names in a directory, sorted; none when it cannot be read.
std::vector<std::string> ListDirectory(const std::filesystem::path& path);
/// The last component of what a symbolic link points at; "" when it is none.
std::string LinkName(const std::filesystem::path& path);
/// A decimal number that fills the text; nothing otherwise.
std::optional<std::uint64_t> ParseDecimal(std::string_view text);

}  // namespace dmrp::server
