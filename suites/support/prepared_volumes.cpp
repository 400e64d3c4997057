#include "suites/support/prepared_volumes.hpp"

#include "suites/support/conformance_test.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>

#include <fmt/format.h>

namespace dmrp::suites {

harness::PrepareImage Volumes(std::string script, std::vector<PreparedVolume> volumes) {
  return [script = std::move(script),
          volumes = std::move(volumes)](const std::filesystem::path& image) -> Result<void> {
    if (auto table = Table(script)(image); !table) return table;
    for (const PreparedVolume& volume : volumes) {
      if (volume.command.empty()) continue;
      const std::string file = image.string() + ".volume";
      // dd writes it back with its holes left out: the image is new and reads as zeros there.
      const std::string command = fmt::format(
          "export PATH=\"$PATH:/usr/sbin:/sbin\" LC_ALL=C.UTF-8; rm -f '{0}' && truncate -s {1} '{0}' && "
          "{2} '{0}' && dd if='{0}' of='{3}' bs=64K oflag=seek_bytes seek={4} conv=notrunc,sparse && rm "
          "'{0}'",
          file, volume.length, volume.command, image.string(), volume.start);
      FILE* pipe = popen(fmt::format("( {} ) 2>&1", command).c_str(), "r");
      if (pipe == nullptr) return FailErrno("start " + volume.command, errno);
      std::string output;
      std::array<char, 1024> buffer{};
      std::size_t got = 0;
      while ((got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0) output.append(buffer.data(), got);
      if (pclose(pipe) != 0) return Fail(ErrorKind::kSystem, volume.command + ":\n" + output);
    }
    return {};
  };
}

}  // namespace dmrp::suites
