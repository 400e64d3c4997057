#include "protocol/ndr/writer.hpp"

namespace dmrp::ndr {

void Writer::Put(const Guid& value) {
  Align(4);
  PutBytes(value.ToBytes());
}

void Writer::PutBytes(std::span<const std::byte> octets) {
  buffer_.insert(buffer_.end(), octets.begin(), octets.end());
}

void Writer::PutText(std::u16string_view text) {
  if (text.empty()) return;
  buffer_.reserve(buffer_.size() + 2 * text.size() + 1);
  for (const char16_t unit : text) Put(unit);
}

void Writer::PutText(std::string_view text) { PutBytes(std::as_bytes(std::span(text))); }

void Writer::PutString(std::u16string_view text, const char* field) {
  if (text.empty() || text.back() != u'\0') return Fail(field, "a string without its terminating null");
  PutConformance(text.size(), field);
  Put(std::uint32_t{0});
  PutCount<std::uint32_t>(text.size(), field);
  PutText(text);
}

void Writer::PutString(std::string_view text, const char* field) {
  if (text.empty() || text.back() != '\0') return Fail(field, "a string without its terminating null");
  PutConformance(text.size(), field);
  Put(std::uint32_t{0});
  PutCount<std::uint32_t>(text.size(), field);
  PutText(text);
}

void Writer::PutFixedString(std::string_view text, std::size_t capacity, const char* field) {
  if (text.empty() || text.back() != '\0') return Fail(field, "a string without its terminating null");
  if (text.size() > capacity) return Fail(field, "a string longer than " + std::to_string(capacity));
  Put(std::uint32_t{0});
  PutCount<std::uint32_t>(text.size(), field);
  PutText(text);
}

void Writer::CheckCount(std::size_t actual, std::uint64_t expected, const char* field) {
  if (actual != expected) {
    Fail(field, std::to_string(actual) + " elements, but its count says " + std::to_string(expected));
  }
}

void Writer::PutReferent(bool present) {
  Put(present ? next_referent_ : std::uint32_t{0});
  if (present) next_referent_ += 4;
}

void Writer::PutInterfacePointer(const std::optional<Bytes>& objref) {
  PutReferent(objref.has_value());
  if (!objref) return;
  PutConformance(objref->size(), "MInterfacePointer.abData");
  PutCount<std::uint32_t>(objref->size(), "MInterfacePointer.ulCntData");
  PutBytes(*objref);
}

void Writer::Fail(const char* field, std::string_view why) {
  if (error_) return;
  error_ =
      Error{ErrorKind::kUsage, 0,
            std::string(field) + " at offset " + std::to_string(buffer_.size()) + ": " + std::string(why)};
}

Result<Bytes> Writer::Take() && {
  if (error_) return tl::unexpected<Error>(std::move(*error_));
  return std::move(buffer_);
}

}  // namespace dmrp::ndr
