#include "protocol/dmrp/notification.hpp"

#include "dmrp/interfaces/c_layout.hpp"
#include "dmrp/interfaces/print.hpp"
#include "protocol/ndr/print.hpp"
#include "protocol/ndr/writer.hpp"

#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace dmrp {

// Found by argument-dependent lookup like the generated ones.
static void PutCLayout(ndr::Writer& w, const SystemInfo& v, Pointers /*pointers*/) { w.Put(v.flags); }
static void GetCLayout(ndr::Reader& r, SystemInfo& v, Pointers /*pointers*/) {
  r.Get(v.flags, "SystemInfo.flags");
}
static nlohmann::ordered_json ToOrderedJson(const SystemInfo& v) { return {{"flags", v.flags}}; }

namespace {

constexpr std::size_t kHeaderSize = 12;
/// More trailing octets than this cannot be alignment.
constexpr std::size_t kMaxPadding = 7;

template <typename T>
constexpr DMNOTIFY_INFO_TYPE TypeOf() {
  if constexpr (std::is_same_v<T, DISK_INFO> || std::is_same_v<T, DISK_INFO_EX>) return DMNOTIFY_DISK_INFO;
  if constexpr (std::is_same_v<T, REGION_INFO> || std::is_same_v<T, REGION_INFO_EX>)
    return DMNOTIFY_REGION_INFO;
  if constexpr (std::is_same_v<T, VOLUME_INFO>) return DMNOTIFY_VOLUME_INFO;
  if constexpr (std::is_same_v<T, TASK_INFO>) return DMNOTIFY_TASK_INFO;
  if constexpr (std::is_same_v<T, DRIVE_LETTER_INFO>) return DMNOTIFY_DL_INFO;
  if constexpr (std::is_same_v<T, FILE_SYSTEM_INFO>) return DMNOTIFY_FS_INFO;
  if constexpr (std::is_same_v<T, SystemInfo>) return DMNOTIFY_SYSTEM_INFO;
  return DMNOTIFY_UNKNOWN_INFO;
}

template <typename T>
struct Attempt {
  T value;
  std::size_t left = 0;
  std::optional<Error> error;
  std::vector<ndr::Anomaly> anomalies;

  Attempt(std::span<const std::byte> body, Pointers pointers) {
    ndr::Reader reader(body);
    GetCLayout(reader, value, pointers);
    left = reader.remaining();
    error = reader.error();
    anomalies = reader.anomalies();
  }
  [[nodiscard]] bool Exact() const { return !error && left == 0; }
  [[nodiscard]] bool Plausible() const { return !error && left <= kMaxPadding; }
};

class StreamReader {
 public:
  StreamReader(std::span<const std::byte> stream, Revision revision, std::optional<Pointers> expected)
      : stream_(stream), revision_(revision), expected_(expected) {}

  NotificationStream Read() {
    while (offset_ < stream_.size() && out_.errors.size() < NotificationStream::kMaxErrors) {
      if (!ReadFrame()) break;
    }
    if (seen_32_ && seen_64_) Note("stream", 0, "mixes the layouts of 32-bit and 64-bit machines");
    return std::move(out_);
  }

 private:
  void Fail(std::string why) {
    out_.errors.push_back(Error{ErrorKind::kMalformed, RPC_X_BAD_STUB_DATA,
                                fmt::format("notification frame at offset {}: {}", offset_, why)});
  }
  void Note(const char* field, std::size_t offset, std::string text) {
    if (out_.anomalies.size() < ndr::Reader::kMaxAnomalies)
      out_.anomalies.push_back({field, offset, std::move(text)});
  }

  /// False when the rest of the stream has no frame borders.
  bool ReadFrame() {
    const auto rest = stream_.subspan(offset_);
    ndr::Reader header(rest);
    std::uint32_t size = 0;
    std::uint32_t type = 0;
    std::uint32_t action = 0;
    header.Get(size, "size");
    header.Get(type, "type");
    header.Get(action, "action");
    if (!header.ok()) {
      Fail(fmt::format("{} octets are no frame header", rest.size()));
      return false;
    }
    if (size < kHeaderSize || size > rest.size()) {
      Fail(fmt::format("size {} is not within {} and the {} octets left", size, kHeaderSize, rest.size()));
      return false;
    }
    if (action > 0xFFFF) {
      Fail(fmt::format("action {} is no LDMACTION", action));
    } else {
      action_ = static_cast<LDMACTION>(action);
      if (NameOf(action_).empty()) Note("action", offset_ + 8, fmt::format("{} is no LDMACTION", action));
      ReadObject(type, rest.subspan(kHeaderSize, size - kHeaderSize));
    }
    offset_ += size;
    return true;
  }

