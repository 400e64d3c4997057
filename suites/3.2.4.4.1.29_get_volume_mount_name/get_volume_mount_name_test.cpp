// GetVolumeMountName of IVolumeClient (3.2.4.4.1.29) and IVolumeClient3 (3.2.4.4.3.29).
#include "protocol/base/text.hpp"
#include "suites/support/drive_letters.hpp"
#include "suites/support/mounted_devices.hpp"

#include <algorithm>
#include <limits>
#include <regex>
#include <set>

namespace dmrp::suites {
namespace {

using ::testing::Contains;

// The name without its null; the test ends when the call fails.
std::string NameOfVolume(Session& session, LdmObjectId id) {
  GetVolumeMountNameRequest request;
  request.volumeId = id;
  const auto reply =
      session.Call<GetVolumeMountNameReply>(session.interface(), "GetVolumeMountName", request);
  [&] { ASSERT_THAT(reply, Succeeds()); }();
  [&] { ASSERT_TRUE(reply->mountName.ends_with(u'\0')) << "no null at the end of " << reply.call.text; }();
  EXPECT_EQ(reply->mountName.find(u'\0'), reply->mountName.size() - 1) << "one null, at the end";
  return ToUtf8(std::u16string_view(reply->mountName).substr(0, reply->mountName.size() - 1));
}

std::string GuidOf(const std::string& name) {
  static const std::regex kForm(
      R"(\\\\\?\\Volume\{([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\}\\?)");
  std::smatch match;
  if (!std::regex_match(name, match, kForm)) return {};
  std::string guid = match[1];
  std::ranges::transform(guid, guid.begin(), [](unsigned char c) { return std::tolower(c); });
  return guid;
}

class GetVolumeMountName : public LetterSetupTest {};

// The name has the form \\?\Volume{guid} and ends in a null that its count includes.
TEST_P(GetVolumeMountName, HasTheFormOfAVolumeName) {
  Checks("DMRP-0993", "DMRP-0998", "DMRP-1000", "DMRP-1001", "DMRP-1002", "DMRP-1003", "DMRP-0994",
         third() ? "DMRP-1654" : "DMRP-0993", third() ? "DMRP-1656" : "DMRP-0998");
  const std::string name = NameOfVolume(session(), storage().id);
  EXPECT_NE(GuidOf(name), "") << name;
}

// A volume keeps its name, whatever letter it gets; both interfaces tell the same one.
TEST_P(GetVolumeMountName, StaysTheSame) {
  Checks("DMRP-0998", third() ? "DMRP-1656" : "DMRP-0993", third() ? "DMRP-1655" : "DMRP-0998");
  const LdmObjectId id = storage().id;
  const std::string name = NameOfVolume(session(), id);
  EXPECT_EQ(NameOfVolume(session(), id), name);
  const char16_t letter = FreeLetter(session());
  Give(session(), letter, GetParam().place);
  EXPECT_EQ(NameOfVolume(session(), id), name);
  Take(session(), letter, GetParam().place);
  EXPECT_EQ(NameOfVolume(session(), id), name);
  EXPECT_EQ(NameOfVolume(SessionOf(Revision::kIVolumeClient3), id), name);
}

// The mount database of the target's machine has this name for this partition.
TEST_P(GetVolumeMountName, IsTheOneOfTheMountDatabase) {
  Checks("DMRP-0993", "DMRP-0998");
  const std::string guid = GuidOf(NameOfVolume(session(), storage().id));
  const std::string id =
      UniqueIdOf(storage(), DiskNow(SessionOf(Revision::kIVolumeClient3), GetParam().place.disk));
  const MountedDevices database = Need(harness::ReadMountedDevices(lab().bed()));
  EXPECT_THAT(database.NamesOf(id), Contains(guid)) << database.ToText();
}

INSTANTIATE_TEST_SUITE_P(Places, GetVolumeMountName, ::testing::ValuesIn(AllLetterSetups()),
                         LetterSetupName());

class GetVolumeMountNameOfMany : public DriveLetterTest, public ::testing::WithParamInterface<Revision> {
 protected:
  void SetUp() override { StartLetters(); }
  Session& session() { return SessionOf(GetParam()); }
};

TEST_P(GetVolumeMountNameOfMany, TellsVolumesApart) {
  Checks("DMRP-0998");
  std::set<std::string> names;
  for (const Place& place : {kPrimary, kSecondPrimary, kLogical, kUsbDisk}) {
    const std::string name = NameOfVolume(session(), Storage(session(), place).id);
    EXPECT_TRUE(names.insert(name).second) << name << " is the name of two volumes";
  }
}

// What is no volume, partition or logical drive has no name.
TEST_P(GetVolumeMountNameOfMany, RefusesAnythingElse) {
  Checks("DMRP-0995", "DMRP-0997", "DMRP-0994", "DMRP-1654");
  const auto regions = RegionsNow(session());
  std::vector<LdmObjectId> ids = {0, -1, std::numeric_limits<LdmObjectId>::max(), lab().DiskId(0)};
  for (const REGION_INFO_EX& region : regions) {
    if (harness::IsFree(region) || region.regionType == REGION_EXTENDED) ids.push_back(region.id);
  }
  const Observation before = ObserveAll(session());
  for (const LdmObjectId id : ids) {
    GetVolumeMountNameRequest request;
    request.volumeId = id;
    EXPECT_THAT(session().Call<GetVolumeMountNameReply>(session().interface(), "GetVolumeMountName", request),
                Refused())
        << "id " << id;
  }
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

// Asking for a name changes no object, the first time neither.
TEST_P(GetVolumeMountNameOfMany, ChangesNothing) {
  Checks("DMRP-1004");
  const Observation before = ObserveAll(session());
  NameOfVolume(session(), Storage(session(), kPrimary).id);
  EXPECT_THAT(ObserveAll(session()), Unchanged(before));
}

INSTANTIATE_TEST_SUITE_P(Both, GetVolumeMountNameOfMany, kBothRevisions, RevisionName());

}  // namespace
}  // namespace dmrp::suites
