#pragma once

#include "reference_server/methods/software_volume.hpp"
#include "reference_server/methods/volume_host.hpp"

#include <map>

namespace dmrp::server {

/// Volumes on image files. Nobody but this process uses them; what has to be synchronised is, before Activate
/// or Resynchronise returns.
class ImageVolumeHost final : public VolumeHost {
 public:
  explicit ImageVolumeHost(OpenPart open) : open_(std::move(open)) {}

  Result<void> Activate(const VolumeMap& map) override;
  Result<void> Deactivate(const std::string& name, bool force) override;
  std::vector<std::string> Active() override;
  Result<VolumeStatus> Status(const std::string& name) override;
  Result<void> Resynchronise(const std::string& name) override;
  Opener OpenerOf(const std::string& name, const DiskGeometry& geometry) override;
  PartitionUse Mounts(const std::string& /*name*/) override { return {}; }
  Result<PartitionUse> Use(const std::string& /*name*/) override { return PartitionUse{}; }
  Result<PartitionUse> ReleaseByForce(const std::string& /*name*/) override { return PartitionUse{}; }
  std::filesystem::path Node(const std::string& /*name*/) override { return {}; }
  void OnChange(std::function<void()> /*changed*/) override {}

 private:
  OpenPart open_;
  std::map<std::string, VolumeMap> online_;
  std::map<std::string, std::uint32_t> events_;  ///< ends of synchronisations, by name
};

}  // namespace dmrp::server
