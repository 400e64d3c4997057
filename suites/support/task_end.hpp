// The end of an asynchronous task.
#pragma once

#include "suites/support/conformance_test.hpp"

#include <cstdint>

namespace dmrp::suites {

/// Waits for the end of a task that was started after `mark`, and gives its last TASK_INFO; one that ended
/// already is given back. The test fails when the task does not end.
TASK_INFO AwaitTask(Session& session, const TASK_INFO& started, std::uint64_t mark);

}  // namespace dmrp::suites