  void ReadObject(std::uint32_t type, std::span<const std::byte> body) {
    const bool ex = revision_ == Revision::kIVolumeClient3;
    switch (type) {
      case DMNOTIFY_DISK_INFO:
        return ex ? Read<DISK_INFO_EX>(body) : Read<DISK_INFO>(body);
      case DMNOTIFY_REGION_INFO:
        return ex ? Read<REGION_INFO_EX>(body) : Read<REGION_INFO>(body);
      case DMNOTIFY_VOLUME_INFO:
        return Read<VOLUME_INFO>(body);
      case DMNOTIFY_TASK_INFO:
        return Read<TASK_INFO>(body);
      case DMNOTIFY_DL_INFO:
        return Read<DRIVE_LETTER_INFO>(body);
      case DMNOTIFY_FS_INFO:
        return Read<FILE_SYSTEM_INFO>(body);
      case DMNOTIFY_SYSTEM_INFO:
        return Read<SystemInfo>(body);
      default:
        return Fail(fmt::format("type {} announces no known structure", type));
    }
  }

  template <typename T>
  void Read(std::span<const std::byte> body) {
    Attempt<T> narrow(body, Pointers::k32Bit);
    Attempt<T> wide(body, Pointers::k64Bit);
    const bool same = narrow.error.has_value() == wide.error.has_value() && narrow.left == wide.left;
    bool use_wide = expected_ == Pointers::k64Bit;
    if (narrow.Exact() != wide.Exact()) {
      use_wide = wide.Exact();
    } else if (narrow.Plausible() != wide.Plausible()) {
      use_wide = wide.Plausible();
    }
    Attempt<T>& chosen = use_wide ? wide : narrow;
    if (chosen.error) return Fail(chosen.error->message);
    // What stands behind the last member of a structure without pointers is the padding that
    // WriteNotifications adds.
    if (chosen.left != PaddingOf<T>(chosen.value) && chosen.left != 0) {
      if (chosen.left > kMaxPadding) return Fail(fmt::format("{} octets behind the structure", chosen.left));
      Note("size", offset_, fmt::format("{} octets behind the structure", chosen.left));
    }
    for (ndr::Anomaly& anomaly : chosen.anomalies) {
      Note(anomaly.field.c_str(), offset_ + kHeaderSize + anomaly.offset, std::move(anomaly.text));
    }
    if (!same) (use_wide ? seen_64_ : seen_32_) = true;
    const Pointers pointers = use_wide ? Pointers::k64Bit : Pointers::k32Bit;
    out_.frames.push_back(
        {offset_, kHeaderSize + body.size(), same ? std::nullopt : std::optional<Pointers>(pointers)});
    out_.items.push_back({action_, std::move(chosen.value)});
  }

  /// Octets of trailing padding of the structure in C.
  template <typename T>
  static std::size_t PaddingOf(const T& value) {
    ndr::Writer writer;
    PutCLayout(writer, value, Pointers::k32Bit);
    const std::size_t padded = writer.size();
    const Result<Bytes> octets = std::move(writer).Take();
    if (!octets) return 0;
    ndr::Reader reader(*octets);
    T copy;
    GetCLayout(reader, copy, Pointers::k32Bit);
    return padded - reader.offset();
  }

  std::span<const std::byte> stream_;
  Revision revision_;
  std::optional<Pointers> expected_;
  std::size_t offset_ = 0;
  LDMACTION action_ = LDMACTION_UNKNOWN;
  bool seen_32_ = false;
  bool seen_64_ = false;
  NotificationStream out_;
};

}  // namespace

DMNOTIFY_INFO_TYPE Notification::type() const {
  return std::visit([]<typename T>(const T&) { return TypeOf<T>(); }, object);
}

Result<Bytes> WriteNotifications(std::span<const Notification> notifications, Pointers pointers) {
  ndr::Writer stream;
  for (const Notification& notification : notifications) {
    ndr::Writer body;
    std::visit([&](const auto& object) { PutCLayout(body, object, pointers); }, notification.object);
    const Result<Bytes> octets = std::move(body).Take();
    if (!octets) return tl::unexpected(octets.error());
    // Frames follow each other without padding, so each header is a stream of its own.
    ndr::Writer header;
    header.PutCount<std::uint32_t>(kHeaderSize + octets->size(), "size");
    header.Put(static_cast<std::uint32_t>(notification.type()));
    header.Put(static_cast<std::uint32_t>(notification.action));
    const Result<Bytes> header_octets = std::move(header).Take();
    if (!header_octets) return tl::unexpected(header_octets.error());
    stream.PutBytes(*header_octets);
    stream.PutBytes(*octets);
  }
  return std::move(stream).Take();
}

NotificationStream ReadNotifications(std::span<const std::byte> stream, Revision revision,
                                     std::optional<Pointers> expected) {
  return StreamReader(stream, revision, expected).Read();
}

nlohmann::ordered_json ToOrderedJson(const Notification& notification) {
  nlohmann::ordered_json json;
  json["type"] = ndr::JsonOf(notification.type());
  json["action"] = ndr::JsonOf(notification.action);
  json["object"] = std::visit([](const auto& object) { return ToOrderedJson(object); }, notification.object);
  return json;
}

nlohmann::json ToJson(const Notification& notification) {
  return nlohmann::json(ToOrderedJson(notification));
}

std::string ToText(const Notification& notification) {
  return ndr::RenderText("Notification", ToOrderedJson(notification));
}

}  // namespace dmrp
