#include "protocol/base/error.hpp"

#include <system_error>

#include <fmt/format.h>

namespace dmrp {

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kMalformed:
      return "Malformed";
    case ErrorKind::kLimit:
      return "Limit";
    case ErrorKind::kUnavailable:
      return "Unavailable";
    case ErrorKind::kTimeout:
      return "Timeout";
    case ErrorKind::kDenied:
      return "Denied";
    case ErrorKind::kFault:
      return "Fault";
    case ErrorKind::kUnsupported:
      return "Unsupported";
    case ErrorKind::kUsage:
      return "Usage";
    case ErrorKind::kSystem:
      return "System";
  }
  return "Unknown";
}

std::string Error::ToString() const {
  if (kind == ErrorKind::kFault) {
    return fmt::format("{} 0x{:08X}: {}", ErrorKindName(kind), status, message);
  }
  return fmt::format("{}: {}", ErrorKindName(kind), message);
}

tl::unexpected<Error> FailErrno(std::string_view operation, int error_number) {
  return Fail(ErrorKind::kSystem,
              fmt::format("{}: {}", operation, std::generic_category().message(error_number)),
              static_cast<std::uint32_t>(error_number));
}

}  // namespace dmrp
