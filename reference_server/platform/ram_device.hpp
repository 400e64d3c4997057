// Small block devices whose contents live in memory.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <cstdint>
#include <filesystem>

namespace dmrp::server {

/// A loop device on anonymous memory, of zeros at first. It goes with the last that has it open: this value,
/// or a mapped device that stands on it, which may outlive this process.
class RamDevice {
 public:
  /// `size` in octets; memory is taken for what is written only. kSystem when the kernel gives no loop
  /// device.
  static Result<RamDevice> Make(std::uint64_t size);

  /// "/dev/loop3"
  [[nodiscard]] const std::filesystem::path& Node() const { return node_; }

 private:
  RamDevice(FileDescriptor device, std::filesystem::path node)
      : device_(std::move(device)), node_(std::move(node)) {}
  FileDescriptor device_;
  std::filesystem::path node_;
};

}  // namespace dmrp::server
