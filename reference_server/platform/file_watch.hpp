#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/platform/file_descriptor.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace dmrp::server {

/// Watches one file by name, whether it exists or not: reports that it was written and closed, replaced,
/// made or removed, by whatever program (ourselves too). Events that come in one burst are reported once.
class FileWatch {
 public:
  /// The folder of `path` must exist. `changed` and `log` are called from the watch's thread; `changed` never
  /// after the destructor returned. kSystem when the folder cannot be watched.
  static Result<std::unique_ptr<FileWatch>> Start(const std::filesystem::path& path,
                                                  std::function<void()> changed,
                                                  std::function<void(const std::string&)> log);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  FileWatch(FileDescriptor notifier, FileDescriptor stop, std::string name, std::function<void()> changed,
            std::function<void(const std::string&)> log);
  void Run();
  Result<bool> Take();

  FileDescriptor notifier_;  // inotify
  FileDescriptor stop_;      // an eventfd
  std::string name_;
  std::function<void()> changed_;
  std::function<void(const std::string&)> log_;
  std::thread thread_;
};

}  // namespace dmrp::server
