// Text and octets: conversions that the wire needs and dumps that people read.
#pragma once

#include "protocol/base/error.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp {

using Bytes = std::vector<std::byte>;

/// UTF-16 to UTF-8. An unpaired surrogate becomes U+FFFD, so that any foreign text can be shown.
std::string ToUtf8(std::u16string_view text);
/// UTF-8 to UTF-16; kMalformed with the offset of the first bad octet.
Result<std::u16string> ToUtf16(std::string_view text);

/// "05000b03 10000000", lower case, a space every four octets.
std::string ToHex(std::span<const std::byte> bytes);
/// The reverse; white space is skipped. kMalformed on an odd number of digits or any other character.
Result<Bytes> FromHex(std::string_view text);

}  // namespace dmrp
