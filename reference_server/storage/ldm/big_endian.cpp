#include "reference_server/storage/ldm/big_endian.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace dmrp::server::ldm {

Result<std::string> LoadText(std::span<const std::byte> field, std::string_view name) {
  const auto end = std::find(field.begin(), field.end(), std::byte{0});
  if (!IsZero(std::span(end, field.end()))) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: octets behind the end of the text", name));
  }
  const auto length = static_cast<std::size_t>(end - field.begin());
  return std::string(reinterpret_cast<const char*>(field.data()), length);
}

Result<void> StoreText(std::span<std::byte> field, std::string_view text, std::size_t limit,
                       std::string_view name) {
  if (text.size() > std::min(limit, field.size())) {
    return Fail(ErrorKind::kLimit,
                fmt::format("{}: '{}' is longer than {} octets", name, text, std::min(limit, field.size())));
  }
  std::fill(field.begin(), field.end(), std::byte{0});
  std::memcpy(field.data(), text.data(), text.size());
  return {};
}

Result<Guid> LoadGuidText(std::span<const std::byte> field, std::string_view name) {
  const auto text = LoadText(field, name);
  if (!text) return tl::unexpected(text.error());
  auto guid = text->size() == 36 ? Guid::Parse(*text) : Guid::Parse("");
  if (!guid) return Fail(ErrorKind::kMalformed, fmt::format("{}: '{}' is no GUID", name, *text));
  return guid;
}

Guid GuidFromNetworkOrder(std::span<const std::byte, 16> octets) {
  Guid guid;
  guid.Data1 = LoadBe<std::uint32_t>(octets, 0);
  guid.Data2 = LoadBe<std::uint16_t>(octets, 4);
  guid.Data3 = LoadBe<std::uint16_t>(octets, 6);
  std::memcpy(guid.Data4.data(), octets.data() + 8, 8);
  return guid;
}

void StoreGuidNetworkOrder(std::span<std::byte, 16> into, const Guid& guid) {
  StoreBe(into, 0, guid.Data1);
  StoreBe(into, 4, guid.Data2);
  StoreBe(into, 6, guid.Data3);
  std::memcpy(into.data() + 8, guid.Data4.data(), 8);
}

std::uint32_t OctetSum(std::span<const std::byte> octets, std::size_t skip) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    if (i < skip || i >= skip + 4) sum += std::to_integer<std::uint32_t>(octets[i]);
  }
  return sum;
}

bool IsZero(std::span<const std::byte> octets) {
  // Each octet equals the one before it, and the first is zero.
  return octets.empty() ||
         (octets[0] == std::byte{0} && std::memcmp(octets.data(), octets.data() + 1, octets.size() - 1) == 0);
}

bool HasMagic(std::span<const std::byte> octets, std::string_view magic) {
  return octets.size() >= magic.size() && std::memcmp(octets.data(), magic.data(), magic.size()) == 0;
}

}  // namespace dmrp::server::ldm
