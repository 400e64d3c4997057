// The target as one test has it: running, with disks of the test's choice, reachable.
//
//   auto factory = TestBedFactory::Create(target, run_directory);
//   auto bed = (*factory)->Start({.disks = {{*ParseDiskSpec("size=64M,label=mbr")}}});
//   Connect((*bed)->server());
//   auto image = (*bed)->Snapshot((*bed)->disks()[0].id);
#pragma once

#include "harness/disks/disk_image.hpp"
#include "harness/guest/restart_kind.hpp"
#include "harness/target/target.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"
#include "protocol/rpc/types.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

class Guest;

/// Works on an image file before the target sees it.
using PrepareImage = std::function<Result<void>(const std::filesystem::path& image)>;

struct BedDiskRequest {
  DiskSpec spec;
  PrepareImage prepare;  ///< empty: the image is as `spec` says
};

/// Where a SCSI device is, as DISK_INFO tells it.
struct BedDiskAddress {
  std::int32_t port = 0;
  std::int32_t target = 0;
  std::int32_t lun = 0;
};

struct BedDisk {
  std::string id;  ///< names the disk in this interface
  DiskSpec spec;
  std::string name;  ///< DISK_INFO.name where it is known beforehand; else empty
  std::optional<BedDiskAddress> address = std::nullopt;  ///< where it is known
};

struct BedRequest {
  std::vector<BedDiskRequest> disks;
  /// A system disk for the target's machine: an active NTFS partition with the server's registry, which
  /// outlives Reboot. It is no one of disks().
  bool system_disk = false;
  std::vector<std::string> server_arguments;     ///< besides what the target's file says
  std::optional<std::filesystem::path> capture;  ///< where to write a packet capture, if the target can
};

/// Where a client has to listen to be called back.
struct ClientAddress {
  std::string listen = "127.0.0.1";
  std::string advertise;  ///< what the server must dial, where it differs; else empty
};

/// One running target. Operations that it cannot do answer kUnsupported.
class TestBed {
 public:
  virtual ~TestBed() = default;

  [[nodiscard]] virtual rpc::Endpoint server() const = 0;
  [[nodiscard]] virtual ClientAddress client_address() const = 0;
  [[nodiscard]] const std::vector<BedDisk>& disks() const { return disks_; }
  [[nodiscard]] const BedDisk* Find(std::string_view id) const;
  /// Nothing unless the request asked for one. Snapshot takes its id; SnapshotAll leaves it out.
  [[nodiscard]] const std::optional<BedDisk>& system_disk() const { return system_disk_; }

  virtual Result<BedDisk> Attach(const BedDiskRequest& request);
  virtual Result<void> Detach(std::string_view id);
  /// A sparse raw copy of what the disk holds now; the file is the caller's.
  virtual Result<std::filesystem::path> Snapshot(std::string_view id);
  /// Snapshots of all disks at one moment, by id. Disks whose octets cannot be shown are left out.
  virtual Result<std::map<std::string, std::filesystem::path>> SnapshotAll();
  /// Changes octets of a disk behind the server's back. `announce`: the system is told of it, as a
  /// partitioning tool does.
  virtual Result<void> Overwrite(std::string_view id, std::uint64_t offset, const Bytes& octets,
                                 bool announce);
  virtual Result<void> Resize(std::string_view id, std::uint64_t size);
  /// Ends the server and starts it anew.
  virtual Result<void> Restart();
  /// Puts a medium made as requested into an empty drive.
  virtual Result<void> InsertMedium(std::string_view id, const BedDiskRequest& request);
  /// Takes the medium out; kFault when the drive is locked, unless `force`.
  virtual Result<void> RemoveMedium(std::string_view id, bool force = false);
  /// Whether the drive's tray is open.
  virtual Result<bool> TrayOpen(std::string_view id);
  /// Starts the machine anew with the same disks; only with a system disk.
  virtual Result<void> Reboot(RestartKind kind);
  /// The files of the capture that the request asked for.
  [[nodiscard]] virtual std::vector<std::filesystem::path> captures() const { return {}; }
  /// Whatever the server wrote to its log.
  virtual std::string ServerLog() { return {}; }
  /// Whether the server process still runs, as far as this side can tell.
  virtual bool server_running() { return true; }
  /// The bundled target's machine; null for others.
  virtual Guest* guest() { return nullptr; }

 protected:
  std::vector<BedDisk> disks_;
  std::optional<BedDisk> system_disk_;
};

/// Makes test beds of one target.
class TestBedFactory {
 public:
  /// `directory` takes images and logs.
  static Result<std::unique_ptr<TestBedFactory>> Create(const Target& target,
                                                        const std::filesystem::path& directory);
  virtual ~TestBedFactory() = default;
  virtual Result<std::unique_ptr<TestBed>> Start(const BedRequest& request) = 0;
};

// The three kinds, each in a file of its own.
Result<std::unique_ptr<TestBedFactory>> MakeBundledFactory(const Target& target,
                                                           const std::filesystem::path& directory);
Result<std::unique_ptr<TestBedFactory>> MakeProcessFactory(const Target& target,
                                                           const std::filesystem::path& directory);
Result<std::unique_ptr<TestBedFactory>> MakeAddressFactory(const Target& target,
                                                           const std::filesystem::path& directory);

}  // namespace dmrp::harness
