// What the parts of the extension module _dmrp share.
#pragma once

#include "protocol/base/error.hpp"

#include <utility>

#include <pybind11/pybind11.h>

namespace dmrp::bindings {

/// Raises dmrp.Error (kind, status, message) in Python.
[[noreturn]] void Raise(const Error& error);

/// The value, or dmrp.Error.
template <typename T>
T Take(Result<T> result) {
  if (!result) Raise(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void BindSession(pybind11::module_& module);
void BindTestBed(pybind11::module_& module);
void BindWatched(pybind11::module_& module);

}  // namespace dmrp::bindings
