// Connection: one activated object, called through any interface of the IDL, with a sink for its
// notifications.

#include "bindings/module.hpp"
#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/fields.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "harness/client/session.hpp"
#include "protocol/idlc/python_support.hpp"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <pybind11/stl.h>

namespace py = pybind11;

namespace dmrp::bindings {
namespace {

using AccountTuple = std::tuple<std::string, std::string, std::string>;  // user, password, domain

harness::Account ToAccount(const AccountTuple& account) {
  return {std::get<0>(account), std::get<1>(account), std::get<2>(account)};
}

template <typename T, std::size_t size>
T FromName(const std::string& name, const std::array<T, size>& values, const char* what) {
  std::string known;
  for (const T value : values) {
    if (rpc::ToString(value) == name) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", rpc::ToString(value));
  }
  throw py::value_error(fmt::format("{} '{}': one of {}", what, name, known));
}

const InterfaceInfo& FindInterface(const std::string& name) {
  for (const InterfaceInfo* interface : kInterfaces) {
    if (interface->name == name) return *interface;
  }
  throw py::value_error("no interface " + name);
}

py::object JsonToPython(const nlohmann::json& value) {
  return py::module_::import("json").attr("loads")(value.dump());
}

class Connection {
 public:
  static std::unique_ptr<Connection> Open(const std::string& host, std::uint16_t port,
                                          const std::string& clsid, const AccountTuple& account,
                                          const std::string& auth_level, const std::string& auth_type,
                                          const std::string& listen_address, const std::string& advertise,
                                          std::optional<std::uint16_t> resolver_port,
                                          const std::vector<AccountTuple>& callback_accounts,
                                          double timeout) {
    harness::ClientHostOptions options;
    options.server = {host, port};
    options.class_id = Take(Guid::Parse(clsid));
    options.account = ToAccount(account);
    options.auth_level =
        FromName(auth_level,
                 std::array{rpc::AuthLevel::kNone, rpc::AuthLevel::kConnect, rpc::AuthLevel::kPacket,
                            rpc::AuthLevel::kIntegrity, rpc::AuthLevel::kPrivacy},
                 "auth_level");
    options.auth_type =
        FromName(auth_type, std::array{rpc::AuthType::kNtlm, rpc::AuthType::kSpnego}, "auth_type");
    options.listen_address = listen_address;
    options.advertise = advertise;
    options.resolver_port = resolver_port;
    for (const AccountTuple& caller : callback_accounts) {
      options.callback_accounts.push_back(ToAccount(caller));
    }
    options.call_timeout = std::chrono::milliseconds(static_cast<std::int64_t>(timeout * 1000));

    const py::gil_scoped_release unlocked;
    auto history = harness::History::Discarding();
    auto monitor = std::make_shared<harness::RuleMonitor>(std::make_shared<harness::Findings>(history),
                                                          std::chrono::milliseconds(0));
    auto started = harness::ClientHost::Start(std::move(options), std::move(monitor), history);
    auto object = started ? (*started)->Activate(kUnknown) : tl::unexpected(started.error());
    const py::gil_scoped_acquire locked;
    return std::unique_ptr<Connection>(new Connection(Take(std::move(started)), Take(std::move(object))));
  }

  py::object Call(const std::string& interface_name, const std::string& method_name,
                  const py::object& request) {
    const InterfaceInfo& interface = FindInterface(interface_name);
    const MethodInfo* method = interface.Find(method_name);
    if (method == nullptr || method->reserved) {
      throw py::value_error(interface_name + " has no method " + method_name);
    }
    py::object result;
    ForEachMethod([&]<typename Request, typename Reply>(const char* name) {
      if (method_name != name) return;
      ndr::Writer writer;
      Encode(writer, request.cast<const Request&>());
      const Bytes answer = Exchange(interface, method->opnum, Take(std::move(writer).Take()));
      ndr::Reader reader(answer);
      Reply reply;
      Decode(reader, reply);
      if (!reader.ok()) Raise(*reader.error());
      result = py::cast(std::move(reply));
    });
    return result;
  }

  py::object CallRaw(const std::string& interface_name, std::uint16_t opnum, const py::bytes& stub) {
    return python::Convert<Bytes>::ToPython(
        Exchange(FindInterface(interface_name), opnum, python::Convert<Bytes>::FromPython(stub)));
  }

