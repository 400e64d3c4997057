// The record of all writes to a disk, as QEMU's blklogwrites driver makes it, and the disk as any prefix of
// them leaves it.
//
//   auto log = WriteLog::Read("/run/writes.log");
//   for (std::size_t cut = 0; cut <= log->writes().size(); ++cut) log->Replay(cut, copy_of_the_base);
#pragma once

#include "protocol/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace dmrp::harness {

/// One entry of the log. Offsets and lengths in octets.
struct LoggedWrite {
  std::uint64_t offset = 0;  ///< on the disk
  std::uint64_t length = 0;  ///< 0 for a mere flush
  std::uint64_t data = 0;    ///< where the octets stand in the log; 0 for a discard, whose octets become zero
  bool flush = false;        ///< what was written before is on the medium from here on
  bool forced = false;       ///< FUA: is itself on the medium when it is done
  bool discard = false;

  friend bool operator==(const LoggedWrite&, const LoggedWrite&) = default;
};

class WriteLog {
 public:
  /// kMalformed when the file is none or is cut short, kLimit for more than a million entries.
  static Result<WriteLog> Read(const std::filesystem::path& file);

  [[nodiscard]] const std::vector<LoggedWrite>& writes() const { return writes_; }
  /// Puts the first `count` entries onto a raw image that holds what the disk held when the log began, except
  /// the one numbered `lost`.
  Result<void> Replay(std::size_t count, const std::filesystem::path& image,
                      std::optional<std::size_t> lost = std::nullopt) const;
  /// The entries before number `count` that a power cut behind it may lose although later ones are on the
  /// medium: writes that no flush has followed so far, and that are not the last.
  [[nodiscard]] std::vector<std::size_t> Losable(std::size_t count) const;

 private:
  std::filesystem::path file_;
  std::vector<LoggedWrite> writes_;
};

}  // namespace dmrp::harness
