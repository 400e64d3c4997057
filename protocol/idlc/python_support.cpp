#include "protocol/idlc/python_support.hpp"

#include <utility>

#include <pybind11/functional.h>

namespace dmrp::python {

void DefineProperty(const py::object& bound, const char* name, Getter get, Setter set) {
  const py::object property = py::module_::import("builtins").attr("property");
  bound.attr(name) = property(py::cpp_function(std::move(get), py::is_method(bound)),
                              py::cpp_function(std::move(set), py::is_method(bound)));
}

void SetMembers(const py::object& self, const py::kwargs& members) {
  for (const auto& [key, value] : members) {
    if (!py::hasattr(self, key)) {
      throw py::type_error(py::str(py::type::of(self).attr("__name__")).cast<std::string>() +
                           " has no member " + py::str(key).cast<std::string>());
    }
    py::setattr(self, key, value);
  }
}

void DefineOperations(const py::object& bound, TypeOperations operations) {
  const auto method = [&](const char* name, auto function, const char* doc) {
    bound.attr(name) =
        py::cpp_function(std::move(function), py::name(name), py::is_method(bound), py::doc(doc));
  };
  method("__eq__", std::move(operations.equal), "Whether both are of one type and all members are equal.");
  bound.attr("__hash__") = py::none();
  method("__repr__", std::move(operations.text), "The members by name.");
  method(
      "to_dict",
      [json = std::move(operations.json)](const py::object& self) {
        return py::object(py::module_::import("json").attr("loads")(json(self)));
      },
      "Plain values by member name; enumerations and HRESULTs by name.");
  method(
      "encode",
      [encode = std::move(operations.encode)](const py::object& self) {
        const Result<Bytes> octets = encode(self);
        if (!octets) throw py::value_error(octets.error().message);
        return Convert<Bytes>::ToPython(*octets);
      },
      "The NDR octets; ValueError for a value that has none.");
  const auto decode = [decode = std::move(operations.decode)](const py::bytes& octets) {
    Result<py::object> value = decode(Convert<Bytes>::FromPython(octets));
    if (!value) throw py::value_error(value.error().message);
    return *std::move(value);
  };
  bound.attr("decode") = py::staticmethod(py::cpp_function(
      decode, py::name("decode"), py::arg("octets"),
      py::doc("The value at the start of NDR octets; ValueError when they do not hold one.")));
}

py::dict InterfaceToPython(const InterfaceInfo& interface) {
  py::list methods;
  for (const MethodInfo& method : interface.methods) {
    py::list params;
    for (const ParamInfo& param : method.params) {
      py::dict entry;
      entry["name"] = std::string(param.name);
      entry["type"] = std::string(param.type);
      entry["in"] = param.in;
      entry["out"] = param.out;
      params.append(entry);
    }
    py::dict entry;
    entry["name"] = std::string(method.name);
    entry["opnum"] = method.opnum;
    entry["reserved"] = method.reserved;
    entry["params"] = params;
    methods.append(entry);
  }
  py::dict result;
  result["name"] = std::string(interface.name);
  result["iid"] = Convert<Guid>::ToPython(interface.iid);
  result["version"] = py::make_tuple(interface.version_major, interface.version_minor);
  result["object"] = interface.object;
  result["methods"] = methods;
  return result;
}

}  // namespace dmrp::python
