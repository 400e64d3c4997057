// What the harness and the guest agent say to each other over the virtio-serial port. Header-only and free of
// dependencies, because the agent is linked statically into the guest image.
//
// A frame is a 32-bit little-endian payload length followed by the payload: one octet FrameKind, a 32-bit
// request id (0 in events), then the fields of the kind in the order given below. Integers are little-endian;
// a string is a 32-bit length and its octets. Both ends send frames at any time; replies may come in any
// order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dmrp::harness::agent {

/// Name of the virtio-serial port, as in /sys/class/virtio-ports/*/name.
inline constexpr const char* kPortName = "dmrp.agent";
/// Open in spawned programs, for telling that they are ready.
inline constexpr int kReadyDescriptor = 3;
/// Longest payload either side accepts.
inline constexpr std::uint32_t kMaxPayload = 16U << 20U;

enum class FrameKind : std::uint8_t {
  kPing = 1,       ///< -> u64 CLOCK_MONOTONIC ns, u64 CLOCK_REALTIME ns
  kExec = 2,       ///< u32 n, n argv strings, string stdin -> i32 wait status, string stdout, string stderr
  kReadFile = 3,   ///< string path, u64 offset, u32 limit -> string data
  kWriteFile = 4,  ///< string path, u32 mode, string data -> nothing
  kSpawn = 5,      ///< u32 n, n argv strings, string log path -> u32 pid; what the program writes to
                   ///< kReadyDescriptor comes as kReady, its exit as kExited
  kSignal = 6,     ///< u32 pid, u32 signal number -> nothing
  kIdentity =
      7,  ///< u64 CLOCK_REALTIME ns, string mac, string address, u32 prefix length, string gateway -> nothing
  kListen = 8,    ///< from now on uevents are sent as kUevent -> nothing
  kReply = 64,    ///< the fields listed behind "->" above
  kError = 65,    ///< u32 errno, string message
  kUevent = 128,  ///< event: u64 CLOCK_MONOTONIC ns, string: "KEY=VALUE" records ended by a zero octet each
  kExited = 129,  ///< event: u32 pid, i32 wait status
  kReady = 130,   ///< event: u32 pid, string: what a spawned program told through kReadyDescriptor
};

/// Builds one frame, length included.
class FrameWriter {
 public:
  FrameWriter(FrameKind kind, std::uint32_t id) {
    U32(0);
    bytes_.push_back(static_cast<char>(kind));
    U32(id);
  }
  FrameWriter& U32(std::uint32_t value) { return Integer(value, 4); }
  FrameWriter& U64(std::uint64_t value) { return Integer(value, 8); }
  FrameWriter& String(std::string_view value) {
    U32(static_cast<std::uint32_t>(value.size()));
    bytes_.append(value);
    return *this;
  }
  FrameWriter& Strings(const std::vector<std::string>& values) {
    U32(static_cast<std::uint32_t>(values.size()));
    for (const auto& value : values) {
      String(value);
    }
    return *this;
  }
  /// The finished frame.
  [[nodiscard]] std::string Finish() && {
    const auto length = static_cast<std::uint32_t>(bytes_.size() - 4);
    for (int i = 0; i < 4; ++i) {
      bytes_[static_cast<std::size_t>(i)] = static_cast<char>(length >> (8 * i));
    }
    return std::move(bytes_);
  }

 private:
  FrameWriter& Integer(std::uint64_t value, int octets) {
    for (int i = 0; i < octets; ++i) {
      bytes_.push_back(static_cast<char>(value >> (8 * i)));
    }
    return *this;
  }
  std::string bytes_;
};

/// Reads the fields of a payload. The first field that does not fit makes `ok()` false for good and every
/// later value zero or empty.
class FrameReader {
 public:
  explicit FrameReader(std::string_view payload) : rest_(payload) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] FrameKind Kind() { return static_cast<FrameKind>(Integer(1)); }
  [[nodiscard]] std::uint32_t U32() { return static_cast<std::uint32_t>(Integer(4)); }
  [[nodiscard]] std::uint64_t U64() { return Integer(8); }
  [[nodiscard]] std::string String() {
    const std::uint32_t length = U32();
    if (length > rest_.size()) {
      Break();
      return {};
    }
    std::string value(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return value;
  }
  [[nodiscard]] std::vector<std::string> Strings() {
    const std::uint32_t count = U32();
    std::vector<std::string> values;
    for (std::uint32_t i = 0; ok_ && i < count; ++i) {
      values.push_back(String());
    }
    return values;
  }

 private:
  void Break() {
    ok_ = false;
    rest_ = {};
  }
  std::uint64_t Integer(std::size_t octets) {
    if (rest_.size() < octets) {
      Break();
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < octets; ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    }
    rest_.remove_prefix(octets);
    return value;
  }
  std::string_view rest_;
  bool ok_ = true;
};

/// Cuts a stream of octets into payloads.
class FrameSplitter {
 public:
  void Append(std::string_view octets) { buffer_.append(octets); }
  /// The next whole payload, nullopt when more octets are needed or the stream is broken.
  [[nodiscard]] std::optional<std::string> Next() {
    if (buffer_.size() < 4) {
      return std::nullopt;
    }
    FrameReader reader(std::string_view(buffer_).substr(0, 4));
    const std::uint32_t length = reader.U32();
    if (length > kMaxPayload) {
      broken_ = true;
      return std::nullopt;
    }
    if (buffer_.size() - 4 < length) {
      return std::nullopt;
    }
    std::string payload = buffer_.substr(4, length);
    buffer_.erase(0, 4 + std::size_t{length});
    return payload;
  }
  /// True when a length exceeded kMaxPayload: nothing after it can be understood.
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  std::string buffer_;
  bool broken_ = false;
};

}  // namespace dmrp::harness::agent
