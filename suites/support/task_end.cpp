#include "suites/support/task_end.hpp"

#include <chrono>

namespace dmrp::suites {

TASK_INFO AwaitTask(Session& session, const TASK_INFO& started, std::uint64_t mark) {
  if (started.status != REQ_STARTED && started.status != REQ_IN_PROGRESS) return started;
  const auto told = session.sink().WaitFor(
      [&](const ReceivedObject& object) {
        return object.type == DMNOTIFY_TASK_INFO && object.id == started.id && object.task &&
               object.task->status != REQ_STARTED && object.task->status != REQ_IN_PROGRESS;
      },
      std::chrono::seconds(120), mark);
  [&] { ASSERT_TRUE(told) << "task " << started.id << " does not end"; }();
  return *told->task;
}

}  // namespace dmrp::suites
