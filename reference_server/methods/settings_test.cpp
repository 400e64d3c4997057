// What the server keeps in its registry for its clients.
#include "reference_server/methods/methods_test_support.hpp"
#include "reference_server/storage/server_settings.hpp"

namespace dmrp::server {
namespace {

class SettingsTest : public MethodsTest {
 protected:
  bool DontShow() {
    GetDontShowReply reply;
    EXPECT_EQ(early_client->GetDontShow(early_call, {}, reply), 0);
    return reply.bGetNoShow;
  }
  std::pair<std::int32_t, std::int32_t> Numbers() {
    QueryChangePartitionNumbersReply reply;
    EXPECT_EQ(client->QueryChangePartitionNumbers(late_call, {}, reply), 0);
    return {reply.oldPartitionNumber, reply.newPartitionNumber};
  }
};

TEST_F(SettingsTest, DontShowIsFalseUntilSet) {
  EXPECT_FALSE(DontShow());
  SetDontShowReply reply;
  EXPECT_EQ(client->SetDontShow(late_call, {.bSetNoShow = true}, reply), 0);
  EXPECT_TRUE(DontShow());
  EXPECT_EQ(client->SetDontShow(late_call, {.bSetNoShow = false}, reply), 0);
  EXPECT_FALSE(DontShow());
}

TEST_F(SettingsTest, PartitionNumbersAreThoseOfTheRegistryUntilDeleted) {
  EXPECT_EQ(Numbers(), std::pair(0, 0));
  ASSERT_TRUE(WritePartitionNumberChange(server->registry(), {.oldNumber = 2, .newNumber = 1}).has_value());
  EXPECT_EQ(Numbers(), std::pair(2, 1));
  DeletePartitionNumberInfoFromRegistryReply reply;
  EXPECT_EQ(client->DeletePartitionNumberInfoFromRegistry(late_call, {}, reply), 0);
  EXPECT_EQ(Numbers(), std::pair(0, 0));
  EXPECT_EQ(client->DeletePartitionNumberInfoFromRegistry(late_call, {}, reply), 0) << "nothing is left";
}

}  // namespace
}  // namespace dmrp::server
