// The target as one test has it: running, with disks of the test's choice, reachable.
//
//   auto factory = TestBedFactory::Create(target, run_directory);
//   auto bed = (*factory)->Start({.disks = {{*ParseDiskSpec("size=64M,label=mbr")}}});
//   Connect((*bed)->server());
//   auto image = (*bed)->Snapshot((*bed)->disks()[0].id);
#pragma once

#include "harness/disks/disk_image.hpp"
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

struct BedDisk {
  std::string id;  ///< names the disk in this interface
  DiskSpec spec;
  std::string name;  ///< DISK_INFO.name where it is known beforehand; else empty
};

struct BedRequest {
  std::vector<BedDiskRequest> disks;
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
  /// Whatever the server wrote to its log.
  virtual std::string ServerLog() { return {}; }
  /// Whether the server process still runs, as far as this side can tell.
  virtual bool server_running() { return true; }
  /// The bundled target's machine; null for others.
  virtual Guest* guest() { return nullptr; }

 protected:
  std::vector<BedDisk> disks_;
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
