// Guests: virtual machines that run the server under test, each a pristine copy-on-write clone of one booted
// template.
//
//   auto factory = GuestFactory::Create(DefaultGuestSettings());
//   auto guest = (*factory)->Start({});
//   auto disk = guest->AttachDisk(*CreateDiskImage(*ParseDiskSpec("size=64M,label=mbr"),
//   (*factory)->directory())); Connect(guest->address().host, guest->address().port);
//
// Everything a guest is made of lives in the factory's directory and ends with the Guest value, or with this
// process however it dies.
#pragma once

#include "harness/disks/disk_image.hpp"
#include "harness/guest/acceleration.hpp"
#include "harness/guest/agent_client.hpp"
#include "harness/guest/machine.hpp"
#include "harness/guest/network.hpp"
#include "harness/guest/qmp.hpp"
#include "harness/guest/restart_kind.hpp"
#include "protocol/base/error.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dmrp::harness {

struct GuestSettings {
  std::filesystem::path image_directory;  ///< holds vmlinux, initrd.img and guest.json
  std::filesystem::path machines_file;    ///< vms/machines.toml
  std::filesystem::path cache_directory;  ///< templates are kept here, shared by every run of this user
  std::filesystem::path run_directory;    ///< parent of the factory's own directory
  std::chrono::milliseconds boot_deadline{60'000};
  std::chrono::milliseconds operation_deadline{
      10'000};  ///< of each single step: a hot-plug, a command to QEMU
};

/// The image of the build tree this program comes from (or DMRP_GUEST_DIRECTORY), the cache under
/// XDG_CACHE_HOME, the run directory from DMRP_RUN_DIRECTORY or the system's temporary directory.
GuestSettings DefaultGuestSettings();

struct GuestOptions {
  std::string machine = "pc";
  /// Disks on buses without hot-plug (ide, ahci), given when the machine starts; hot-plugged buses may be
  /// here too.
  std::vector<DiskImage> disks;
  /// Gives the guest a system disk of its own (Machine::system_disk): an active NTFS partition, mounted at
  /// /system before the server starts, with the server's registry hive. Such a guest can be restarted.
  bool system_disk = false;
  /// Starts dmadmind and waits until its port answers.
  bool start_server = true;
  /// Arguments for the server besides its configuration file.
  std::vector<std::string> server_arguments;
  /// Where to write a packet capture from the first frame on; nothing: no capture.
  std::optional<std::filesystem::path> capture;
};

/// How long the steps of a start took.
struct StartTimes {
  std::chrono::microseconds running{};  ///< until the processor runs
  std::chrono::microseconds agent{};    ///< until the agent answered
  std::chrono::microseconds
      ready{};  ///< until the server's port answered (or the guest was set up, without a server)
};

/// A disk as attached to a guest.
struct AttachedDisk {
  std::string id;            ///< names the disk in this interface: "disk3", "system"
  DiskImage image;           ///< spec of the drive; the path is that of the medium in it, or empty
  std::string guest_device;  ///< the guest's name of it: "sda"
};

/// The id of the system disk.
inline constexpr const char* kSystemDiskId = "system";

/// Where the images of all attached disks stand still, for reading while the guest goes on writing elsewhere.
struct FrozenDisk {
  std::string id;
  std::filesystem::path path;  ///< constant until Thaw; read with -U / force-share, QEMU keeps a lock
  DiskFormat format = DiskFormat::kRaw;
  std::string serial;
};

/// One thing that fails on a disk.
struct DiskFault {
  bool on_read = false;
  bool on_write = false;
  std::optional<std::uint64_t> sector{};  ///< first 512-octet sector; nothing: any
  std::uint32_t sectors = 1;              ///< how many from there, at most 1024
  int error_number = 5;                   ///< errno the host reports: 5 EIO, 28 ENOSPC
  bool once = false;
  /// Writes that go well before the first one fails: 2 fails the third and all later ones. Only for writes,
  /// and only as the disk's single fault.
  std::uint32_t after = 0;
};

/// Limits of a disk's speed; 0 means none.
struct DiskThrottle {
  std::uint64_t bytes_per_second = 0;
  std::uint64_t operations_per_second = 0;
};

class Guest {
 public:
  struct State;
  Guest(Guest&&) noexcept;
  Guest& operator=(Guest&&) noexcept;
  ~Guest();

  /// "guest1", unique in this process.
  [[nodiscard]] const std::string& name() const;
  /// Where the server is reached and what a client must advertise to be called back.
  [[nodiscard]] const GuestAddress& address() const;
  [[nodiscard]] const StartTimes& times() const;
  [[nodiscard]] AgentClient& agent();
  [[nodiscard]] Qmp& qmp();

  /// Adds a disk (any bus but ide and ahci) and waits until the guest's kernel announced it. kUnsupported for
  /// other buses.
  Result<AttachedDisk> AttachDisk(const DiskImage& image);
  /// Pulls a disk, waits until the guest's kernel dropped it, and lets go of the image.
  Result<void> DetachDisk(std::string_view id);
  /// Changes the size of a disk's image; the kernel takes note, as it does by itself where a bus announces
  /// it.
  Result<void> ResizeDisk(std::string_view id, std::uint64_t size);
  /// In the order of their ids, the system disk last.
  [[nodiscard]] std::vector<AttachedDisk> disks() const;
  [[nodiscard]] std::optional<AttachedDisk> system_disk() const;

  /// Puts a medium into an empty drive and closes its tray. The guest learns of it when its kernel next
  /// looks: a quarter of a second, on floppies at the next open. kFault when a medium is in it.
  Result<void> InsertMedium(std::string_view id, const DiskImage& medium);
  /// Takes the medium out; the tray of a CD drive stays open. A drive whose door the guest locked refuses
  /// with kFault and tells the guest of the request, unless `force`.
  Result<void> RemoveMedium(std::string_view id, bool force = false);
  /// RemoveMedium by force, InsertMedium.
  Result<void> ChangeMedium(std::string_view id, const DiskImage& medium);
  /// Whether the tray is open, as the guest itself can open it; as is the one of a removable disk
  /// while that is empty. Always false on fixed disks and floppies.
  Result<bool> TrayOpen(std::string_view id);
  /// Waits until the tray is open, or closed.
  Result<void> WaitTray(std::string_view id, bool open);

  /// Flushes the guest's caches, then freezes every disk in one step. One freeze at a time.
  Result<std::vector<FrozenDisk>> FreezeDisks();
  /// Merges what was written since FreezeDisks into the images and goes on with them.
  Result<void> ThawDisks();

  /// Makes requests to a disk fail as told until ClearFaults; replaces earlier faults of this disk.
  Result<void> SetFaults(std::string_view disk_id, const std::vector<DiskFault>& faults);
  Result<void> SetThrottle(std::string_view disk_id, const DiskThrottle& throttle);
  Result<void> ClearFaults(std::string_view disk_id);
  /// From here on every write and flush to the disk is also recorded in `log`, a new file, until ClearFaults;
  /// see harness/disks/write_log.hpp. Replaces faults and limits of this disk.
  Result<void> StartWriteLog(std::string_view disk_id, const std::filesystem::path& log);

  /// Stops and continues the processor: a waiting guest costs host time.
  Result<void> Pause();
  Result<void> Resume();
  /// Ends the machine at once, as a power cut does; the images stay as they are at this instant.
  void PowerCut();
  [[nodiscard]] bool running() const;
  /// Waits until the guest ended by itself: "guest-shutdown" when it powered off, "guest-reset" when it
  /// rebooted.
  Result<std::string> WaitEnd(std::chrono::milliseconds deadline);
  /// Ends the machine, unless it ended already, and starts it again with the same disks, media, address and
  /// ids; then mounts the system disk and starts the server if it was started with one. Only with a system
  /// disk. What was in memory is gone, the server's log too; faults, limits and captures end. The capture of
  /// the options goes on in FILE.2, FILE.3 and so on.
  Result<void> Restart(RestartKind kind);
  /// The files that the capture of the options has been written to.
  [[nodiscard]] std::vector<std::filesystem::path> captures() const;

  /// Records every frame of the guest's network card into a pcap file.
  Result<void> StartCapture(const std::filesystem::path& file);
  /// The file is complete when this returns.
  Result<void> StopCapture();

  /// Starts dmadmind and waits until its port answers; kUnavailable with the end of its log when it ended.
  Result<void> StartServer(const std::vector<std::string>& arguments = {});
  /// Asks the server to end (SIGTERM by default) and waits until it did; the wait status.
  Result<int> StopServer(int signal = 15);
  /// True from StartServer until the process ended.
  [[nodiscard]] bool server_running() const;
  /// What the server has logged, all of it.
  Result<std::string> ServerLog();
  /// What the guest's kernel and /init printed.
  [[nodiscard]] std::string ConsoleLog() const;

 private:
  friend class GuestFactory;
  explicit Guest(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Boots the template once and starts clones of it. Safe to use from several threads.
class GuestFactory {
 public:
  static Result<std::unique_ptr<GuestFactory>> Create(GuestSettings settings);
  ~GuestFactory();

  /// A fresh clone. Guests must end before their factory.
  Result<Guest> Start(const GuestOptions& options);
  /// Boots and saves the template of a machine unless it is there; true when it had to be made.
  Result<bool> PrepareTemplate(std::string_view machine);
  /// Boots a machine without a template, for comparison.
  Result<Guest> ColdBoot(const GuestOptions& options);

  /// A directory of this factory's own for images and logs; removed with it.
  [[nodiscard]] const std::filesystem::path& directory() const;
  [[nodiscard]] const Acceleration& acceleration() const;
  [[nodiscard]] const Network& network() const;

 private:
  struct State;
  explicit GuestFactory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace dmrp::harness
