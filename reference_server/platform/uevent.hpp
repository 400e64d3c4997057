// The kernel's own device events, straight from netlink: no udevd needed.
#pragma once

#include "protocol/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmrp::server {

enum class UeventAction : std::uint8_t { kAdd, kRemove, kChange, kOther };

/// A kernel event of the block subsystem.
struct Uevent {
  UeventAction action = UeventAction::kOther;
  std::string devicePath;  ///< DEVPATH, below the sysfs root
  std::string subsystem;   ///< "block"
  std::string deviceName;  ///< DEVNAME without /dev/: "sda", "sda1"
  bool partition = false;  ///< DEVTYPE=partition
  std::uint64_t diskSequence = 0;
  /// A medium was put in or taken out. The kernel sends this once and then is silent until somebody opens
  /// the device: open it (DeviceScanner::Inspect does) after each one.
  bool mediaChange = false;
  bool ejectRequest = false;  ///< the drive's button was pressed, or the host asked for the medium
  bool resized = false;       ///< RESIZE=1
  std::map<std::string, std::string> variables;  ///< all KEY=value pairs

  friend bool operator==(const Uevent&, const Uevent&) = default;
};

/// Decodes one datagram; kMalformed for anything that is not a kernel uevent.
Result<Uevent> ParseUevent(std::span<const std::byte> datagram);

/// A netlink socket that receives kernel uevents.
class UeventListener {
 public:
  static Result<UeventListener> Open();
  UeventListener(UeventListener&& other) noexcept;
  UeventListener& operator=(UeventListener&& other) noexcept;
  UeventListener(const UeventListener&) = delete;
  UeventListener& operator=(const UeventListener&) = delete;
  ~UeventListener();

  /// Readable when events wait (level-triggered): for poll or Asio's stream_descriptor.
  [[nodiscard]] int FileDescriptor() const { return fd_; }
  /// Takes all waiting events of the block subsystem, without blocking. kUnavailable when the socket's
  /// buffer overran and events were lost: scan again.
  Result<std::vector<Uevent>> Take();

 private:
  explicit UeventListener(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Makes the kernel poll removable devices for media changes every `milliseconds` (its default is not to
/// poll at all): /sys/module/block/parameters/events_dfl_poll_msecs; one that polls more often already is
/// left alone. Also keeps opening an empty CD drive from closing its tray.
Result<void> EnableMediaPolling(std::uint32_t milliseconds);

}  // namespace dmrp::server
