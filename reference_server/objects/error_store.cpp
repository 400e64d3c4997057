#include "reference_server/objects/error_store.hpp"

#include <utility>

namespace dmrp::server {

void ErrorStore::Record(std::uint64_t client, std::int32_t hr, std::u16string text) {
  const std::scoped_lock lock(mutex_);
  entries_.push_back({client, hr, std::move(text)});
  while (entries_.size() > capacity_) {
    entries_.pop_front();
  }
}

std::vector<std::u16string> ErrorStore::Take(const Filter& filter) {
  const std::scoped_lock lock(mutex_);
  std::vector<std::u16string> texts;
  std::deque<Entry> rest;
  for (Entry& entry : entries_) {
    const bool wanted = entry.hr == filter.hr && (filter.every_client || entry.client == filter.client);
    if (wanted) {
      texts.push_back(entry.text);
    }
    if (!wanted || filter.keep) {
      rest.push_back(std::move(entry));
    }
  }
  entries_ = std::move(rest);
  return texts;
}

}  // namespace dmrp::server
