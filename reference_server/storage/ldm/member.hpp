// One dynamic disk: its private region found, written, and wiped.
#pragma once

#include "reference_server/platform/block_device.hpp"
#include "reference_server/storage/ldm/privhead.hpp"
#include "reference_server/storage/ldm/tocblock.hpp"

#include <optional>
#include <string>
#include <vector>

namespace dmrp::server::ldm {

/// A disk that bears a private region. The device must outlive it.
struct Member {
  BlockDevice* device = nullptr;
  bool gpt = false;  ///< no copy of the header at sector 6
  PrivateHeader header{};
  TocBlock toc{};
  /// What was found wrong and got round: bad or differing copies. DiskGroup::Load mends them.
  std::vector<std::string> faults{};

  [[nodiscard]] const TocRegion& Config() const { return *toc.Find(kConfigRegion); }
  [[nodiscard]] const TocRegion& Log() const { return *toc.Find(kLogRegion); }
  /// Octets from the start of the disk.
  [[nodiscard]] std::uint64_t RelativeOffset(std::uint64_t sector) const {
    return (header.privateStart + sector) * header.bytesPerSector;
  }
};

/// The private region of a disk whose partition table says it is dynamic: an entry of type 42, or an LDM
/// metadata partition. Nothing when the table does not say so. Headers are taken from the last sector of the
/// region, the backup, and on MBR disks sector 6; the TOC from the places that the header names, else from
/// the other pair. kMalformed when the table says dynamic and no header or no TOC is good, kSystem when the
/// device fails. Writes nothing.
Result<std::optional<Member>> OpenMember(BlockDevice& device);

/// The same without looking at the table, for a private region that begins at sector `private_start`.
Result<Member> OpenMemberAt(BlockDevice& device, std::uint64_t private_start, bool gpt);

/// Writes those copies of header and TOC anew that are not as they should be, one after the other, and
/// forgets the faults. Nothing is written when there are none.
Result<void> MendCopies(Member& member);

/// Writes a header with a new sequence: the TOC to the other pair, a flush, then the copies of the header.
/// The disk has the old or the new one at any time. Sequence and TOC places of `next` are set here.
Result<void> UpdateHeader(Member& member, PrivateHeader next);

/// Writes a private region where there is none yet: all zeroed, config, log, TOC, and the header last, with a
/// flush in between. `config` and `log` are the contents of the regions (vmdb.hpp, vblk.hpp, klog.hpp; zero
/// beyond their end). kLimit when they do not fit.
Result<Member> WriteNewPrivateRegion(BlockDevice& device, bool gpt, const PrivateHeader& header,
                                     std::span<const std::byte> config, std::span<const std::byte> log);

/// Makes the private region of a group's member that of another group: the old database is marked stale,
/// config and log are replaced, then TOC and header as in UpdateHeader. A cut leaves the old header, with the
/// old database or none, or all of the new.
Result<void> ReplacePrivateRegion(Member& member, PrivateHeader next, std::span<const std::byte> config,
                                  std::span<const std::byte> log);

/// Zeroes the headers, then the rest of the private region. The partition table is the caller's, and goes
/// first.
Result<void> WipePrivateRegion(const Member& member);

/// The invariants of a private region at rest that a correct writer keeps: all copies alike and where they
/// belong, constants, zero everywhere else, a clean VMDB with the header's names, slots numbered without a
/// gap, free ones zero, log in order. Every violation in words; empty when all hold. kSystem when the device
/// fails.
Result<std::vector<std::string>> CheckMember(const Member& member);

}  // namespace dmrp::server::ldm
