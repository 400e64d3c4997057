// Whether KVM can be used. That /dev/kvm exists says little: on some hosts it runs a real kernel a hundred
// times slower than emulation, or not at all. So a small 64-bit program is run under it, within a second.
#pragma once

#include "protocol/base/error.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::harness {

struct Acceleration {
  std::string accelerator;              ///< "kvm" or "tcg"
  std::string cpu;                      ///< QEMU's -cpu: "host" or "max"
  std::string reason;                   ///< why, in one sentence
  std::chrono::microseconds probing{};  ///< what the probe took
};

/// Runs the probe's 64 KiB ROM with the given -accel and -cpu. It enters long mode, runs in ring 0, takes
/// page faults, runs in ring 3 and makes system calls. Success: it did all that within the limit.
Result<void> RunAccelerationProbe(const std::string& emulator, const std::string& accelerator,
                                  const std::string& cpu, const std::filesystem::path& directory,
                                  std::chrono::milliseconds limit = std::chrono::milliseconds(1000));

/// KVM where /dev/kvm is accessible and the probe succeeds, else TCG. Never fails, never takes longer than
/// the probe's limit. DMRP_ACCELERATION=tcg or kvm overrides. The answer is kept in `cache` until the next
/// reboot.
Acceleration ChooseAcceleration(const std::string& emulator, const std::filesystem::path& directory,
                                const std::filesystem::path& cache);

}  // namespace dmrp::harness
