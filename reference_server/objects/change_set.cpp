#include "reference_server/objects/change_set.hpp"

#include <algorithm>

namespace dmrp::server {

void ChangeSet::Touch(const ObjectState& state, LdmObjectId id) {
  const StorageObject* object = state.Find(id);
  const bool listed =
      std::ranges::any_of(changes_, [id](const ObjectChange& change) { return IdOf(change.object) == id; });
  if (object != nullptr && !listed) {
    Modify(*object);
  }
}

}  // namespace dmrp::server
