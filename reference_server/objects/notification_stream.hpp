#pragma once

#include "protocol/base/text.hpp"
#include "protocol/dmrp/notification.hpp"
#include "reference_server/objects/change_set.hpp"

#include <vector>

namespace dmrp::server {

/// The ByteStream of one ObjectsChanged call that reports `changes`, in their order, to a client of
/// `revision`
/// ([MS-DMRP] 3.1.4.4.1.1), in the structure layout of a machine with such pointers. kUsage for a change that
/// cannot be laid out.
[[nodiscard]] Result<Bytes> MakeNotificationStream(Revision revision, Pointers pointers,
                                                   const std::vector<ObjectChange>& changes);

/// The ByteStream that reports the state of a task (3.2.4.3); the same for both revisions.
[[nodiscard]] Result<Bytes> MakeTaskStream(Pointers pointers, const TASK_INFO& task);

}  // namespace dmrp::server
