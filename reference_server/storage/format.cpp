#include "reference_server/storage/format.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/image_device.hpp"
#include "reference_server/platform/process.hpp"
#include "reference_server/platform/sysfs.hpp"
#include "reference_server/storage/format_tools.hpp"
#include "reference_server/storage/staging_file.hpp"

#include <algorithm>
#include <cerrno>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
/// Of every file system that blkid knows, some mark lies in here.
constexpr std::uint64_t kWipe = kMiB;
constexpr std::uint64_t kSmallestRead = 64 * kKiB;
constexpr std::uint64_t kGreatestRead = kMiB;

/// Octets the program will write, by what mkfs.fat 4.2 and mkntfs 2022.10.3 do: never less than half of it.
std::uint64_t EstimateWritten(const FormatPlan& plan, std::uint64_t length) {
  const std::uint64_t units = length / plan.allocationUnitSize;
  switch (plan.type) {
    case FileSystemType::kNtfs:
      return std::clamp(length / 200, 2 * kMiB, 64 * kMiB) + units / 8 + 512 * kKiB +
             std::uint64_t{8} * plan.allocationUnitSize;
    case FileSystemType::kFat32:
      return units * 8 + plan.allocationUnitSize + 64 * kKiB;
    default:
      return units * 4 + 64 * kKiB;
  }
}

std::uint64_t HalfOfTheMemory() {
  std::istringstream lines(ReadWholeFile("/proc/meminfo"));
  for (std::string name; lines >> name;) {
    std::uint64_t kib = 0;
    if (name == "MemAvailable:" && lines >> kib) return kib * kKiB / 2;
  }
  return 64 * kMiB;
}

StorageResult<void> Flush(BlockDevice& device) {
  if (auto done = device.Flush(); !done) return DeviceFailed(done.error());
  return {};
}

StorageResult<void> CheckStop(const std::stop_token& stop) {
  if (stop.stop_requested()) return Refuse(StorageErrorCode::kAborted, "formatting was aborted");
  return {};
}

/// Turns octets done into percent; each value once.
class Meter {
 public:
  Meter(const FormatProgress& progress, std::uint64_t total) : progress_(progress), total_(total) {}
  void Report(std::uint64_t done) {
    // 100 is left to Finish.
    Show(static_cast<unsigned>(static_cast<double>(done) / static_cast<double>(total_) * 99));
  }
  void Finish() { Show(100); }

 private:
  void Show(unsigned percent) {
    if (shown_ && percent <= *shown_) return;
    shown_ = percent;
    if (progress_) progress_(percent);
  }
  const FormatProgress& progress_;
  std::uint64_t total_;
  std::optional<unsigned> shown_;
};

class Formatter {
 public:
  Formatter(const FormatTarget& target, const FormatPlan& plan, bool quick, const FormatProgress& progress,
            const std::stop_token& stop)
      : target_(target),
        device_(target.device),
        plan_(plan),
        volume_{target.length / sector_ * sector_, device_.Geometry(), target.hiddenSectors},
        toVerify_(quick ? 0 : volume_.length),
        toWrite_(EstimateWritten(plan, volume_.length)),
        meter_(progress, toVerify_ + toWrite_),
        stop_(stop) {}

  [[nodiscard]] std::uint64_t MemoryNeeded() const { return toWrite_; }

  StorageResult<FileSystemDescription> Run(bool in_place) {
    if (auto done = CheckStop(stop_); !done) return tl::unexpected(done.error());
    meter_.Report(0);
    auto done = WipeSignatures(device_, target_.start, volume_.length);
    if (done && toVerify_ != 0) done = Verify();
    if (done) done = in_place ? MakeInPlace() : MakeStaged();
    if (!done) {
      // Sector 0 may hold what does not last, or what a killed program wrote. The first error counts.
      if (mayBeHalf_) (void)WipeSignatures(device_, target_.start, volume_.length);
      return tl::unexpected(done.error());
    }
    auto made = DescribeFileSystem(device_, target_.start, volume_.length);
    if (made) meter_.Finish();
    return made;
  }

 private:
  StorageResult<void> Verify() {
    const std::uint64_t step =
        std::clamp(volume_.length / 100 / sector_ * sector_, kSmallestRead, kGreatestRead);
    Bytes buffer(static_cast<std::size_t>(step));
    for (std::uint64_t at = 0; at < volume_.length; at += step) {
      if (auto done = CheckStop(stop_); !done) return done;
      const std::span part(buffer.data(),
                           static_cast<std::size_t>(std::min<std::uint64_t>(step, volume_.length - at)));
      if (!device_.Read(target_.start + at, part)) {
        if (auto done = FindBadSector(at, part); !done) return done;
      }
      meter_.Report(at + part.size());
    }
    return {};
  }

  /// Reads sector by sector what could not be read as a whole.
  StorageResult<void> FindBadSector(std::uint64_t from, std::span<std::byte> part) {
    for (std::uint64_t at = from; at < from + part.size(); at += sector_) {
      if (auto done = CheckStop(stop_); !done) return done;
      if (auto read = device_.Read(target_.start + at, part.first(sector_)); !read) {
        return Refuse(StorageErrorCode::kBadSector,
                      fmt::format("the sector at octet {} of the volume: {}", at, read.error().ToString()));
      }
    }
    return {};
  }

  StorageResult<void> MakeStaged() {
    auto file = StagingFile::Make(volume_.length);
    if (!file) return tl::unexpected(file.error());
    const auto path = fmt::format("/proc/self/fd/{}", kChildDescriptor);
    auto done = RunFormatCommand(FormatCommand(plan_, volume_, path), file->Descriptor(), stop_);
    if (!done) return done;
    auto image = OpenImage(file->Path(), {volume_.length, sector_}, false);
    if (!image) return DeviceFailed(image.error());
    if (auto checked = CheckMade(**image, 0); !checked) return checked;
    return Install(*file);
  }

