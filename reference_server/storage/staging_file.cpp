#include "reference_server/storage/staging_file.hpp"

#include "protocol/base/text.hpp"
#include "reference_server/platform/file_io.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::uint64_t kStatUnit = 512;

tl::unexpected<StorageError> Failed(std::string_view what) {
  return DeviceFailed(FailErrno(what, errno).value());
}

}  // namespace

StorageResult<StagingFile> StagingFile::Make(std::uint64_t length) {
  FileDescriptor file(::memfd_create("format", MFD_CLOEXEC));
  if (!file) return Failed("making a file in memory");
  if (::ftruncate(file.Get(), static_cast<off_t>(length)) != 0) return Failed("sizing a file in memory");
  return StagingFile(std::move(file), length);
}

std::filesystem::path StagingFile::Path() const { return fmt::format("/proc/self/fd/{}", file_.Get()); }

StorageResult<std::uint64_t> StagingFile::WrittenOctets() const {
  struct stat status{};
  if (::fstat(file_.Get(), &status) != 0) return Failed("stat of a file in memory");
  return static_cast<std::uint64_t>(status.st_blocks) * kStatUnit;
}

StorageResult<void> StagingFile::ForEachWritten(const Visit& visit) const {
  Bytes buffer(kPiece);
  std::uint64_t at = 0;
  while (at < length_) {
    const off_t data = ::lseek(file_.Get(), static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    const off_t hole = data < 0 ? data : ::lseek(file_.Get(), data, SEEK_HOLE);
    if (hole < 0) return Failed("looking for data in a file in memory");
    at = static_cast<std::uint64_t>(data);
    const std::uint64_t end = std::min(static_cast<std::uint64_t>(hole), length_);
    while (at < end) {
      const std::span piece(buffer.data(),
                            static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, end - at)));
      if (auto read = ReadFully(file_.Get(), at, piece); !read) return DeviceFailed(read.error());
      if (auto done = visit(at, piece); !done) return done;
      at += piece.size();
    }
  }
  return {};
}

}  // namespace dmrp::server
