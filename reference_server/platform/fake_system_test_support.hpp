#pragma once

#include "reference_server/platform/device_scanner.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace dmrp::server {

/// A directory that stands for /sys, /dev and /proc in a test, and goes with the object.
class FakeSystem {
 public:
  FakeSystem() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fake_system.XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    for (const char* part : {"sys/block", "sys/class/block", "sys/class/scsi_host", "dev", "proc/self"}) {
      std::filesystem::create_directories(root_ / part);
    }
  }
  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;
  ~FakeSystem() { std::filesystem::remove_all(root_); }

  [[nodiscard]] SystemRoots Roots() const { return {root_ / "sys", root_ / "dev", root_ / "proc"}; }
  [[nodiscard]] std::filesystem::path Path(std::string_view path) const { return root_ / path; }

  void File(std::string_view path, std::string_view text) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  /// A symbolic link at `path` to `target`, both below the root.
  void Link(std::string_view path, std::string_view target) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::filesystem::create_directories(root_ / target);
    std::filesystem::create_symlink(root_ / target, root_ / path);
  }

 private:
  std::filesystem::path root_;
};

}  // namespace dmrp::server
