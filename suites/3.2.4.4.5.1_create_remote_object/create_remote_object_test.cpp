// IDMRemoteServer::CreateRemoteObject (3.2.4.4.5.1, 2.7) between two machines: the exchange of 4.2.
#include "harness/guest/guest.hpp"
#include "protocol/dcom/interface_ids.hpp"
#include "suites/support/conformance_test.hpp"

#include <algorithm>

namespace dmrp::suites {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint32_t kNoInterface = 0x80004002;  // E_NOINTERFACE
constexpr std::uint32_t kOpnumRange = 0x1C010002;   // nca_s_op_rng_error

// As the IDL compiler of a client sends it: one character more than cMax, which counts the terminator.
CreateRemoteObjectRequest Named(const std::string& computer) {
  CreateRemoteObjectRequest request;
  request.RemoteComputerName = ToUtf16(computer).value();
  request.RemoteComputerName.append(2, u'\0');
  return request;
}

class CreateRemoteObject : public ConformanceTest {
 protected:
  // Two machines whose disks differ; clients talk to the first one.
  void SetUp() override {
    Start({kMbr512});
    if (lab().bed().guest() == nullptr) {
      GTEST_SKIP() << "needs a second machine of the same kind";
    }
    other_ = Need(Lab::Start(Run::Current(), {{kBlankUsb.Spec(), Table("label: dos\n")}}));
    if (other_->bed().server().host == lab().bed().server().host) {
      GTEST_SKIP() << "the machines share no network";
    }
    host_ = Need(other_->NewHost(*target().Find(harness::Role::kAdministrator)));
  }
  void TearDown() override {
    session_.reset();
    host_.reset();
    if (other_) other_->monitor().Finish();
    ConformanceTest::TearDown();
    other_.reset();
  }

  Result<dcom::ObjectRef> Activate() {
    return host_->runtime().Activate(lab().bed().server(), target().remote_class_id, IID_IDMRemoteServer);
  }
  // The method's HRESULT; the test ends when there is none.
  HRESULT Create(const dcom::ObjectRef& object, const CreateRemoteObjectRequest& request) {
    ndr::Writer writer;
    Encode(writer, request);
    return CreateRaw(object, Need(std::move(writer).Take()), ToUtf8(request.RemoteComputerName));
  }
  HRESULT CreateRaw(const dcom::ObjectRef& object, Bytes stub, const std::string& name) {
    const Bytes answer = Need(host_->Call(
        object, kIDMRemoteServer, *kIDMRemoteServer.Find("CreateRemoteObject"), std::move(stub), name));
    ndr::Reader reader(answer);
    CreateRemoteObjectReply reply;
    Decode(reader, reply);
    EXPECT_TRUE(reader.ok());
    return reply.result;
  }
  [[nodiscard]] std::string OtherAddress() const { return other_->bed().server().host; }

