#include "reference_server/storage/volume_name.hpp"

#include "protocol/base/text.hpp"

#include <algorithm>

namespace dmrp::server {
namespace {

constexpr std::u16string_view kMountPrefix = u"\\\\?\\Volume{";
constexpr std::u16string_view kLinkPrefix = u"\\??\\Volume{";
constexpr std::size_t kGuidLength = 36;

std::u16string Name(std::u16string_view prefix, const Guid& volume) {
  std::u16string name(prefix);
  for (const char c : volume.ToString()) name.push_back(static_cast<char16_t>(c));
  name.push_back(u'}');
  return name;
}

bool StartsWith(std::u16string_view name, std::u16string_view prefix) {
  const auto fold = [](char16_t c) { return c >= u'A' && c <= u'Z' ? static_cast<char16_t>(c + 32) : c; };
  return name.size() >= prefix.size() &&
         std::ranges::equal(name.substr(0, prefix.size()), prefix, {}, fold, fold);
}

}  // namespace

std::u16string VolumeMountName(const Guid& volume) { return Name(kMountPrefix, volume); }
std::u16string VolumeLinkName(const Guid& volume) { return Name(kLinkPrefix, volume); }

std::optional<Guid> ParseVolumeName(std::u16string_view name) {
  if (!StartsWith(name, kMountPrefix) && !StartsWith(name, kLinkPrefix)) return std::nullopt;
  name.remove_prefix(kMountPrefix.size());
  if (name.ends_with(u'\\')) name.remove_suffix(1);
  if (name.size() != kGuidLength + 1 || name.back() != u'}') return std::nullopt;
  const auto guid = Guid::Parse(ToUtf8(name.substr(0, kGuidLength)));
  return guid ? std::optional(*guid) : std::nullopt;
}

}  // namespace dmrp::server
