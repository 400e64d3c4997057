#include "reference_server/platform/mounts_of_device.hpp"

#include "reference_server/platform/sysfs.hpp"

#include <algorithm>
#include <sstream>

namespace dmrp::server {

std::string UnescapeProcPath(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 3 < text.size() &&
                        std::all_of(text.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                    text.begin() + static_cast<std::ptrdiff_t>(i) + 4,
                                    [](char c) { return c >= '0' && c <= '7'; });
    if (!escape) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
    i += 3;
  }
  return out;
}

std::vector<DeviceMount> MountsOfDevice(const std::string& device_number, const std::filesystem::path& node,
                                        const SystemRoots& roots) {
  std::vector<DeviceMount> mounts;
  std::istringstream lines(ReadWholeFile(roots.proc / "self" / "mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, number, root, point, word, type, source;
    words >> id >> parent >> number >> root >> point;
    while (words >> word && word != "-") {
    }
    words >> type >> source;
    if ((!device_number.empty() && number == device_number) || UnescapeProcPath(source) == node.string()) {
      mounts.push_back({ParseDecimal(id).value_or(0), UnescapeProcPath(point), type});
    }
  }
  return mounts;
}

}  // namespace dmrp::server
