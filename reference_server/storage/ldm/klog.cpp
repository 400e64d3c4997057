#include "reference_server/storage/ldm/klog.hpp"

#include "reference_server/storage/ldm/big_endian.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server::ldm {
namespace {

constexpr std::string_view kMagic = "KLOG";
constexpr std::size_t kFirstEntry = 0x18;
constexpr std::size_t kEntryBytes = 24;

/// Entries about objects; what else there may be is left alone.
bool IsObjectEntry(LogStatus status) { return status != LogStatus::kNone && status != LogStatus::kCommit; }

}  // namespace

Result<LogPage> ParseLogPage(std::span<const std::byte> octets) {
  if (octets.size() < kLogPageBytes || !HasMagic(octets, kMagic)) {
    return Fail(ErrorKind::kMalformed, "log page: no KLOG");
  }
  LogPage page;
  page.transaction = LoadBe<std::uint64_t>(octets, 0x04);
  page.sequence = LoadBe<std::uint32_t>(octets, 0x0C);
  page.pages = LoadBe<std::uint32_t>(octets, 0x10);
  page.index = LoadBe<std::uint32_t>(octets, 0x14);
  for (std::size_t i = 0; i < kLogEntriesPerPage; ++i) {
    const auto entry = octets.subspan(kFirstEntry + i * kEntryBytes, kEntryBytes);
    const auto status = LoadBe<std::uint8_t>(entry, 0);
    if (status > static_cast<std::uint8_t>(LogStatus::kApplicationDirty)) {
      return Fail(ErrorKind::kMalformed, fmt::format("log page: entry {} has status {}", i, status));
    }
    page.entries[i] = {.status = static_cast<LogStatus>(status),
                       .first = LoadBe<std::uint64_t>(entry, 1),
                       .second = LoadBe<std::uint64_t>(entry, 9),
                       .recoverSequence = LoadBe<std::uint32_t>(entry, 17)};
  }
  return page;
}

Bytes SerializeLogPage(const LogPage& page) {
  Bytes octets(kLogPageBytes);
  const std::span<std::byte> all(octets);
  std::transform(kMagic.begin(), kMagic.end(), octets.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  StoreBe(all, 0x04, page.transaction);
  StoreBe(all, 0x0C, page.sequence);
  StoreBe(all, 0x10, page.pages);
  StoreBe(all, 0x14, page.index);
  for (std::size_t i = 0; i < kLogEntriesPerPage; ++i) {
    const auto entry = all.subspan(kFirstEntry + i * kEntryBytes, kEntryBytes);
    StoreBe(entry, 0, static_cast<std::uint8_t>(page.entries[i].status));
    StoreBe(entry, 1, page.entries[i].first);
    StoreBe(entry, 9, page.entries[i].second);
    StoreBe(entry, 17, page.entries[i].recoverSequence);
  }
  return octets;
}

LogRegion LogRegion::Make(std::uint64_t transaction) {
  LogRegion region;
  region.octets_.resize(kLogRegionBytes);
  region.changed_.resize(kLogRegionBytes / kLogPageBytes);
  for (std::uint32_t i = 0; i < kLogPages; ++i) {
    region.pages_.push_back({.transaction = transaction, .index = i});
    region.Write(i);
  }
  return region;
}

Result<LogRegion> LogRegion::Parse(Bytes octets) {
  LogRegion region;
  const auto first = ParseLogPage(octets);
  if (!first) return tl::unexpected(first.error());
  if (first->pages == 0 || first->pages > octets.size() / kLogPageBytes) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("log: {} pages in {} octets", first->pages, octets.size()));
  }
  for (std::uint32_t i = 0; i < first->pages; ++i) {
    const auto page = ParseLogPage(std::span(octets).subspan(i * kLogPageBytes));
    if (!page) return tl::unexpected(page.error());
    region.pages_.push_back(*page);
  }
  region.changed_.resize(octets.size() / kLogPageBytes);
  region.octets_ = std::move(octets);
  return region;
}

void LogRegion::Write(std::uint32_t page) {
  const Bytes octets = SerializeLogPage(pages_[page]);
  std::copy(octets.begin(), octets.end(),
            octets_.begin() + static_cast<std::ptrdiff_t>(page * kLogPageBytes));
  changed_[page] = true;
}

void LogRegion::SetCommit(std::uint64_t before, std::uint64_t transaction) {
  if (pages_.empty()) return;
  auto& entries = pages_.front().entries;
  auto at = std::find_if(entries.begin(), entries.end(),
                         [](const LogEntry& one) { return one.status == LogStatus::kCommit; });
  if (at == entries.end()) {
    at = std::find_if(entries.begin(), entries.end(),
                      [](const LogEntry& one) { return one.status == LogStatus::kNone; });
  }
  // Nobody recovers by the entry, so a page full of others may go without one.
  if (at != entries.end()) *at = {.status = LogStatus::kCommit, .first = before, .second = transaction};
  ++pages_.front().sequence;
  Write(0);
}

void LogRegion::DropOtherCommit(std::uint64_t committed) {
  for (std::uint32_t i = 0; i < pages_.size(); ++i) {
    for (LogEntry& entry : pages_[i].entries) {
      if (entry.status != LogStatus::kCommit || entry.second == committed) continue;
      entry.status = LogStatus::kNone;
      Write(i);
    }
  }
}

std::vector<LogEntry> LogRegion::ObjectEntries() const {
  std::vector<LogEntry> found;
  for (const LogPage& page : pages_) {
    std::copy_if(page.entries.begin(), page.entries.end(), std::back_inserter(found),
                 [](const LogEntry& one) { return IsObjectEntry(one.status); });
  }
  return found;
}

Result<void> LogRegion::SetObject(LogStatus status, std::uint64_t object, std::uint64_t transaction) {
  LogEntry* free = nullptr;
  std::uint32_t free_page = 0;
  for (std::uint32_t i = 0; i < pages_.size(); ++i) {
    // The first entry of page 0 is kept for the commit.
    for (std::size_t j = i == 0 ? 1 : 0; j < kLogEntriesPerPage; ++j) {
      LogEntry& entry = pages_[i].entries[j];
      if (IsObjectEntry(entry.status) && entry.first == object) {
        free = &entry;
        free_page = i;
        i = static_cast<std::uint32_t>(pages_.size());
        break;
      }
      if (entry.status == LogStatus::kNone && free == nullptr) {
        free = &entry;
        free_page = i;
      }
    }
  }
  const bool known = free != nullptr && IsObjectEntry(free->status);
  if (status == LogStatus::kNone && !known) return {};
  if (free == nullptr) {
    return Fail(ErrorKind::kLimit,
                fmt::format("log: no free entry for object {} in {} pages", object, pages_.size()));
  }
  const LogEntry wanted{.status = status, .first = object, .second = transaction};
  if (known && free->status == status && free->second == transaction) return {};
  *free = wanted;
  ++pages_[free_page].sequence;
  Write(free_page);
  return {};
}

std::vector<std::uint32_t> LogRegion::TakeChangedBlocks() {
  std::vector<std::uint32_t> blocks;
  for (std::uint32_t i = 0; i < changed_.size(); ++i) {
    if (changed_[i]) blocks.push_back(i);
    changed_[i] = false;
  }
  return blocks;
}

}  // namespace dmrp::server::ldm
