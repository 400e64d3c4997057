#include "harness/layout/image_diff.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

constexpr std::uint64_t kChunk = std::uint64_t{64} * 1024;
constexpr std::uint64_t kMostShown = 32;
constexpr std::uint64_t kMostGap = 512;  ///< equal octets that one run may hold

class ImageFile {
 public:
  static Result<ImageFile> Open(const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FailErrno("open " + path.string(), errno);
    const off_t size = ::lseek(fd, 0, SEEK_END);
    if (size < 0) {
      const int error = errno;
      ::close(fd);
      return FailErrno("seek in " + path.string(), error);
    }
    return ImageFile(fd, static_cast<std::uint64_t>(size));
  }
  ImageFile(ImageFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;
  ImageFile& operator=(ImageFile&&) = delete;
  ~ImageFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// The first octet at or behind `from` that may be other than zero; the size if there is none.
  [[nodiscard]] std::uint64_t NextData(std::uint64_t from) const {
    if (from >= size_) return size_;
    const off_t found = ::lseek(fd_, static_cast<off_t>(from), SEEK_DATA);
    if (found < 0) return errno == ENXIO ? size_ : from;
    return static_cast<std::uint64_t>(found);
  }
  /// Fills `to`, with zeros behind the end of the file. Whether all was readable.
  bool ReadAt(std::uint64_t offset, std::span<std::byte> to) const {
    std::ranges::fill(to, std::byte{0});
    while (!to.empty() && offset < size_) {
      const ssize_t count = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return count == 0;
      to = to.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    return true;
  }

 private:
  ImageFile(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  int fd_;
  std::uint64_t size_;
};

/// Puts differing octets together into runs, each inside one structure.
class Collector {
 public:
  Collector(const ImageFile& before, const ImageFile& after, std::uint32_t sector_bytes)
      : before_(before),
        after_(after),
        sector_bytes_(sector_bytes),
        old_names_(Namer(before)),
        new_names_(Namer(after)) {
    difference_.size_before = before.size();
    difference_.size_after = after.size();
  }

  void Differs(std::uint64_t offset) {
    ++difference_.bytes_changed;
    if (open_ && offset < end_ && offset - last_ <= kMostGap) {
      last_ = offset;
      return;
    }
    Flush();
    if (difference_.changes.size() >= ImageDifference::kMostChanges) return;
    StructureNamer::Place place = new_names_.At(offset);
    // What was a structure before the change and is none after it still has its old name.
    if (place.name == kNameless) {
      StructureNamer::Place old = old_names_.At(offset);
      if (old.name != kNameless) place = old;
      place.end = std::min(place.end, old.end);
    }
    open_.emplace();
    open_->offset = offset;
    open_->sector_bytes = sector_bytes_;
    open_->structure = std::move(place.name);
    end_ = place.end;
    last_ = offset;
  }

  ImageDifference Finish() {
    Flush();
    return std::move(difference_);
  }

 private:
  static constexpr std::string_view kNameless = "space outside of partitions";

  StructureNamer Namer(const ImageFile& image) const {
    return {[&image](std::uint64_t offset, std::span<std::byte> to) { image.ReadAt(offset, to); },
            image.size(), sector_bytes_};
  }
  void Flush() {
    if (!open_) return;
    open_->length = last_ - open_->offset + 1;
    const std::uint64_t shown = std::min(open_->length, kMostShown);
    open_->before.resize(shown);
    open_->after.resize(shown);
    before_.ReadAt(open_->offset, open_->before);
    after_.ReadAt(open_->offset, open_->after);
    difference_.changes.push_back(std::move(*open_));
    open_.reset();
  }

  const ImageFile& before_;
  const ImageFile& after_;
  std::uint32_t sector_bytes_;
  StructureNamer old_names_, new_names_;
  ImageDifference difference_;
  std::optional<ImageChange> open_;
  std::uint64_t end_ = 0, last_ = 0;
};

}  // namespace

std::string ImageChange::ToText() const {
  const char* more = length > before.size() ? "..." : "";
  return fmt::format("{} (LBA {}, offset 0x{:x}, {} octets): {}{} -> {}{}", structure, offset / sector_bytes,
                     offset % sector_bytes, length, ToHex(before), more, ToHex(after), more);
}

std::string ImageDifference::Summary() const {
  if (identical()) return "identical";
  if (changes.empty()) return fmt::format("size {} -> {} octets", size_before, size_after);
  std::string text = changes.front().ToText();
  if (bytes_changed > changes.front().length)
    text += fmt::format("; {} octets changed in all", bytes_changed);
  return text;
}

Result<ImageDifference> CompareImages(const std::filesystem::path& before, const std::filesystem::path& after,
                                      std::uint32_t sector_bytes) {
  if (!std::has_single_bit(sector_bytes) || sector_bytes < 512 || sector_bytes > 4096) {
    return Fail(ErrorKind::kUsage,
                fmt::format("{} is no sector size: a power of two from 512 to 4096", sector_bytes));
  }
  auto old_image = ImageFile::Open(before);
  if (!old_image) return tl::unexpected(old_image.error());
  auto new_image = ImageFile::Open(after);
  if (!new_image) return tl::unexpected(new_image.error());

  Collector collector(*old_image, *new_image, sector_bytes);
  const std::uint64_t size = std::max(old_image->size(), new_image->size());
  std::vector<std::byte> one(kChunk);
  std::vector<std::byte> other(kChunk);
  for (std::uint64_t at = 0; at < size;) {
    const std::uint64_t old_data = old_image->NextData(at);
    const std::uint64_t new_data = new_image->NextData(at);
    at = std::max(at, std::min(old_data == old_image->size() ? size : old_data,
                               new_data == new_image->size() ? size : new_data));
    if (at >= size) break;
    const std::size_t length = std::min(kChunk, size - at);
    if (!old_image->ReadAt(at, std::span(one).first(length)) ||
        !new_image->ReadAt(at, std::span(other).first(length))) {
      return FailErrno("read an image", errno);
    }
    if (std::memcmp(one.data(), other.data(), length) != 0) {
      for (std::size_t i = 0; i < length; ++i) {
        if (one[i] != other[i]) collector.Differs(at + i);
      }
    }
    at += length;
  }
  return collector.Finish();
}

nlohmann::json ToJson(const ImageDifference& difference) {
  nlohmann::json changes = nlohmann::json::array();
  for (const ImageChange& change : difference.changes) {
    changes.push_back({{"offset", change.offset},
                       {"length", change.length},
                       {"structure", change.structure},
                       {"before", ToHex(change.before)},
                       {"after", ToHex(change.after)}});
  }
  return {{"size_before", difference.size_before},
          {"size_after", difference.size_after},
          {"bytes_changed", difference.bytes_changed},
          {"summary", difference.Summary()},
          {"changes", std::move(changes)}};
}

}  // namespace dmrp::harness
