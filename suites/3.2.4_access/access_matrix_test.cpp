// Authorization (2.1, 3.2.4) number by number, and identity against authentication level.
#include "protocol/dcom/interface_ids.hpp"
#include "suites/support/conformance_test.hpp"

#include <array>
#include <map>
#include <optional>

#include <fmt/format.h>

namespace dmrp::suites {
namespace {

constexpr std::string_view kWithOnePartition = "label: dos\nstart=2048, size=16384, type=7\n";

bool IsDenial(const Error& error) {
  return error.kind == ErrorKind::kDenied || error.status == 5 || error.status == 0x80070005U;
}

struct Numbers {
  const InterfaceInfo* interface;
  std::uint16_t last;
  const char* rule;
};

class AccessOfEveryNumber : public ConformanceTest, public ::testing::WithParamInterface<Numbers> {
 protected:
  // Calls the administrator's object over a connection of somebody else's. The stub is empty: a server that
  // decides by the caller never gets to look at it.
  Result<Bytes> CallAs(rpc::ClientConnection& connection, const dcom::ObjectRef& object,
                       std::uint16_t opnum) {
    // ORPCTHIS of version 5.7 without extensions.
    const Bytes orpcthis =
        FromHex("0500070000000000000000006f6e652063617573616c69747920696400000000").value();
    return connection.Call({object.iid(), 0, 0}, opnum, orpcthis, object.ipid());
  }
};

// Whoever may not manage disks is refused on every operation number, known or not, before anything of the
// call is looked at. Nobody without an account gets that far.
TEST_P(AccessOfEveryNumber, IsDeniedToOthers) {
  const Numbers& numbers = GetParam();
  Checks("DMRP-0519", "DMRP-0520", numbers.rule);
  const harness::Account* user = target().Find(harness::Role::kUser);
  if (user == nullptr) {
    GTEST_SKIP() << "the target file names no account without rights";
  }
  StartSharedWith("access", {{kBlank.Spec(), Table(std::string(kWithOnePartition))}});
  Session& administrator = SessionOf(Revision::kIVolumeClient3);
  const Observation before = ObserveAll(administrator);
  const dcom::ObjectRef object = Need(administrator.Interface(numbers.interface->iid));
  dcom::Runtime& runtime = administrator.host().runtime();
  const rpc::Endpoint exporter = Need(object.Connection())->peer();
  rpc::Security security{.type = rpc::AuthType::kNtlm, .level = rpc::AuthLevel::kPrivacy, .credentials = {}};

  security.credentials = {.user = user->user, .domain = user->domain, .password = user->password};
  auto as_user = Need(runtime.Connect(exporter, security));
  for (std::uint16_t opnum = 3; opnum <= numbers.last; ++opnum) {
    const auto answer = CallAs(*as_user, object, opnum);
    ASSERT_FALSE(answer) << "opnum " << opnum << " was answered";
    EXPECT_TRUE(IsDenial(answer.error())) << "opnum " << opnum << ": " << answer.error().ToString();
  }

  security.credentials.password += "?";
  auto as_stranger = Need(runtime.Connect(exporter, security));
  EXPECT_FALSE(CallAs(*as_stranger, object, 3)) << "with a wrong password";
  security.credentials = {};
  security.credentials.anonymous = true;
  auto as_nobody = Need(runtime.Connect(exporter, security));
  EXPECT_FALSE(CallAs(*as_nobody, object, 3)) << "anonymously";
  EXPECT_THAT(ObserveAll(administrator), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Interfaces, AccessOfEveryNumber,
                         ::testing::Values(Numbers{&kIVolumeClient, 81, "DMRP-0015"},
                                           Numbers{&kIVolumeClient2, 3, "DMRP-0016"},
                                           Numbers{&kIVolumeClient3, 78, "DMRP-0017"},
                                           Numbers{&kIVolumeClient4, 4, "DMRP-0018"}),
                         [](const auto& info) { return std::string(info.param.interface->name); });

constexpr std::array kLevels{rpc::AuthLevel::kNone,   rpc::AuthLevel::kConnect,   rpc::AuthLevel::kCall,
                             rpc::AuthLevel::kPacket, rpc::AuthLevel::kIntegrity, rpc::AuthLevel::kPrivacy};

struct Caller {
  const char* name;
  std::optional<harness::Role> role;  ///< nothing: nobody
  bool right_password;
  bool manages;
};

constexpr std::array kCallers{Caller{"Administrator", harness::Role::kAdministrator, true, true},
                              Caller{"BackupOperator", harness::Role::kBackupOperator, true, true},
                              Caller{"User", harness::Role::kUser, true, false},
                              Caller{"WrongPassword", harness::Role::kAdministrator, false, false},
                              Caller{"Anonymous", std::nullopt, false, false}};

class AccessByLevel : public ConformanceTest, public ::testing::WithParamInterface<Caller> {
 protected:
  // What came of an activation for the interface and, where it has one that needs nothing, a first call:
  // "granted", "denied" or "refused".
  std::string Outcome(dcom::Runtime& runtime, const InterfaceInfo& interface, rpc::AuthLevel level,
                      const rpc::Credentials& credentials) {
    dcom::ActivationRequest request;
    request.server = lab().bed().server();
    request.clsid = interface.iid == IID_IDMRemoteServer ? target().remote_class_id : target().class_id;
    request.iids = {interface.iid};
    request.auth_level = level;
    request.credentials = credentials;
    auto activation = runtime.Activate(request);
    if (!activation) return IsDenial(activation.error()) ? "denied" : "refused";
    const auto& object = activation->interfaces.front();
    if (!object) return IsDenial(object.error()) ? "denied" : "refused";
    const MethodInfo* harmless = interface.Find("EnumTasks");
    if (harmless == nullptr) return "granted";
    dcom::CallOptions options;
    options.auth_level = level;
    ndr::Writer writer;
    Encode(writer, EnumTasksRequest{});
    auto answer = object->Call(harmless->opnum, Need(std::move(writer).Take()), options);
    if (!answer) return IsDenial(answer.error()) ? "denied" : "refused";
    return Bytes(answer->end() - 4, answer->end()) == Bytes(4) ? "granted" : "denied";
  }
};

// Managers get in at packet privacy; what a server takes below that is its choice, but the same each time.
// Nobody else gets in at any level, to any interface.
TEST_P(AccessByLevel, IsGrantedToManagersAlone) {
  const Caller& caller = GetParam();
  Checks("DMRP-0012", "DMRP-0014", "DMRP-0015", "DMRP-0016", "DMRP-0017", "DMRP-0018", "DMRP-0519",
         "DMRP-0520");
  rpc::Credentials credentials;
  credentials.anonymous = !caller.role;
  if (caller.role) {
    const harness::Account* account = target().Find(*caller.role);
    if (account == nullptr) {
      GTEST_SKIP() << "the target file names no account of this kind";
    }
    credentials = {.user = account->user, .domain = account->domain, .password = account->password};
    credentials.password += caller.right_password ? "" : "?";
  }
  StartSharedWith("access", {{kBlank.Spec(), Table(std::string(kWithOnePartition))}});
  Session& administrator = SessionOf(Revision::kIVolumeClient3);
  const Observation before = ObserveAll(administrator);
  for (const InterfaceInfo* interface :
       {&kIVolumeClient, &kIVolumeClient2, &kIVolumeClient3, &kIVolumeClient4, &kIDMRemoteServer}) {
    std::map<rpc::AuthLevel, std::string> outcomes;
    for (int round = 0; round < 2; ++round) {
      // A client of its own each time, so that nothing is remembered.
      auto host = Need(lab().NewHost(*target().Find(harness::Role::kAdministrator)));
      for (const rpc::AuthLevel level : kLevels) {
        const std::string outcome = Outcome(host->runtime(), *interface, level, credentials);
        const std::string what = fmt::format("{} at level {}", interface->name, rpc::ToString(level));
        if (round == 1) {
          EXPECT_EQ(outcome, outcomes[level]) << what << " is not the same the second time";
        }
        outcomes[level] = outcome;
        if (!caller.manages && interface != &kIDMRemoteServer) {
          EXPECT_NE(outcome, "granted") << what;
        }
      }
    }
    if (caller.manages) {
      EXPECT_EQ(outcomes[rpc::AuthLevel::kPrivacy], "granted") << interface->name;
    }
  }
  EXPECT_THAT(ObserveAll(administrator), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Callers, AccessByLevel, ::testing::ValuesIn(kCallers),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace dmrp::suites
