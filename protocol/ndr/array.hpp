// Sizes of counted arrays, as the generated codecs need them.
#pragma once

#include "protocol/ndr/writer.hpp"

#include <cstddef>
#include <initializer_list>
#include <optional>

namespace dmrp::ndr {

/// Elements of an array behind a pointer; nullopt for a null pointer.
template <typename Array>
std::optional<std::size_t> SizeOf(const std::optional<Array>& array) {
  if (!array) return std::nullopt;
  return array->size();
}
template <typename Array>
std::optional<std::size_t> SizeOf(const Array& array) {
  return array.size();
}

/// The number of elements of arrays that share one count; 0 when all are null pointers. An error on the
/// writer when two of them differ.
template <typename... Arrays>
std::size_t CommonSize(Writer& writer, const char* field, const Arrays&... arrays) {
  std::optional<std::size_t> common;
  for (const std::optional<std::size_t> size : {SizeOf(arrays)...}) {
    if (!size) continue;
    if (common && *common != *size) writer.Fail(field, "the arrays that it counts differ in size");
    if (!common) common = size;
  }
  return common.value_or(0);
}

}  // namespace dmrp::ndr
