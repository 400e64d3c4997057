// Matchers for outcomes and regions that describe themselves in failures.
//
//   EXPECT_THAT(session.CreatePartition(spec), Succeeds());
//   EXPECT_THAT(session.DeletePartition(stale), Refused());
//   EXPECT_THAT(regions, Contains(Region(REGION_PRIMARY, start, length)));
// There is no matcher for "did not succeed": a fault or a lost connection is no refusal.
#pragma once

#include "dmrp/interfaces/print.hpp"
#include "harness/client/outcome.hpp"
#include "harness/client/storage_view.hpp"
#include "protocol/dmrp/hresult.hpp"
#include "suites/support/recorder.hpp"

#include <cstdint>
#include <ostream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace dmrp::suites {

/// "0xc1000043 LDM_E_NOENT", or why there is no HRESULT.
template <typename Reply>
std::string ResultText(const harness::Outcome<Reply>& outcome) {
  if (outcome.error) return outcome.error->ToString();
  return HresultText(outcome.value.result);
}

/// An HRESULT without the error bit.
MATCHER(Succeeds, negation ? "no success" : "an HRESULT that is no error (bit 31 clear)") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  return arg.succeeded();
}

/// An HRESULT with the error bit, in a reply: no fault, no silence. Which code is the server's choice.
MATCHER(Refused, negation ? "no refusal" : "an error HRESULT (bit 31 set) in a reply") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  return arg.refused();
}

/// One particular HRESULT.
MATCHER_P(FailsWith, code, fmt::format("{}{}", negation ? "not " : "", HresultText(code))) {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  return arg.answered() && arg.value.result == code;
}

/// Refused for lack of rights: E_ACCESSDENIED as HRESULT, or an RPC fault that means the same.
MATCHER(DeniesAccess, negation ? "access" : "access denied, as HRESULT or as fault") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  if (arg.answered()) return arg.value.result == static_cast<HRESULT>(0x80070005U);
  return arg.error->kind == ErrorKind::kDenied || arg.error->status == 5 || arg.error->status == 0x80070005U;
}

/// An RPC fault, or an error HRESULT.
MATCHER(FaultsOrRefuses, negation ? "success" : "an RPC fault or an error HRESULT") {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  return arg.faulted() || arg.refused();
}

/// An RPC fault with that status.
MATCHER_P(FaultsWith, status, fmt::format("{}a fault with status {:#010x}", negation ? "not " : "", status)) {
  Recorder::Current().Note(arg.call.text);
  *result_listener << ResultText(arg);
  return arg.error && arg.error->status == status;
}

/// A REGION_INFO_EX of that type, start and length in bytes.
MATCHER_P3(HasRegion, type, start, length,
           fmt::format("{}a region of type {} at {} with {} bytes", negation ? "not " : "", NameOf(type),
                       start, length)) {
  *result_listener << ToText(arg);
  return arg.regionType == type && arg.start == static_cast<std::int64_t>(start) &&
         arg.length == static_cast<std::int64_t>(length);
}

/// A notification of that type and action about that object.
MATCHER_P3(Notifies, type, action, id,
           fmt::format("{}a {} {} notification about {}", negation ? "not " : "", NameOf(type),
                       NameOf(action), id)) {
  return arg.type == type && arg.action == action && arg.id == static_cast<LdmObjectId>(id);
}

}  // namespace dmrp::suites
