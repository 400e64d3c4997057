// The ObjectsChanged stream reader: the first octet chooses revision and expectation, the rest is the stream.
// What reads without a complaint must be writable and read back as the same objects.
#include "protocol/dmrp/notification.hpp"

#include <cstdint>
#include <cstdlib>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp;
  if (size == 0) return 0;
  const Revision revision = (data[0] & 1) != 0 ? Revision::kIVolumeClient3 : Revision::kIVolumeClient;
  std::optional<Pointers> expected;
  if ((data[0] & 2) != 0) expected = (data[0] & 4) != 0 ? Pointers::k64Bit : Pointers::k32Bit;
  const auto stream = std::as_bytes(std::span(data, size)).subspan(1);
  const NotificationStream read = ReadNotifications(stream, revision, expected);
  if (read.frames.size() != read.items.size()) std::abort();
  for (const Notification& item : read.items) static_cast<void>(item.type());
  if (!read.errors.empty() || !read.anomalies.empty()) return 0;
  Pointers pointers = Pointers::k64Bit;
  for (const NotificationFrame& frame : read.frames) pointers = frame.pointers.value_or(pointers);
  const Result<Bytes> written = WriteNotifications(read.items, pointers);
  if (!written) std::abort();
  const NotificationStream again = ReadNotifications(*written, revision);
  if (again.items != read.items || !again.errors.empty()) std::abort();
  return 0;
}
