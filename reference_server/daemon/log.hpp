#pragma once

#include "protocol/base/error.hpp"
#include "reference_server/daemon/config.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>

namespace dmrp::server {

/// The server's log: one line an entry, "2026-01-31T12:00:00.123Z info TEXT", written at once. Thread-safe.
class Log {
 public:
  /// An empty path writes to standard error. kSystem when the file cannot be opened for appending.
  static Result<std::unique_ptr<Log>> Open(const std::filesystem::path& path, LogLevel level);

  void Write(LogLevel level, std::string_view text);

 private:
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  Log(File file, LogLevel level) : file_(std::move(file)), level_(level) {}

  std::mutex mutex_;
  File file_;  // null: standard error
  LogLevel level_;
};

}  // namespace dmrp::server
