// What concerns the machine as a whole.
#include "reference_server/methods/methods_test_support.hpp"

#include <memory>

namespace dmrp::server {
namespace {

using SystemTest = MethodsTest;

TEST_F(SystemTest, TheMachineShutsDownOnceTheReplyIsOnItsWay) {
  late_call.after_reply = std::make_shared<rpc::AfterReply>();
  ShutDownSystemReply reply;
  EXPECT_EQ(client->ShutDownSystem(late_call, {}, reply), 0);
  EXPECT_EQ(shutdowns, 0);
  for (const auto& work : late_call.after_reply->Take()) {
    work();
  }
  EXPECT_EQ(shutdowns, 1);
}

TEST_F(SystemTest, AMachineThatMayNotBeShutDownStaysUp) {
  shutdown_refusal = Error{ErrorKind::kDenied, 0, "not privileged"};
  ShutDownSystemReply reply;
  EXPECT_EQ(client->ShutDownSystem(late_call, {}, reply), LDM_E_FAILED_SHUTDOWN);
  EXPECT_EQ(shutdowns, 0);
}

TEST_F(SystemTest, ServersAreNotMadeToShutDownUnlessToldHow) {
  DiskManagementServer plain(*source, {});
  EXPECT_EQ(plain.PrepareShutdown().error().kind, ErrorKind::kUnsupported);
}

TEST_F(SystemTest, TheSystemPartitionCannotBeSecured) {
  SecureSystemPartitionReply reply;
  EXPECT_EQ(client->SecureSystemPartition(late_call, {}, reply), LDM_E_NOSUPPORT);
  EXPECT_EQ(client->SecureSystemPartition(late_call, {}, reply), LDM_E_NOSUPPORT);
}

}  // namespace
}  // namespace dmrp::server
