#include "suites/support/lab.hpp"

#include <algorithm>
#include <atomic>

#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::suites {

namespace {

// The number at the end of \device\Harddisk1: the order in which the server found its disks.
int Number(const DISK_INFO_EX& disk) {
  const std::string name = harness::Text(disk.name);
  const auto digits = name.find_last_not_of("0123456789");
  const std::string tail = digits == std::string::npos ? name : name.substr(digits + 1);
  return tail.empty() ? -1 : std::stoi(tail.substr(0, 8));
}

bool CouldBe(const DISK_INFO_EX& disk, const BedDisk& wanted) {
  if (!wanted.name.empty()) return harness::Text(disk.name) == wanted.name;
  // Drives whose media change are known by their kind and place.
  const bool optical = disk.deviceType == DEVICETYPE_CDROM || disk.deviceType == DEVICETYPE_DVD;
  if (wanted.spec.media != harness::DiskMedia::kFixed) {
    if (wanted.spec.media == harness::DiskMedia::kCdrom ? !optical
                                                        : disk.deviceType != DEVICETYPE_REMOVABLE) {
      return false;
    }
    return !wanted.address ||
           (disk.portNumber == wanted.address->port && disk.targetNumber == wanted.address->target &&
            disk.lunNumber == wanted.address->lun);
  }
  // Servers that count in cylinders lose less than one of them.
  const auto size = static_cast<std::int64_t>(wanted.spec.size);
  const auto cylinder = std::max<std::int64_t>(disk.bytesPerCylinder, 1);
  return !optical && disk.deviceType != DEVICETYPE_REMOVABLE &&
         disk.bytesPerSector == wanted.spec.logical_sector && disk.length <= size &&
         disk.length > size - cylinder;
}

}  // namespace

Result<std::shared_ptr<Lab>> Lab::Start(Run& run, std::vector<BedDiskRequest> disks, LabOptions options) {
  auto beds = run.Beds();
  if (!beds) return tl::unexpected(beds.error());
  std::shared_ptr<Lab> lab(new Lab(run));
  lab->findings_ = std::make_shared<harness::Findings>(run.history());
  lab->monitor_ = std::make_shared<harness::RuleMonitor>(lab->findings_, run.target().notification_timeout);
  harness::BedRequest request;
  request.disks = std::move(disks);
  request.system_disk = options.system_disk;
  request.server_arguments = std::move(options.server_arguments);
  if (run.target().kind == harness::TargetKind::kBundled) {
    static std::atomic<unsigned> number = 0;
    std::error_code failure;
    const auto folder = run.directory() / "captures";
    std::filesystem::create_directories(folder, failure);
    if (failure) return FailErrno("create folder " + folder.string(), failure.value());
    lab->capture_ = folder / fmt::format("running-{}-{}.pcap", ::getpid(), ++number);
    request.capture = lab->capture_;
  }
  auto bed = (*beds)->Start(request);
  if (!bed) return tl::unexpected(bed.error());
  lab->bed_ = *std::move(bed);
  if (auto found = lab->FindDisks(); !found) return tl::unexpected(found.error());
  return lab;
}

Lab::~Lab() {
  ForgetClients();
  const auto captures = bed_ ? bed_->captures() : std::vector<std::filesystem::path>();
  bed_.reset();
  std::error_code ignored;
  for (const auto& file : captures) {
    if (keep_capture_as_.empty()) {
      std::filesystem::remove(file, ignored);
    } else {
      // running-1-2.pcap, running-1-2.pcap.2, ...
      std::filesystem::rename(
          file, keep_capture_as_.string() + file.string().substr(capture_.string().size()), ignored);
    }
  }
}

void Lab::KeepEvidence(const std::string& test) {
  std::string name = test;
  std::ranges::replace(name, '/', '.');
  nlohmann::json record{{"test", test}, {"event", "evidence"}, {"id", name}};
  if (!capture_.empty()) {
    keep_capture_as_ = capture_.parent_path() / (name + ".pcap");
    record["capture"] = keep_capture_as_.string();
  }
  if (run_.target().Can("images")) {
    const auto folder = run_.directory() / "images" / name;
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    if (bed_->system_disk()) {
      if (auto copy = bed_->Snapshot(bed_->system_disk()->id)) {
        const auto kept = folder / (bed_->system_disk()->id + ".raw");
        if (harness::CopySparse(*copy, kept)) record["images"].push_back(kept.string());
        std::filesystem::remove(*copy, ignored);
      }
    }
    if (auto copies = bed_->SnapshotAll()) {
      for (const auto& [id, copy] : *copies) {
        const auto kept = folder / (id + ".raw");
        if (harness::CopySparse(copy, kept)) record["images"].push_back(kept.string());
        std::filesystem::remove(copy, ignored);
      }
    }
  }
  run_.history()->Write("guest", std::move(record));
}

