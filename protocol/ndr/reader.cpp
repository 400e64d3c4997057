#include "protocol/ndr/reader.hpp"

#include <algorithm>
#include <utility>

namespace dmrp::ndr {

bool Reader::Need(std::size_t count, const char* field) {
  if (error_) return false;
  if (count <= stream_.size() - offset_) return true;
  Fail(field,
       "needs " + std::to_string(count) + " octets, " + std::to_string(stream_.size() - offset_) + " left");
  return false;
}

void Reader::Align(std::size_t alignment, const char* field) {
  const std::size_t padding = (alignment - offset_ % alignment) % alignment;
  if (Need(padding, field)) offset_ += padding;
}

std::uint64_t Reader::GetBits(std::size_t size, const char* field) {
  Align(size, field);
  if (!Need(size, field)) return 0;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t place = order_ == ByteOrder::kLittle ? i : size - 1 - i;
    bits |= std::to_integer<std::uint64_t>(stream_[offset_ + i]) << (8 * place);
  }
  offset_ += size;
  return bits;
}

void Reader::Get(bool& value, const char* field) {
  const std::uint64_t octet = GetBits(1, field);
  if (octet > 1) AddAnomaly(field, "boolean " + std::to_string(octet) + " is neither 0 nor 1");
  value = octet != 0;
}

void Reader::Get(Guid& value, const char* field) {
  Get(value.Data1, field);
  Get(value.Data2, field);
  Get(value.Data3, field);
  for (std::uint8_t& octet : value.Data4) Get(octet, field);
}

std::uint32_t Reader::GetConformance(std::size_t element_size, const char* field) {
  std::uint32_t max_count = 0;
  Get(max_count, field);
  if (error_) return 0;
  if (element_size != 0 && max_count > remaining() / element_size) {
    Fail(field, "max_count " + std::to_string(max_count) + " does not fit the " +
                    std::to_string(remaining()) + " octets left");
    return 0;
  }
  return max_count;
}

void Reader::CheckCount(std::uint64_t max_count, std::uint64_t declared, const char* field) {
  if (error_ || max_count == declared) return;
  Fail(field, "max_count " + std::to_string(max_count) + ", but its count says " + std::to_string(declared));
}

void Reader::CheckNull(std::uint64_t declared, const char* field) {
  if (error_ || declared == 0) return;
  AddAnomaly(field, "null pointer, but its count says " + std::to_string(declared));
}

Bytes Reader::GetBytes(std::size_t count, const char* field) {
  if (!Need(count, field)) return {};
  const auto octets = stream_.subspan(offset_, count);
  offset_ += count;
  return {octets.begin(), octets.end()};
}

std::u16string Reader::GetText16(std::size_t count, const char* field) {
  std::u16string text;
  if (count == 0) return text;
  Align(2, field);
  if (count > remaining() / 2) {
    Fail(field, std::to_string(count) + " characters do not fit the " + std::to_string(remaining()) +
                    " octets left");
    return text;
  }
  text.resize(count);
  for (char16_t& unit : text) Get(unit, field);
  return text;
}

std::string Reader::GetText8(std::size_t count, const char* field) {
  if (!Need(count, field)) return {};
  std::string text(count, '\0');
  std::transform(stream_.begin() + static_cast<std::ptrdiff_t>(offset_),
                 stream_.begin() + static_cast<std::ptrdiff_t>(offset_ + count), text.begin(),
                 [](std::byte octet) { return static_cast<char>(octet); });
  offset_ += count;
  return text;
}

void Reader::GetString(std::u16string& text, const char* field) {
  const std::uint32_t count = GetVariance(GetConformance(0, field), 2, field);
  text = GetText16(count, field);
  if (text.empty() || text.back() != u'\0') AddAnomaly(field, "string without terminating null");
}

void Reader::GetString(std::string& text, const char* field) {
  const std::uint32_t count = GetVariance(GetConformance(0, field), 1, field);
  text = GetText8(count, field);
  if (text.empty() || text.back() != '\0') AddAnomaly(field, "string without terminating null");
}

void Reader::GetFixedString(std::string& text, std::size_t capacity, const char* field) {
  text = GetText8(GetVariance(capacity, 1, field), field);
  if (text.empty() || text.back() != '\0') AddAnomaly(field, "string without terminating null");
}

std::uint32_t Reader::GetVariance(std::uint64_t max_count, std::size_t element_size, const char* field) {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  Get(first, field);
  Get(count, field);
  if (error_) return 0;
  if (first != 0) {
    Fail(field, "varying array that starts at " + std::to_string(first));
  } else if (count > max_count) {
    Fail(field, "actual count " + std::to_string(count) + " exceeds max_count " + std::to_string(max_count));
  } else if (element_size != 0 && count > remaining() / element_size) {
    Fail(field, "actual count " + std::to_string(count) + " does not fit the octets left");
  }
  return error_ ? 0 : count;
}

bool Reader::GetReferent(const char* field) {
  std::uint32_t referent = 0;
  Get(referent, field);
  return referent != 0;
}

void Reader::GetInterfacePointer(std::optional<Bytes>& objref, const char* field) {
  objref.reset();
  if (!GetReferent(field)) return;
  const std::uint32_t max_count = GetConformance(1, "MInterfacePointer.abData");
  std::uint32_t count = 0;
  Get(count, "MInterfacePointer.ulCntData");
  CheckCount(max_count, count, "MInterfacePointer.abData");
  if (!error_) objref = GetBytes(max_count, "MInterfacePointer.abData");
}

void Reader::Fail(const char* field, std::string_view why) {
  if (error_) return;
  error_ = Error{ErrorKind::kMalformed, RPC_X_BAD_STUB_DATA,
                 std::string(field) + " at offset " + std::to_string(offset_) + ": " + std::string(why)};
}

void Reader::AddAnomaly(const char* field, std::string text) {
  if (error_) return;
  ++anomaly_count_;
  if (anomalies_.size() < kMaxAnomalies) anomalies_.push_back({field, offset_, std::move(text)});
}

}  // namespace dmrp::ndr
