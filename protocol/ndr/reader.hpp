// Reads NDR20 ([C706] 14, [MS-RPCE] 2.2.4) from octets that nobody vouches for.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/fault_codes.hpp"
#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dmrp::ndr {

/// Integer order of a stream, from the first drep octet of the PDU that carries it.
enum class ByteOrder { kLittle, kBig };

/// Something a peer should not have sent but that leaves no doubt about what it meant.
struct Anomaly {
  std::string field;       ///< "DISK_INFO.cchName"
  std::size_t offset = 0;  ///< octets from the start of the stream
  std::string text;

  friend bool operator==(const Anomaly&, const Anomaly&) = default;
};

/// Reads one NDR octet stream. Alignment counts from its first octet; padding is never looked at.
///
/// Errors stick: after the first one every read yields zero and consumes nothing. Octets behind the last read
/// are legal (`remaining` counts them). The stream is not owned and must outlive the reader.
class Reader {
 public:
  /// At most so many anomalies are kept; the rest are only counted.
  static constexpr std::size_t kMaxAnomalies = 64;

  explicit Reader(std::span<const std::byte> stream, ByteOrder order = ByteOrder::kLittle)
      : stream_(stream), order_(order) {}

  void Align(std::size_t alignment, const char* field);
  /// Passes over everything before `offset`, which must not lie behind.
  void SkipTo(std::size_t offset, const char* field) {
    if (offset > offset_ && Need(offset - offset_, field)) offset_ = offset;
  }

  /// An integer of its own size, aligned to it.
  template <typename T>
    requires(std::integral<T> && !std::same_as<T, bool>)
  void Get(T& value, const char* field) {
    value = static_cast<T>(GetBits(sizeof(T), field));
  }
  /// boolean: any value but 0 is true; other than 0 and 1 is an anomaly.
  void Get(bool& value, const char* field);
  void Get(std::byte& value, const char* field) { value = static_cast<std::byte>(GetBits(1, field)); }
  /// An enumeration of 16 bits; every value is kept.
  template <typename T>
    requires(std::is_enum_v<T> && !std::same_as<T, std::byte>)
  void Get(T& value, const char* field) {
    static_assert(sizeof(T) == 2);
    value = static_cast<T>(GetBits(2, field));
  }
  void Get(Guid& value, const char* field);

  /// A member that counts an array; a negative one is an error.
  template <typename T>
  void GetCount(T& value, const char* field) {
    Get(value, field);
    if constexpr (std::is_signed_v<T>) {
      if (value < 0) {
        Fail(field, "negative count " + std::to_string(value));
        value = 0;
      }
    }
  }
  /// max_count of a conformant array whose elements take at least `element_size` octets each. An error when
  /// the stream cannot hold them, so that the caller may allocate.
  std::uint32_t GetConformance(std::size_t element_size, const char* field);
  /// An error unless max_count and the count that the interface declares for it agree.
  void CheckCount(std::uint64_t max_count, std::uint64_t declared, const char* field);
  /// An anomaly when a null pointer has a count other than 0.
  void CheckNull(std::uint64_t declared, const char* field);

  Bytes GetBytes(std::size_t count, const char* field);
  std::u16string GetText16(std::size_t count, const char* field);
  std::string GetText8(std::size_t count, const char* field);

  /// A conformant varying string with its terminating null; one without is an anomaly.
  void GetString(std::u16string& text, const char* field);
  void GetString(std::string& text, const char* field);
  /// A varying string in a fixed array of `capacity` characters.
  void GetFixedString(std::string& text, std::size_t capacity, const char* field);
  /// Offset and actual count of a varying array: the actual count. An error when the offset is not 0, when it
  /// exceeds `max_count`, or when the stream cannot hold so many elements.
  std::uint32_t GetVariance(std::uint64_t max_count, std::size_t element_size, const char* field);

  /// True when the referent identifier is not 0.
  bool GetReferent(const char* field);
  /// The OBJREF octets of an interface pointer; nullopt for a null pointer.
  void GetInterfacePointer(std::optional<Bytes>& objref, const char* field);

  /// Records the first error: kMalformed, status RPC_X_BAD_STUB_DATA, with `field` and the offset.
  void Fail(const char* field, std::string_view why);
  void AddAnomaly(const char* field, std::string text);

  [[nodiscard]] bool ok() const { return !error_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] const std::vector<Anomaly>& anomalies() const { return anomalies_; }
  /// Anomalies met, those beyond kMaxAnomalies included.
  [[nodiscard]] std::size_t anomaly_count() const { return anomaly_count_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }
  /// Octets not read yet; 0 after an error.
  [[nodiscard]] std::size_t remaining() const { return error_ ? 0 : stream_.size() - offset_; }

 private:
  std::uint64_t GetBits(std::size_t size, const char* field);
  bool Need(std::size_t count, const char* field);

  std::span<const std::byte> stream_;
  ByteOrder order_;
  std::size_t offset_ = 0;
  std::optional<Error> error_;
  std::vector<Anomaly> anomalies_;
  std::size_t anomaly_count_ = 0;
};

}  // namespace dmrp::ndr
