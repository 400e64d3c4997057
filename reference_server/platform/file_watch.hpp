#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace dmrp::server {

/// Watches one file by name, whether it exists or not, or all block devices of a folder: reports that one was
/// written and closed, replaced, made or removed, by whatever program (ourselves too). Events that come in
/// one burst are reported once.
class FileWatch {
 public:
  /// The folder of `path` must exist. `changed` and `log` are called from the watch's thread; `changed` never
  /// after the destructor returned. kSystem when the folder cannot be watched.
  static Result<std::unique_ptr<FileWatch>> Start(const std::filesystem::path& path,
                                                  std::function<void()> changed,
                                                  std::function<void(const std::string&)> log);
  /// The same for all block device nodes of a folder such as /dev, and only for their being closed after
  /// writing: what a program that formats or labels a volume does last ([MS-DMRP] 3.2.6.4).
  static Result<std::unique_ptr<FileWatch>> StartOnBlockDevices(const std::filesystem::path& folder,
                                                                std::function<void()> changed,
                                                                std::function<void(const std::string&)> log);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  struct Subject {
    std::filesystem::path folder;
    std::string name;  // for people
    std::uint32_t events = 0;
    std::function<bool(const char* file)> concerns;
  };

  static Result<std::unique_ptr<FileWatch>> Start(Subject subject, std::function<void()> changed,
                                                  std::function<void(const std::string&)> log);
  FileWatch(FileDescriptor notifier, FileDescriptor stop, Subject subject, std::function<void()> changed,
            std::function<void(const std::string&)> log);
  void Run();
  Result<bool> Take();

  FileDescriptor notifier_;  // inotify
  FileDescriptor stop_;      // an eventfd
  Subject subject_;
  std::function<void()> changed_;
  std::function<void(const std::string&)> log_;
  std::thread thread_;
};

}  // namespace dmrp::server
