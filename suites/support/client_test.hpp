// What tests of Initialize and Uninitialize share: clients of their own, and changes that others make.
#pragma once

#include "suites/support/conformance_test.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace dmrp::suites {

/// One MBR disk, and clients that come and go. At a test's end its clients leave and what Change made is
/// deleted, so that one lab serves many.
class ClientTest : public RevisionTest {
 protected:
  void SetUp() override { StartShared("clients", {kMbr512}); }
  void TearDown() override {
    if (!HasFailure()) {
      for (Session* client : clients_) Dismiss(*client);
      for (const LdmObjectId made : made_) Delete(made);
      // What other tests read of the disk before is out of date.
      if (!made_.empty()) lab().last_images.clear();
    }
    RevisionTest::TearDown();
  }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  Session& Client(std::string name, bool initialize = true) {
    return *clients_.emplace_back(&Open({.revision = GetParam(),
                                         .initialize = initialize,
                                         .name = std::move(name),
                                         .account = {},
                                         .auth_level = {}}));
  }
  /// Makes a partition of 4 MiB through another client: its id.
  LdmObjectId Change(std::int64_t offset = 0) {
    Session& other = SessionOf(Revision::kIVolumeClient3);
    const REGION_INFO_EX free = FreeRegion(other);
    const auto made = other.CreatePartition(Spec(free, REGION_PRIMARY, free.start + offset, MiB(4)));
    EXPECT_THAT(made, Succeeds());
    return made_.emplace_back(made->tinfo.storageId);
  }

 private:
  // Whether the client is in the list or not: the answer is nobody's concern.
  void Dismiss(Session& client) {
    lab().monitor().Unwatch(client.sink());
    client.Call<UninitializeReply>(client.interface(), "Uninitialize", UninitializeRequest{});
  }
  void Delete(LdmObjectId partition) {
    Session& other = SessionOf(Revision::kIVolumeClient3);
    const auto regions = RegionsNow(other);
    const auto found = std::ranges::find(regions, partition, &REGION_INFO_EX::id);
    ASSERT_NE(found, regions.end());
    ASSERT_THAT(other.DeletePartition(SpecOf(*found)), Succeeds());
  }

  std::vector<Session*> clients_;
  std::vector<LdmObjectId> made_;
};

}  // namespace dmrp::suites
