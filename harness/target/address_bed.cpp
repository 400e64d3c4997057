// A server that runs already, somewhere else. Its disks come from the target file: scratch disks that are
// attached all the time, or commands that attach and detach.
#include "harness/guest/process.hpp"
#include "harness/target/test_bed.hpp"

#include <atomic>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

namespace dmrp::harness {

namespace {

constexpr std::chrono::seconds kCommandLimit{60};
constexpr int kCannot = 77;  // a command's exit status, as test programs skip with it

std::string Replace(std::string text, std::string_view key, std::string_view value) {
  const std::string placeholder = fmt::format("{{{}}}", key);
  for (auto at = text.find(placeholder); at != std::string::npos;
       at = text.find(placeholder, at + value.size())) {
    text.replace(at, placeholder.size(), value);
  }
  return text;
}

bool Fits(const ScratchDisk& disk, const DiskSpec& spec) {
  return spec.media == DiskMedia::kFixed && disk.size >= spec.size && disk.sector == spec.logical_sector &&
         !spec.read_only && !spec.geometry &&
         disk.bus == (spec.bus == DiskBus::kUsb          ? "usb"
                      : spec.bus == DiskBus::kVirtioScsi ? "scsi"
                                                         : "ide");
}

class AddressBed : public TestBed {
 public:
  AddressBed(const Target& target, std::filesystem::path directory, Launcher& launcher)
      : target_(target), directory_(std::move(directory)), launcher_(launcher), free_(target.scratch_disks) {}
  ~AddressBed() override {
    while (!attached_.empty()) {
      const std::string id = attached_.front().first;
      if (!Detach(id)) break;
    }
  }

  [[nodiscard]] rpc::Endpoint server() const override { return {target_.host, target_.port}; }
  [[nodiscard]] ClientAddress client_address() const override {
    return {target_.callback_address.empty() ? "0.0.0.0" : target_.callback_address,
            target_.callback_address};
  }

  Result<BedDisk> Attach(const BedDiskRequest& request) override {
    if (request.prepare) {
      return Fail(ErrorKind::kUnsupported, "this target's disks cannot be prepared before they are attached");
    }
    if (target_.disk_commands.attach.empty()) {
      return Fail(ErrorKind::kUnsupported, "this target has no command to attach disks");
    }
    auto answer = Run(target_.disk_commands.attach, request.spec, {}, {});
    if (!answer) return tl::unexpected(answer.error());
    nlohmann::json disk = nlohmann::json::parse(*answer, nullptr, false);
    if (!disk.is_object() || !disk["serial"].is_string()) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("disks.attach printed no JSON object with \"serial\": {}", *answer));
    }
    ScratchDisk made;
    made.serial = disk["serial"].get<std::string>();
    made.name = disk.value("name", "");
    made.image = disk.value("image", "");
    return Take(std::move(made), request.spec, true);
  }

  Result<void> Detach(std::string_view id) override {
    for (const auto& [name, disk] : attached_) {
      if (name != id) continue;
      if (target_.disk_commands.detach.empty()) {
        return Fail(ErrorKind::kUnsupported, "this target has no command to detach disks");
      }
      auto answer = Run(target_.disk_commands.detach, {}, disk.serial, disk.image);
      if (!answer) return tl::unexpected(answer.error());
      std::erase_if(disks_, [&](const BedDisk& each) { return each.id == id; });
      std::erase_if(attached_, [&](const auto& each) { return each.first == id; });
      return {};
    }
    return Fail(ErrorKind::kUnsupported, fmt::format("{} is attached for good", id));
  }

  Result<std::filesystem::path> Snapshot(std::string_view id) override {
    for (const auto& [name, image] : images_) {
      if (name != id) continue;
      if (image.empty()) return Fail(ErrorKind::kUnsupported, fmt::format("{} has no image here", id));
      static std::atomic<unsigned> serial = 0;
      auto copy = directory_ / fmt::format("snapshot{}.raw", ++serial);
      if (auto done = CopySparse(image, copy); !done) return tl::unexpected(done.error());
      return copy;
    }
    return Fail(ErrorKind::kUsage, fmt::format("no disk {}", id));
  }

