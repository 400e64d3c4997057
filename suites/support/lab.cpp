#include "suites/support/lab.hpp"

#include <algorithm>

#include <fmt/format.h>

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
  // Servers that count in cylinders lose less than one of them.
  const auto size = static_cast<std::int64_t>(wanted.spec.size);
  const auto cylinder = std::max<std::int64_t>(disk.bytesPerCylinder, 1);
  return disk.bytesPerSector == wanted.spec.logical_sector && disk.length <= size &&
         disk.length > size - cylinder;
}

}  // namespace

Result<std::shared_ptr<Lab>> Lab::Start(Run& run, std::vector<BedDiskRequest> disks) {
  auto beds = run.Beds();
  if (!beds) return tl::unexpected(beds.error());
  std::shared_ptr<Lab> lab(new Lab(run));
  lab->findings_ = std::make_shared<harness::Findings>(run.history());
  lab->monitor_ = std::make_shared<harness::RuleMonitor>(lab->findings_, run.target().notification_timeout);
  auto bed = (*beds)->Start({.disks = std::move(disks), .capture = std::nullopt});
  if (!bed) return tl::unexpected(bed.error());
  lab->bed_ = *std::move(bed);
  if (auto found = lab->FindDisks(); !found) return tl::unexpected(found.error());
  return lab;
}

Lab::~Lab() { ForgetClients(); }

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
  if (bed_->disks().empty()) return {};
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
  const bool exact = std::ranges::any_of(candidates, [&](const DISK_INFO_EX& disk) {
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
