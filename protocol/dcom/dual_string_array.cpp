#include "protocol/dcom/dual_string_array.hpp"

#include "protocol/base/text.hpp"

#include <charconv>
#include <span>

#include <fmt/format.h>

namespace dmrp::dcom {
namespace {

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

wire::DUALSTRINGARRAY DualStringArray::ToWire() const {
  wire::DUALSTRINGARRAY wire;
  std::vector<std::uint16_t>& entries = wire.aStringArray;
  const auto append_text = [&](const std::u16string& text) {
    entries.insert(entries.end(), text.begin(), text.end());
    entries.push_back(0);
  };
  for (const StringBinding& binding : string_bindings) {
    entries.push_back(binding.wTowerId);
    append_text(binding.aNetworkAddr);
  }
  // An empty list has two terminators, as the smallest array does (2.2.19.1).
  if (string_bindings.empty()) entries.push_back(0);
  entries.push_back(0);
  wire.wSecurityOffset = static_cast<std::uint16_t>(entries.size());
  for (const SecurityBinding& binding : security_bindings) {
    // Service 0 means "call without security", as does the empty list.
    if (binding.wAuthnSvc == 0) continue;
    entries.push_back(binding.wAuthnSvc);
    entries.push_back(kAuthzNone);
    append_text(binding.aPrincName);
  }
  if (entries.size() == wire.wSecurityOffset) entries.push_back(0);
  entries.push_back(0);
  return wire;
}

Result<DualStringArray> DualStringArray::FromWire(const wire::DUALSTRINGARRAY& wire) {
  const std::span<const std::uint16_t> entries = wire.aStringArray;
  const std::size_t security_offset = wire.wSecurityOffset;
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
  const wire::DUALSTRINGARRAY wire = ToWire();
  writer.Write(static_cast<std::uint16_t>(wire.aStringArray.size()));
  writer.Write(wire.wSecurityOffset);
  for (const std::uint16_t entry : wire.aStringArray) writer.Write(entry);
}

Result<DualStringArray> DualStringArray::Read(PackedReader& reader) {
  const std::size_t offset = reader.Offset();
  const auto count = reader.Read<std::uint16_t>();
  wire::DUALSTRINGARRAY wire{.wSecurityOffset = reader.Read<std::uint16_t>(), .aStringArray = {}};
  if (reader.Failed() || reader.Remaining() < count * sizeof(std::uint16_t)) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("DUALSTRINGARRAY at offset {}: {} entries announced, {} octets left", offset,
                            count, reader.Remaining()));
  }
  wire.aStringArray.resize(count);
  for (std::uint16_t& entry : wire.aStringArray) entry = reader.Read<std::uint16_t>();
  return FromWire(wire);
}

}  // namespace dmrp::dcom
