#include "reference_server/storage/access_path.hpp"

#include "protocol/base/text.hpp"
#include "reference_server/storage/volume_name.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace dmrp::server {
namespace {

constexpr std::size_t kMaxPath = 32'767;  // characters, Windows' longest path
constexpr std::size_t kMaxName = 255;
constexpr std::size_t kVolumeNameLength = 48;  // \\?\Volume{guid}
constexpr std::u16string_view kForbidden = u"\"*:<>?|";

std::optional<std::string_view> FaultOf(std::u16string_view name) {
  if (name.empty()) return "an empty name";
  if (name.size() > kMaxName) return "a name over 255 characters";
  if (name.back() == u' ' || name.back() == u'.') return "a name with a space or a dot at its end";
  const bool bad = std::ranges::any_of(
      name, [](char16_t c) { return c < u' ' || kForbidden.find(c) != std::u16string_view::npos; });
  if (bad) return "a character that no name has";
  return std::nullopt;
}

}  // namespace

std::u16string AccessPath::Relative() const {
  std::u16string path;
  for (const std::u16string& folder : folders) {
    if (!path.empty()) path.push_back(u'\\');
    path += folder;
  }
  return path;
}

MountResult<AccessPath> ParseAccessPath(std::u16string_view path) {
  if (path.ends_with(u'\0')) path.remove_suffix(1);
  const auto refuse = [&](std::string_view why) {
    constexpr std::size_t kShown = 100;
    return RefuseMount(MountErrorCode::kBadPath,
                       fmt::format("\"{}\": {}", ToUtf8(path.substr(0, kShown)), why));
  };
  if (path.size() > kMaxPath) return refuse("over 32,767 characters");
  AccessPath result;
  std::u16string clean(path);
  std::ranges::replace(clean, u'/', u'\\');
  std::u16string_view rest = clean;
  if (rest.size() >= kVolumeNameLength && ParseVolumeName(rest.substr(0, kVolumeNameLength))) {
    result.volume = ParseVolumeName(rest.substr(0, kVolumeNameLength));
    rest.remove_prefix(kVolumeNameLength);
    if (!rest.starts_with(u'\\')) return refuse("no folder behind the volume");
  } else if (rest.size() >= 2 && rest[1] == u':') {
    const auto letter = static_cast<char16_t>(rest[0] >= u'a' && rest[0] <= u'z' ? rest[0] - 32 : rest[0]);
    if (letter < u'A' || letter > u'Z') return refuse("no drive letter before the colon");
    result.letter = letter;
    rest.remove_prefix(2);
    if (!rest.starts_with(u'\\')) return refuse("not from the root of the drive");
  }
  if (rest.starts_with(u'\\')) rest.remove_prefix(1);
  if (rest.ends_with(u'\\')) rest.remove_suffix(1);
  if (rest.empty()) return refuse("no folder");
  while (true) {
    const std::size_t end = rest.find(u'\\');
    const std::u16string_view name = rest.substr(0, end);
    if (const auto fault = FaultOf(name)) return refuse(*fault);
    result.folders.emplace_back(name);
    if (end == std::u16string_view::npos) return result;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace dmrp::server
