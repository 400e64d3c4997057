// How methods refuse: checks stated in the order of the specification, each with its own error.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "reference_server/storage/mount_error.hpp"
#include "reference_server/storage/storage_error.hpp"

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace dmrp::server {

/// Why a call fails: the HRESULT to return, bit 31 set, and what was wrong, for the log.
struct Refusal {
  HRESULT hr = 0;
  std::string reason;
};

/// The user-readable message that HrGetErrorData gives for a failed request (3.2.4.4.1.53), with its
/// terminating null: the meaning of the code where 2.2.1 or COM defines it, else the reason, else the number.
[[nodiscard]] std::u16string MessageFor(const Refusal& refusal);

template <typename T>
using Outcome = tl::expected<T, Refusal>;

/// One check of a method's validation list.
struct Check {
  HRESULT error = 0;            ///< the HRESULT of a call that fails it
  std::string_view rule;        ///< what has to hold, in words
  std::function<bool()> holds;  ///< asked only when all checks before it held
};

/// The first check that does not hold, as a refusal.
Outcome<void> Validate(std::initializer_list<Check> checks);

[[nodiscard]] tl::unexpected<Refusal> Reject(HRESULT hr, std::string reason);
/// The refusal for what storage said. Distinct codes get distinct HRESULTs where 2.2.1 has them.
[[nodiscard]] tl::unexpected<Refusal> Reject(const StorageError& error);
/// The same for drive letters and mounted folders.
[[nodiscard]] tl::unexpected<Refusal> Reject(const MountError& error);
/// The refusal for a disk that could not be opened.
[[nodiscard]] tl::unexpected<Refusal> RejectDevice(const Error& error);

}  // namespace dmrp::server
