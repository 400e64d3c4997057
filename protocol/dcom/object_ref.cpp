#include "protocol/dcom/object_ref.hpp"

#include "protocol/dcom/client.hpp"

#include <utility>

namespace dmrp::dcom {
namespace {

/// The client to call through; null for an empty reference, and for one whose runtime has stopped.
std::shared_ptr<Client> OwnerOf(const std::shared_ptr<InterfaceRecord>& record) {
  return record ? record->client.lock() : nullptr;
}

tl::unexpected<Error> NoOwner(const std::shared_ptr<InterfaceRecord>& record) {
  if (!record) return Fail(ErrorKind::kUsage, "a call through an empty reference");
  return Fail(ErrorKind::kUnavailable, "the runtime of this reference has stopped");
}

}  // namespace

Guid ObjectRef::iid() const { return record_ ? record_->iid : Guid{}; }
Guid ObjectRef::ipid() const { return record_ ? record_->std.ipid : Guid{}; }
std::uint64_t ObjectRef::oid() const { return record_ ? record_->std.oid : 0; }
std::uint64_t ObjectRef::oxid() const { return record_ ? record_->std.oxid : 0; }

Result<ObjectRef> ObjectRef::QueryInterface(const Guid& iid, const CallOptions& options) const {
  const auto client = OwnerOf(record_);
  if (!client) return NoOwner(record_);
  return client->QueryInterface(record_, iid, options);
}

Result<Bytes> ObjectRef::Call(std::uint16_t opnum, Bytes stub, const CallOptions& options) const {
  const auto client = OwnerOf(record_);
  if (!client) return NoOwner(record_);
  return client->Call(record_, opnum, std::move(stub), options);
}

std::function<Result<Bytes>(std::uint16_t opnum, Bytes stub)> ObjectRef::Caller(CallOptions options) const {
  return [reference = *this, options = std::move(options)](std::uint16_t opnum, Bytes stub) {
    return reference.Call(opnum, std::move(stub), options);
  };
}

Result<Bytes> ObjectRef::CallRaw(const RawCall& call) const {
  const auto client = OwnerOf(record_);
  if (!client) return NoOwner(record_);
  return client->CallRaw(record_, call);
}

Result<void> ObjectRef::AddRef(std::uint32_t public_refs) const {
  const auto client = OwnerOf(record_);
  if (!client) return NoOwner(record_);
  return client->AddRef(record_, public_refs);
}

Result<void> ObjectRef::ReleaseRefs(std::uint32_t public_refs, std::uint32_t private_refs) const {
  const auto client = OwnerOf(record_);
  if (!client) return NoOwner(record_);
  return client->ReleaseRefs(record_, public_refs, private_refs);
}

std::uint32_t ObjectRef::PublicRefs() const {
  if (!record_) return 0;
  const std::lock_guard lock(record_->mutex);
  return record_->std.cPublicRefs;
}

Result<std::shared_ptr<rpc::ClientConnection>> ObjectRef::Connection(
    std::optional<rpc::AuthLevel> auth_level) const {
  const auto client = OwnerOf(record_);
  if (!client) return NoOwner(record_);
  return client->ConnectionOf(record_, auth_level);
}

}  // namespace dmrp::dcom
