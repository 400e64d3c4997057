// Little-endian octets without any alignment: how OBJREF and the packet form of DUALSTRINGARRAY are laid out.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace dmrp::dcom {

/// Reads packed values. An access beyond the end sets a sticky failure and yields zeros.
class PackedReader {
 public:
  explicit PackedReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <std::unsigned_integral T>
  T Read() {
    T value = 0;
    for (std::size_t i = 0; const std::byte octet : Take(sizeof(T))) {
      value = static_cast<T>(value | static_cast<T>(static_cast<T>(octet) << (8 * i++)));
    }
    return value;
  }
  Guid ReadGuid() {
    const auto octets = Take(16);
    return octets.size() == 16 ? Guid::FromBytes(octets.first<16>()) : Guid{};
  }
  /// The next `count` octets, or none and a failure when fewer are left.
  std::span<const std::byte> Take(std::size_t count) {
    if (count > bytes_.size() - offset_) {
      failed_ = true;
      return {};
    }
    const auto octets = bytes_.subspan(offset_, count);
    offset_ += count;
    return octets;
  }

  [[nodiscard]] bool Failed() const { return failed_; }
  [[nodiscard]] std::size_t Offset() const { return offset_; }
  [[nodiscard]] std::size_t Remaining() const { return bytes_.size() - offset_; }

 private:
  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
  bool failed_ = false;
};

/// Appends packed values to a buffer.
class PackedWriter {
 public:
  template <std::unsigned_integral T>
  void Write(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
    }
  }
  void Write(const Guid& guid) { Write(std::span<const std::byte>(guid.ToBytes())); }
  void Write(std::span<const std::byte> octets) { bytes_.insert(bytes_.end(), octets.begin(), octets.end()); }

  [[nodiscard]] std::size_t Size() const { return bytes_.size(); }
  Bytes Take() && { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

}  // namespace dmrp::dcom
