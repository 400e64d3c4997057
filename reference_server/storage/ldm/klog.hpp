// KLOG: the region "log": which transaction was committed last, and which objects are dirty or detached.
#pragma once

#include "protocol/base/text.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dmrp::server::ldm {

inline constexpr std::size_t kLogPageBytes = 512;
inline constexpr std::size_t kLogEntriesPerPage = 20;
/// Pages that are used; the rest of the region is zero.
inline constexpr std::uint32_t kLogPages = 2;
/// Octets of the region on a disk that we make: 224 sectors of 512 octets.
inline constexpr std::size_t kLogRegionBytes = 224 * 512;

enum class LogStatus : std::uint8_t {
  kNone = 0,  ///< free; the numbers may be those of an earlier entry
  kDetach = 1,
  kDirty = 2,  ///< the object is being written to, its copies may differ
  kCommit = 3,
  kLogDetach = 4,
  kApplicationDirty = 5,
};

struct LogEntry {
  LogStatus status = LogStatus::kNone;
  std::uint64_t first = 0;   ///< commit: the transaction before; else an object id
  std::uint64_t second = 0;  ///< commit: the transaction; else a transaction id of the object
  std::uint32_t recoverSequence = 0;

  friend bool operator==(const LogEntry&, const LogEntry&) = default;
};

struct LogPage {
  std::uint64_t transaction = 0;  ///< in all pages that of the group record
  std::uint32_t sequence = 0;     ///< one more with each write of the page
  std::uint32_t pages = kLogPages;
  std::uint32_t index = 0;
  std::array<LogEntry, kLogEntriesPerPage> entries{};

  friend bool operator==(const LogPage&, const LogPage&) = default;
};

/// Reads 512 octets: magic, known status bytes. kMalformed names the field.
Result<LogPage> ParseLogPage(std::span<const std::byte> octets);
Bytes SerializeLogPage(const LogPage& page);

/// The octets of region "log", edited in place.
class LogRegion {
 public:
  LogRegion() = default;

  /// A region with empty pages.
  static LogRegion Make(std::uint64_t transaction);
  /// Takes what was read from a disk. kMalformed when the first page is not good, or there are more pages
  /// than fit.
  static Result<LogRegion> Parse(Bytes octets);

  [[nodiscard]] std::span<const std::byte> Octets() const { return octets_; }
  [[nodiscard]] const std::vector<LogPage>& Pages() const { return pages_; }

  /// Notes a commit in page 0, in place of the last one.
  void SetCommit(std::uint64_t before, std::uint64_t transaction);
  /// Frees the commit entry when it is not for `committed`: after a roll-back.
  void DropOtherCommit(std::uint64_t committed);
  /// Dirty, detach and other entries about objects.
  [[nodiscard]] std::vector<LogEntry> ObjectEntries() const;
  /// Replaces or adds the entry of an object; kNone frees it. kLimit when all entries are used.
  Result<void> SetObject(LogStatus status, std::uint64_t object, std::uint64_t transaction);

  /// The 512-octet blocks changed since the last call, rising.
  std::vector<std::uint32_t> TakeChangedBlocks();

 private:
  void Write(std::uint32_t page);

  Bytes octets_;
  std::vector<LogPage> pages_;
  std::vector<bool> changed_;
};

}  // namespace dmrp::server::ldm
