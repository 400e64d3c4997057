// What is under test: how to reach it, who may log on, what it can do, and what is already known to fail.
//
//   auto target = LoadTarget("targets/mine.toml");
//   if (!target) { std::cerr << target.error().ToString(); return 254; }
//
// docs/target-files.md describes every key with an example.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

/// How the target comes to life.
enum class TargetKind {
  kBundled,  ///< the reference server in a QEMU guest of its own, a pristine clone for each test
  kProcess,  ///< a server program of this machine that serves image files, started for each test
  kAddress,  ///< a server that runs already, at an address
};

std::string_view ToString(TargetKind kind);

/// One account of the target. UTF-8.
struct Account {
  std::string user;
  std::string password;
  std::string domain;
};

/// The privileges that tests ask for.
enum class Role {
  kAdministrator,   ///< manages disks
  kBackupOperator,  ///< manages disks
  kUser,            ///< is authenticated and may not manage disks
};

std::string_view ToString(Role role);

/// A failure that its owner knows and has accepted until a day.
struct KnownFailure {
  std::string requirement;              ///< "DMRP-0532", or empty
  std::string test;                     ///< "CreatePartition.RefusesX/*" (GoogleTest pattern), or empty
  std::string reason;                   ///< never empty
  std::chrono::year_month_day expires;  ///< the last day on which it is waived
};

/// A disk that is attached to an address target before the run, free to be overwritten.
struct ScratchDisk {
  std::string serial;           ///< as the target's administrator names it; only for messages
  std::string name;             ///< DISK_INFO.name by which the server shows it, e.g. "\device\Harddisk1"
  std::filesystem::path image;  ///< where this machine can read its bytes; empty: nowhere
  std::uint64_t size = 0;       ///< octets
  std::uint32_t sector = 512;   ///< octets
  std::string bus = "scsi";     ///< as in DiskRequest
};

/// How an address target gets and loses disks.
struct DiskCommands {
  /// Program and arguments; {size}, {sector}, {bus}, {label}, {serial}, {read_only} and {image} are replaced.
  /// It prints one JSON object: {"serial": "...", "image": "/path", "name": "\\device\\Harddisk1"}; name is
  /// optional.
  std::vector<std::string> attach;
  /// Program and arguments; {serial} and {image} are replaced.
  std::vector<std::string> detach;
};

/// A target file's contents, checked.
struct Target {
  std::filesystem::path file;  ///< where it came from; empty for the built-in default
  std::string name;
  TargetKind kind = TargetKind::kBundled;
  std::string host;
  std::uint16_t port = 135;
  Guid class_id;         ///< class of the object that serves IVolumeClient*
  Guid remote_class_id;  ///< class of the object that serves IDMRemoteServer
  std::string
      callback_address;  ///< address of this machine that the target calls back; empty: the system's choice
  std::string profile = "strict";
  std::map<Role, Account> accounts;
  std::vector<Account>
      callback_accounts;  ///< who the server may be when it calls back; nobody else is let in
  std::set<std::string, std::less<>> capabilities;  ///< see kCapabilities
  std::vector<KnownFailure> known_failures;
  DiskCommands disk_commands;
  std::vector<ScratchDisk> scratch_disks;
  std::vector<std::string>
      server;  ///< kProcess: program and arguments; {port}, {images}, {accounts} are replaced
  std::chrono::milliseconds call_timeout{20'000};  ///< one method call
  std::chrono::milliseconds notification_timeout{
      5'000};  ///< until an expected notification is called missing

  [[nodiscard]] bool Can(std::string_view capability) const { return capabilities.contains(capability); }
  [[nodiscard]] const Account* Find(Role role) const;
};

/// Names allowed in `capabilities`, each with what a test may expect of a target that has it.
struct Capability {
  std::string_view name;
  std::string_view meaning;
};
std::span<const Capability> KnownCapabilities();

/// The bundled server with the default accounts.
Target DefaultTarget();

/// Reads a target file. Errors are kMalformed or kLimit and name the file, the line and the key.
Result<Target> LoadTarget(const std::filesystem::path& file);
/// The same from text; `file` is used in messages and to resolve relative paths.
Result<Target> ParseTarget(std::string_view text, const std::filesystem::path& file);

/// The target that the environment variable DMRP_TARGET names, or the default.
Result<Target> TargetFromEnvironment();

}  // namespace dmrp::harness
