#include "reference_server/platform/device_mapper.hpp"

#include "protocol/base/file_descriptor.hpp"
#include "reference_server/platform/process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

namespace dmrp::server {
namespace {

/// Devices and targets come with their status in one buffer; the kernel says when it is too small.
constexpr std::size_t kFirstBuffer = 16384;
constexpr std::size_t kLargestBuffer = std::size_t{4} << 20;
constexpr std::size_t kAlignment = 8;

std::size_t Aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

/// The kernel's log from here on. The ioctls answer with errno alone, the reason is in the log.
class KernelLog {
 public:
  KernelLog() : fd_(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    if (fd_ && ::lseek(fd_.Get(), 0, SEEK_END) < 0) fd_ = {};
  }
  /// What device-mapper and md said since, in brackets; empty when nothing.
  std::string Said() {
    std::string said;
    std::array<char, 2048> record{};
    while (fd_) {
      const ssize_t count = ::read(fd_.Get(), record.data(), record.size());
      if (count < 0 && (errno == EPIPE || errno == EINTR)) continue;
      if (count <= 0) break;
      std::string_view text(record.data(), static_cast<std::size_t>(count));
      text.remove_prefix(std::min(text.size(), text.find(';') + 1));
      text = text.substr(0, text.find('\n'));
      if (!text.starts_with("device-mapper:") && !text.starts_with("md")) continue;
      said += fmt::format("{}{}", said.empty() ? " [" : "; ", text);
    }
    return said.empty() ? said : said + "]";
  }

 private:
  FileDescriptor fd_;
};

/// One request to the driver and the buffer that it answers in.
class Request {
 public:
  explicit Request(std::string_view name = {}, std::string_view uuid = {}, std::uint32_t flags = 0) {
    header_.version[0] = DM_VERSION_MAJOR;
    header_.data_start = Aligned(sizeof(dm_ioctl));
    header_.flags = flags;
    // Longer names are refused before: see CheckNames.
    name.copy(header_.name, sizeof header_.name - 1);
    uuid.copy(header_.uuid, sizeof header_.uuid - 1);
  }
  dm_ioctl& Header() { return header_; }

  void AppendTargets(const MappedTable& table) {
    header_.target_count = static_cast<std::uint32_t>(table.size());
    for (const MappedTarget& target : table) {
      dm_target_spec spec{};
      spec.sector_start = target.start;
      spec.length = target.length;
      spec.next = static_cast<std::uint32_t>(Aligned(sizeof spec + target.arguments.size() + 1));
      target.type.copy(spec.target_type, sizeof spec.target_type - 1);
      AppendRecord(&spec, sizeof spec, target.arguments);
    }
  }
  void AppendMessage(std::string_view text) {
    const dm_target_msg message{};
    AppendRecord(&message, sizeof message, text);
  }

  Result<void> Run(const FileDescriptor& control, unsigned long command, std::string_view what) {
    KernelLog log;
    for (std::size_t size = kFirstBuffer; size <= kLargestBuffer; size *= 4) {
      buffer_.assign(std::max(size, header_.data_start + payload_.size()), std::byte{0});
      header_.data_size = static_cast<std::uint32_t>(buffer_.size());
      std::memcpy(buffer_.data(), &header_, sizeof header_);
      if (!payload_.empty()) {
        std::memcpy(buffer_.data() + header_.data_start, payload_.data(), payload_.size());
      }
      if (::ioctl(control.Get(), command, buffer_.data()) != 0) {
        const int error = errno;
        return FailErrno(fmt::format("{}{}", what, log.Said()), error);
      }
      dm_ioctl answer{};
      std::memcpy(&answer, buffer_.data(), sizeof answer);
      if ((answer.flags & DM_BUFFER_FULL_FLAG) != 0) continue;
      header_ = answer;
      return {};
    }
    return Fail(ErrorKind::kLimit, fmt::format("{}: the answer exceeds {} octets", what, kLargestBuffer));
  }
  /// What the driver put behind the header.
  [[nodiscard]] std::span<const std::byte> Answer() const {
    const std::size_t start = std::min<std::size_t>(header_.data_start, buffer_.size());
    const std::size_t end = std::clamp<std::size_t>(header_.data_size, start, buffer_.size());
    return std::span(buffer_).subspan(start, end - start);
  }

