// Reading and writing little-endian fields of PDUs and tokens. NDR streams have their own, in protocol/ndr.
#pragma once

#include "protocol/rpc/types.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace dmrp::rpc {

/// Views text as octets.
inline std::span<const std::byte> AsOctets(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Appends fields to an octet string.
class OctetWriter {
 public:
  void U8(std::uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void U16(std::uint16_t value) { Little(value, 2); }
  void U32(std::uint32_t value) { Little(value, 4); }
  void U64(std::uint64_t value) { Little(value, 8); }
  void Uuid(const Guid& value) { Octets(value.ToBytes()); }
  void Syntax(const SyntaxId& value) {
    Uuid(value.uuid);
    U16(value.major);
    U16(value.minor);
  }
  void Octets(std::span<const std::byte> value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }
  void Fill(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  void AlignTo(std::size_t unit, std::size_t origin = 0) {
    while ((bytes_.size() - origin) % unit != 0) {
      bytes_.push_back(std::byte{0});
    }
  }
  void SetU16(std::size_t offset, std::uint16_t value) {
    bytes_[offset] = static_cast<std::byte>(value & 0xFFU);
    bytes_[offset + 1] = static_cast<std::byte>(value >> 8U);
  }

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] Bytes Take() { return std::move(bytes_); }

 private:
  void Little(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) {
      bytes_.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFFU));
    }
  }

  Bytes bytes_;
};

/// Takes fields off an octet string. Reading past the end yields zeros and leaves failed() true.
class OctetReader {
 public:
  explicit OctetReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint8_t U8() { return static_cast<std::uint8_t>(Little(1)); }
  std::uint16_t U16() { return static_cast<std::uint16_t>(Little(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(Little(4)); }
  std::uint64_t U64() { return Little(8); }
  Guid Uuid() {
    auto octets = Octets(16);
    return octets.size() == 16 ? Guid::FromBytes(octets.first<16>()) : Guid{};
  }
  SyntaxId Syntax() {
    SyntaxId id;
    id.uuid = Uuid();
    id.major = U16();
    id.minor = U16();
    return id;
  }
  std::span<const std::byte> Octets(std::size_t count) {
    if (failed_ || count > bytes_.size() - offset_) {
      failed_ = true;
      return {};
    }
    offset_ += count;
    return bytes_.subspan(offset_ - count, count);
  }
  void Skip(std::size_t count) { Octets(count); }
  void AlignTo(std::size_t unit) { Skip((unit - offset_ % unit) % unit); }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - offset_; }
  [[nodiscard]] std::span<const std::byte> Rest() const { return bytes_.subspan(offset_); }

 private:
  std::uint64_t Little(std::size_t count) {
    std::uint64_t value = 0;
    std::size_t shift = 0;
    for (std::byte octet : Octets(count)) {
      value |= std::to_integer<std::uint64_t>(octet) << shift;
      shift += 8;
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
  bool failed_ = false;
};

}  // namespace dmrp::rpc
