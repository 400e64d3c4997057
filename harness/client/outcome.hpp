// What became of one call.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/ndr/reader.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace dmrp::harness {

/// A call as the history tells it.
struct CallFacts {
  std::uint64_t number = 0;  ///< in the history; 0: not recorded
  std::string interface;     ///< "IVolumeClient3"
  std::string method;        ///< "CreatePartition"
  std::uint16_t opnum = 0;
  std::string text;                               ///< the call with arguments and result, readable
  std::chrono::steady_clock::time_point sent;     ///< before the request went out
  std::chrono::steady_clock::time_point replied;  ///< when the last PDU of the answer had come
  std::vector<std::uint64_t> frames;              ///< numbers of the PDUs that went by meanwhile
  std::vector<ndr::Anomaly> anomalies;            ///< what the reply's stub should not have contained
  std::size_t trailing = 0;                       ///< octets of the stub behind the last parameter
};

/// A reply, or why there is none. `value` has its default contents in the second case.
template <typename Reply>
struct Outcome {
  CallFacts call;
  Reply value;
  std::optional<Error>
      error;  ///< kFault for an RPC fault; the rest are failures of the connection or of decoding

  [[nodiscard]] bool answered() const { return !error; }
  /// Answered with an HRESULT that is no error (bit 31 clear).
  [[nodiscard]] bool succeeded() const { return !error && value.result >= 0; }
  /// Answered with an error HRESULT (bit 31 set).
  [[nodiscard]] bool refused() const { return !error && value.result < 0; }
  /// Answered by an RPC fault in place of a reply.
  [[nodiscard]] bool faulted() const {
    return error && (error->kind == ErrorKind::kFault || error->kind == ErrorKind::kDenied);
  }
  [[nodiscard]] std::uint32_t hresult() const {
    return error ? error->status : static_cast<std::uint32_t>(value.result);
  }
  const Reply* operator->() const { return &value; }

  friend void PrintTo(const Outcome& outcome, std::ostream* out) {
    *out << "call #" << outcome.call.number << " " << outcome.call.text;
  }
};

}  // namespace dmrp::harness