  Result<void> Provide(const BedDiskRequest& request) {
    if (!target_.disk_commands.attach.empty()) {
      auto attached = Attach(request);
      if (!attached) return tl::unexpected(attached.error());
      return {};
    }
    if (!request.prepare && request.spec.label == DiskLabel::kNone) {
      for (auto disk = free_.begin(); disk != free_.end(); ++disk) {
        if (!Fits(*disk, request.spec)) continue;
        ScratchDisk chosen = *disk;
        free_.erase(disk);
        Take(std::move(chosen), request.spec, false);
        return {};
      }
    }
    return Fail(ErrorKind::kUnsupported,
                fmt::format("the target has no command to attach disks and no free scratch disk for \"{}\"",
                            ToText(request.spec)));
  }

 private:
  BedDisk Take(ScratchDisk disk, DiskSpec spec, bool ours) {
    const std::string id = disk.serial.empty() ? disk.name : disk.serial;
    if (disk.size != 0) spec.size = disk.size;
    disks_.push_back({id, spec, disk.name});
    images_.emplace_back(id, disk.image);
    if (ours) attached_.emplace_back(id, std::move(disk));
    return disks_.back();
  }

  Result<std::string> Run(const std::vector<std::string>& command, const DiskSpec& spec,
                          const std::string& serial, const std::filesystem::path& image) {
    ProcessOptions options;
    for (std::string word : command) {
      word = Replace(std::move(word), "size", std::to_string(spec.size));
      word = Replace(std::move(word), "sector", std::to_string(spec.logical_sector));
      word = Replace(std::move(word), "bus", Name(spec.bus));
      word = Replace(std::move(word), "label", Name(spec.label));
      word = Replace(std::move(word), "read_only", spec.read_only ? "yes" : "no");
      word = Replace(std::move(word), "serial", serial);
      word = Replace(std::move(word), "image", image.string());
      options.argv.push_back(std::move(word));
    }
    options.log = directory_ / "command.out";
    std::error_code ignored;
    std::filesystem::remove(options.log, ignored);
    auto process = launcher_.Start(options);
    if (!process) return tl::unexpected(process.error());
    auto status = process->Wait(kCommandLimit);
    std::ifstream stream(options.log, std::ios::binary);
    std::string output{std::istreambuf_iterator<char>(stream), {}};
    if (!status) return tl::unexpected(status.error());
    if (WIFEXITED(*status) && WEXITSTATUS(*status) == kCannot) {
      return Fail(ErrorKind::kUnsupported, fmt::format("{} cannot do this: {}", command.front(), output));
    }
    if (*status != 0) {
      return Fail(
          ErrorKind::kSystem,
          fmt::format("{} ended with {} {}: {}", command.front(), WIFEXITED(*status) ? "status" : "signal",
                      WIFEXITED(*status) ? WEXITSTATUS(*status) : WTERMSIG(*status), output));
    }
    return output;
  }

  const Target& target_;
  const std::filesystem::path directory_;
  Launcher& launcher_;
  std::vector<ScratchDisk> free_;
  std::vector<std::pair<std::string, ScratchDisk>> attached_;
  std::vector<std::pair<std::string, std::filesystem::path>> images_;
};

class AddressFactory : public TestBedFactory {
 public:
  AddressFactory(const Target& target, std::filesystem::path directory)
      : target_(target), directory_(std::move(directory)) {}

  Result<std::unique_ptr<TestBed>> Start(const BedRequest& request) override {
    if (request.system_disk) {
      return Fail(ErrorKind::kUnsupported, "this target has no system disk of ours");
    }
    auto bed = std::make_unique<AddressBed>(target_, directory_, launcher_);
    for (const BedDiskRequest& disk : request.disks) {
      if (auto provided = bed->Provide(disk); !provided) return tl::unexpected(provided.error());
    }
    return bed;
  }

 private:
  const Target target_;
  const std::filesystem::path directory_;
  Launcher launcher_;
};

}  // namespace

Result<std::unique_ptr<TestBedFactory>> MakeAddressFactory(const Target& target,
                                                           const std::filesystem::path& directory) {
  return std::make_unique<AddressFactory>(target, directory);
}

}  // namespace dmrp::harness
