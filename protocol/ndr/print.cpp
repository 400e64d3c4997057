#include "protocol/ndr/print.hpp"

#include <algorithm>

namespace dmrp::ndr {
namespace {

constexpr std::size_t kLineLength = 110;

std::string Dump(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string OneLine(const OrderedJson& value) {
  if (!value.is_structured()) return Dump(value);
  std::string text;
  for (const auto& [key, member] : value.items()) {
    if (!text.empty()) text += ", ";
    if (value.is_object()) text += key + ": ";
    text += OneLine(member);
  }
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

void Render(const OrderedJson& value, std::size_t indent, std::size_t used, std::string& out) {
  const std::string line = OneLine(value);
  if (!value.is_structured() || used + line.size() <= kLineLength) {
    out += line;
    return;
  }
  const std::string margin(indent + 2, ' ');
  out += value.is_object() ? "{\n" : "[\n";
  for (const auto& [key, member] : value.items()) {
    const std::string prefix = margin + (value.is_object() ? key + ": " : "");
    out += prefix;
    Render(member, indent + 2, prefix.size(), out);
    out += '\n';
  }
  out += std::string(indent, ' ') + (value.is_object() ? "}" : "]");
}

}  // namespace

OrderedJson JsonOf(const Guid& value) { return value.ToString(); }

OrderedJson JsonOf(const std::u16string& value) {
  std::u16string_view text = value;
  if (text.ends_with(u'\0')) text.remove_suffix(1);
  return ToUtf8(text);
}

OrderedJson JsonOf(const std::string& value) {
  // The character set of 8-bit text is unknown, so each octet stands for the character of that number.
  std::u16string text(value.size(), u'\0');
  std::ranges::transform(value, text.begin(), [](char c) { return static_cast<unsigned char>(c); });
  return JsonOf(text);
}

OrderedJson JsonOf(const Bytes& value) { return ToHex(value); }

OrderedJson ResultJsonOf(HRESULT value) { return HresultName(value); }

OrderedJson ResultJsonOf(const std::vector<HRESULT>& value) {
  OrderedJson array = OrderedJson::array();
  for (const HRESULT element : value) array.push_back(HresultName(element));
  return array;
}

OrderedJson ResultJsonOf(const std::optional<std::vector<HRESULT>>& value) {
  if (!value) return nullptr;
  return ResultJsonOf(*value);
}

std::string RenderText(std::string_view type, const OrderedJson& value) {
  std::string out(type);
  if (value.empty()) return out;
  out += ' ';
  Render(value, 0, out.size(), out);
  return out;
}

}  // namespace dmrp::ndr
