#pragma once

#include "reference_server/objects/object_state.hpp"

#include <vector>

namespace dmrp::server {

struct ObjectChange {
  LDMACTION action = LDMACTION_UNKNOWN;  ///< LDMACTION_CREATED, LDMACTION_MODIFIED or LDMACTION_DELETED
  StorageObject object;                  ///< the value after the change; for a deletion the last value
};

/// What one operation did to the storage objects: what a method or a local event returns and
/// StorageModel::Commit applies. Its order is the order of the notification frames. Identifiers of created
/// objects are provisional and negative until the commit; other objects of the same set may refer to them.
class ChangeSet {
 public:
  /// A provisional identifier for an object to be created by this set.
  [[nodiscard]] LdmObjectId NewId() { return next_provisional_--; }

  void Create(StorageObject object) { changes_.push_back({LDMACTION_CREATED, std::move(object)}); }
  void Modify(StorageObject object) { changes_.push_back({LDMACTION_MODIFIED, std::move(object)}); }
  void Delete(StorageObject object) { changes_.push_back({LDMACTION_DELETED, std::move(object)}); }

  /// Lists the object as modified although none of its members changed, where the text demands a modification
  /// in any case. Nothing happens when the set already has a change of this object or the object is unknown.
  void Touch(const ObjectState& state, LdmObjectId id);

  [[nodiscard]] const std::vector<ObjectChange>& changes() const { return changes_; }
  [[nodiscard]] bool empty() const { return changes_.empty(); }

 private:
  std::vector<ObjectChange> changes_;
  LdmObjectId next_provisional_ = -1;
};

}  // namespace dmrp::server
