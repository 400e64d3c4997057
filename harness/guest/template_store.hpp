// Booted machines at rest: memory and device state, saved once and cloned per guest.
#pragma once

#include "harness/guest/process.hpp"
#include "harness/guest/virtual_machine.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <chrono>
#include <filesystem>
#include <string>

namespace dmrp::harness {

/// A saved template. It is not removed while this value lives.
struct MachineTemplate {
  std::filesystem::path memory;  ///< mapped privately by clones, never written
  std::filesystem::path state;
  bool fresh = false;  ///< this call booted and saved it
  FileDescriptor lock;
};

/// Templates in a directory, each under a hash of what it was made from: emulator, kernel, image, arguments.
/// Several processes may share the directory: the first to come boots, the others wait for it.
class TemplateStore {
 public:
  TemplateStore(std::filesystem::path directory, std::string image_identity)
      : directory_(std::move(directory)), image_identity_(std::move(image_identity)) {}

  /// The template of this configuration, booted first where it is missing. `scratch` receives the boot's
  /// logs.
  Result<MachineTemplate> Get(Launcher& launcher, const MachineConfiguration& configuration,
                              const std::filesystem::path& scratch, std::chrono::milliseconds deadline);

 private:
  Result<void> Make(Launcher& launcher, const MachineConfiguration& configuration,
                    const std::filesystem::path& target, const std::filesystem::path& scratch,
                    std::chrono::milliseconds deadline);
  void Prune() const;
  [[nodiscard]] std::string Key(const MachineConfiguration& configuration) const;

  std::filesystem::path directory_;
  std::string image_identity_;
};

}  // namespace dmrp::harness
