// What tests of Initialize and Uninitialize share: clients of their own, and changes that others make.
#pragma once

#include "suites/support/conformance_test.hpp"

#include <string>
#include <utility>

namespace dmrp::suites {

/// One MBR disk, and clients that come and go.
class ClientTest : public RevisionTest {
 protected:
  void SetUp() override { Start({kMbr512}); }
  [[nodiscard]] bool third() const { return GetParam() == Revision::kIVolumeClient3; }
  Session& Client(std::string name, bool initialize = true) {
    return Open({.revision = GetParam(),
                 .initialize = initialize,
                 .name = std::move(name),
                 .account = {},
                 .auth_level = {}});
  }
  /// Makes a partition of 4 MiB through another client: its id.
  LdmObjectId Change(std::int64_t offset = 0) {
    Session& other = SessionOf(Revision::kIVolumeClient3);
    const REGION_INFO_EX free = FreeRegion(other);
    const auto made = other.CreatePartition(Spec(free, REGION_PRIMARY, free.start + offset, MiB(4)));
    EXPECT_THAT(made, Succeeds());
    return made->tinfo.storageId;
  }
};

}  // namespace dmrp::suites
