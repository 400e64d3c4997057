#pragma once

#include "dmrp/interfaces/types.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace dmrp::server {

/// The messages that failed requests left for HrGetErrorData ([MS-DMRP] 3.2.4.4.1.53). Bounded: beyond
/// `capacity` messages the oldest goes. Thread-safe.
class ErrorStore {
 public:
  explicit ErrorStore(std::size_t capacity = 1024) : capacity_(capacity) {}

  struct Filter {
    std::int32_t hr = 0;
    std::uint64_t client = 0;   ///< whose messages; see every_client
    bool every_client = false;  ///< ERRFLAG_IGNORETAG: also messages of other clients' requests
    bool keep = false;          ///< ERRFLAG_NOREMOVE: leave the messages in the store
  };

  void Record(std::uint64_t client, std::int32_t hr, std::u16string text);
  /// The messages for `filter.hr`, oldest first. Unless kept, every message returned is deleted.
  std::vector<std::u16string> Take(const Filter& filter);

 private:
  struct Entry {
    std::uint64_t client = 0;
    std::int32_t hr = 0;
    std::u16string text;
  };

  const std::size_t capacity_;
  std::mutex mutex_;
  std::deque<Entry> entries_;
};

}  // namespace dmrp::server