  std::shared_ptr<Lab> other_;
  std::shared_ptr<ClientHost> host_;
  std::unique_ptr<Session> session_;
};

// A server is started on the machine named; the object's volume interfaces are those of that server. Its
// disks are seen, its notifications come, and all that goes on when the client lets go of IDMRemoteServer.
TEST_F(CreateRemoteObject, LeadsToTheServerOfTheMachineNamed) {
  Checks("DMRP-1880", "DMRP-1882", "DMRP-1883", "DMRP-1886", "DMRP-0009", "DMRP-0244", "DMRP-0252",
         "DMRP-0262", "DMRP-1885");
  auto object = Need(Activate());
  const auto early = object.QueryInterface(IID_IVolumeClient3);
  ASSERT_FALSE(early) << "before CreateRemoteObject there is no server to lead to";
  EXPECT_EQ(early.error().status, kNoInterface);

  ASSERT_GE(Create(object, Named("\\\\" + OtherAddress())), 0);

  session_ = host_->Adopt(
      Need(object.QueryInterface(IID_IVolumeClient3)),
      {.revision = Revision::kIVolumeClient3, .name = "remote", .account = {}, .auth_level = {}});
  object.Reset();
  ASSERT_TRUE(session_->initialized());
  const auto disks = session_->EnumDisks();
  ASSERT_THAT(disks, Succeeds());
  const auto direct = Need(other_->SessionOf(Revision::kIVolumeClient3))->EnumDisks();
  ASSERT_THAT(direct, Succeeds());
  EXPECT_EQ(disks->disks, direct->disks) << "these are the disks of the other machine";
  EXPECT_NE(disks->disks, SessionOf(Revision::kIVolumeClient3).EnumDisks()->disks);

  const auto regions = session_->EnumDiskRegions(other_->DiskId(0));
  ASSERT_THAT(regions, Succeeds());
  const REGION_INFO_EX free = regions->regions.front();
  const auto made = session_->CreatePartition(Spec(free, REGION_PRIMARY, free.start, MiB(4)));
  ASSERT_THAT(made, Succeeds());
  EXPECT_THAT(session_->sink().Objects(),
              Contains(Notifies(DMNOTIFY_REGION_INFO, LDMACTION_CREATED, made->tinfo.storageId)));

  // The witness: it was the first machine that asked the second one.
  const std::string first = lab().bed().server().host;
  if (const std::string log = other_->bed().ServerLog(); !log.empty()) {
    EXPECT_THAT(log, HasSubstr("peer=" + first + ":"));
  }
}

// When the client lets go of all interfaces, so does the first server, and the second one lets go of the
// client.
TEST_F(CreateRemoteObject, LetsGoWithItsClient) {
  Checks("DMRP-1882", "DMRP-1452");
  auto object = Need(Activate());
  ASSERT_GE(Create(object, Named(OtherAddress())), 0);
  session_ =
      host_->Adopt(Need(object.QueryInterface(IID_IVolumeClient)),
                   {.revision = Revision::kIVolumeClient, .name = "remote", .account = {}, .auth_level = {}});
  object.Reset();
  ASSERT_TRUE(session_->initialized());
  const auto sink = session_->shared_sink();
  session_.reset();
  EXPECT_TRUE(sink->WaitUnreferenced(target().call_timeout)) << "the second server still holds the client";
}

// UNC names, host names and addresses, with either count in cMax; a name of no machine is an error.
TEST_F(CreateRemoteObject, TakesAllKindsOfNames) {
  Checks("DMRP-1884", "DMRP-1885", "DMRP-1886");
  Need(lab().bed().guest()->agent().Shell("echo '" + OtherAddress() +
                                          " second second.example.com' >> /etc/hosts"));
  for (const std::string& name : {OtherAddress(), "\\\\" + OtherAddress(), std::string("second"),
                                  std::string("\\\\second"), std::string("second.example.com")}) {
    auto object = Need(Activate());
    EXPECT_GE(Create(object, Named(name)), 0) << name;
    EXPECT_TRUE(object.QueryInterface(IID_IVolumeClient3)) << name;
  }
  // cMax as the text has it: the length with the terminator, and an array of just that length.
  ndr::Writer writer;
  const std::u16string name = ToUtf16(OtherAddress()).value() + u'\0';
  writer.Put(static_cast<std::uint32_t>(name.size()));
  writer.PutConformance(name.size(), "RemoteComputerName");
  writer.PutText(name);
  auto object = Need(Activate());
  EXPECT_GE(CreateRaw(object, Need(std::move(writer).Take()), OtherAddress()), 0);

  for (const std::string& wrong :
       {std::string("nobody.invalid"), std::string("\\\\"), std::string(), std::string("10.9.0.250")}) {
    auto lost = Need(Activate());
    EXPECT_LT(Create(lost, Named(wrong)), 0) << '"' << wrong << '"';
    EXPECT_FALSE(lost.QueryInterface(IID_IVolumeClient3)) << '"' << wrong << '"';
  }
}

// Opnum 3 is the only method; 0 to 2 are IUnknown's and never on the wire.
TEST_F(CreateRemoteObject, IsTheOnlyMethod) {
  Checks("DMRP-1887", "DMRP-0245", "DMRP-0009");
  auto object = Need(Activate());
  auto connection = Need(object.Connection());
  EXPECT_TRUE(connection->Bind({IID_IDMRemoteServer, 0, 0}));
  EXPECT_FALSE(connection->Bind({IID_IDMRemoteServer, 7, 0}));
  EXPECT_EQ(kIDMRemoteServer.Find("CreateRemoteObject")->opnum, 3);
  for (const std::uint16_t opnum : {0, 1, 2, 4, 5, 77}) {
    const auto answer = object.Call(opnum, {});
    ASSERT_FALSE(answer) << opnum;
    EXPECT_EQ(answer.error().kind, ErrorKind::kFault) << opnum << ": " << answer.error().ToString();
  }
  EXPECT_EQ(object.Call(4, {}).error().status, kOpnumRange);
  EXPECT_GE(Create(object, Named(OtherAddress())), 0);
}

// Who may not manage disks may be handed IDMRemoteServer and use it, but none of the volume interfaces behind
// it: it opens less of the system.
TEST_F(CreateRemoteObject, AsksForLessThanTheVolumeInterfaces) {
  Checks("DMRP-0019", "DMRP-0014", "DMRP-0520");
  const harness::Account* user = target().Find(harness::Role::kUser);
  if (user == nullptr) {
    GTEST_SKIP() << "the target file names no account without rights";
  }
  auto object = Need(Activate());
  const rpc::Security as_user{.type = rpc::AuthType::kNtlm,
                              .level = rpc::AuthLevel::kPrivacy,
                              .credentials = {.user = user->user,
                                              .domain = user->domain,
                                              .password = user->password,
                                              .workstation = "DMRP-HARNESS"}};
  auto connection = Need(host_->runtime().Connect(Need(object.Connection())->peer(), as_user));
  const auto call = [&](const dcom::ObjectRef& reference, std::uint16_t opnum, const Bytes& stub) {
    Bytes whole = FromHex("0500070000000000000000006f6e652063617573616c69747920696400000000").value();
    whole.insert(whole.end(), stub.begin(), stub.end());
    return connection->Call({reference.iid(), 0, 0}, opnum, whole, reference.ipid());
  };
  ndr::Writer writer;
  Encode(writer, Named(OtherAddress()));
  const auto created = call(object, 3, Need(std::move(writer).Take()));
  ASSERT_TRUE(created) << created.error().ToString();
  EXPECT_EQ(Bytes(created->end() - 4, created->end()), Bytes(4)) << "the HRESULT";

  auto volumes = Need(object.QueryInterface(IID_IVolumeClient3));
  const auto denied = call(volumes, kIVolumeClient3.Find("EnumDisksEx")->opnum, {});
  ASSERT_FALSE(denied);
  EXPECT_TRUE(denied.error().kind == ErrorKind::kDenied || denied.error().status == 5 ||
              denied.error().status == 0x80070005U)
      << denied.error().ToString();
}

}  // namespace
}  // namespace dmrp::suites
