#pragma once

#include "protocol/base/error.hpp"

#include <filesystem>

namespace dmrp::harness {

/// A disk image as a plain file of the disk's octets, which is all that the readers of this folder
/// understand.
class RawImage {
 public:
  /// Uses a raw file as it is and converts any other format that qemu-img knows (a qcow2 overlay, a VHD),
  /// together with its backing files, to a sparse file in `scratch`, which goes away with this object. The
  /// image may be in use by a running QEMU: nothing is locked, so freeze it first.
  static Result<RawImage> Open(const std::filesystem::path& image, const std::filesystem::path& scratch);

  RawImage(RawImage&& other) noexcept;
  RawImage& operator=(RawImage&& other) noexcept;
  ~RawImage();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  RawImage(std::filesystem::path path, bool owned) : path_(std::move(path)), owned_(owned) {}
  std::filesystem::path path_;
  bool owned_ = false;
};

}  // namespace dmrp::harness
