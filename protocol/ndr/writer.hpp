// Writes NDR20 ([C706] 14, [MS-RPCE] 2.2.4), always little-endian.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace dmrp::ndr {

/// Builds one NDR octet stream. Alignment counts from the first octet written; padding is zero.
///
/// Errors stick: after the first one nothing meaningful follows, and the caller looks once, at the end.
class Writer {
 public:
  /// Pads with zeros to a multiple of `alignment` (1, 2, 4 or 8).
  void Align(std::size_t alignment) { buffer_.resize((buffer_.size() + alignment - 1) & ~(alignment - 1)); }

  /// Pads with zeros up to `size` octets in all.
  void PadTo(std::size_t size) {
    if (buffer_.size() < size) buffer_.resize(size);
  }

  /// An integer of its own size, aligned to it. char16_t and std::byte are wchar_t and byte.
  template <typename T>
    requires(std::integral<T> && !std::same_as<T, bool>)
  void Put(T value) {
    Align(sizeof(T));
    auto bits = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      buffer_.push_back(static_cast<std::byte>(bits & 0xFF));
      if constexpr (sizeof(T) > 1) bits = static_cast<std::make_unsigned_t<T>>(bits >> 8);
    }
  }
  /// boolean: one octet, 0 or 1.
  void Put(bool value) { buffer_.push_back(value ? std::byte{1} : std::byte{0}); }
  void Put(std::byte value) { buffer_.push_back(value); }
  /// An enumeration: 16 bits, as no interface here uses v1_enum.
  template <typename T>
    requires(std::is_enum_v<T> && !std::same_as<T, std::byte>)
  void Put(T value) {
    static_assert(sizeof(T) == 2);
    Put(static_cast<std::uint16_t>(value));
  }
  void Put(const Guid& value);

  /// Octets without alignment or count.
  void PutBytes(std::span<const std::byte> octets);
  /// 16-bit characters without count, 2-aligned when there are any.
  void PutText(std::u16string_view text);
  /// 8-bit characters without count.
  void PutText(std::string_view text);

  /// A conformant varying string, [string]: max_count, offset 0, actual_count, characters. The text holds its
  /// terminating null; without one it is an error.
  void PutString(std::u16string_view text, const char* field);
  void PutString(std::string_view text, const char* field);
  /// A varying string in a fixed array of `capacity` characters: offset 0, actual_count, characters.
  void PutFixedString(std::string_view text, std::size_t capacity, const char* field);

  /// The size of an array as the integer type of the member that counts it. An error when it does not fit.
  template <typename T>
  void PutCount(std::size_t count, const char* field) {
    if (count > static_cast<std::size_t>(std::numeric_limits<T>::max())) {
      Fail(field, "the count " + std::to_string(count) + " exceeds its type");
      return;
    }
    Put(static_cast<T>(count));
  }
  /// max_count of a conformant array.
  void PutConformance(std::size_t count, const char* field) { PutCount<std::uint32_t>(count, field); }
  /// An error unless `actual`, the elements of an array, are as many as `expected` says.
  void CheckCount(std::size_t actual, std::uint64_t expected, const char* field);

  /// A referent identifier: 0 for a null pointer, else 0x00020000, 0x00020004, ...
  void PutReferent(bool present);

  /// An interface pointer: referent, and for a present one the MInterfacePointer with its two counts.
  void PutInterfacePointer(const std::optional<Bytes>& objref);

  /// Records the first error, kUsage with `field` and the offset.
  void Fail(const char* field, std::string_view why);

  [[nodiscard]] bool ok() const { return !error_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::size_t size() const { return buffer_.size(); }
  /// What was written, or the first error.
  [[nodiscard]] Result<Bytes> Take() &&;

 private:
  Bytes buffer_;
  std::uint32_t next_referent_ = 0x00020000;
  std::optional<Error> error_;
};

}  // namespace dmrp::ndr
