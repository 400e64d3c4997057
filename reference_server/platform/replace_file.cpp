#include "reference_server/platform/replace_file.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/file_io.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

Result<void> WriteAside(const std::filesystem::path& path, std::span<const std::byte> content) {
  const FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return FailErrno(fmt::format("creating {}", path.string()), errno);
  if (auto written = WriteFully(fd.Get(), 0, content); !written) return written;
  if (::fsync(fd.Get()) != 0) return FailErrno(fmt::format("fsync of {}", path.string()), errno);
  return {};
}

}  // namespace

Result<bool> ReplaceFile(const std::filesystem::path& path, std::span<const std::byte> content,
                         const std::function<bool()>& ready) {
  const std::filesystem::path aside = path.string() + ".new";
  if (const auto written = WriteAside(aside, content); !written) {
    ::unlink(aside.c_str());
    return tl::unexpected(written.error());
  }
  if (ready && !ready()) {
    ::unlink(aside.c_str());
    return false;
  }
  if (std::rename(aside.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(aside.c_str());
    return FailErrno(fmt::format("renaming {} to {}", aside.string(), path.string()), reason);
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.Get()) != 0) return FailErrno(fmt::format("fsync of {}", folder.string()), errno);
  return true;
}

}  // namespace dmrp::server
