#include "reference_server/platform/file_watch.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace dmrp::server {

Result<std::unique_ptr<FileWatch>> FileWatch::Start(const std::filesystem::path& path,
                                                    std::function<void()> changed,
                                                    std::function<void(const std::string&)> log) {
  const std::string file = path.filename().string();
  Subject subject{
      .folder = path.has_parent_path() ? path.parent_path() : ".",
      .name = file,
      .events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF,
      .concerns = [file](const char* name) { return file == name; }};
  return Start(std::move(subject), std::move(changed), std::move(log));
}

Result<std::unique_ptr<FileWatch>> FileWatch::StartOnBlockDevices(
    const std::filesystem::path& folder, std::function<void()> changed,
    std::function<void(const std::string&)> log) {
  Subject subject{.folder = folder,
                  .name = "the devices in " + folder.string(),
                  .events = IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF,
                  .concerns = [folder](const char* name) {
                    std::error_code gone;
                    return std::filesystem::is_block_file(folder / name, gone);
                  }};
  return Start(std::move(subject), std::move(changed), std::move(log));
}

Result<std::unique_ptr<FileWatch>> FileWatch::Start(Subject subject, std::function<void()> changed,
                                                    std::function<void(const std::string&)> log) {
  FileDescriptor notifier(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notifier) return FailErrno("inotify_init1", errno);
  if (::inotify_add_watch(notifier.Get(), subject.folder.c_str(), subject.events | IN_ONLYDIR) < 0) {
    return FailErrno(fmt::format("watching {}", subject.folder.string()), errno);
  }
  FileDescriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return FailErrno("eventfd", errno);
  return std::unique_ptr<FileWatch>(new FileWatch(std::move(notifier), std::move(stop), std::move(subject),
                                                  std::move(changed), std::move(log)));
}

FileWatch::FileWatch(FileDescriptor notifier, FileDescriptor stop, Subject subject,
                     std::function<void()> changed, std::function<void(const std::string&)> log)
    : notifier_(std::move(notifier)),
      stop_(std::move(stop)),
      subject_(std::move(subject)),
      changed_(std::move(changed)),
      log_(std::move(log)),
      thread_([this] { Run(); }) {}

FileWatch::~FileWatch() {
  ::eventfd_write(stop_.Get(), 1);
  thread_.join();
}

// Reads all events that wait; true when one of them is about the subject.
Result<bool> FileWatch::Take() {
  bool concerned = false;
  alignas(inotify_event) std::array<char, 4096> events{};
  while (true) {
    const ssize_t count = ::read(notifier_.Get(), events.data(), events.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return concerned;
    if (count < 0) return FailErrno("reading file events", errno);
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(count);) {
      inotify_event event{};
      std::memcpy(&event, events.data() + at, sizeof event);
      const char* name = events.data() + at + sizeof event;
      at += sizeof event + event.len;
      if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) {
        log_("the folder of " + subject_.name + " went: its changes are not seen any more");
      }
      // Lost events may have been about it.
      if ((event.mask & IN_Q_OVERFLOW) != 0 || (event.len != 0 && subject_.concerns(name))) {
        concerned = true;
      }
    }
  }
}

void FileWatch::Run() {
  while (true) {
    std::array<pollfd, 2> descriptors = {{{.fd = stop_.Get(), .events = POLLIN, .revents = 0},
                                          {.fd = notifier_.Get(), .events = POLLIN, .revents = 0}}};
    if (::poll(descriptors.data(), descriptors.size(), -1) < 0 && errno != EINTR) {
      log_("changes of " + subject_.name + " are not watched any more: poll failed");
      return;
    }
    if (descriptors[0].revents != 0) return;
    if (descriptors[1].revents == 0) continue;
    const auto concerned = Take();
    if (!concerned) {
      log_("changes of " + subject_.name + " are not watched any more: " + concerned.error().ToString());
      return;
    }
    if (*concerned) changed_();
  }
}

}  // namespace dmrp::server
