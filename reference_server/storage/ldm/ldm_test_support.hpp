// Dynamic disks for tests: made groups, disks of Windows where they are at hand, and a device that notes the
// order of writes over several disks.
#pragma once

#include "reference_server/platform/memory_device.hpp"
#include "reference_server/storage/disk_test_support.hpp"
#include "reference_server/storage/ldm/disk_group.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dmrp::server::ldm {

/// FILETIME of 2003-03-28, which made disks bear.
inline constexpr std::uint64_t kTestTime = 0x01C2F4E1'2B6D0000;

/// The disks of a Windows Server 2003 R2 host, or none: found by the environment variable DMRP_LDM_FIXTURES
/// (a folder of images, or an archive of them), else in ../shared/fixtures beside the project.
const std::vector<std::pair<std::string, MemoryDevice>>& WindowsDisks();

/// Several disks, in memory.
using Disks = std::deque<MemoryDevice>;

/// The member that a disk is; throws when it is none.
Member Opened(BlockDevice& device);
/// Opens all disks; each must be a member.
std::vector<Member> OpenAll(Disks& disks);

/// Writes an MBR of one LDM partition, or a GPT with LDM partitions.
void WriteDynamicTable(MemoryDevice& device, const PrivateHeader& header, bool gpt);

struct DiskShape {
  std::uint64_t sizeBytes = 20 * kMiB;
  std::uint32_t bytesPerSector = 512;
  bool gpt = false;
};

/// A disk without anything, the header that makes it dynamic, and its record with a fresh id.
NewDisk PrepareDisk(MemoryDevice& device, const DiskShape& shape, Database& database);

/// A group of these disks, at rest, without volumes.
Disks MakeGroup(const std::vector<DiskShape>& shapes, Convention convention = Convention::k2003);

/// What a volume is made of, for AddVolume: one subdisk on each of the disks.
enum class VolumeShape : std::uint8_t { kConcat, kStripe, kMirror, kRaid5 };
/// Adds a volume of `blocks` on each disk, at `start` of their public regions.
ObjectId AddVolume(Database& database, VolumeShape shape, const std::vector<ObjectId>& disks,
                   std::uint64_t start, std::uint64_t blocks);

/// Everything but the time: one line a record.
std::string Essence(const Database& database);

/// The octets of a member's region config.
Bytes ConfigOf(const Member& member);

/// A write of one sector of one of several disks, or a barrier on it.
struct JournalEntry {
  std::size_t disk = 0;
  std::uint64_t offset = 0;
  Bytes data{};
  bool barrier = false;
};

/// Passes everything on and notes it in a journal that several disks share. Can fail from a write on.
class JournalDevice final : public BlockDevice {
 public:
  JournalDevice(BlockDevice& inner, std::size_t disk, std::vector<JournalEntry>& journal)
      : inner_(inner), disk_(disk), journal_(journal) {}
  [[nodiscard]] const DiskGeometry& Geometry() const override { return inner_.Geometry(); }
  [[nodiscard]] bool ReadOnly() const override { return inner_.ReadOnly(); }
  /// Fails (EIO) once that many more sectors were written.
  void FailAfter(std::uint64_t sectors) { fail_after_ = sectors; }

 private:
  Result<void> DoRead(std::uint64_t offset, std::span<std::byte> out) override {
    return inner_.Read(offset, out);
  }
  Result<void> DoWrite(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<void> DoFlush() override;

  BlockDevice& inner_;
  std::size_t disk_;
  std::vector<JournalEntry>& journal_;
  std::optional<std::uint64_t> fail_after_;
};

}  // namespace dmrp::server::ldm
