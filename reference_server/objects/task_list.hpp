#pragma once

#include "dmrp/interfaces/types.hpp"

#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace dmrp::server {

/// The tasks being executed ([MS-DMRP] 3.2.1.3). Only asynchronous tasks enter it (3.2.4.3). Thread-safe.
class TaskList {
 public:
  void Add(const TASK_INFO& task);
  /// Replaces the details of a listed task; false when it is not listed.
  bool Update(const TASK_INFO& task);
  void Remove(LdmObjectId id);

  [[nodiscard]] std::optional<TASK_INFO> Find(LdmObjectId id) const;
  [[nodiscard]] std::vector<TASK_INFO> All() const;

 private:
  mutable std::mutex mutex_;
  std::map<LdmObjectId, TASK_INFO> tasks_;
};

}  // namespace dmrp::server
