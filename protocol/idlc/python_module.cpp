// The extension module dmrp_wire: the wire types of the disk interfaces, those of DCOM in dmrp_wire.dcom.
#include "dmrp/dcom_interfaces/python.hpp"
#include "dmrp/interfaces/python.hpp"

PYBIND11_MODULE(dmrp_wire, module) {
  module.doc() = "Types, messages and method tables of the Disk Management Remote Protocol.";
  dmrp::BindAll(module);
  auto dcom = module.def_submodule("dcom", "Types, messages and method tables of DCOM.");
  dmrp::dcom::wire::BindAll(dcom);
}
