#include "protocol/dmrp/hresult.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace dmrp {
namespace {

TEST(Hresult, EveryLdmCodeIsFoundByNameAndByValue) {
  std::set<std::string_view> names;
  std::set<HRESULT> values;
  for (const HresultInfo& info : LdmResults()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(values.insert(info.value).second) << info.name;
    EXPECT_FALSE(info.meaning.empty()) << info.name;
    EXPECT_EQ(FindHresult(info.value)->name, info.name);
    EXPECT_EQ(FindHresult(info.name)->value, info.value);
  }
  EXPECT_EQ(names.size(), 239u);
}

TEST(Hresult, ValuesOfTheSpecification) {
  EXPECT_EQ(static_cast<std::uint32_t>(LDM_E_UNEXPECTED), 0xC1000001u);
  EXPECT_EQ(static_cast<std::uint32_t>(LDM_E_OBJECT_STALED), 0xC10003F5u);
  EXPECT_EQ(static_cast<std::uint32_t>(LDM_E_CRASHDUMP_PAGEFILE_BOOT_SYSTEM_VOLUME), 0xC10007D3u);
  EXPECT_TRUE(Failed(LDM_E_NOENT));
  EXPECT_TRUE(Succeeded(LDM_S_REBOOT_PENDING));
  EXPECT_TRUE(Succeeded(LDM_E_NO_OPEN)) << "0x410000E3 has no failure bit, whatever its name says";
  EXPECT_EQ(E_ACCESSDENIED, HresultFromWin32(5));
  EXPECT_EQ(HresultFromWin32(0), S_OK);
}

TEST(Hresult, Texts) {
  EXPECT_EQ(HresultName(S_OK), "S_OK");
  EXPECT_EQ(HresultName(static_cast<HRESULT>(0x81234567u)), "0x81234567");
  EXPECT_EQ(HresultText(LDM_E_NOENT), "LDM_E_NOENT (0xc1000043): the object is no longer in the disk group");
  EXPECT_EQ(FaultText(0x1C010002), "nca_s_op_rng_error (0x1c010002): no operation of this number");
  EXPECT_EQ(FaultText(5), "ERROR_ACCESS_DENIED (0x00000005): access denied");
  EXPECT_EQ(FaultText(0x80010108),
            "RPC_E_DISCONNECTED (0x80010108): the object is disconnected from its clients");
  EXPECT_EQ(FindHresult("NO_SUCH_NAME"), nullptr);
}

}  // namespace
}  // namespace dmrp
