#include "harness/disks/write_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

// A sector each: the superblock, and the head of every entry, which the entry's octets follow. Integers are
// 64 bits wide, little-endian; the superblock's sector size has 32.
constexpr std::uint64_t kMagic = 0x6a736677736872;
constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kFlush = 1;
constexpr std::uint64_t kForced = 2;
constexpr std::uint64_t kDiscard = 4;
constexpr std::uint64_t kMostEntries = 1'000'000;
constexpr std::size_t kHead = 32;

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path, std::ios::binary) {
    file_.seekg(0, std::ios::end);
    const auto end = file_.tellg();
    size_ = end < 0 ? 0 : static_cast<std::uint64_t>(end);
  }
  [[nodiscard]] bool ok() const { return static_cast<bool>(file_); }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // False where the file ends before.
  bool Read(std::uint64_t offset, std::array<std::uint64_t, kHead / 8>& words) {
    std::array<unsigned char, kHead> octets{};
    if (size_ < kHead || offset > size_ - kHead) {
      return false;
    }
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(reinterpret_cast<char*>(octets.data()), octets.size());
    for (std::size_t i = 0; i < octets.size(); ++i) {
      words[i / 8] = (i % 8 == 0 ? 0 : words[i / 8]) | std::uint64_t{octets[i]} << (8 * (i % 8));
    }
    return ok();
  }

 private:
  std::ifstream file_;
  std::uint64_t size_ = 0;
};

}  // namespace

Result<WriteLog> WriteLog::Read(const std::filesystem::path& file) {
  const auto malformed = [&](std::string_view what) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: {}", file.string(), what));
  };
  Reader reader(file);
  if (!reader.ok()) {
    return FailErrno("open " + file.string(), errno);
  }
  std::array<std::uint64_t, kHead / 8> words{};
  if (!reader.Read(0, words) || words[0] != kMagic || words[1] != kVersion) {
    return malformed("no log of writes");
  }
  const std::uint64_t count = words[2];
  const std::uint64_t sector = words[3] & std::numeric_limits<std::uint32_t>::max();
  if (sector < 512 || sector > 65536 || (sector & (sector - 1)) != 0) {
    return malformed(fmt::format("sectors of {} octets", sector));
  }
  if (count > kMostEntries) {
    return Fail(ErrorKind::kLimit, fmt::format("{}: {} entries", file.string(), count));
  }
  WriteLog log;
  log.file_ = file;
  std::uint64_t position = sector;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!reader.Read(position, words)) {
      return malformed(fmt::format("entry {} of {} is missing", i, count));
    }
    const auto [start, length, flags, reserved] = words;
    (void)reserved;
    position += sector;
    LoggedWrite write;
    if (start > std::numeric_limits<std::int64_t>::max() / sector ||
        length > std::numeric_limits<std::int64_t>::max() / sector - start) {
      return malformed(fmt::format("entry {} lies outside of any disk", i));
    }
    write.offset = start * sector;
    write.length = length * sector;
    write.flush = (flags & kFlush) != 0;
    write.forced = (flags & kForced) != 0;
    write.discard = (flags & kDiscard) != 0;
    if (!write.discard && write.length > 0) {
      write.data = position;
      if (position > reader.size() || write.length > reader.size() - position) {
        return malformed(fmt::format("the octets of entry {} are cut short", i));
      }
      position += write.length;
    }
    log.writes_.push_back(write);
  }
  return log;
}

std::vector<std::size_t> WriteLog::Losable(std::size_t count) const {
  std::vector<std::size_t> losable;
  for (std::size_t i = 0; i < std::min(count, writes_.size()); ++i) {
    if (writes_[i].flush) {
      losable.clear();
    }
    if (writes_[i].length > 0 && !writes_[i].forced) {
      losable.push_back(i);
    }
  }
  if (!losable.empty() && losable.back() + 1 == count) {
    losable.pop_back();
  }
  return losable;
}

Result<void> WriteLog::Replay(std::size_t count, const std::filesystem::path& image,
                              std::optional<std::size_t> lost) const {
  if (count > writes_.size()) {
    return Fail(ErrorKind::kUsage, fmt::format("the log has {} entries, not {}", writes_.size(), count));
  }
  std::ifstream from(file_, std::ios::binary);
  std::fstream to(image, std::ios::in | std::ios::out | std::ios::binary);
  std::array<char, 65536> octets{};
  for (std::size_t i = 0; i < count; ++i) {
    const LoggedWrite& write = writes_[i];
    if (lost == i) {
      continue;
    }
    from.seekg(static_cast<std::streamoff>(write.data));
    to.seekp(static_cast<std::streamoff>(write.offset));
    for (std::uint64_t done = 0; done < write.length;) {
      const auto part = std::min<std::uint64_t>(octets.size(), write.length - done);
      if (write.discard) {
        octets.fill('\0');
      } else {
        from.read(octets.data(), static_cast<std::streamsize>(part));
      }
      to.write(octets.data(), static_cast<std::streamsize>(part));
      done += part;
    }
  }
  to.flush();
  return from && to ? Result<void>() : FailErrno("replaying writes onto " + image.string(), errno);
}

}  // namespace dmrp::harness
