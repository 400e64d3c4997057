// What the suites of FTReplaceMirrorPartition and FTReplaceParityStripePartition, which differ in the type of
// set alone, have in common: what their tests do and look at.
#pragma once

#include "suites/support/ft_sets.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace dmrp::suites {

class FtReplacementTest : public FtRevisionTest {
 protected:
  /// The type of set that the suite's method is for.
  explicit FtReplacementTest(std::string_view type) : mirror_(type == "mirror") {}

  /// Partition of the disk "spare" that can replace a member, one for each test that does; all are behind a
  /// member of a set.
  REGION_INFO_EX Spare(std::size_t number) { return PartitionsNow(session(), "spare").at(number + 1); }
  /// Partition of the disk "other": the first one can replace a member, the second one's type is that of
  /// another system, the third one is too small.
  REGION_INFO_EX Other(std::size_t number) { return PartitionsNow(session(), "other").at(number + 1); }
  /// The method's call; the replies of both methods have the same members.
  Outcome<FTReplaceMirrorPartitionReply> Replace(const FtReplacementRequest& request);

  /// The failed member goes with its partition, the new one is in its place and gets the data.
  void ExpectReplaced();
  /// A partition that changed since is taken only with FTREPLACE_FORCE.
  void ExpectForceNeeded();
  /// A healthy set has nothing to replace: the partition stays, or goes if that is asked for.
  void ExpectDeletedOnlyOnRequest();

  /// Starts the machine for a test of a refusal, with the broken set of the suite's type, or of the other
  /// one.
  void StartForRefusal(bool other_type = false);
  void ExpectOtherRefused(std::size_t number);
  void ExpectGptPartitionRefused();
  /// Ids that are no set's and no partition's, and a state of the set that it does not have.
  void ExpectWrongIdsRefused();

 private:
  /// Sets of the suite's type: E, F and H, which are without their last member, and G, which is whole; and
  /// set I of the other type, without its last member.
  [[nodiscard]] std::string Sets() const;
  /// A GPT disk with a partition, which is behind the disks of the sets.
  static std::vector<BedDiskRequest> GptDisk();
  /// Replacements that have to fail, each, and change nothing.
  void ExpectRefusedAndUnchanged(const std::vector<FtReplacementRequest>& requests);

  bool mirror_;
};

}  // namespace dmrp::suites
