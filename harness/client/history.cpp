#include "harness/client/history.hpp"

#include <cerrno>
#include <cmath>
#include <system_error>

namespace dmrp::harness {

Result<std::shared_ptr<History>> History::Create(const std::filesystem::path& file) {
  std::error_code failure;
  std::filesystem::create_directories(file.parent_path(), failure);
  if (failure) return FailErrno("create folder " + file.parent_path().string(), failure.value());
  std::shared_ptr<History> history(new History);
  history->file_.open(file, std::ios::binary | std::ios::app);
  if (!history->file_) return FailErrno("open history " + file.string(), errno);
  return history;
}

std::shared_ptr<History> History::Discarding() { return std::shared_ptr<History>(new History); }

void History::Write(std::string_view kind, nlohmann::json members) {
  WriteAt(Clock::now(), kind, std::move(members));
}

void History::WriteAt(Clock::time_point when, std::string_view kind, nlohmann::json members) {
  members["t"] = std::round(Seconds(when) * 1e6) / 1e6;
  members["kind"] = kind;
  // Foreign text may not be UTF-8; a record is kept in any case.
  std::string line = members.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  line += '\n';
  std::lock_guard lock(mutex_);
  if (!file_.is_open()) return;
  file_.write(line.data(), static_cast<std::streamsize>(line.size()));
  file_.flush();
}

void History::SetTest(std::string name) {
  std::lock_guard lock(mutex_);
  test_ = std::move(name);
}

std::string History::test() const {
  std::lock_guard lock(mutex_);
  return test_;
}

std::uint64_t History::NextCall() {
  std::lock_guard lock(mutex_);
  return ++last_call_;
}

std::uint64_t History::LastCall() const {
  std::lock_guard lock(mutex_);
  return last_call_;
}

std::uint64_t History::NextFrame() {
  std::lock_guard lock(mutex_);
  return ++last_frame_;
}

double History::Seconds(Clock::time_point when) const {
  return std::chrono::duration<double>(when - start_).count();
}

}  // namespace dmrp::harness
