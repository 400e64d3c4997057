#include "reference_server/storage/crc32.hpp"

#include <array>

namespace dmrp::server {
namespace {

constexpr std::array<std::uint32_t, 256> MakeTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320U : 0U);
    table[i] = value;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = MakeTable();

}  // namespace

std::uint32_t Crc32(std::span<const std::byte> data) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::byte octet : data) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint32_t>(octet)) & 0xFF];
  }
  return ~crc;
}

}  // namespace dmrp::server
