// The reference server in a QEMU guest: a pristine clone for each test bed.
#include "harness/disks/disk_image.hpp"
#include "harness/guest/guest.hpp"
#include "harness/target/test_bed.hpp"

#include <atomic>
#include <cstdio>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {

class BundledBed : public TestBed {
 public:
  /// `images` in the order of the request, which is not the order in which the guest got its disks.
  BundledBed(Guest guest, std::filesystem::path directory, const std::vector<DiskImage>& images)
      : guest_(std::move(guest)), directory_(std::move(directory)) {
    const std::vector<AttachedDisk> attached = guest_.disks();
    for (const DiskImage& image : images) {
      for (const AttachedDisk& disk : attached) {
        if (disk.image.spec.serial == image.spec.serial) disks_.push_back(Described(disk));
      }
    }
    if (const auto own = guest_.system_disk()) system_disk_ = Described(*own);
  }

  [[nodiscard]] rpc::Endpoint server() const override {
    return {guest_.address().host, guest_.address().port};
  }
  [[nodiscard]] ClientAddress client_address() const override {
    return {guest_.address().listen_address, guest_.address().callback_address};
  }

  Result<BedDisk> Attach(const BedDiskRequest& request) override {
    auto image = MakeImage(request, directory_);
    if (!image) return tl::unexpected(image.error());
    auto attached = guest_.AttachDisk(*image);
    if (!attached) return tl::unexpected(attached.error());
    disks_.push_back(Described(*attached));
    return disks_.back();
  }

  Result<void> Detach(std::string_view id) override {
    auto detached = guest_.DetachDisk(id);
    if (detached) std::erase_if(disks_, [&](const BedDisk& disk) { return disk.id == id; });
    return detached;
  }

  Result<std::filesystem::path> Snapshot(std::string_view id) override {
    auto copies = Copies([&](const FrozenDisk& disk) { return disk.id == id; });
    if (!copies) return tl::unexpected(copies.error());
    if (copies->empty()) return Fail(ErrorKind::kUnsupported, fmt::format("disk {} has no raw image", id));
    return copies->begin()->second;
  }

  Result<std::map<std::string, std::filesystem::path>> SnapshotAll() override {
    return Copies([](const FrozenDisk& disk) { return disk.id != kSystemDiskId; });
  }

  Result<void> Overwrite(std::string_view id, std::uint64_t offset, const Bytes& octets,
                         bool announce) override {
    for (const AttachedDisk& disk : guest_.disks()) {
      if (disk.id != id) continue;
      const std::string data(reinterpret_cast<const char*>(octets.data()), octets.size());
      if (auto written = guest_.agent().WriteFile("/tmp/overwrite", data); !written) return written;
      std::string script =
          fmt::format("dd if=/tmp/overwrite of=/dev/{0} bs=512 seek={1} conv=notrunc,fsync 2>&1 && sync",
                      disk.guest_device, offset / 512);
      if (announce) script += fmt::format(" && blockdev --rereadpt /dev/{}", disk.guest_device);
      auto done = guest_.agent().Shell(script);
      if (!done) return tl::unexpected(done.error());
      return {};
    }
    return Fail(ErrorKind::kUsage, fmt::format("no disk {}", id));
  }

  Result<void> Resize(std::string_view id, std::uint64_t size) override {
    return guest_.ResizeDisk(id, size);
  }

  Result<void> Restart() override {
    if (auto stopped = guest_.StopServer(); !stopped) return tl::unexpected(stopped.error());
    return guest_.StartServer();
  }

  Result<void> InsertMedium(std::string_view id, const BedDiskRequest& request) override {
    auto image = MakeImage(request, directory_);
    if (!image) return tl::unexpected(image.error());
    auto inserted = guest_.InsertMedium(id, *image);
    if (inserted) Refresh();
    return inserted;
  }

  Result<void> RemoveMedium(std::string_view id, bool force) override {
    auto removed = guest_.RemoveMedium(id, force);
    if (removed) Refresh();
    return removed;
  }

  Result<bool> TrayOpen(std::string_view id) override { return guest_.TrayOpen(id); }

  Result<void> Reboot(RestartKind kind) override {
    auto done = guest_.Restart(kind);
    if (done) Refresh();
    return done;
  }

