// CreatePartitionAssignAndFormat and CreatePartitionAssignAndFormatEx of both revisions, which are one method
// but for the access path: tests of the first run through all four.
#pragma once

#include "suites/support/formatting.hpp"

#include <ostream>
#include <string>
#include <vector>

namespace dmrp::suites {

/// One of the four methods.
struct Maker {
  Revision revision = Revision::kIVolumeClient3;
  bool ex = false;

  [[nodiscard]] bool third() const { return revision == Revision::kIVolumeClient3; }
  friend void PrintTo(const Maker& maker, std::ostream* out) {
    *out << harness::ToString(maker.revision) << (maker.ex ? "_Ex" : "_Plain");
  }
};

struct MakerName {
  std::string operator()(const ::testing::TestParamInfo<Maker>& info) const {
    return ::testing::PrintToString(info.param);
  }
};

inline const auto kAllMakers =
    ::testing::Values(Maker{Revision::kIVolumeClient, false}, Maker{Revision::kIVolumeClient3, false},
                      Maker{Revision::kIVolumeClient, true}, Maker{Revision::kIVolumeClient3, true});

/// What the four methods take and give in common.
using MakeRequest = CreatePartitionAssignAndFormatExRequest;
struct MadePartition {
  TASK_INFO tinfo;
  HRESULT result = 0;
};

class MakerTest : public FormatTest, public ::testing::WithParamInterface<Maker> {
 protected:
  Session& session() { return SessionOf(GetParam().revision); }
  [[nodiscard]] bool third() const { return GetParam().third(); }
  /// The id for the method at hand, of ids for IVolumeClient and IVolumeClient3, without and with Ex.
  [[nodiscard]] const char* One(const char* plain, const char* plain_third, const char* ex,
                                const char* ex_third) const {
    if (GetParam().ex) return third() ? ex_third : ex;
    return third() ? plain_third : plain;
  }

  Outcome<MadePartition> Make(const MakeRequest& request) { return MakeThrough(session(), request); }
  Outcome<MadePartition> MakeThrough(Session& client, const MakeRequest& request) const {
    if (GetParam().ex) return Rewrapped(client.CreatePartitionAssignAndFormatEx(request));
    CreatePartitionAssignAndFormatRequest plain;
    plain.partitionSpec = request.partitionSpec;
    plain.letter = request.letter;
    plain.letterLastKnownState = request.letterLastKnownState;
    plain.fsSpec = request.fsSpec;
    plain.quickFormat = request.quickFormat;
    return Rewrapped(client.CreatePartitionAssignAndFormat(plain));
  }

  /// A request for a partition at the start of a free region of the bed's disk, with a letter that is free.
  MakeRequest Right(std::int64_t length = MiB(40), REGIONTYPE type = REGION_PRIMARY, std::size_t disk = 0) {
    const REGION_INFO_EX free =
        FreeRegion(session(), disk, length, type == REGION_LOGICAL ? REGION_EXTENDED_FREE : REGION_FREE);
    MakeRequest request;
    request.partitionSpec = Spec(free, type, free.start, length);
    const DRIVE_LETTER_INFO letter = FreeLetter();
    request.letter = letter.letter;
    request.letterLastKnownState = letter.lastKnownState;
    request.AccessPath = std::u16string(1, u'\0');
    request.fsSpec = FileSystemSpec(FSTYPE_NTFS, 1024, u"MADE");
    request.quickFormat = true;
    return request;
  }

  std::vector<DRIVE_LETTER_INFO> Letters() {
    const auto reply = session().EnumDriveLetters();
    [&] { ASSERT_THAT(reply, Succeeds()); }();
    return reply->driveLetterList;
  }
  /// The last one of the alphabet.
  DRIVE_LETTER_INFO FreeLetter() {
    const auto letters = Letters();
    for (auto letter = letters.rbegin(); letter != letters.rend(); ++letter) {
      if (!letter->isUsed) return *letter;
    }
    [&] { FAIL() << "no drive letter is free"; }();
    throw std::logic_error("unreachable");
  }
  DRIVE_LETTER_INFO LetterNow(char16_t letter) {
    for (const DRIVE_LETTER_INFO& each : Letters()) {
      if (harness::LetterId(each.letter) == harness::LetterId(letter)) return each;
    }
    [&] { FAIL() << "no drive letter object of " << static_cast<char>(letter); }();
    throw std::logic_error("unreachable");
  }
  /// The letters in use by a storage object, in capitals.
  std::string LettersOf(LdmObjectId storage) {
    std::string used;
    for (const DRIVE_LETTER_INFO& each : Letters()) {
      if (each.isUsed && each.storageId == storage)
        used.push_back(static_cast<char>(harness::LetterId(each.letter)));
    }
    return used;
  }
  /// The region that a reply names as made.
  REGION_INFO_EX MadeRegion(const Outcome<MadePartition>& reply, std::size_t disk = 0) {
    return RegionNow(session(), reply->tinfo.storageId, disk);
  }

 private:
  template <typename Reply>
  static Outcome<MadePartition> Rewrapped(const Outcome<Reply>& reply) {
    Outcome<MadePartition> made;
    made.call = reply.call;
    made.error = reply.error;
    made.value = {reply.value.tinfo, reply.value.result};
    return made;
  }
};

}  // namespace dmrp::suites