  /// The marshaled reference to a new sink, for the Initialize method of the interface named.
  py::object MakeSink(const std::string& interface_name) {
    const auto revision =
        interface_name == kIVolumeClient.name ? Revision::kIVolumeClient : Revision::kIVolumeClient3;
    sink_ = std::make_shared<harness::NotificationSink>(revision, "python", host_->history());
    auto reference = [&] {
      const py::gil_scoped_release unlocked;
      return host_->runtime().Export(sink_, IID_IDMNotify);
    }();
    return python::Convert<Bytes>::ToPython(Take(std::move(reference)));
  }

  [[nodiscard]] std::uint64_t NotificationCount() const { return sink_ ? sink_->Count() : 0; }

  bool WaitForNotifications(std::uint64_t count, double timeout) {
    if (!sink_) return false;
    const py::gil_scoped_release unlocked;
    return sink_->WaitForCalls(count, std::chrono::milliseconds(static_cast<std::int64_t>(timeout * 1000)));
  }

  /// (type, action, id, value, stream) for each object of the notifications numbered above `after`.
  [[nodiscard]] py::list Notifications(std::uint64_t after) const {
    py::list result;
    if (!sink_) return result;
    for (const harness::ReceivedNotification& notification : sink_->All()) {
      if (notification.number <= after) continue;
      const py::object stream = python::Convert<Bytes>::ToPython(notification.stream);
      for (const harness::ReceivedObject& object : notification.objects) {
        py::object value;
        if (object.disk) {
          value = py::cast(*object.disk);
        } else if (object.region) {
          value = py::cast(*object.region);
        } else if (object.task) {
          value = py::cast(*object.task);
        } else if (object.file_system) {
          value = py::cast(*object.file_system);
        } else {
          value = JsonToPython(object.object);
        }
        result.append(py::make_tuple(object.type, object.action, object.id, value, stream));
      }
    }
    return result;
  }

  void Close() {
    const py::gil_scoped_release unlocked;
    interfaces_.clear();
    object_.reset();
    host_.reset();
  }

 private:
  // Activated as what every object is, so that classes other than the disk management server's work too.
  static constexpr Guid kUnknown{0, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};

  Connection(std::shared_ptr<harness::ClientHost> host, dcom::ObjectRef object)
      : host_(std::move(host)), object_(std::move(object)) {}

  Bytes Exchange(const InterfaceInfo& interface, std::uint16_t opnum, Bytes stub) {
    if (!object_) Raise({ErrorKind::kUsage, 0, "the session is closed"});
    auto answer = [&]() -> Result<Bytes> {
      const py::gil_scoped_release unlocked;
      auto found = interfaces_.find(interface.iid);
      if (found == interfaces_.end()) {
        auto reference = object_->QueryInterface(interface.iid);
        if (!reference) return tl::unexpected(reference.error());
        found = interfaces_.emplace(interface.iid, *std::move(reference)).first;
      }
      return found->second.Call(opnum, std::move(stub));
    }();
    return Take(std::move(answer));
  }

  std::shared_ptr<harness::ClientHost> host_;
  std::optional<dcom::ObjectRef> object_;
  std::map<Guid, dcom::ObjectRef> interfaces_;
  std::shared_ptr<harness::NotificationSink> sink_;
};

}  // namespace

void BindSession(py::module_& module) {
  py::class_<Connection>(module, "Connection")
      .def(py::init(&Connection::Open), py::kw_only(), py::arg("host"), py::arg("port"), py::arg("clsid"),
           py::arg("account"), py::arg("auth_level"), py::arg("auth_type"), py::arg("listen_address"),
           py::arg("advertise"), py::arg("resolver_port"), py::arg("callback_accounts"), py::arg("timeout"))
      .def("call", &Connection::Call, py::arg("interface"), py::arg("method"), py::arg("request"))
      .def("call_raw", &Connection::CallRaw, py::arg("interface"), py::arg("opnum"), py::arg("stub"))
      .def("make_sink", &Connection::MakeSink, py::arg("interface"))
      .def("notification_count", &Connection::NotificationCount)
      .def("wait_for_notifications", &Connection::WaitForNotifications, py::arg("count"), py::arg("timeout"))
      .def("notifications", &Connection::Notifications, py::arg("after"))
      .def("close", &Connection::Close);
}

}  // namespace dmrp::bindings
