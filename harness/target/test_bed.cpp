#include "harness/target/test_bed.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::harness {

namespace {
tl::unexpected<Error> Cannot(std::string_view what) {
  return Fail(ErrorKind::kUnsupported, fmt::format("this target cannot {}", what));
}
}  // namespace

const BedDisk* TestBed::Find(std::string_view id) const {
  if (system_disk_ && system_disk_->id == id) return &*system_disk_;
  auto found = std::ranges::find(disks_, id, &BedDisk::id);
  return found == disks_.end() ? nullptr : &*found;
}

Result<BedDisk> TestBed::Attach(const BedDiskRequest& /*request*/) {
  return Cannot("attach a disk while it runs");
}
Result<void> TestBed::Detach(std::string_view /*id*/) { return Cannot("detach a disk while it runs"); }
Result<std::filesystem::path> TestBed::Snapshot(std::string_view /*id*/) {
  return Cannot("show a disk's octets");
}
Result<void> TestBed::Overwrite(std::string_view /*id*/, std::uint64_t /*offset*/, const Bytes& /*octets*/,
                                bool /*announce*/) {
  return Cannot("change a disk behind the server's back");
}
Result<void> TestBed::Resize(std::string_view /*id*/, std::uint64_t /*size*/) {
  return Cannot("resize a disk");
}
Result<void> TestBed::InsertMedium(std::string_view /*id*/, const BedDiskRequest& /*request*/) {
  return Cannot("change media");
}
Result<void> TestBed::RemoveMedium(std::string_view /*id*/, bool /*force*/) { return Cannot("change media"); }
Result<bool> TestBed::TrayOpen(std::string_view /*id*/) { return Cannot("show a drive's tray"); }
Result<void> TestBed::Reboot(RestartKind /*kind*/) { return Cannot("start the machine anew"); }
Result<void> TestBed::Restart() { return Cannot("start the server anew"); }

Result<std::map<std::string, std::filesystem::path>> TestBed::SnapshotAll() {
  std::map<std::string, std::filesystem::path> copies;
  for (const BedDisk& disk : disks_) {
    auto copy = Snapshot(disk.id);
    if (!copy && copy.error().kind == ErrorKind::kUnsupported) continue;
    if (!copy) return tl::unexpected(copy.error());
    copies.emplace(disk.id, *std::move(copy));
  }
  return copies;
}

Result<std::unique_ptr<TestBedFactory>> TestBedFactory::Create(const Target& target,
                                                               const std::filesystem::path& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure) return FailErrno("create folder " + directory.string(), failure.value());
  switch (target.kind) {
    case TargetKind::kBundled:
      return MakeBundledFactory(target, directory);
    case TargetKind::kProcess:
      return MakeProcessFactory(target, directory);
    case TargetKind::kAddress:
      return MakeAddressFactory(target, directory);
  }
  return Fail(ErrorKind::kUsage, "unknown kind of target");
}

}  // namespace dmrp::harness
