#include "reference_server/objects/object_ids.hpp"

#include <chrono>
#include <cstdint>

namespace dmrp::server {

ObjectIds::ObjectIds(LdmObjectId first) : next_(first) {}

LdmObjectId ObjectIds::Next() { return next_.fetch_add(1, std::memory_order_relaxed); }

LdmObjectId ObjectIds::StartOfSession() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  return ((static_cast<LdmObjectId>(milliseconds) & 0x3fffffff) << 32) | 1;
}

}  // namespace dmrp::server