Result<void> Lab::Restart(RestartKind kind) {
  ForgetClients();
  if (auto restarted = bed_->Reboot(kind); !restarted) return restarted;
  monitor_->ServerRestarted();
  return FindDisks();
}

void Lab::ForgetClients() {
  by_revision_.clear();
  sessions_.clear();
  host_.reset();
}

Result<std::shared_ptr<ClientHost>> Lab::NewHost(const harness::Account& account, rpc::AuthLevel level) {
  harness::ClientHostOptions options;
  options.server = bed_->server();
  options.class_id = run_.target().class_id;
  options.account = account;
  options.auth_level = level;
  options.listen_address = bed_->client_address().listen;
  if (bed_->client_address().advertise != options.listen_address) {
    options.advertise = bed_->client_address().advertise;
  }
  options.callback_accounts = run_.target().callback_accounts;
  options.call_timeout = run_.target().call_timeout;
  return ClientHost::Start(std::move(options), monitor_, run_.history());
}

Result<std::shared_ptr<ClientHost>> Lab::Host() {
  if (host_) return host_;
  auto host = NewHost(*run_.target().Find(harness::Role::kAdministrator));
  if (host) host_ = *host;
  return host;
}

Result<Session*> Lab::Open(SessionOptions options) {
  auto host = Host();
  if (!host) return tl::unexpected(host.error());
  auto session = (*host)->Open(std::move(options));
  if (!session) return tl::unexpected(session.error());
  sessions_.push_back(*std::move(session));
  return sessions_.back().get();
}

Result<Session*> Lab::SessionOf(Revision revision) {
  if (auto found = by_revision_.find(revision); found != by_revision_.end()) return found->second;
  SessionOptions options;
  options.revision = revision;
  options.name = harness::ToString(revision);
  auto session = Open(std::move(options));
  if (session && !(*session)->initialized()) {
    return Fail(ErrorKind::kUnavailable, "Initialize was refused");
  }
  if (session) by_revision_.emplace(revision, *session);
  return session;
}

Result<void> Lab::FindDisks() {
  disk_ids_.clear();
  if (const auto& own = bed_->system_disk()) {
    auto id = Identify(*own);
    if (!id) return tl::unexpected(id.error());
    system_disk_id_ = *id;
  }
  for (const BedDisk& disk : bed_->disks()) {
    auto id = Identify(disk);
    if (!id) return tl::unexpected(id.error());
    disk_ids_.push_back(*id);
  }
  return {};
}

Result<LdmObjectId> Lab::Identify(const BedDisk& wanted) {
  auto session = SessionOf(Revision::kIVolumeClient3);
  if (!session) return tl::unexpected(session.error());
  auto disks = (*session)->EnumDisks();
  if (!disks.succeeded()) return Fail(ErrorKind::kUnavailable, disks.call.text);
  std::vector<DISK_INFO_EX> candidates = disks.value.disks;
  std::erase_if(candidates, [&](const DISK_INFO_EX& disk) {
    return !CouldBe(disk, wanted) || std::ranges::find(disk_ids_, disk.id) != disk_ids_.end();
  });
  const bool exact = wanted.spec.media == harness::DiskMedia::kFixed &&
                     std::ranges::any_of(candidates, [&](const DISK_INFO_EX& disk) {
                       return disk.length == static_cast<std::int64_t>(wanted.spec.size);
                     });
  if (exact && wanted.name.empty()) {
    std::erase_if(candidates, [&](const DISK_INFO_EX& disk) {
      return disk.length != static_cast<std::int64_t>(wanted.spec.size);
    });
  }
  if (candidates.empty()) {
    return Fail(ErrorKind::kTimeout, fmt::format("the server shows no disk that could be \"{}\": {}",
                                                 ToText(wanted.spec), disks.call.text));
  }
  return std::ranges::min_element(candidates, {}, Number)->id;
}

}  // namespace dmrp::suites
