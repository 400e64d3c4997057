// Looks at the disks and describes them in the terms of the protocol.
#pragma once

#include "reference_server/methods/disk_source.hpp"
#include "reference_server/objects/reconcile.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace dmrp::server {

/// The disks as the object list should show them. Remembers the number of each disk ("\device\HarddiskN"),
/// which stays while the disk is attached. Used under StorageModel's operation lock only.
class DiskInventory {
 public:
  /// `log` is told about disks that cannot be read; null for silence.
  explicit DiskInventory(DiskSource& source, std::function<void(const std::string&)> log = {});

  /// Enumerates all disks, their tables and file systems afresh.
  std::vector<ObservedDisk> ObserveAll();

  /// One disk by its DiskObject::key. kUnavailable when it is not attached any more.
  Result<ObservedDisk> Observe(const std::string& key);

  /// The device behind a key, as the last observation saw it; null when it was not there.
  [[nodiscard]] const DeviceInfo* Device(const std::string& key) const;
  [[nodiscard]] DiskSource& source() { return source_; }

 private:
  struct Known {
    DeviceInfo device;
    std::uint32_t number = 0;
  };

  void Rescan();
  ObservedDisk Describe(const std::string& key, const Known& known);
  void Log(const std::string& text) const;

  DiskSource& source_;
  std::function<void(const std::string&)> log_;
  std::vector<std::string> order_;  // keys, in the order of the last scan
  std::map<std::string, Known> known_;
};

}  // namespace dmrp::server
