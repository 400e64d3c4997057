#include "dmrp/dcom_interfaces/print.hpp"

#include "dmrp/interfaces/print.hpp"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace dmrp {
namespace {

using namespace std::string_literals;

TEST(Print, EnumerationsAndResultsByNameOrNumber) {
  TASK_INFO task;
  task.status = REQ_FAILED;
  task.type = static_cast<DMPROGRESS_TYPE>(99);
  task.error = static_cast<HRESULT>(0xC1000043);
  const nlohmann::json json = ToJson(task);
  EXPECT_EQ(json["status"], "REQ_FAILED");
  EXPECT_EQ(json["type"], 99);
  EXPECT_EQ(json["error"], "LDM_E_NOENT");
  EXPECT_EQ(ToJson(AbortTaskReply{static_cast<HRESULT>(0x81234567)})["result"], "0x81234567");
}

TEST(Print, TextGuidsOctetsAndNullPointers) {
  DISK_INFO_EX disk;
  disk.name = u"Disk \u00e9\0"s;
  disk.dgid = Bytes{std::byte{0x41}, std::byte{0}};
  disk.gpt.emplace().diskId = Guid::Parse("00112233-4455-6677-8899-aabbccddeeff").value();
  const nlohmann::json json = ToJson(disk);
  EXPECT_EQ(json["name"], "Disk \u00e9");
  EXPECT_EQ(json["vendor"], nullptr);
  EXPECT_EQ(json["dgid"], "4100");
  EXPECT_EQ(json["gpt"]["diskId"], "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(json["mbr"], nullptr);

  IFILE_SYSTEM_INFO file_system;
  file_system.fsName = {u'N', u'T', u'F', u'S'};
  EXPECT_EQ(ToJson(file_system)["fsName"], "NTFS");
}

TEST(Print, ShortValuesTakeOneLineInTheOrderOfTheIdl) {
  EXPECT_EQ(ToText(DISK_SPEC{.diskId = 1, .length = 2, .needContiguous = true, .lastKnownState = 3}),
            "DISK_SPEC {diskId: 1, length: 2, needContiguous: true, lastKnownState: 3}");
  EXPECT_EQ(ToText(RefreshRequest{}), "RefreshRequest");
}

TEST(Print, LongValuesAreIndented) {
  EnumTasksReply reply;
  reply.taskList.resize(1);
  EXPECT_EQ(ToText(reply),
            "EnumTasksReply {\n"
            "  taskList: [\n"
            "    {\n"
            "      id: 0\n"
            "      storageId: 0\n"
            "      createTime: 0\n"
            "      clientID: 0\n"
            "      percentComplete: 0\n"
            "      status: \"REQ_UNKNOWN\"\n"
            "      type: \"PROGRESS_UNKNOWN\"\n"
            "      error: \"S_OK\"\n"
            "      tflag: 0\n"
            "    }\n"
            "  ]\n"
            "  result: \"S_OK\"\n"
            "}");
}

TEST(Print, ForeignTextNeverThrows) {
  COUNTED_STRING text;
  text.sstring = std::u16string(1, static_cast<char16_t>(0xD800));
  EXPECT_EQ(ToJson(text)["sstring"], "\uFFFD");
  EXPECT_FALSE(ToText(text).empty());
  dcom::wire::ept_entry_t entry;
  entry.annotation = "\xE9\0"s;
  EXPECT_EQ(dcom::wire::JsonText(entry).find("\\u"), std::string::npos);
  EXPECT_EQ(dcom::wire::ToJson(entry)["annotation"], "\u00e9");
}

}  // namespace
}  // namespace dmrp
