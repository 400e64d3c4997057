// A server program of this machine that serves image files: no guest, so a test costs milliseconds. It has no
// device events and no kernel between server and image; certification runs use guests.
#include "harness/disks/disk_image.hpp"
#include "harness/guest/process.hpp"
#include "harness/target/test_bed.hpp"
#include "protocol/base/file_descriptor.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace dmrp::harness {

namespace {

constexpr std::chrono::seconds kStartLimit{10};
constexpr std::chrono::seconds kStopLimit{10};

struct ServedDisk {
  std::string id;
  DiskImage image;
};

std::string_view BusName(DiskBus bus) {
  switch (bus) {
    case DiskBus::kVirtioScsi:
    case DiskBus::kLsi:
    case DiskBus::kNvme:
    case DiskBus::kFloppy:
      return "scsi";
    case DiskBus::kUsb:
      return "usb";
    case DiskBus::kIde:
    case DiskBus::kAhci:
      return "ide";
  }
  return "scsi";
}

class ProcessBed : public TestBed {
 public:
  ProcessBed(const Target& target, std::filesystem::path directory, Launcher& launcher)
      : target_(target), directory_(std::move(directory)), launcher_(launcher) {}
  ~ProcessBed() override {
    Stop();
    for (const ServedDisk& disk : served_) {
      std::error_code ignored;
      std::filesystem::remove(disk.image.path, ignored);
    }
  }

  Result<void> Add(const BedDiskRequest& request) {
    if (request.spec.media != DiskMedia::kFixed || request.spec.bus == DiskBus::kNvme) {
      return Fail(ErrorKind::kUnsupported,
                  fmt::format("a server process has no drive for \"{}\"", ToText(request.spec)));
    }
    auto image = CreateDiskImage(request.spec, directory_);
    if (!image) return tl::unexpected(image.error());
    if (image->spec.format != DiskFormat::kRaw) {
      return Fail(ErrorKind::kUnsupported, "a server process reads raw images only");
    }
    if (request.prepare) {
      if (auto prepared = request.prepare(image->path); !prepared) return prepared;
    }
    const std::string id = fmt::format("disk{}", served_.size());
    disks_.push_back({id, image->spec, {}});
    served_.push_back({id, *std::move(image)});
    return {};
  }

  Result<void> Start() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("pipe", errno);
    FileDescriptor ready(ends[0]);
    FileDescriptor tell(ends[1]);
    ProcessOptions options;
    options.argv = target_.server;
    for (const ServedDisk& disk : served_) {
      const DiskSpec& spec = disk.image.spec;
      std::string argument = fmt::format("{},sector={},bus={},serial={}", disk.image.path.string(),
                                         spec.logical_sector, BusName(spec.bus), spec.serial);
      if (spec.geometry)
        argument += fmt::format(",heads={},sectors={}", spec.geometry->heads, spec.geometry->sectors);
      if (spec.read_only) argument += ",readonly";
      options.argv.insert(options.argv.end(), {"--image", argument});
    }
    options.argv.insert(options.argv.end(), {"--ready-fd", std::to_string(tell.Get())});
    options.inherit = {tell.Get()};
    options.log = log_file();
    auto process = launcher_.Start(options);
    if (!process) return tl::unexpected(process.error());
    process_ = *std::move(process);
    tell.Reset();
    return AwaitReady(ready);
  }

  [[nodiscard]] rpc::Endpoint server() const override { return server_; }
  [[nodiscard]] ClientAddress client_address() const override { return {}; }

  Result<std::filesystem::path> Snapshot(std::string_view id) override {
    const ServedDisk* disk = Served(id);
    if (disk == nullptr) return Fail(ErrorKind::kUsage, fmt::format("no disk {}", id));
    static std::atomic<unsigned> serial = 0;
    auto copy = directory_ / fmt::format("snapshot{}.raw", ++serial);
    if (auto done = CopySparse(disk->image.path, copy); !done) return tl::unexpected(done.error());
    return copy;
  }

