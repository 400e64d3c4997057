// Values of the wire as Python objects: what the generated bindings are made of.
//
// Text is str with its terminating null as on the wire (lone surrogates survive), octets are bytes, GUIDs are
// uuid.UUID (str is taken too), a single wchar_t is a str of one character (int is taken too), null pointers
// are None.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"
#include "protocol/ndr/interface_info.hpp"
#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <pybind11/pybind11.h>

namespace dmrp::python {

namespace py = pybind11;

template <typename T>
struct Convert {
  static py::object ToPython(const T& value) { return py::cast(value); }
  static T FromPython(const py::handle& object) { return object.cast<T>(); }
};

/// Enumerations take plain numbers too, since a peer may send any.
template <typename T>
  requires std::is_enum_v<T>
struct Convert<T> {
  static py::object ToPython(T value) { return py::cast(value); }
  static T FromPython(const py::handle& object) {
    if (py::isinstance<py::int_>(object)) return static_cast<T>(object.cast<std::uint16_t>());
    return object.cast<T>();
  }
};

template <>
struct Convert<std::u16string> {
  static py::object ToPython(const std::u16string& value) {
    int order = -1;
    PyObject* text =
        PyUnicode_DecodeUTF16(reinterpret_cast<const char*>(value.data()),
                              static_cast<Py_ssize_t>(value.size() * 2), "surrogatepass", &order);
    if (text == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(text);
  }
  static std::u16string FromPython(const py::handle& object) {
    const auto octets = object.attr("encode")("utf-16-le", "surrogatepass").cast<std::string>();
    std::u16string value(octets.size() / 2, u'\0');
    for (std::size_t i = 0; i < value.size(); ++i) {
      value[i] = static_cast<char16_t>(static_cast<unsigned char>(octets[2 * i]) |
                                       static_cast<unsigned char>(octets[2 * i + 1]) << 8);
    }
    return value;
  }
};

template <>
struct Convert<char16_t> {
  static py::object ToPython(char16_t value) {
    return Convert<std::u16string>::ToPython(std::u16string(1, value));
  }
  static char16_t FromPython(const py::handle& object) {
    if (py::isinstance<py::int_>(object)) return static_cast<char16_t>(object.cast<std::uint16_t>());
    const std::u16string text = Convert<std::u16string>::FromPython(object);
    if (text.size() != 1) throw py::value_error("one UTF-16 character is needed");
    return text[0];
  }
};

template <>
struct Convert<std::string> {
  static py::object ToPython(const std::string& value) { return py::bytes(value); }
  static std::string FromPython(const py::handle& object) { return object.cast<std::string>(); }
};

template <>
struct Convert<Bytes> {
  static py::object ToPython(const Bytes& value) {
    return py::bytes(reinterpret_cast<const char*>(value.data()), value.size());
  }
  static Bytes FromPython(const py::handle& object) {
    const auto octets = py::cast<std::string>(py::bytes(py::reinterpret_borrow<py::object>(object)));
    const auto span = std::as_bytes(std::span(octets));
    return {span.begin(), span.end()};
  }
};

template <>
struct Convert<Guid> {
  static py::object ToPython(const Guid& value) {
    return py::module_::import("uuid").attr("UUID")(value.ToString());
  }
  static Guid FromPython(const py::handle& object) {
    const Result<Guid> guid = Guid::Parse(py::str(object).cast<std::string>());
    if (!guid) throw py::value_error(guid.error().message);
    return *guid;
  }
};

template <typename T>
struct Convert<std::optional<T>> {
  static py::object ToPython(const std::optional<T>& value) {
    return value ? Convert<T>::ToPython(*value) : py::object(py::none());
  }
  static std::optional<T> FromPython(const py::handle& object) {
    if (object.is_none()) return std::nullopt;
    return Convert<T>::FromPython(object);
  }
};

template <typename T>
struct Convert<std::vector<T>> {
  static py::object ToPython(const std::vector<T>& value) {
    py::list list;
    for (const T& element : value) list.append(Convert<T>::ToPython(element));
    return list;
  }
  static std::vector<T> FromPython(const py::handle& object) {
    std::vector<T> value;
    for (const py::handle element : py::iterable(py::reinterpret_borrow<py::object>(object))) {
      value.push_back(Convert<T>::FromPython(element));
    }
    return value;
  }
};

/// A fixed array of characters is a str up to the first null, any other a list of just that many elements.
template <typename T, std::size_t size>
struct Convert<std::array<T, size>> {
  static py::object ToPython(const std::array<T, size>& value) {
    if constexpr (std::same_as<T, char16_t>) {
      const std::u16string text(value.data(), size);
      return Convert<std::u16string>::ToPython(text.substr(0, text.find(u'\0')));
    } else {
      return Convert<std::vector<T>>::ToPython({value.begin(), value.end()});
    }
  }
  static std::array<T, size> FromPython(const py::handle& object) {
    using Sequence = std::conditional_t<std::same_as<T, char16_t>, std::u16string, std::vector<T>>;
    const Sequence elements = Convert<Sequence>::FromPython(object);
    const bool fits = std::same_as<T, char16_t> ? elements.size() <= size : elements.size() == size;
    if (!fits) throw py::value_error("needs " + std::to_string(size) + " elements");
    std::array<T, size> value{};
    std::ranges::copy(elements, value.begin());
    return value;
  }
};

using Getter = std::function<py::object(const py::object& self)>;
using Setter = std::function<void(const py::object& self, const py::object& value)>;

/// The operations that all types have, without their types: pybind11's templates are instantiated once, not
/// once for each of some two hundred types.
struct TypeOperations {
  std::function<bool(const py::object& self, const py::object& other)> equal;  ///< false for another type
  std::function<std::string(const py::object& self)> text;
  std::function<std::string(const py::object& self)> json;
  std::function<Result<Bytes>(const py::object& self)> encode;
  std::function<Result<py::object>(const Bytes& octets)> decode;
};
void DefineProperty(const py::object& bound, const char* name, Getter get, Setter set);
void DefineOperations(const py::object& bound, TypeOperations operations);
/// Sets members by name; TypeError for a name that the type lacks.
void SetMembers(const py::object& self, const py::kwargs& members);

/// A member as a Python property; structures by reference, so that `request.tinfo.id = 1` reaches the
/// request.
template <typename Class, typename T>
void BindMember(py::class_<Class>& bound, const char* name, T Class::* member) {
  if constexpr (requires(T& value) { VisitFields(value, [](const char*, auto&) {}); }) {
    bound.def_readwrite(name, member);
  } else {
    DefineProperty(
        bound, name,
        [member](const py::object& self) { return Convert<T>::ToPython(self.cast<Class&>().*member); },
        [member](const py::object& self, const py::object& value) {
          self.cast<Class&>().*member = Convert<T>::FromPython(value);
        });
  }
}

template <typename T>
Result<Bytes> EncodeObject(const py::object& self) {
  ndr::Writer writer;
  Encode(writer, self.cast<const T&>());
  return std::move(writer).Take();
}

template <typename T>
Result<py::object> DecodeObject(const Bytes& octets) {
  ndr::Reader reader(octets);
  T value;
  Decode(reader, value);
  if (!reader.ok()) return tl::unexpected(*reader.error());
  return py::cast(std::move(value));
}

/// What all types have: keyword constructor, ==, repr, to_dict(), encode() and decode().
template <typename T>
py::class_<T> BindType(py::module_& module, const char* name) {
  py::class_<T> bound(module, name);
  bound.def(py::init([](const py::kwargs& members) {
    const py::object self = py::cast(T{});
    SetMembers(self, members);
    return self.cast<T>();
  }));
  DefineOperations(bound, {[](const py::object& self, const py::object& other) {
                             return py::isinstance<T>(other) &&
                                    self.cast<const T&>() == other.cast<const T&>();
                           },
                           [](const py::object& self) { return ToText(self.cast<const T&>()); },
                           [](const py::object& self) { return JsonText(self.cast<const T&>()); },
                           &EncodeObject<T>, &DecodeObject<T>});
  return bound;
}

/// An interface as a dict: name, iid, version, methods (name, opnum, reserved, params).
py::dict InterfaceToPython(const InterfaceInfo& interface);

}  // namespace dmrp::python
