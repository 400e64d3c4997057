#include "protocol/dcom/dual_string_array.hpp"

#include "protocol/base/text.hpp"

#include <charconv>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

constexpr std::size_t kMaxEntries = 0xFFFF;

std::size_t EntryCount(const SecurityBinding& binding) {
  // Service 0 means "call without security" and carries neither wAuthzSvc nor a name (2.2.19.4).
  return binding.wAuthnSvc == 0 ? 0 : binding.aPrincName.size() + 3;
}

/// The text from `position` up to its null, and the position behind that.
std::optional<std::u16string> TakeText(std::span<const std::uint16_t> entries, std::size_t& position) {
  std::u16string text;
  while (position < entries.size()) {
    const std::uint16_t unit = entries[position++];
    if (unit == 0) return text;
    text.push_back(static_cast<char16_t>(unit));
  }
  return std::nullopt;
}

tl::unexpected<Error> Unterminated(std::string_view what, std::size_t position) {
  return Fail(ErrorKind::kMalformed,
              fmt::format("DUALSTRINGARRAY: {} at entry {} has no end", what, position));
}

}  // namespace

std::optional<HostPort> StringBinding::Split() const {
  const std::string text = ToUtf8(aNetworkAddr);
  if (text.empty()) return std::nullopt;
  const std::size_t open = text.rfind('[');
  if (open == std::string::npos) return HostPort{text, 0};
  if (open == 0 || text.back() != ']') return std::nullopt;
  std::uint16_t port = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [stop, error] = std::from_chars(text.data() + open + 1, end, port);
  if (error != std::errc{} || stop != end || port == 0) return std::nullopt;
  return HostPort{text.substr(0, open), port};
}

StringBinding StringBinding::Tcp(std::string_view host, std::uint16_t port) {
  const std::string text = port == 0 ? std::string(host) : fmt::format("{}[{}]", host, port);
  return {kTowerTcp, ToUtf16(text).value_or(std::u16string{})};
}

std::vector<std::uint16_t> DualStringArray::ToEntries() const {
  std::vector<std::uint16_t> entries;
  for (const StringBinding& binding : string_bindings) {
    entries.push_back(binding.wTowerId);
    entries.insert(entries.end(), binding.aNetworkAddr.begin(), binding.aNetworkAddr.end());
    entries.push_back(0);
  }
  if (string_bindings.empty()) entries.push_back(0);
  entries.push_back(0);
  for (const SecurityBinding& binding : security_bindings) {
    if (binding.wAuthnSvc == 0) continue;
    entries.push_back(binding.wAuthnSvc);
    entries.push_back(kAuthzNone);
    entries.insert(entries.end(), binding.aPrincName.begin(), binding.aPrincName.end());
    entries.push_back(0);
  }
  entries.push_back(0);
  // The smallest array has two terminators in each half.
  if (entries.size() == SecurityOffset() + 1U) entries.push_back(0);
  return entries;
}

std::uint16_t DualStringArray::SecurityOffset() const {
  std::size_t count = string_bindings.empty() ? 2 : 1;
  for (const StringBinding& binding : string_bindings) count += binding.aNetworkAddr.size() + 2;
  return static_cast<std::uint16_t>(count);
}

Result<DualStringArray> DualStringArray::FromEntries(std::span<const std::uint16_t> entries,
                                                     std::uint16_t security_offset) {
  if (security_offset > entries.size()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("DUALSTRINGARRAY: wSecurityOffset {} exceeds wNumEntries {}", security_offset,
                            entries.size()));
  }
  DualStringArray result;
  const auto strings = entries.first(security_offset);
  std::size_t position = 0;
  while (position < strings.size() && strings[position] != 0) {
    const std::size_t start = position;
    StringBinding binding{.wTowerId = strings[position++], .aNetworkAddr = {}};
    auto text = TakeText(strings, position);
    if (!text) return Unterminated("a string binding", start);
    binding.aNetworkAddr = std::move(*text);
    result.string_bindings.push_back(std::move(binding));
  }
  const auto securities = entries.subspan(security_offset);
  position = 0;
  while (position < securities.size() && securities[position] != 0) {
    const std::size_t start = position;
    SecurityBinding binding{.wAuthnSvc = securities[position++], .aPrincName = {}};
    if (position == securities.size()) return Unterminated("a security binding", security_offset + start);
    ++position;  // wAuthzSvc: 0xFFFF, and nothing depends on it
    auto text = TakeText(securities, position);
    if (!text) return Unterminated("a security binding", security_offset + start);
    binding.aPrincName = std::move(*text);
    result.security_bindings.push_back(std::move(binding));
  }
  return result;
}

void DualStringArray::Write(PackedWriter& writer) const {
  const auto entries = ToEntries();
  writer.Write(static_cast<std::uint16_t>(entries.size()));
  writer.Write(SecurityOffset());
  for (const std::uint16_t entry : entries) writer.Write(entry);
}

Result<DualStringArray> DualStringArray::Read(PackedReader& reader) {
  const std::size_t offset = reader.Offset();
  const auto count = reader.Read<std::uint16_t>();
  const auto security_offset = reader.Read<std::uint16_t>();
  if (reader.Failed() || reader.Remaining() < count * sizeof(std::uint16_t)) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("DUALSTRINGARRAY at offset {}: {} entries announced, {} octets left", offset,
                            count, reader.Remaining()));
  }
  std::vector<std::uint16_t> entries(count);
  for (std::uint16_t& entry : entries) entry = reader.Read<std::uint16_t>();
  return FromEntries(entries, security_offset);
}

}  // namespace dmrp::dcom
