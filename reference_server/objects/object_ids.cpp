#include "reference_server/objects/object_ids.hpp"

#include <chrono>
#include <cstdint>

namespace dmrp::server {

ObjectIds::ObjectIds(LdmObjectId first) : next_(first) {}

LdmObjectId ObjectIds::Next() { return next_.fetch_add(1, std::memory_order_relaxed); }

LdmObjectId ObjectIds::StartOfSession() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  return ((static_cast<LdmObjectId>(seconds) & 0x3fffffff) << 32) | 1;
}

}  // namespace dmrp::server
