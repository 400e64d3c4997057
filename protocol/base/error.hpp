// Errors as values: what every fallible function of this project returns.
//
//   Result<std::uint16_t> port = server.Listen(endpoint);
//   if (!port) return tl::unexpected(port.error());
//
// Exceptions never cross a module border.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace dmrp {

/// What a caller can do about a failure. If you add a kind, extend ErrorKindName too.
enum class ErrorKind {
  kMalformed,    ///< bytes from outside break their format; the message names the field and the offset
  kLimit,        ///< a size or count from outside exceeds a limit; the message names both
  kUnavailable,  ///< the other side is not there or went away; trying again later may help
  kTimeout,      ///< the deadline passed; the message says what was awaited
  kDenied,       ///< the other side, or we, refused on grounds of identity
  kFault,        ///< the peer answered an RPC fault or bind refusal; `status` carries its code
  kUnsupported,  ///< a legal request that this side does not implement
  kUsage,        ///< the caller broke the function's contract
  kSystem,       ///< the operating system refused; `status` carries errno
};

/// The name of a kind without the leading k, for messages and reports.
std::string_view ErrorKindName(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kUsage;
  std::uint32_t status = 0;  ///< a fault status, HRESULT or errno where the kind says so, else 0
  std::string message;       ///< names the operation, the offending value and the limit

  /// "Malformed: REGION_INFO.regionType at offset 48 ...", for people.
  [[nodiscard]] std::string ToString() const;
};

template <typename T>
using Result = tl::expected<T, Error>;

/// Shorthand for returning a failure: `return Fail(ErrorKind::kLimit, "...")`.
[[nodiscard]] inline tl::unexpected<Error> Fail(ErrorKind kind, std::string message,
                                                std::uint32_t status = 0) {
  return tl::unexpected<Error>(Error{kind, status, std::move(message)});
}

/// A kSystem failure that carries errno's value and text behind `operation`.
[[nodiscard]] tl::unexpected<Error> FailErrno(std::string_view operation, int error_number);

}  // namespace dmrp
