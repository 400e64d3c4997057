// TestBed: a target brought to life with disks (by default the bundled server in a guest), and the disk
// readers.

#include "bindings/module.hpp"
#include "harness/layout/readers.hpp"
#include "harness/target/machine_registry.hpp"
#include "harness/target/target.hpp"
#include "harness/target/test_bed.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace dmrp::bindings {
namespace {

harness::Target LoadTargetOrDefault(const std::optional<std::string>& file) {
  return Take(file ? harness::LoadTarget(*file) : harness::TargetFromEnvironment());
}

py::tuple ToTuple(const harness::Account& account) {
  return py::make_tuple(account.user, account.password, account.domain);
}

py::dict ToDict(const harness::BedDisk& disk) {
  py::dict result;
  result["id"] = disk.id;
  result["spec"] = harness::ToText(disk.spec);
  result["serial"] = disk.spec.serial;
  result["sector"] = disk.spec.logical_sector;
  return result;
}

class TestBed {
 public:
  TestBed(const std::vector<std::string>& disks, const std::string& directory,
          const std::optional<std::string>& target, const std::optional<std::string>& capture)
      : target_(LoadTargetOrDefault(target)) {
    harness::BedRequest request;
    for (const std::string& disk : disks) request.disks.push_back({Take(harness::ParseDiskSpec(disk)), {}});
    if (capture) request.capture = *capture;
    auto started = [&]() -> Result<void> {
      const py::gil_scoped_release unlocked;
      auto factory = harness::TestBedFactory::Create(target_, directory);
      if (!factory) return tl::unexpected(factory.error());
      factory_ = *std::move(factory);
      auto bed = factory_->Start(request);
      if (!bed) return tl::unexpected(bed.error());
      bed_ = *std::move(bed);
      return {};
    }();
    Take(std::move(started));
  }

  [[nodiscard]] py::dict Target() const {
    py::dict accounts;
    for (const auto& [role, account] : target_.accounts) {
      accounts[py::str(std::string(harness::ToString(role)))] = ToTuple(account);
    }
    py::list callers;
    for (const harness::Account& account : target_.callback_accounts) callers.append(ToTuple(account));
    py::dict result;
    result["class_id"] = target_.class_id.ToString();
    result["remote_class_id"] = target_.remote_class_id.ToString();
    result["accounts"] = accounts;
    result["callback_accounts"] = callers;
    return result;
  }
  [[nodiscard]] py::tuple Server() const {
    const rpc::Endpoint server = bed_->server();
    return py::make_tuple(server.host, server.port);
  }
  [[nodiscard]] py::tuple ClientAddress() const {
    const harness::ClientAddress address = bed_->client_address();
    return py::make_tuple(address.listen, address.advertise);
  }
  [[nodiscard]] py::list Disks() const {
    py::list result;
    for (const harness::BedDisk& disk : bed_->disks()) result.append(ToDict(disk));
    return result;
  }
  py::dict Attach(const std::string& text) {
    const harness::DiskSpec spec = Take(harness::ParseDiskSpec(text));
    auto disk = [&] {
      const py::gil_scoped_release unlocked;
      return bed_->Attach({spec, {}});
    }();
    return ToDict(Take(std::move(disk)));
  }
  void Detach(const std::string& id) {
    auto detached = [&] {
      const py::gil_scoped_release unlocked;
      return bed_->Detach(id);
    }();
    Take(std::move(detached));
  }
  std::string Snapshot(const std::string& id) {
    auto image = [&] {
      const py::gil_scoped_release unlocked;
      return bed_->Snapshot(id);
    }();
    return Take(std::move(image)).string();
  }
  /// Unique ids by letter, as the machine's registry keeps them.
  py::dict KeptLetters() {
    auto read = [&] {
      const py::gil_scoped_release unlocked;
      return harness::ReadMountedDevices(*bed_);
    }();
    py::dict result;
    for (const auto& [letter, id] : Take(std::move(read)).letters) {
      const Bytes octets = Take(FromHex(id));
      result[py::str(std::string(1, static_cast<char>(letter)))] =
          py::bytes(reinterpret_cast<const char*>(octets.data()), octets.size());
    }
    return result;
  }
  std::string ServerLog() { return bed_->ServerLog(); }
  void Close() {
    const py::gil_scoped_release unlocked;
    bed_.reset();
    factory_.reset();
  }

 private:
  harness::Target target_;
  std::unique_ptr<harness::TestBedFactory> factory_;
  std::unique_ptr<harness::TestBed> bed_;
};

std::string ReadLayout(const std::string& image, std::uint32_t sector) {
  return ToJson(Take(harness::Observe(image, sector))).dump();
}

}  // namespace

void BindTestBed(py::module_& module) {
  py::class_<TestBed>(module, "TestBed")
      .def(py::init<const std::vector<std::string>&, const std::string&, const std::optional<std::string>&,
                    const std::optional<std::string>&>(),
           py::kw_only(), py::arg("disks"), py::arg("directory"), py::arg("target"), py::arg("capture"))
      .def("target", &TestBed::Target)
      .def("server", &TestBed::Server)
      .def("client_address", &TestBed::ClientAddress)
      .def("disks", &TestBed::Disks)
      .def("attach", &TestBed::Attach, py::arg("spec"))
      .def("detach", &TestBed::Detach, py::arg("id"))
      .def("snapshot", &TestBed::Snapshot, py::arg("id"))
      .def("kept_letters", &TestBed::KeptLetters)
      .def("server_log", &TestBed::ServerLog)
      .def("close", &TestBed::Close);
  module.def("read_layout_json", &ReadLayout, py::arg("image"), py::arg("sector"));
}

}  // namespace dmrp::bindings