  StorageResult<void> Install(const StagingFile& file) {
    const auto written = file.WrittenOctets();
    if (!written) return tl::unexpected(written.error());
    Bytes boot(sector_);
    std::uint64_t copied = 0;
    auto done = file.ForEachWritten([&](std::uint64_t offset, std::span<const std::byte> octets) {
      if (auto go_on = CheckStop(stop_); !go_on) return go_on;
      const std::size_t skipped = offset == 0 ? sector_ : 0;
      std::ranges::copy(octets.first(skipped), boot.begin());
      if (auto put = device_.Write(target_.start + offset + skipped, octets.subspan(skipped)); !put) {
        return StorageResult<void>(DeviceFailed(put.error()));
      }
      copied += octets.size();
      const double share = static_cast<double>(copied) / static_cast<double>(std::max(copied, *written));
      meter_.Report(toVerify_ + static_cast<std::uint64_t>(share * static_cast<double>(toWrite_)));
      return StorageResult<void>();
    });
    if (done) done = Flush(device_);
    if (done) done = CheckStop(stop_);
    if (!done) return done;
    mayBeHalf_ = true;
    if (auto put = device_.Write(target_.start, boot); !put) return DeviceFailed(put.error());
    return Flush(device_);
  }

  StorageResult<void> MakeInPlace() {
    mayBeHalf_ = true;
    auto done = RunFormatCommand(FormatCommand(plan_, volume_, target_.node), -1, stop_);
    // Also after a failure: what the kernel still has of it must not arrive after the wipe.
    const FileDescriptor node(::open(target_.node.c_str(), O_WRONLY | O_CLOEXEC));
    if (!node || ::fsync(node.Get()) != 0) {
      const int error = errno;
      if (done) return DeviceFailed(FailErrno("flushing " + target_.node.string(), error).value());
    }
    if (!done) return done;
    return CheckMade(device_, target_.start);
  }

  /// Whether the program made what was planned.
  StorageResult<void> CheckMade(BlockDevice& device, std::uint64_t start) {
    const auto made = DescribeFileSystem(device, start, volume_.length);
    if (!made) return tl::unexpected(made.error());
    if (made->type == plan_.type && made->allocationUnitSize == plan_.allocationUnitSize) return {};
    return Refuse(StorageErrorCode::kToolFailed,
                  fmt::format("made type {} with units of {} octets in place of type {} with {}",
                              static_cast<int>(made->type), made->allocationUnitSize,
                              static_cast<int>(plan_.type), plan_.allocationUnitSize));
  }

  const FormatTarget& target_;
  BlockDevice& device_;
  const FormatPlan& plan_;
  const std::uint32_t sector_ = device_.Geometry().bytesPerSector;
  FormatVolume volume_;
  std::uint64_t toVerify_;
  std::uint64_t toWrite_;
  Meter meter_;
  const std::stop_token& stop_;
  bool mayBeHalf_ = false;
};

}  // namespace

std::uint32_t HiddenSectors(const Region& region, const DiskGeometry& geometry) {
  const std::uint64_t base = region.kind == RegionKind::kLogical ? region.ebr : 0;
  const std::uint64_t sectors = (region.start - base) / geometry.bytesPerSector;
  return sectors <= UINT32_MAX ? static_cast<std::uint32_t>(sectors) : 0;
}

StorageResult<void> WipeSignatures(BlockDevice& device, std::uint64_t start, std::uint64_t length) {
  const std::uint32_t sector = device.Geometry().bytesPerSector;
  const std::uint64_t whole = length / sector * sector;
  const auto clear = [&](std::uint64_t at, std::uint64_t size) -> StorageResult<void> {
    if (auto done = device.Write(start + at, Bytes(static_cast<std::size_t>(size))); !done) {
      return DeviceFailed(done.error());
    }
    return Flush(device);
  };
  const std::uint64_t part = std::min(kWipe, whole);
  auto done = clear(0, std::min<std::uint64_t>(sector, whole));
  if (done) done = clear(0, part);
  if (done) done = clear(whole - part, part);
  return done;
}

StorageResult<FileSystemDescription> Format(const FormatTarget& target, const FormatRequest& request,
                                            const FormatProgress& progress, const std::stop_token& stop,
                                            const FormatOptions& options) {
  const DiskGeometry& geometry = target.device.Geometry();
  const auto plan = PlanFormat(request, {target.length, geometry.bytesPerSector});
  if (!plan) return tl::unexpected(plan.error());
  if (target.device.ReadOnly()) return Refuse(StorageErrorCode::kReadOnly, "the disk is read-only");
  if (target.start % geometry.bytesPerSector != 0) {
    return Refuse(StorageErrorCode::kMisaligned,
                  fmt::format("a volume that starts at octet {}", target.start));
  }
  if (target.start > geometry.sizeBytes || target.length > geometry.sizeBytes - target.start) {
    return Refuse(StorageErrorCode::kOutOfRange,
                  fmt::format("a volume of {} octets at {} of a disk of {}", target.length, target.start,
                              geometry.sizeBytes));
  }
  Formatter formatter(target, *plan, request.quick, progress, stop);
  const std::uint64_t limit = options.stagingLimit != 0 ? options.stagingLimit : HalfOfTheMemory();
  const bool in_place = formatter.MemoryNeeded() > limit;
  if (in_place && target.node.empty()) {
    return Refuse(StorageErrorCode::kNoMemory,
                  fmt::format("the file system takes {} octets while made, {} are free",
                              formatter.MemoryNeeded(), limit));
  }
  return formatter.Run(in_place);
}

}  // namespace dmrp::server
