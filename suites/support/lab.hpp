// A running target with clients at it: what a test works with.
#pragma once

#include "harness/client/findings.hpp"
#include "harness/client/rule_monitor.hpp"
#include "harness/client/session.hpp"
#include "harness/target/test_bed.hpp"
#include "suites/support/run.hpp"

#include <any>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::suites {

/// How a lab's target is started, besides its disks.
struct LabOptions {
  bool system_disk = false;  ///< needed for Restart
  std::vector<std::string> server_arguments{};
};

using harness::BedDisk;
using harness::BedDiskRequest;
using harness::ClientHost;
using harness::Outcome;
using harness::ReceivedObject;
using harness::RestartKind;
using harness::Session;
using harness::SessionOptions;
using harness::StorageView;

class Lab {
 public:
  /// Starts the target with these disks and finds them in its enumeration.
  static Result<std::shared_ptr<Lab>> Start(Run& run, std::vector<BedDiskRequest> disks,
                                            LabOptions options = {});
  ~Lab();

  [[nodiscard]] harness::TestBed& bed() { return *bed_; }
  [[nodiscard]] harness::RuleMonitor& monitor() { return *monitor_; }
  [[nodiscard]] const std::shared_ptr<harness::RuleMonitor>& monitor_pointer() const { return monitor_; }
  [[nodiscard]] harness::Findings& findings() { return *findings_; }

  /// The administrator's machine.
  Result<std::shared_ptr<ClientHost>> Host();
  /// Another machine, with an account and protection of its own.
  Result<std::shared_ptr<ClientHost>> NewHost(const harness::Account& account,
                                              rpc::AuthLevel level = rpc::AuthLevel::kPrivacy);
  /// The administrator's session of that revision, initialized; opened at first use.
  Result<Session*> SessionOf(Revision revision);
  /// One more session of the administrator.
  Result<Session*> Open(SessionOptions options);

  /// The server's id of the bed's disk of that number.
  [[nodiscard]] LdmObjectId DiskId(std::size_t index) const { return disk_ids_.at(index); }
  /// Looks for a disk attached later; kTimeout when the server does not show it.
  Result<LdmObjectId> Identify(const BedDisk& disk);
  /// The server's id of the system disk.
  [[nodiscard]] LdmObjectId SystemDiskId() const { return system_disk_id_; }
  /// Starts the target's machine anew: all sessions are forgotten, its disks are found again.
  Result<void> Restart(RestartKind kind);
  /// Forgets sessions and hosts, as after a restart of the server.
  void ForgetClients();
  Result<void> FindDisks();

  /// Keeps what a failed test leaves: images/TEST/ID.raw and captures/TEST.pcap in the run's folder, the
  /// capture complete once the lab has ended. Targets that have neither keep nothing.
  void KeepEvidence(const std::string& test);

  /// Copies of the disks as the last observation found them, for labs that are shared between tests.
  std::map<std::string, std::shared_ptr<class ImageCopy>> last_images;
  /// What ConformanceTest::Once keeps here, and the test that did it.
  std::any once;
  std::string once_by;

 private:
  explicit Lab(Run& run) : run_(run) {}

  Run& run_;
  std::filesystem::path capture_;  ///< empty: none is made
  std::filesystem::path keep_capture_as_;
  std::unique_ptr<harness::TestBed> bed_;
  std::shared_ptr<harness::Findings> findings_;
  std::shared_ptr<harness::RuleMonitor> monitor_;
  std::shared_ptr<ClientHost> host_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::map<Revision, Session*> by_revision_;
  std::vector<LdmObjectId> disk_ids_;
  LdmObjectId system_disk_id_ = 0;
};

}  // namespace dmrp::suites
