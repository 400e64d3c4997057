#include "reference_server/objects/task_list.hpp"

namespace dmrp::server {

void TaskList::Add(const TASK_INFO& task) {
  const std::scoped_lock lock(mutex_);
  tasks_.insert_or_assign(task.id, task);
}

bool TaskList::Update(const TASK_INFO& task) {
  const std::scoped_lock lock(mutex_);
  const auto found = tasks_.find(task.id);
  if (found == tasks_.end()) {
    return false;
  }
  found->second = task;
  return true;
}

void TaskList::Remove(LdmObjectId id) {
  const std::scoped_lock lock(mutex_);
  tasks_.erase(id);
}

std::optional<TASK_INFO> TaskList::Find(LdmObjectId id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = tasks_.find(id);
  return found == tasks_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<TASK_INFO> TaskList::All() const {
  const std::scoped_lock lock(mutex_);
  std::vector<TASK_INFO> tasks;
  for (const auto& [id, task] : tasks_) {
    tasks.push_back(task);
  }
  return tasks;
}

}  // namespace dmrp::server
