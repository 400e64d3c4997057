#pragma once

#include "dmrp/interfaces/types.hpp"

#include <atomic>

namespace dmrp::server {

/// Gives out LdmObjectId values ([MS-DMRP] 2.2.9, 3.2.1). One source serves storage objects, clients and
/// tasks, so that no value ever names two things while the server runs. Thread-safe.
class ObjectIds {
 public:
  /// `first` is the first value given out; the following ones ascend.
  explicit ObjectIds(LdmObjectId first = StartOfSession());

  LdmObjectId Next();

  /// A start value above 32 bits that differs from one start of the server to the next, so that a client
  /// that keeps identifiers over a restart is refused instead of reaching another object.
  static LdmObjectId StartOfSession();

 private:
  std::atomic<LdmObjectId> next_;
};

}  // namespace dmrp::server
