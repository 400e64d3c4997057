#include "harness/guest/template_store.hpp"

#include "harness/guest/sha256.hpp"
#include "protocol/base/text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

// Each takes some 150 MiB of disk. A rebuilt server makes a new one.
constexpr std::size_t kKeptTemplates = 10;

// Which emulator this is, without running it: path, size and time of change.
std::string EmulatorIdentity(const std::string& emulator) {
  std::istringstream path(
      emulator.find('/') == std::string::npos ? std::getenv("PATH") ? std::getenv("PATH") : "" : "");
  std::filesystem::path file = emulator;
  for (std::string folder; std::getline(path, folder, ':');) {
    if (access((std::filesystem::path(folder) / emulator).c_str(), X_OK) == 0) {
      file = std::filesystem::path(folder) / emulator;
      break;
    }
  }
  struct stat about{};
  if (stat(file.c_str(), &about) != 0) {
    return emulator;
  }
  return fmt::format("{} {} {}.{}", file.string(), about.st_size, about.st_mtim.tv_sec,
                     about.st_mtim.tv_nsec);
}

Result<FileDescriptor> Lock(const std::filesystem::path& file, int operation) {
  FileDescriptor lock(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock) {
    return FailErrno(file.string(), errno);
  }
  while (flock(lock.Get(), operation) != 0) {
    if (errno != EINTR) {
      return FailErrno("locking " + file.string(), errno);
    }
  }
  return lock;
}

bool Complete(const std::filesystem::path& folder) {
  std::error_code trouble;
  return std::filesystem::exists(folder / "memory", trouble) &&
         std::filesystem::exists(folder / "state", trouble);
}

}  // namespace

std::string TemplateStore::Key(const MachineConfiguration& configuration) const {
  std::string text = EmulatorIdentity(configuration.machine.emulator) + "\n" + image_identity_ + "\n" +
                     configuration.machine.machine;
  // The image counts by its contents, not by where it lies.
  for (const auto& argument : CommonArguments(configuration)) {
    if (argument != configuration.kernel.string() && argument != configuration.initrd.string()) {
      text += "\n" + argument;
    }
  }
  return Sha256(text).substr(0, 24);
}

Result<MachineTemplate> TemplateStore::Get(Launcher& launcher, const MachineConfiguration& configuration,
                                           const std::filesystem::path& scratch,
                                           std::chrono::milliseconds deadline) {
  std::error_code trouble;
  std::filesystem::create_directories(directory_, trouble);
  if (trouble) {
    return FailErrno("making " + directory_.string(), trouble.value());
  }
  const std::string key = Key(configuration);
  const auto folder = directory_ / key;
  const auto lock_file = directory_ / (key + ".lock");
  MachineTemplate result{.memory = folder / "memory", .state = folder / "state", .fresh = false, .lock = {}};
  auto shared = Lock(lock_file, LOCK_SH);
  if (!shared) {
    return tl::unexpected(shared.error());
  }
  if (!Complete(folder)) {
    shared->Reset();
    auto exclusive = Lock(lock_file, LOCK_EX);
    if (!exclusive) {
      return tl::unexpected(exclusive.error());
    }
    if (!Complete(folder)) {
      if (auto made = Make(launcher, configuration, folder, scratch, deadline); !made) {
        return tl::unexpected(made.error());
      }
      result.fresh = true;
    }
    if (flock(exclusive->Get(), LOCK_SH) != 0) {
      return FailErrno("locking " + lock_file.string(), errno);
    }
    *shared = std::move(*exclusive);
    Prune();
  }
  std::filesystem::last_write_time(folder, std::filesystem::file_time_type::clock::now(), trouble);
  result.lock = std::move(*shared);
  return result;
}

Result<void> TemplateStore::Make(Launcher& launcher, const MachineConfiguration& configuration,
                                 const std::filesystem::path& target, const std::filesystem::path& scratch,
                                 std::chrono::milliseconds deadline) {
  std::error_code ignored;
  const std::filesystem::path building = target.string() + ".new";
  std::filesystem::remove_all(building, ignored);
  std::filesystem::create_directories(building, ignored);
  MachineStart start;
  start.memory = MemoryKind::kSharedFile;
  start.memory_file = building / "memory";
  start.directory = scratch;
  auto machine = VirtualMachine::Start(launcher, configuration, start, deadline);
  if (!machine) {
    return tl::unexpected(machine.error());
  }
  Qmp& qmp = (*machine)->qmp();
  // What is sent before the guest has booted waits in the socket.
  if (auto up = (*machine)->agent().Ping(deadline); !up) {
    return tl::unexpected((*machine)->Explain(up.error()));
  }
  const auto step = [&](const std::string& command, const nlohmann::json& arguments) -> Result<void> {
    auto done = qmp.Execute(command, arguments, deadline);
    return done ? Result<void>() : tl::unexpected((*machine)->Explain(done.error()));
  };
  using nlohmann::json;
  const auto capability = [](const char* name) { return json{{"capability", name}, {"state", true}}; };
  if (auto done = step("stop", json::object()); !done) {
    return done;
  }
  if (auto done = step("migrate-set-capabilities",
                       {{"capabilities", {capability("x-ignore-shared"), capability("events")}}});
      !done) {
    return done;
  }
  if (auto done = step("migrate-set-parameters", {{"max-bandwidth", 100'000'000'000}}); !done) {
    return done;
  }
  const auto mark = qmp.Mark();
  if (auto done = step("migrate", {{"uri", "exec:cat > " + ShellQuoted((building / "state").string())}});
      !done) {
    return done;
  }
  auto saved = qmp.WaitEvent(
      mark, "MIGRATION",
      [](const json& data) {
        return data.value("status", "") == "completed" || data.value("status", "") == "failed";
      },
      deadline);
  if (!saved || saved->value("status", "") != "completed") {
    return tl::unexpected((*machine)->Explain(
        saved ? Error{ErrorKind::kUnavailable, 0, "QEMU could not save the template"} : saved.error()));
  }
  if (auto done = step("quit", json::object()); !done) {
    return done;
  }
  if (auto ended = (*machine)->process().Wait(deadline); !ended) {
    return tl::unexpected(ended.error());
  }
  std::error_code trouble;
  std::filesystem::rename(building, target, trouble);
  if (trouble) {
    return FailErrno("renaming " + building.string(), trouble.value());
  }
  return {};
}

void TemplateStore::Prune() const {
  std::error_code trouble;
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> found;
  for (auto entry = std::filesystem::directory_iterator(directory_, trouble);
       !trouble && entry != std::filesystem::directory_iterator(); entry.increment(trouble)) {
    std::error_code vanished;
    if (entry->is_directory(vanished) && Complete(entry->path())) {
      found.emplace_back(entry->last_write_time(vanished), entry->path());
    }
  }
  std::sort(found.rbegin(), found.rend());
  for (std::size_t i = kKeptTemplates; i < found.size(); ++i) {
    const FileDescriptor lock(open((found[i].second.string() + ".lock").c_str(), O_RDWR | O_CLOEXEC));
    if (lock && flock(lock.Get(), LOCK_EX | LOCK_NB) == 0) {
      std::filesystem::remove_all(found[i].second, trouble);
    }
  }
}

}  // namespace dmrp::harness
