// One run of the conformance suites: the target, the record, and what the tests share.
#pragma once

#include "harness/client/history.hpp"
#include "harness/target/target.hpp"
#include "harness/target/test_bed.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
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

  /// A lab that earlier tests left as they found it, if its key is this one. Any other one is ended.
  std::shared_ptr<Lab> Reuse(const std::string& key);
  /// Keeps a lab for the tests to come.
  void Keep(std::string key, std::shared_ptr<Lab> lab);
  void DropShared() { shared_.reset(); }

 private:
  Run() = default;
  harness::Target target_;
  std::shared_ptr<harness::History> history_;
  std::filesystem::path directory_;
  std::unique_ptr<harness::TestBedFactory> beds_;
  std::string shared_key_;
  std::shared_ptr<Lab> shared_;
};

}  // namespace dmrp::suites