  [[nodiscard]] std::vector<std::filesystem::path> captures() const override { return guest_.captures(); }

  std::string ServerLog() override { return guest_.ServerLog().value_or(std::string()); }
  bool server_running() override { return guest_.server_running(); }
  Guest* guest() override { return &guest_; }

  static Result<DiskImage> MakeImage(const BedDiskRequest& request, const std::filesystem::path& directory) {
    auto image = CreateDiskImage(request.spec, directory);
    if (image && request.prepare) {
      if (auto prepared = request.prepare(image->path); !prepared) return tl::unexpected(prepared.error());
    }
    return image;
  }

 private:
  // The disk with its place, as the kernel's path of it shows: .../host2/target2:0:1/2:0:1:0.
  BedDisk Described(const AttachedDisk& disk) {
    BedDisk described{disk.id, disk.image.spec, {}, {}};
    auto link = guest_.agent().Shell(fmt::format("readlink -f /sys/block/{}/device", disk.guest_device));
    BedDiskAddress address;
    int channel = 0;
    if (link && std::sscanf(link->substr(link->rfind('/') + 1).c_str(), "%d:%d:%d:%d", &address.port,
                            &channel, &address.target, &address.lun) == 4) {
      described.address = address;
    }
    return described;
  }

  void Refresh() {
    for (const AttachedDisk& disk : guest_.disks()) {
      for (BedDisk& known : disks_) {
        if (known.id == disk.id) known = Described(disk);
      }
      if (disk.id == kSystemDiskId) system_disk_ = Described(disk);
    }
  }

  // Copies of the raw images that are wanted, all of one moment.
  Result<std::map<std::string, std::filesystem::path>> Copies(
      const std::function<bool(const FrozenDisk&)>& wanted) {
    auto frozen = guest_.FreezeDisks();
    if (!frozen) return tl::unexpected(frozen.error());
    std::map<std::string, std::filesystem::path> copies;
    Result<void> done;
    for (const FrozenDisk& disk : *frozen) {
      if (!done || !wanted(disk) || disk.format != DiskFormat::kRaw) continue;
      static std::atomic<unsigned> serial = 0;
      auto copy = directory_ / fmt::format("snapshot{}.raw", ++serial);
      done = CopySparse(disk.path, copy);
      copies.emplace(disk.id, std::move(copy));
    }
    if (auto thawed = guest_.ThawDisks(); !thawed) return tl::unexpected(thawed.error());
    if (!done) return tl::unexpected(done.error());
    return copies;
  }

  Guest guest_;
  const std::filesystem::path directory_;
};

class BundledFactory : public TestBedFactory {
 public:
  explicit BundledFactory(std::unique_ptr<GuestFactory> factory) : factory_(std::move(factory)) {}

  Result<std::unique_ptr<TestBed>> Start(const BedRequest& request) override {
    const auto directory = factory_->directory() / fmt::format("bed{}", ++beds_);
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (failure) return FailErrno("create folder " + directory.string(), failure.value());
    GuestOptions options;
    options.capture = request.capture;
    options.system_disk = request.system_disk;
    options.server_arguments = request.server_arguments;
    for (const BedDiskRequest& disk : request.disks) {
      auto image = BundledBed::MakeImage(disk, directory);
      if (!image) return tl::unexpected(image.error());
      options.disks.push_back(*std::move(image));
    }
    auto guest = factory_->Start(options);
    if (!guest) return tl::unexpected(guest.error());
    return std::make_unique<BundledBed>(*std::move(guest), directory, options.disks);
  }

 private:
  std::unique_ptr<GuestFactory> factory_;
  unsigned beds_ = 0;
};

}  // namespace

Result<std::unique_ptr<TestBedFactory>> MakeBundledFactory(const Target& /*target*/,
                                                           const std::filesystem::path& directory) {
  GuestSettings settings = DefaultGuestSettings();
  settings.run_directory = directory;
  auto factory = GuestFactory::Create(std::move(settings));
  if (!factory) return tl::unexpected(factory.error());
  return std::make_unique<BundledFactory>(*std::move(factory));
}

}  // namespace dmrp::harness
