// One run of the conformance suites: the target, the record, and what the tests share.
#pragma once

#include "harness/client/history.hpp"
#include "harness/target/target.hpp"
#include "harness/target/test_bed.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
#include <list>
#include <memory>
#include <string>

namespace dmrp::suites {

class Lab;

/// Everything that lives as long as the test program.
class Run {
 public:
  /// Target from $DMRP_TARGET, folder of the run from $DMRP_RUN_DIR (default out/local).
  static Result<std::unique_ptr<Run>> Start();
  ~Run();
  /// The run that main() made. There is one per process, since GoogleTest makes the tests by itself.
  static Run& Current();
  static void SetCurrent(Run* run);

  [[nodiscard]] const harness::Target& target() const { return target_; }
  [[nodiscard]] const std::shared_ptr<harness::History>& history() const { return history_; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  /// Makes test beds; started at first use, since that may take seconds.
  Result<harness::TestBedFactory*> Beds();

  /// The lab that earlier tests kept under this key; null when there is none.
  std::shared_ptr<Lab> Reuse(const std::string& key);
  /// Keeps a lab for the tests to come. Of many, those that were used last are kept.
  void Keep(std::string key, std::shared_ptr<Lab> lab);
  void DropShared() { shared_.clear(); }

 private:
  Run() = default;
  harness::Target target_;
  std::shared_ptr<harness::History> history_;
  std::filesystem::path directory_;
  std::unique_ptr<harness::TestBedFactory> beds_;
  struct SharedLab {
    std::string key;
    std::shared_ptr<Lab> lab;
  };
  std::list<SharedLab> shared_;  ///< the one used last comes first
};

}  // namespace dmrp::suites