 private:
  void AppendRecord(const void* record, std::size_t size, std::string_view text) {
    const std::size_t at = payload_.size();
    payload_.resize(at + Aligned(size + text.size() + 1));
    std::memcpy(payload_.data() + at, record, size);
    std::memcpy(payload_.data() + at + size, text.data(), text.size());
  }
  dm_ioctl header_{};
  std::vector<std::byte> payload_;
  std::vector<std::byte> buffer_;
};

/// The text that begins there, up to its end mark or the end of the answer.
std::string TextAt(std::span<const std::byte> answer, std::size_t at) {
  if (at >= answer.size()) return {};
  const auto* text = reinterpret_cast<const char*>(answer.data()) + at;
  return {text, ::strnlen(text, answer.size() - at)};
}

Result<FileDescriptor> OpenControl(const std::filesystem::path& control) {
  FileDescriptor fd(::open(control.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return FailErrno(fmt::format("opening {}", control.string()), errno);
  return fd;
}

Result<void> CheckNames(std::string_view name, std::string_view uuid) {
  static_assert(kMaxMapperName == DM_NAME_LEN - 1);
  if (name.empty() || name.size() > kMaxMapperName || name.find('/') != name.npos ||
      uuid.size() >= DM_UUID_LEN) {
    return Fail(ErrorKind::kUsage, fmt::format("\"{}\" cannot be the name of a mapped device", name));
  }
  return {};
}

MappedDevice Described(const dm_ioctl& header) {
  return {.name = std::string(header.name, ::strnlen(header.name, sizeof header.name)),
          .uuid = std::string(header.uuid, ::strnlen(header.uuid, sizeof header.uuid)),
          .major = gnu_dev_major(header.dev),
          .minor = gnu_dev_minor(header.dev),
          .openCount = header.open_count,
          .event = header.event_nr,
          .active = (header.flags & DM_ACTIVE_PRESENT_FLAG) != 0,
          .suspended = (header.flags & DM_SUSPEND_FLAG) != 0,
          .readOnly = (header.flags & DM_READONLY_FLAG) != 0};
}

Result<MappedTable> AskTargets(const std::filesystem::path& control, std::string_view name,
                               std::uint32_t flags) {
  auto fd = OpenControl(control);
  if (!fd) return tl::unexpected(fd.error());
  Request request(name, {}, flags);
  if (auto done = request.Run(*fd, DM_TABLE_STATUS, fmt::format("asking {} for its table", name)); !done) {
    return tl::unexpected(done.error());
  }
  MappedTable table;
  const std::span<const std::byte> answer = request.Answer();
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < request.Header().target_count; ++i) {
    dm_target_spec spec{};
    if (at > answer.size() || answer.size() - at < sizeof spec) {
      return Fail(ErrorKind::kMalformed, fmt::format("target {} of {} lies outside the answer", i, name));
    }
    std::memcpy(&spec, answer.data() + at, sizeof spec);
    table.push_back({.start = spec.sector_start,
                     .length = spec.length,
                     .type = {spec.target_type, ::strnlen(spec.target_type, sizeof spec.target_type)},
                     .arguments = TextAt(answer, at + sizeof spec)});
    at = spec.next;
  }
  return table;
}

Result<dm_ioctl> Command(const FileDescriptor& control, unsigned long command, Request request,
                         std::string_view what) {
  if (auto done = request.Run(control, command, what); !done) return tl::unexpected(done.error());
  return request.Header();
}

Result<void> Load(const FileDescriptor& control, std::string_view name, const MappedTable& table,
                  bool read_only) {
  Request load(name, {}, read_only ? DM_READONLY_FLAG : 0);
  load.AppendTargets(table);
  return load.Run(control, DM_TABLE_LOAD, fmt::format("loading the table of {}", name));
}

/// Lets requests through, to the loaded table if there is one. File systems need not be frozen before: no
/// request is lost, and one in user space could wait for itself.
Result<dm_ioctl> Resume(const FileDescriptor& control, std::string_view name) {
  return Command(control, DM_DEV_SUSPEND, Request(name, {}, DM_SKIP_LOCKFS_FLAG),
                 fmt::format("activating the table of {}", name));
}

}  // namespace

std::string MappedTarget::ToString() const {
  return fmt::format("{} {} {} {}", start, length, type, arguments);
}

std::filesystem::path MappedDevice::Node() const { return fmt::format("/dev/dm-{}", minor); }

std::string MappedDevice::Number() const { return fmt::format("{}:{}", major, minor); }

Result<DeviceMapper> DeviceMapper::Open(std::filesystem::path control) {
  auto fd = OpenControl(control);
  if (!fd) {
    if (const auto modprobe = FindProgram("modprobe")) {
      std::ignore = RunProcess({.program = *modprobe, .arguments = {"dm_mod"}}, {});
      fd = OpenControl(control);
    }
  }
  if (!fd) return Fail(ErrorKind::kUnavailable, fd.error().message, fd.error().status);
  if (auto version = Command(*fd, DM_VERSION, Request(), "asking device-mapper for its version"); !version) {
    return Fail(ErrorKind::kUnavailable, version.error().message, version.error().status);
  }
  return DeviceMapper(std::move(control));
}

Result<MappedDevice> DeviceMapper::Create(std::string_view name, std::string_view uuid,
                                          const MappedTable& table, bool read_only) const {
  if (auto fine = CheckNames(name, uuid); !fine) return tl::unexpected(fine.error());
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  const auto created = Command(*control, DM_DEV_CREATE, Request(name, uuid, read_only ? DM_READONLY_FLAG : 0),
                               fmt::format("creating {}", name));
  if (!created) return tl::unexpected(created.error());
  const auto loaded = Load(*control, name, table, read_only);
  const auto resumed = loaded ? Resume(*control, name) : tl::unexpected(loaded.error());
  if (!resumed) {
    std::ignore = Command(*control, DM_DEV_REMOVE, Request(name), "removing a device");
    return tl::unexpected(resumed.error());
  }
  MappedDevice device = Described(*resumed);
  // Where udev runs it has made the link, or is about to.
  std::error_code error;
  if (std::filesystem::is_symlink(Link(name), error)) std::filesystem::remove(Link(name), error);
  std::filesystem::create_symlink(".." / device.Node().filename(), Link(name), error);
  return device;
}

Result<std::optional<MappedDevice>> DeviceMapper::Replace(std::string_view name, const MappedTable& table,
                                                          bool read_only,
                                                          const std::function<bool()>& still) const {
  if (auto fine = CheckNames(name, {}); !fine) return tl::unexpected(fine.error());
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  if (auto loaded = Load(*control, name, table, read_only); !loaded) return tl::unexpected(loaded.error());
  const auto stay = [&] {
    std::ignore = Command(*control, DM_TABLE_CLEAR, Request(name), "clearing a table");
    std::ignore = Resume(*control, name);
  };
  const auto suspended =
      Command(*control, DM_DEV_SUSPEND, Request(name, {}, DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG),
              fmt::format("suspending {}", name));
  if (!suspended) {
    stay();
    return tl::unexpected(suspended.error());
  }
  if (still && !still()) {
    stay();
    return std::nullopt;
  }
  const auto resumed = Resume(*control, name);
  if (!resumed) {
    stay();
    return tl::unexpected(resumed.error());
  }
  return Described(*resumed);
}

Result<void> DeviceMapper::Remove(std::string_view name, bool when_unused) const {
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  const auto removed =
      Command(*control, DM_DEV_REMOVE, Request(name, {}, when_unused ? DM_DEFERRED_REMOVE : 0),
              fmt::format("removing {}", name));
  if (!removed) return tl::unexpected(removed.error());
  std::error_code error;
  if (!Find(name)) std::filesystem::remove(Link(name), error);
  return {};
}

Result<void> DeviceMapper::Message(std::string_view name, std::string_view text) const {
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  Request request(name);
  request.AppendMessage(text);
  return request.Run(*control, DM_TARGET_MSG, fmt::format("telling {} to {}", name, text));
}

Result<MappedDevice> DeviceMapper::Find(std::string_view name) const {
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  const auto found = Command(*control, DM_DEV_STATUS, Request(name), fmt::format("looking for {}", name));
  if (!found) return tl::unexpected(found.error());
  return Described(*found);
}

Result<MappedTable> DeviceMapper::Table(std::string_view name) const {
  return AskTargets(control_, name, DM_STATUS_TABLE_FLAG);
}

Result<MappedTable> DeviceMapper::Status(std::string_view name) const {
  // Without the flag the question would wait for requests under way, on a dead disk perhaps for long.
  return AskTargets(control_, name, DM_NOFLUSH_FLAG);
}

Result<std::vector<std::string>> DeviceMapper::List(std::string_view prefix) const {
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  Request request;
  if (auto done = request.Run(*control, DM_LIST_DEVICES, "listing mapped devices"); !done) {
    return tl::unexpected(done.error());
  }
  std::vector<std::string> names;
  const std::span<const std::byte> answer = request.Answer();
  constexpr std::size_t kNameOffset = offsetof(dm_name_list, name);
  for (std::size_t at = 0; answer.size() - at >= kNameOffset;) {
    dm_name_list entry{};
    std::memcpy(&entry, answer.data() + at, kNameOffset);
    std::string name = entry.dev == 0 ? std::string() : TextAt(answer, at + kNameOffset);
    if (!name.empty() && name.starts_with(prefix)) names.push_back(std::move(name));
    if (entry.next == 0 || entry.next > answer.size() - at) break;
    at += entry.next;
  }
  std::ranges::sort(names);
  return names;
}

Result<std::uint32_t> DeviceMapper::WaitEvent(std::string_view name, std::uint32_t seen,
                                              std::chrono::milliseconds deadline,
                                              const std::stop_token& stop) const {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + deadline;
  // The descriptor is ready when any device had an event since it was armed.
  auto control = OpenControl(control_);
  if (!control) return tl::unexpected(control.error());
  const FileDescriptor stopped(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopped) return FailErrno("making an eventfd", errno);
  const std::stop_callback wake(stop, [&] { std::ignore = ::eventfd_write(stopped.Get(), 1); });
  while (true) {
    if (auto armed = Command(*control, DM_DEV_ARM_POLL, Request(), "arming the event"); !armed) {
      return tl::unexpected(armed.error());
    }
    const auto device = Find(name);
    if (!device) return tl::unexpected(device.error());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (device->event != seen || stop.stop_requested() || left.count() <= 0) return device->event;
    std::array<pollfd, 2> waited{pollfd{control->Get(), POLLIN, 0}, pollfd{stopped.Get(), POLLIN, 0}};
    if (::poll(waited.data(), waited.size(),
               static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30))) < 0 &&
        errno != EINTR) {
      return FailErrno("waiting for a device-mapper event", errno);
    }
  }
}

}  // namespace dmrp::server
