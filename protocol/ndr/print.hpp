// Scalars, arrays and pointers as JSON: what the generated printers are made of.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "protocol/dmrp/hresult.hpp"

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

namespace dmrp::ndr {

using OrderedJson = nlohmann::ordered_json;

template <typename T>
  requires std::is_arithmetic_v<T>
OrderedJson JsonOf(T value) {
  if constexpr (std::same_as<T, char16_t>) return static_cast<unsigned>(value);
  return value;
}
/// The identifier, or the number of a value that has none.
template <typename T>
  requires(std::is_enum_v<T> && !std::same_as<T, std::byte>)
OrderedJson JsonOf(T value) {
  const std::string_view name = NameOf(value);
  if (name.empty()) return static_cast<unsigned>(value);
  return std::string(name);
}
OrderedJson JsonOf(const Guid& value);
/// UTF-8 without one terminating null.
OrderedJson JsonOf(const std::u16string& value);
OrderedJson JsonOf(const std::string& value);
/// Hexadecimal digits.
OrderedJson JsonOf(const Bytes& value);

template <typename T>
  requires requires(const T& value) { ToOrderedJson(value); }
OrderedJson JsonOf(const T& value) {
  return ToOrderedJson(value);
}
template <typename T>
OrderedJson JsonOf(const std::vector<T>& value);
template <typename T, std::size_t size>
OrderedJson JsonOf(const std::array<T, size>& value);
template <typename T>
OrderedJson JsonOf(const std::optional<T>& value) {
  if (!value) return nullptr;
  return JsonOf(*value);
}
template <typename T>
OrderedJson JsonOf(const std::vector<T>& value) {
  OrderedJson array = OrderedJson::array();
  for (const T& element : value) array.push_back(JsonOf(element));
  return array;
}
template <typename T, std::size_t size>
OrderedJson JsonOf(const std::array<T, size>& value) {
  if constexpr (std::same_as<T, char16_t>) {
    const std::u16string_view text(value.data(), size);
    return JsonOf(std::u16string(text.substr(0, text.find(u'\0'))));
  } else {
    OrderedJson array = OrderedJson::array();
    for (const T& element : value) array.push_back(JsonOf(element));
    return array;
  }
}

/// A member of type HRESULT: its name, or "0x...".
OrderedJson ResultJsonOf(HRESULT value);
OrderedJson ResultJsonOf(const std::vector<HRESULT>& value);
OrderedJson ResultJsonOf(const std::optional<std::vector<HRESULT>>& value);

/// "TASK_INFO {id: 1, status: "REQ_STARTED"}", broken into indented lines where that exceeds 110 characters.
std::string RenderText(std::string_view type, const OrderedJson& value);

}  // namespace dmrp::ndr
