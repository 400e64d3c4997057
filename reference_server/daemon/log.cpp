#include "reference_server/daemon/log.hpp"

#include <cerrno>
#include <chrono>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace dmrp::server {
namespace {

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

std::string Timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
                     milliseconds);
}

}  // namespace

Result<std::unique_ptr<Log>> Log::Open(const std::filesystem::path& path, LogLevel level) {
  File file(nullptr, &std::fclose);
  if (!path.empty()) {
    file.reset(std::fopen(path.c_str(), "ae"));
    if (file == nullptr) {
      return FailErrno("open log file " + path.string(), errno);
    }
  }
  return std::unique_ptr<Log>(new Log(std::move(file), level));
}

void Log::Write(LogLevel level, std::string_view text) {
  if (level < level_) {
    return;
  }
  const std::string line = fmt::format("{} {} {}\n", Timestamp(), NameOf(level), text);
  const std::scoped_lock lock(mutex_);
  std::FILE* target = file_ != nullptr ? file_.get() : stderr;
  std::fwrite(line.data(), 1, line.size(), target);
  std::fflush(target);
}

}  // namespace dmrp::server
