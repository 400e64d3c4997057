#include "reference_server/storage/access_path.hpp"
#include "reference_server/storage/mount_point.hpp"

// The first octet chooses: a reparse point, or a path in UTF-16.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto octets = std::as_bytes(std::span(data + 1, size - 1));
  if (data[0] % 2 == 0) {
    const auto target = dmrp::server::ParseMountPointReparseData(octets);
    if (target &&
        dmrp::server::ParseMountPointReparseData(dmrp::server::MountPointReparseData(*target)) != target) {
      __builtin_trap();
    }
    return 0;
  }
  std::u16string path;
  for (std::size_t i = 0; i + 1 < octets.size(); i += 2) {
    path.push_back(static_cast<char16_t>(std::to_integer<unsigned>(octets[i]) |
                                         std::to_integer<unsigned>(octets[i + 1]) << 8));
  }
  if (const auto parsed = dmrp::server::ParseAccessPath(path); parsed && parsed->folders.empty())
    __builtin_trap();
  return 0;
}
