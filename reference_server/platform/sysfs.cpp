#include "reference_server/platform/sysfs.hpp"

#include "protocol/base/file_descriptor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <fmt/format.h>

namespace dmrp::server {
namespace fs = std::filesystem;

std::string ReadWholeFile(const fs::path& path) {
  constexpr std::size_t kLimit = std::size_t{1} << 20;
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd) return text;
  std::array<char, 4096> part{};
  while (text.size() < kLimit) {
    const ssize_t count = ::read(fd.Get(), part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  return text;
}

std::string ReadAttribute(const fs::path& path) {
  const std::string text = ReadWholeFile(path);
  constexpr std::string_view kSpace{" \t\r\n\0", 5};
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<std::uint64_t> ParseDecimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> ReadNumber(const fs::path& path) { return ParseDecimal(ReadAttribute(path)); }

Result<void> WriteAttribute(const fs::path& path, std::string_view text) {
  const FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return FailErrno(fmt::format("opening {}", path.string()), errno);
  if (::write(fd.Get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return FailErrno(fmt::format("writing {}", path.string()), errno);
  }
  return {};
}

std::vector<std::string> ListDirectory(const fs::path& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string LinkName(const fs::path& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  return error ? std::string() : target.filename().string();
}

}  // namespace dmrp::server
