// The extension module _dmrp: every wire type, sessions with a server, targets with disks, and disk readers.
// The package dmrp gives it its Python shape.

#include "bindings/module.hpp"

#include "dmrp/interfaces/python.hpp"
#include "protocol/dmrp/defaults.hpp"
#include "protocol/dmrp/hresult.hpp"

#include <string>

#include <pybind11/eval.h>

namespace py = pybind11;

namespace dmrp::bindings {
namespace {

PyObject* error_type = nullptr;  // owned by the module; Python keeps extension modules for ever

}  // namespace

void Raise(const Error& error) {
  const py::object instance = py::reinterpret_borrow<py::object>(error_type)(error.ToString());
  instance.attr("kind") = std::string(ErrorKindName(error.kind));
  instance.attr("status") = error.status;
  PyErr_SetObject(error_type, instance.ptr());
  throw py::error_already_set();
}

}  // namespace dmrp::bindings

PYBIND11_MODULE(_dmrp, module) {
  module.doc() =
      "Types of [MS-DMRP], sessions with its servers, guests, and disk readers. Use the package dmrp.";
  py::exec(R"(class Error(Exception):
    """A call that got no reply, or an operation of the harness that failed.

    kind: what a caller can do about it (Malformed, Limit, Unavailable, Timeout, Denied, Fault, Unsupported, Usage,
    System). status: the fault status or errno, else 0.
    """
    kind = ""
    status = 0
)",
           module.attr("__dict__"));
  dmrp::bindings::error_type = module.attr("Error").ptr();
  module.attr("Error").attr("__module__") = "dmrp";
  dmrp::BindAll(module);
  module.def(
      "hresult_name", [](std::uint32_t value) { return dmrp::HresultName(static_cast<std::int32_t>(value)); },
      py::arg("value"), "The name of a result code, \"0x...\" for one that has none.");
  dmrp::bindings::BindSession(module);
  dmrp::bindings::BindTestBed(module);
  dmrp::bindings::BindWatched(module);
}
