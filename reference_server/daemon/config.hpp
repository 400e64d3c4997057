// What can be set about dmadmind, its defaults, and where settings come from.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/dcom/runtime.hpp"
#include "protocol/dmrp/defaults.hpp"
#include "protocol/rpc/accounts.hpp"
#include "protocol/rpc/types.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::server {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class ShutdownAction { kNone, kReboot, kPowerOff };

struct Config {
  // [log]
  LogLevel log_level = LogLevel::kInfo;
  std::filesystem::path log_file;  ///< empty: standard error

  // [server]
  Guid class_id = kDefaultServerClass;
  Guid remote_class_id = kDefaultRemoteServerClass;
  std::string listen = "0.0.0.0";               ///< numeric address
  std::uint16_t resolver_port = kResolverPort;  ///< endpoint mapper, resolver and activator; 0: any free port
  std::uint16_t exporter_port = 0;              ///< the objects; 0: any free port
  /// How clients reach the server, put into object references and bindings; empty: the address that a client
  /// reached. "HOST", or "HOST[PORT]" where the exporter has another port as seen from outside.
  std::vector<dcom::Advertised> advertise;
  /// How often clients tell that they are still there ([MS-DCOM] 3.2.2); the objects of one that was silent
  /// for three periods are dropped.
  std::chrono::seconds ping_period{120};
  std::string computer = "DMRP-SERVER";  ///< NetBIOS names in the NTLM challenge
  std::string domain = "DMRP";

  // [security]
  std::vector<rpc::Account> accounts;
  bool allow_anonymous = false;  ///< accept NTLM's anonymous logon; such callers manage nothing
  rpc::AuthLevel activation_level = rpc::AuthLevel::kIntegrity;  ///< least level of activation
  rpc::AuthLevel call_level = rpc::AuthLevel::kIntegrity;        ///< least level of calls to objects
  /// Groups whose members may manage disks ([MS-DMRP] note 6). Everybody else gets E_ACCESSDENIED.
  std::vector<std::string> managers = {"Administrators", "Backup Operators"};

  // [callback]: who the server is when it calls a client's IDMNotify. Windows used its machine account
  // ([MS-DMRP] note 185); here it is an account that the clients have to know.
  rpc::Credentials callback = {.user = "dmrp-server",
                               .domain = "DMRP",
                               .password = "dmrp-Server-1",
                               .workstation = "DMRP-SERVER",
                               .anonymous = false};
  rpc::AuthLevel callback_level = rpc::AuthLevel::kIntegrity;
  std::chrono::milliseconds notification_deadline{15'000};  ///< for a client's answer to ObjectsChanged

  // [remote]: who the server is to the server of another machine that CreateRemoteObject starts there.
  rpc::Credentials remote;                            ///< without a user: as callback
  std::uint16_t remote_port = kResolverPort;          ///< where other machines' activators listen
  std::chrono::milliseconds remote_deadline{10'000};  ///< for that server to be started

  // [system]
  ShutdownAction shutdown = ShutdownAction::kNone;  ///< what ShutDownSystem does to this machine

  // [storage]
  /// Disk images served in place of the machine's block devices, "FILE[,key=value...]"; empty: the devices.
  std::vector<std::string> images;
  /// The hive file of the server's registry (drive letters, volume names, settings), made when it is not
  /// there; empty: the registry ends with the process.
  std::filesystem::path registry;
};

/// Reads a configuration file (TOML) over `config`; members the file does not name keep their values. An
/// accounts file named in it is read too, relative to the configuration file's folder. Errors name the file,
/// the line and the key; unknown keys are errors.
Result<void> ReadConfigFile(const std::filesystem::path& path, Config& config);

/// The same from text; `folder` resolves relative names.
Result<void> ReadConfig(std::string_view text, const std::filesystem::path& folder, Config& config);

/// Reads an accounts file (TOML): `[[account]]` tables with user, domain (optional), password or nt_hash (32
/// hexadecimal digits), and groups.
Result<std::vector<rpc::Account>> ReadAccountsFile(const std::filesystem::path& path);

/// "10.9.0.7", "server.example", "192.0.2.1[49664]".
Result<dcom::Advertised> ParseAdvertised(std::string_view text);
Result<rpc::AuthLevel> ParseAuthLevel(std::string_view text);
Result<LogLevel> ParseLogLevel(std::string_view text);
/// "none", "reboot", "power-off".
Result<ShutdownAction> ParseShutdownAction(std::string_view text);

}  // namespace dmrp::server
