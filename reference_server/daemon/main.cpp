// dmadmind: the reference server of the Disk Management Remote Protocol.
#include "reference_server/daemon/config.hpp"
#include "reference_server/daemon/daemon.hpp"
#include "reference_server/daemon/log.hpp"
#include "reference_server/platform/shutdown.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace dmrp::server {
namespace {

constexpr const char* kDescription =
    "dmadmind - serves the Disk Management Remote Protocol ([MS-DMRP]) for the block devices of this "
    "machine, "
    "or for disk images.\n\n"
    "Prints \"ready resolver=ADDRESS:PORT exporter=ADDRESS:PORT\" on standard output once it serves; stops "
    "in "
    "order on SIGTERM and SIGINT. Settings come from the defaults, then from --config, then from the other "
    "options.";

// What the command line sets; absent options leave the configuration alone.
struct CommandLine {
  std::string config_file;
  std::optional<std::string> accounts_file;
  std::optional<std::string> class_id;
  std::optional<std::string> listen;
  std::optional<std::uint16_t> resolver_port;
  std::optional<std::uint16_t> exporter_port;
  std::vector<std::string> advertise;
  std::vector<std::string> images;
  std::optional<std::string> registry;
  std::optional<std::string> log_level;
  std::optional<std::string> log_file;
  std::optional<std::string> activation_level;
  std::optional<std::string> call_level;
  std::optional<unsigned> ping_period;
  bool allow_anonymous = false;
  bool anonymous_callbacks = false;
  int ready_fd = -1;
};

void AddOptions(CLI::App& app, CommandLine& line) {
  app.add_option("-c,--config", line.config_file, "Configuration file (TOML)")->check(CLI::ExistingFile);
  app.add_option("--accounts", line.accounts_file, "Accounts file (TOML): who may log on")
      ->check(CLI::ExistingFile);
  app.add_option(
      "--image", line.images,
      "Serve this image file in place of the machine's disks: FILE[,sector=N][,heads=N][,sectors=N]"
      "[,bus=NAME][,model=TEXT][,serial=TEXT][,removable][,readonly]; may be repeated");
  app.add_option(
      "--registry", line.registry,
      "Hive file that keeps drive letters, volume names and settings [none: they end with the process]");
  app.add_option("--clsid", line.class_id, "Class id of the disk management server");
  app.add_option("--listen", line.listen, "Numeric address to listen on [0.0.0.0]");
  app.add_option("--resolver-port", line.resolver_port,
                 "Port of endpoint mapper, resolver and activator; 0: any [135]");
  app.add_option("--exporter-port", line.exporter_port, "Port of the objects; 0: any [0]");
  app.add_option("--advertise", line.advertise,
                 "HOST or HOST[PORT] by which clients reach the server; may be repeated");
  app.add_option(
      "--activation-level", line.activation_level,
      "Least authentication level of activations: none, connect, call, packet, integrity, privacy");
  app.add_option("--call-level", line.call_level, "Least authentication level of calls");
  app.add_option("--ping-period", line.ping_period,
                 "Seconds between the pings of a client; after three without one it is taken for dead [120]")
      ->check(CLI::Range(1, 3600));
  app.add_flag("--allow-anonymous", line.allow_anonymous,
               "Accept anonymous logons (they still may not manage disks)");
  app.add_flag("--anonymous-callbacks", line.anonymous_callbacks,
               "Call clients' IDMNotify as nobody in place of the configured account");
  app.add_option("--log-level", line.log_level, "debug, info, warning or error [info]");
  app.add_option("--log-file", line.log_file, "Append the log to this file [standard error]");
  app.add_option("--ready-fd", line.ready_fd, "Write the ready line to this descriptor too, and close it");
}

template <typename T>
Result<void> Override(T& target, const std::optional<std::string>& text,
                      Result<T> (*parse)(std::string_view)) {
  if (text) {
    auto value = parse(*text);
    if (!value) {
      return tl::unexpected(value.error());
    }
    target = *value;
  }
  return {};
}

Result<void> Merge(const CommandLine& line, Config& config) {
  if (line.accounts_file) {
    auto accounts = ReadAccountsFile(*line.accounts_file);
    if (!accounts) {
      return tl::unexpected(accounts.error());
    }
    config.accounts = std::move(*accounts);
  }
  for (const Result<void>& done : {Override(config.class_id, line.class_id, &Guid::Parse),
                                   Override(config.log_level, line.log_level, &ParseLogLevel),
                                   Override(config.activation_level, line.activation_level, &ParseAuthLevel),
                                   Override(config.call_level, line.call_level, &ParseAuthLevel)}) {
    if (!done) {
      return done;
    }
  }
  if (!line.advertise.empty()) {
    config.advertise.clear();
  }
  for (const std::string& text : line.advertise) {
    auto address = ParseAdvertised(text);
    if (!address) {
      return tl::unexpected(address.error());
    }
    config.advertise.push_back(std::move(*address));
  }
  if (line.registry) {
    config.registry = *line.registry;
  }
  if (!line.images.empty()) {
    config.images = line.images;
  }
  config.listen = line.listen.value_or(config.listen);
  config.resolver_port = line.resolver_port.value_or(config.resolver_port);
  config.exporter_port = line.exporter_port.value_or(config.exporter_port);
  if (line.log_file) {
    config.log_file = *line.log_file;
  }
  if (line.ping_period) {
    config.ping_period = std::chrono::seconds(*line.ping_period);
  }
  config.allow_anonymous = config.allow_anonymous || line.allow_anonymous;
  config.callback.anonymous = config.callback.anonymous || line.anonymous_callbacks;
  return {};
}

Result<Config> MakeConfig(const CommandLine& line) {
  Config config;
  if (!line.config_file.empty()) {
    if (auto read = ReadConfigFile(line.config_file, config); !read) {
      return tl::unexpected(read.error());
    }
  }
  if (auto merged = Merge(line, config); !merged) {
    return tl::unexpected(merged.error());
  }
  return config;
}

void TellReady(const Daemon& daemon, int ready_fd) {
  const std::string line =
      fmt::format("ready resolver={} exporter={}\n", daemon.resolver_endpoint().ToString(),
                  daemon.exporter_endpoint().ToString());
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
  if (ready_fd >= 0) {
    if (write(ready_fd, line.data(), line.size()) < 0) {
      std::perror("dmadmind: --ready-fd");
    }
    close(ready_fd);
  }
}

int Fail(const Error& error) {
  fmt::print(stderr, "dmadmind: {}\n", error.ToString());
  return 1;
}

// What a request to shut the machine down leads to: this process ends in order, and Main does the rest.
PrepareShutdown ShutdownFor(const Config& config, std::atomic<bool>& requested) {
  if (config.shutdown == ShutdownAction::kNone || !config.images.empty()) {
    return {};
  }
  return [&requested]() -> Result<std::function<void()>> {
    if (auto may = MayShutDown(); !may) {
      return tl::unexpected(may.error());
    }
    return [&requested] {
      requested = true;
      kill(getpid(), SIGTERM);
    };
  };
}

int Main(int argc, char** argv) {
  CLI::App app(kDescription, "dmadmind");
  CommandLine line;
  AddOptions(app, line);
  CLI11_PARSE(app, argc, argv);

  const auto config = MakeConfig(line);
  if (!config) {
    return Fail(config.error());
  }
  auto log = Log::Open(config->log_file, config->log_level);
  if (!log) {
    return Fail(log.error());
  }
  // Blocked before any thread starts, so that only sigwait below takes them.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  std::atomic<bool> shutdown_requested = false;
  auto daemon = Daemon::Start(*config, **log, ShutdownFor(*config, shutdown_requested));
  if (!daemon) {
    return Fail(daemon.error());
  }
  TellReady(**daemon, line.ready_fd);
  int signal = 0;
  sigwait(&stop_signals, &signal);
  (*log)->Write(LogLevel::kInfo, fmt::format("stopping on signal {}", signal));
  if (!shutdown_requested) {
    return 0;
  }
  daemon->reset();
  (*log)->Write(LogLevel::kInfo, "shutting the machine down");
  const auto down = ShutDownMachine(config->shutdown == ShutdownAction::kReboot ? ShutdownKind::kReboot
                                                                                : ShutdownKind::kPowerOff);
  (*log)->Write(LogLevel::kError, down.error().ToString());
  return 1;
}

}  // namespace
}  // namespace dmrp::server

int main(int argc, char** argv) { return dmrp::server::Main(argc, argv); }