  Result<void> Overwrite(std::string_view id, std::uint64_t offset, const Bytes& octets,
                         bool /*announce*/) override {
    const ServedDisk* disk = Served(id);
    if (disk == nullptr) return Fail(ErrorKind::kUsage, fmt::format("no disk {}", id));
    FileDescriptor file(open(disk->image.path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return FailErrno("open " + disk->image.path.string(), errno);
    const ssize_t written = pwrite(file.Get(), octets.data(), octets.size(), static_cast<off_t>(offset));
    if (written != static_cast<ssize_t>(octets.size())) return FailErrno("write an image", errno);
    return {};
  }

  Result<void> Resize(std::string_view id, std::uint64_t size) override {
    const ServedDisk* disk = Served(id);
    if (disk == nullptr) return Fail(ErrorKind::kUsage, fmt::format("no disk {}", id));
    if (truncate(disk->image.path.c_str(), static_cast<off_t>(size)) != 0)
      return FailErrno("truncate", errno);
    return {};
  }

  Result<void> Restart() override {
    Stop();
    return Start();
  }

  std::string ServerLog() override {
    std::ifstream stream(log_file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  bool server_running() override { return process_.running(); }

 private:
  [[nodiscard]] std::filesystem::path log_file() const { return directory_ / "server.log"; }

  [[nodiscard]] const ServedDisk* Served(std::string_view id) const {
    for (const ServedDisk& disk : served_) {
      if (disk.id == id) return &disk;
    }
    return nullptr;
  }

  void Stop() {
    if (process_.pid() <= 0 || !process_.running()) return;
    kill(process_.pid(), SIGTERM);
    if (!process_.Wait(kStopLimit)) process_.Kill();
  }

  // Reads "ready resolver=ADDRESS:PORT ...".
  Result<void> AwaitReady(const FileDescriptor& ready) {
    std::string line;
    const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
    while (line.find('\n') == std::string::npos) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd wait{ready.Get(), POLLIN, 0};
      if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
        return Fail(ErrorKind::kTimeout,
                    fmt::format("the server said nothing for {} s", kStartLimit.count()));
      }
      std::array<char, 256> buffer{};
      const ssize_t count = read(ready.Get(), buffer.data(), buffer.size());
      if (count <= 0) {
        return Fail(ErrorKind::kUnavailable, "the server ended before it was ready:\n" + ServerLog());
      }
      line.append(buffer.data(), static_cast<std::size_t>(count));
    }
    constexpr std::string_view kKey = "resolver=";
    const auto start = line.find(kKey);
    const auto colon = line.find(':', start);
    if (start == std::string::npos || colon == std::string::npos) {
      return Fail(ErrorKind::kMalformed, fmt::format("the server's ready line is \"{}\"", line));
    }
    server_.host = line.substr(start + kKey.size(), colon - start - kKey.size());
    server_.port = static_cast<std::uint16_t>(std::strtoul(line.c_str() + colon + 1, nullptr, 10));
    return {};
  }

  const Target& target_;
  const std::filesystem::path directory_;
  Launcher& launcher_;
  Process process_;
  rpc::Endpoint server_;
  std::vector<ServedDisk> served_;
};

class ProcessFactory : public TestBedFactory {
 public:
  ProcessFactory(const Target& target, std::filesystem::path directory)
      : target_(target), directory_(std::move(directory)) {}

  Result<std::unique_ptr<TestBed>> Start(const BedRequest& request) override {
    if (request.system_disk) {
      return Fail(ErrorKind::kUnsupported, "this target has no system disk of ours");
    }
    const auto directory = directory_ / fmt::format("bed{}", ++beds_);
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (failure) return FailErrno("create folder " + directory.string(), failure.value());
    auto bed = std::make_unique<ProcessBed>(target_, directory, launcher_);
    for (const BedDiskRequest& disk : request.disks) {
      if (auto added = bed->Add(disk); !added) return tl::unexpected(added.error());
    }
    if (auto started = bed->Start(); !started) return tl::unexpected(started.error());
    return bed;
  }

 private:
  const Target target_;
  const std::filesystem::path directory_;
  Launcher launcher_;
  unsigned beds_ = 0;
};

}  // namespace

Result<std::unique_ptr<TestBedFactory>> MakeProcessFactory(const Target& target,
                                                           const std::filesystem::path& directory) {
  return std::make_unique<ProcessFactory>(target, directory);
}

}  // namespace dmrp::harness
