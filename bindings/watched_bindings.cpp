// WatchedHost and WatchedSession: sessions of the harness itself, whose rule monitor judges every call and
// every change that a Python test makes.

#include "bindings/module.hpp"
#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/fields.hpp"
#include "dmrp/interfaces/method_table.hpp"
#include "harness/client/session.hpp"
#include "protocol/idlc/python_support.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <pybind11/stl.h>

namespace py = pybind11;

namespace dmrp::bindings {
namespace {

using AccountTuple = std::tuple<std::string, std::string, std::string>;  // user, password, domain

harness::Account ToAccount(const AccountTuple& account) {
  return {std::get<0>(account), std::get<1>(account), std::get<2>(account)};
}

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

class WatchedSession {
 public:
  explicit WatchedSession(std::unique_ptr<harness::Session> session) : session_(std::move(session)) {}

  /// The reply of a method of the session's revision. `change`: the views of storage before and after are
  /// compared with what all sinks were told.
  py::object Call(const std::string& method, const py::object& request, bool change) {
    py::object result;
    ForEachMethod([&]<typename Request, typename Reply>(const char* name) {
      if (method != name || result) return;
      const auto& typed = request.cast<const Request&>();
      auto outcome = [&] {
        const py::gil_scoped_release unlocked;
        return change ? session_->Change<Reply>(session_->interface(), method, typed)
                      : session_->Call<Reply>(session_->interface(), method, typed);
      }();
      if (outcome.error) Raise(*outcome.error);
      result = py::cast(std::move(outcome.value));
    });
    if (!result) throw py::value_error("no method " + method);
    return result;
  }

  /// (disks, regions by disk, file systems, letters) as the session's enumerations show them; disks and
  /// regions in the structures of IVolumeClient3, whichever revision it is.
  py::tuple View() {
    auto view = [&] {
      const py::gil_scoped_release unlocked;
      return session_->View();
    }();
    const harness::StorageView seen = Take(std::move(view));
    return py::make_tuple(py::cast(seen.disks), py::cast(seen.regions), py::cast(seen.file_systems),
                          py::cast(seen.letters));
  }

  [[nodiscard]] std::uint64_t Count() { return session_->sink().Count(); }

  /// Waits for an object of that type and action in a notification numbered above `after`; its id, or None
  /// when the time is over.
  py::object WaitFor(DMNOTIFY_INFO_TYPE type, LDMACTION action, std::uint64_t after, double seconds) {
    const auto seen = [&] {
      const py::gil_scoped_release unlocked;
      return session_->sink().WaitFor(harness::Action(type, action), Milliseconds(seconds), after);
    }();
    return seen ? py::cast(seen->id) : py::none();
  }

  /// Waits for the last notification about a task; its status, or None when the time is over.
  py::object WaitForTask(LdmObjectId task, std::uint64_t after, double seconds) {
    const auto seen = [&] {
      const py::gil_scoped_release unlocked;
      return session_->sink().WaitFor(
          [&](const harness::ReceivedObject& object) {
            return object.task && object.id == task && object.task->status != REQ_STARTED &&
                   object.task->status != REQ_IN_PROGRESS;
          },
          Milliseconds(seconds), after);
    }();
    return seen ? py::cast(seen->task->status) : py::none();
  }

  void Close() {
    const py::gil_scoped_release unlocked;
    session_.reset();
  }

 private:
  std::unique_ptr<harness::Session> session_;
};

class WatchedHost {
 public:
  static std::unique_ptr<WatchedHost> Start(const std::string& host, std::uint16_t port,
                                            const std::string& clsid, const AccountTuple& account,
                                            const std::string& listen_address, const std::string& advertise,
                                            const std::vector<AccountTuple>& callback_accounts,
                                            double timeout, double notification_limit) {
    harness::ClientHostOptions options;
    options.server = {host, port};
    options.class_id = Take(Guid::Parse(clsid));
    options.account = ToAccount(account);
    options.listen_address = listen_address;
    options.advertise = advertise;
    for (const AccountTuple& caller : callback_accounts) {
      options.callback_accounts.push_back(ToAccount(caller));
    }
    options.call_timeout = Milliseconds(timeout);
    auto watched = std::unique_ptr<WatchedHost>(new WatchedHost);
    auto started = [&] {
      const py::gil_scoped_release unlocked;
      auto history = harness::History::Discarding();
      watched->findings_ = std::make_shared<harness::Findings>(history);
      watched->monitor_ =
          std::make_shared<harness::RuleMonitor>(watched->findings_, Milliseconds(notification_limit));
      return harness::ClientHost::Start(std::move(options), watched->monitor_, history);
    }();
    watched->host_ = Take(std::move(started));
    return watched;
  }

  /// An initialized session; `third`: of IVolumeClient3, else of IVolumeClient.
  std::unique_ptr<WatchedSession> Open(bool third, const std::string& name) {
    harness::SessionOptions options;
    options.revision = third ? Revision::kIVolumeClient3 : Revision::kIVolumeClient;
    options.name = name;
    auto session = [&] {
      const py::gil_scoped_release unlocked;
      return host_->Open(std::move(options));
    }();
    return std::make_unique<WatchedSession>(Take(std::move(session)));
  }

  /// What the monitor found since the last time: (requirements, statement, what came).
  std::vector<std::tuple<std::vector<std::string>, std::string, std::string>> TakeViolations() {
    std::vector<std::tuple<std::vector<std::string>, std::string, std::string>> taken;
    for (harness::Violation& violation : findings_->TakeViolations()) {
      taken.emplace_back(std::move(violation.requirements), std::move(violation.statement),
                         std::move(violation.actual));
    }
    return taken;
  }

  void Close() {
    const py::gil_scoped_release unlocked;
    host_.reset();
  }

 private:
  WatchedHost() = default;
  std::shared_ptr<harness::Findings> findings_;
  std::shared_ptr<harness::RuleMonitor> monitor_;
  std::shared_ptr<harness::ClientHost> host_;
};

}  // namespace

void BindWatched(py::module_& module) {
  py::class_<WatchedSession>(module, "WatchedSession")
      .def("call", &WatchedSession::Call, py::arg("method"), py::arg("request"), py::arg("change"))
      .def("view", &WatchedSession::View)
      .def("count", &WatchedSession::Count)
      .def("wait_for", &WatchedSession::WaitFor, py::arg("type"), py::arg("action"), py::arg("after"),
           py::arg("seconds"))
      .def("wait_for_task", &WatchedSession::WaitForTask, py::arg("task"), py::arg("after"),
           py::arg("seconds"))
      .def("close", &WatchedSession::Close);
  py::class_<WatchedHost>(module, "WatchedHost")
      .def(py::init(&WatchedHost::Start), py::kw_only(), py::arg("host"), py::arg("port"), py::arg("clsid"),
           py::arg("account"), py::arg("listen_address"), py::arg("advertise"), py::arg("callback_accounts"),
           py::arg("timeout"), py::arg("notification_limit"))
      .def("open", &WatchedHost::Open, py::arg("third"), py::arg("name"))
      .def("take_violations", &WatchedHost::TakeViolations)
      .def("close", &WatchedHost::Close);
}

}  // namespace dmrp::bindings
