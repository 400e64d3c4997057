// What a call answers when it needed another machine that did not do its part.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/dmrp/hresult.hpp"

namespace dmrp::server {

/// The HRESULT for the failure of an outgoing call: the peer's own where it gave one.
[[nodiscard]] inline HRESULT HresultOfPeer(const Error& error) {
  if ((error.status & 0x80000000U) != 0) {
    return static_cast<HRESULT>(error.status);
  }
  switch (error.kind) {
    case ErrorKind::kUnavailable:
    case ErrorKind::kTimeout:
      return HresultFromWin32(1722) /* RPC_S_SERVER_UNAVAILABLE */;
    case ErrorKind::kDenied:
      return E_ACCESSDENIED;
    case ErrorKind::kMalformed:
      return RPC_E_INVALID_OBJREF;
    default:
      return E_FAIL;
  }
}

}  // namespace dmrp::server
