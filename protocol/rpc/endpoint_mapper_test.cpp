#include "protocol/rpc/endpoint_mapper.hpp"

#include "protocol/rpc/loopback.hpp"
#include "protocol/rpc/octets.hpp"
#include "protocol/rpc/vectors.hpp"

#include <gmock/gmock.h>

namespace dmrp::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr SyntaxId kVolumeClient3{
    {0x135698d2, 0x3a37, 0x4d26, {0x99, 0xdf, 0xe2, 0xbb, 0x6a, 0xe3, 0xac, 0x61}}, 0, 0};

class EndpointMapper : public Loopback {
 protected:
  void ServeMap() {
    Serve();
    server_->Register(kEndpointMapper, MakeEndpointMapper(map_));
  }
  std::shared_ptr<EndpointMap> map_ = std::make_shared<EndpointMap>();
};

TEST_F(EndpointMapper, AnswersTheRecordedRequest) {
  map_->Add({.interface = kVolumeClient3, .port = 49664});
  ServeMap();
  auto reply = Connect()->Call(kEndpointMapper, 3, FromHex(vectors::kEptMapRequest).value());
  ASSERT_TRUE(reply) << reply.error().ToString();
  EXPECT_EQ(ToHex(*reply), ToHex(FromHex(vectors::kEptMapResponse).value()));
}

TEST_F(EndpointMapper, TellsTheClientThePorts) {
  map_->Add({.interface = kVolumeClient3, .port = 1000});
  map_->Add({.interface = kVolumeClient3, .port = 1000});
  map_->Add({.interface = kVolumeClient3, .port = 2000});
  map_->Add({.interface = kVolumeClient3, .port = 3000, .object = Guid::Random()});
  map_->Add({.interface = {kVolumeClient3.uuid, 1, 0}, .port = 4000});
  ServeMap();
  auto client = Connect();
  EXPECT_THAT(*AskEndpointMapper(*client, kVolumeClient3), ElementsAre(1000, 2000));
  EXPECT_THAT(*AskEndpointMapper(*client, {kVolumeClient3.uuid, 1, 0}), ElementsAre(4000));
  EXPECT_THAT(*AskEndpointMapper(*client, {kVolumeClient3.uuid, 1, 1}), IsEmpty());
  EXPECT_THAT(*AskEndpointMapper(*client, kEcho), IsEmpty());
  map_->Remove(kVolumeClient3);
  EXPECT_THAT(*AskEndpointMapper(*client, kVolumeClient3), IsEmpty());
}

TEST_F(EndpointMapper, LooksUpEverything) {
  map_->Add({.interface = kVolumeClient3, .port = 1000, .annotation = "first"});
  map_->Add({.interface = kEcho, .port = 2000});
  ServeMap();
  OctetWriter stub;
  stub.U32(0);
  stub.U32(0);
  stub.U32(0);
  stub.U32(1);
  stub.Fill(20);
  stub.U32(10);
  auto reply = Connect()->Call(kEndpointMapper, 2, stub.Take());
  ASSERT_TRUE(reply) << reply.error().ToString();
  OctetReader reader(*reply);
  reader.Skip(20);
  EXPECT_EQ(reader.U32(), 2U);
  reader.Skip(12);
  reader.Skip(16 + 4);
  EXPECT_EQ(reader.U32(), 0U);
  EXPECT_EQ(reader.U32(), 6U);
  EXPECT_EQ(reader.U8(), 'f');
  EXPECT_EQ(OctetReader(std::span(*reply).last(4)).U32(), 0U);
}

TEST_F(EndpointMapper, RefusesWhatItDoesNotServe) {
  ServeMap();
  auto client = Connect();
  EXPECT_EQ(client->Call(kEndpointMapper, 5, {}).error().status, nca_s_op_rng_error);
  EXPECT_EQ(client->Call(kEndpointMapper, 7, {}).error().status, nca_s_op_rng_error);
  EXPECT_EQ(client->Call(kEndpointMapper, 3, {}).error().status, RPC_X_BAD_STUB_DATA);
  EXPECT_EQ(client->Call(kEndpointMapper, 3, EncodeEptMapRequest(kEcho, 501)).error().status,
            nca_s_fault_invalid_bound);
  auto insert = client->Call(kEndpointMapper, 0, {});
  ASSERT_TRUE(insert);
  EXPECT_EQ(OctetReader(*insert).U32(), 0x16C9A0CDU);
}

TEST(Towers, RefuseCutAndForeignOnes) {
  const Tower tower{kVolumeClient3, kNdr20, 135, {10, 9, 0, 1}};
  const Bytes octets = EncodeTower(tower);
  ASSERT_EQ(octets.size(), 75U);
  EXPECT_EQ(ParseTower(octets), tower);
  for (std::size_t size = 0; size < octets.size(); ++size) {
    EXPECT_FALSE(ParseTower(std::span(octets).first(size))) << size;
  }
  Bytes many = octets;
  many[0] = std::byte{7};
  EXPECT_EQ(ParseTower(many).error().kind, ErrorKind::kLimit);
  Bytes udp = octets;
  udp[61] = std::byte{0x08};
  EXPECT_EQ(ParseTower(udp).error().kind, ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace dmrp::rpc
