#include "reference_server/platform/registry.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/file_io.hpp"
#include "reference_server/platform/replace_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace dmrp::server {
namespace {

constexpr int kTries = 16;
// File times advance in steps of the kernel's clock tick, at most 10 ms: two writes within one step look
// alike.
constexpr std::int64_t kTimeStep = 20'000'000;  // ns

std::int64_t Nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Result<std::optional<Registry::FileVersion>> Registry::LookAtFile() const {
  struct stat status{};
  if (::stat(path_->c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<FileVersion>{};
    return FailErrno(fmt::format("stat of {}", path_->string()), errno);
  }
  return std::optional(FileVersion{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                                   Nanoseconds(status.st_mtim), Nanoseconds(status.st_ctim)});
}

void Registry::Take(RegistryKey content) {
  if (known_ && content != root_) ++foreign_changes_;
  root_ = std::move(content);
  known_ = true;
}

Result<const RegistryKey*> Registry::Read() {
  if (!path_) return &root_;
  const auto version = LookAtFile();
  if (!version) return tl::unexpected(version.error());
  if (known_ && settled_ && *version == version_) return &root_;
  if (!*version) {
    Take({});
    version_.reset();
    settled_ = true;
    return &root_;
  }
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const FileDescriptor fd(::open(path_->c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(fmt::format("opening {}", path_->string()), errno);
  const HiveLimits limits;
  if ((*version)->size > limits.octets) {
    return Fail(ErrorKind::kLimit, fmt::format("{} holds {} octets, at most {} are read", path_->string(),
                                               (*version)->size, limits.octets));
  }
  Bytes octets(static_cast<std::size_t>((*version)->size));
  if (const auto read = ReadFully(fd.Get(), 0, octets); !read) return tl::unexpected(read.error());
  auto content = ParseHive(octets, limits);
  if (!content) {
    return Fail(content.error().kind, fmt::format("{}: {}", path_->string(), content.error().message),
                content.error().status);
  }
  Take(std::move(*content));
  version_ = *version;
  settled_ = Nanoseconds(now) - std::max((*version)->modified, (*version)->changed) > kTimeStep;
  return &root_;
}

Result<void> Registry::Update(const std::function<void(RegistryKey&)>& change) {
  for (int i = 0; i < kTries; ++i) {
    const auto now = Read();
    if (!now) return tl::unexpected(now.error());
    RegistryKey wanted = **now;
    change(wanted);
    if (wanted == **now) return {};
    if (!path_) {
      root_ = std::move(wanted);
      return {};
    }
    const auto octets = SerializeHive(wanted);
    if (!octets) return tl::unexpected(octets.error());
    if (path_->has_parent_path()) {
      std::error_code error;
      std::filesystem::create_directories(path_->parent_path(), error);
      if (error) return FailErrno(fmt::format("making {}", path_->parent_path().string()), error.value());
    }
    const auto replaced = ReplaceFile(*path_, *octets, [this] {
      const auto version = LookAtFile();
      return version && *version == version_;
    });
    if (!replaced) return tl::unexpected(replaced.error());
    if (!*replaced) continue;
    root_ = std::move(wanted);
    settled_ = false;
    return {};
  }
  return Fail(ErrorKind::kUnavailable,
              fmt::format("{} was written by another program {} times in a row", path_->string(), kTries));
}

Result<std::filesystem::path> Registry::SetAside() {
  if (!path_) return Fail(ErrorKind::kUsage, "a registry in memory has no file to set aside");
  std::filesystem::path aside = path_->string() + ".damaged";
  for (int i = 2; std::filesystem::exists(aside); ++i)
    aside = fmt::format("{}.damaged-{}", path_->string(), i);
  if (std::rename(path_->c_str(), aside.c_str()) != 0) {
    return FailErrno(fmt::format("renaming {}", path_->string()), errno);
  }
  root_ = {};
  version_.reset();
  known_ = true;
  settled_ = false;
  return aside;
}

}  // namespace dmrp::server
