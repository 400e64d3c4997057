// The byte stream of IDMNotify::ObjectsChanged ([MS-DMRP] 3.1.4.4.1.1 and appendix C): what its IDL cannot
// say.
//
//   Bytes stream = *WriteNotifications(changes, Pointers::k64Bit);
//   NotificationStream read = ReadNotifications(stream, Revision::kIVolumeClient3);
//   for (const Notification& n : read.items) ...
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"
#include "protocol/ndr/c_layout.hpp"
#include "protocol/ndr/reader.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace dmrp {

/// The interface on which the client called Initialize; it decides which structures describe disks and
/// regions.
enum class Revision {
  kIVolumeClient,   ///< DISK_INFO and REGION_INFO
  kIVolumeClient3,  ///< DISK_INFO_EX and REGION_INFO_EX
};

using ndr::Pointers;

/// The ULONG behind DMNOTIFY_SYSTEM_INFO. If this type is extended, printers and stream follow by hand.
struct SystemInfo {
  std::uint32_t flags = 0;  ///< SYSFLAG_*

  friend bool operator==(const SystemInfo&, const SystemInfo&) = default;
};

using NotifiedObject = std::variant<DISK_INFO, DISK_INFO_EX, VOLUME_INFO, REGION_INFO, REGION_INFO_EX,
                                    TASK_INFO, DRIVE_LETTER_INFO, FILE_SYSTEM_INFO, SystemInfo>;

/// One changed object.
struct Notification {
  LDMACTION action = LDMACTION_UNKNOWN;
  NotifiedObject object;

  /// DMNOTIFY_DISK_INFO for a DISK_INFO and a DISK_INFO_EX, and so on.
  [[nodiscard]] DMNOTIFY_INFO_TYPE type() const;

  friend bool operator==(const Notification&, const Notification&) = default;
};

/// Where a notification stood in its stream.
struct NotificationFrame {
  std::size_t offset = 0;
  std::size_t size = 0;              ///< the frame's size member
  std::optional<Pointers> pointers;  ///< the layout; nullopt where both layouts are the same octets
};

/// Everything that a stream holds.
struct NotificationStream {
  static constexpr std::size_t kMaxErrors = 64;

  std::vector<Notification> items;
  std::vector<NotificationFrame> frames;  ///< one for each item
  /// What deviates without leaving a doubt; offsets count from the start of the stream.
  std::vector<ndr::Anomaly> anomalies;
  /// Frames that were passed over, kMalformed; the last one may stand for the whole rest of the stream. At
  /// most kMaxErrors.
  std::vector<Error> errors;
};

/// Builds a stream for a client on a machine with such pointers. Structures without pointers are written with
/// their trailing padding (64 octets for VOLUME_INFO). kUsage for an object that cannot be laid out, such as
/// a REGION_INFO_EX without the arm that its partitionStyle selects.
Result<Bytes> WriteNotifications(std::span<const Notification> notifications, Pointers pointers);

/// Reads a stream. The server's layout follows from each frame's size; `expected` decides only where trailing
/// octets leave a doubt. Frames may end at the last member or carry trailing padding. Foreign bytes never do
/// harm: what cannot be read is listed in `errors`.
NotificationStream ReadNotifications(std::span<const std::byte> stream, Revision revision,
                                     std::optional<Pointers> expected = std::nullopt);

/// {"type": "DMNOTIFY_TASK_INFO", "action": "LDMACTION_CREATED", "object": {...}}
nlohmann::ordered_json ToOrderedJson(const Notification& notification);
nlohmann::json ToJson(const Notification& notification);
std::string ToText(const Notification& notification);

}  // namespace dmrp
