#include "harness/guest/acceleration.hpp"

#include "harness/guest/process.hpp"
#include "protocol/base/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dmrp::harness {
namespace {

// x86 machine code at the start of segment f000. It builds a GDT, an IDT and page tables, enters long mode,
// and says how far it got on port e9: "L" long mode reached; "0" after 20 million loops in ring 0; "P" after
// 2000 page faults; "U" after as many loops and 2000 system calls in ring 3. Then it leaves through the exit
// device with 10h.
constexpr std::string_view kProbeCode =
    "fa8cc88ed82e660f011630020f20c00c010f22c066ea1c000f00080066b810008ed88ec08ed0bc00000800bf00000100"
    "31c0b9000c0000f3abc7050000010007100100c7050010010007200100b887000000bf00200100b90002000089070500"
    "00200083c708e2f4b8000001000f22d80f20e00d200600000f22e0b9800000c00f320d010100000f300f20c00d000000"
    "800f22c0ea9b000f00180066b810008ed0bc00000800bf0040010031c0b900040000f3abb8af010f00bf00480100e800"
    "010000b8b1010f00bfe0400100e8f100000066c7042500700000ff0f48c7042502700000004001000f011c2500700000"
    "bf0050010031c0b920000000f3ab48c704250450010000000900bee8010f00bf00600100b912000000f3a566c7042510"
    "700000470048c7042512700000006001000f0114251070000066b838000f00d8b04ce6e9b9002d3101ffc975fcb030e6"
    "e9bbd007000048c7042510200100000000000f013c25000040008b042500004000ffcb75e1b050e6e96a336800000700"
    "68023000006a2b688e010f0048cfb9002d3101ffc975fcbbd0070000cd80ffcb75fab055e6e966baf400b010eeebfe48"
    "cf48c7042510200100870040004883c40848cf66890766c74702180066c7470400eec1e81066894706c7470800000000"
    "c38db426000000000000000000000000ffff0000009bcf00ffff00000093cf00ffff0000009baf000000000000000000"
    "ffff000000fbaf00ffff000000f3cf00670000500189000000000000000000004700e8010f00";
constexpr std::size_t kRomSize = 65536;
constexpr std::size_t kResetVector = 0xfff0;
constexpr std::string_view kResetJump = "ea000000f0";  // ljmp f000:0000
constexpr std::byte kHalt{0xf4};
constexpr std::string_view kAllStages = "L0PU";
constexpr int kProbeExit = (0x10 << 1) | 1;

Result<Bytes> ProbeRom() {
  const auto code = FromHex(kProbeCode);
  const auto jump = FromHex(kResetJump);
  if (!code || !jump) {
    return tl::unexpected((code ? jump : code).error());
  }
  Bytes rom(kRomSize, kHalt);
  std::copy(code->begin(), code->end(), rom.begin());
  std::copy(jump->begin(), jump->end(), rom.begin() + kResetVector);
  return rom;
}

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::chrono::microseconds Since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
}

Acceleration Emulation(std::string reason) { return {"tcg", "max", std::move(reason), {}}; }

}  // namespace

Result<void> RunAccelerationProbe(const std::string& emulator, const std::string& accelerator,
                                  const std::string& cpu, const std::filesystem::path& directory,
                                  std::chrono::milliseconds limit) {
  const auto rom = ProbeRom();
  if (!rom) {
    return tl::unexpected(rom.error());
  }
  const auto rom_file = directory / "acceleration-probe.rom";
  const auto output_file = directory / fmt::format("acceleration-probe-{}.out", accelerator);
  std::ofstream(rom_file, std::ios::binary)
      .write(reinterpret_cast<const char*>(rom->data()), static_cast<std::streamsize>(rom->size()));
  std::ofstream(output_file, std::ios::trunc).close();
  Launcher launcher;
  auto process = launcher.Start({.argv = {emulator,
                                          "-nodefaults",
                                          "-no-user-config",
                                          "-no-reboot",
                                          "-display",
                                          "none",
                                          "-m",
                                          "16",
                                          "-M",
                                          "microvm,x-option-roms=off",
                                          "-accel",
                                          accelerator,
                                          "-cpu",
                                          cpu,
                                          "-bios",
                                          rom_file.string(),
                                          "-debugcon",
                                          "file:" + output_file.string(),
                                          "-global",
                                          "isa-debugcon.iobase=0xe9",
                                          "-device",
                                          "isa-debug-exit,iobase=0xf4,iosize=1"},
                                 .inherit = {},
                                 .log = directory / fmt::format("acceleration-probe-{}.log", accelerator)});
  if (!process) {
    return tl::unexpected(process.error());
  }
  const auto status = process->Wait(limit);
  process->Kill();
  const std::string stages = ReadText(output_file);
  if (!status) {
    return Fail(ErrorKind::kTimeout, fmt::format("the probe reached \"{}\" of \"{}\" within {} ms", stages,
                                                 kAllStages, limit.count()));
  }
  if (stages != kAllStages || !WIFEXITED(*status) || WEXITSTATUS(*status) != kProbeExit) {
    return Fail(
        ErrorKind::kUnsupported,
        fmt::format("the probe ended at \"{}\" of \"{}\" with wait status {}", stages, kAllStages, *status));
  }
  return {};
}

Acceleration ChooseAcceleration(const std::string& emulator, const std::filesystem::path& directory,
                                const std::filesystem::path& cache) {
  if (const char* wanted = std::getenv("DMRP_ACCELERATION"); wanted != nullptr && *wanted != '\0') {
    return {wanted, std::string_view(wanted) == "kvm" ? "host" : "max", "DMRP_ACCELERATION says so", {}};
  }
  if (access("/dev/kvm", R_OK | W_OK) != 0) {
    return Emulation("/dev/kvm is missing or not accessible");
  }
  // One line: boot id, verdict, reason. What a host can do does not change while it is up.
  const auto note = cache / "acceleration";
  std::string boot = ReadText("/proc/sys/kernel/random/boot_id");
  boot.erase(std::remove(boot.begin(), boot.end(), '\n'), boot.end());
  std::istringstream known(ReadText(note));
  std::string known_boot;
  std::string verdict;
  std::string reason;
  if (known >> known_boot >> verdict && std::getline(known >> std::ws, reason) && known_boot == boot &&
      (verdict == "kvm" || verdict == "tcg")) {
    return {verdict, verdict == "kvm" ? "host" : "max", reason, {}};
  }
  const auto start = std::chrono::steady_clock::now();
  const auto works = RunAccelerationProbe(emulator, "kvm", "host", directory);
  Acceleration result = works ? Acceleration{"kvm", "host", "KVM ran the 64-bit probe", {}}
                              : Emulation("KVM is no use here: " + works.error().message);
  result.probing = Since(start);
  std::error_code ignored;
  std::filesystem::create_directories(cache, ignored);
  std::ofstream(note, std::ios::trunc) << boot << ' ' << result.accelerator << ' ' << result.reason << '\n';
  return result;
}

}  // namespace dmrp::harness
