// CreateVolumeAssignAndFormat and CreateVolumeAssignAndFormatEx of both revisions, which are one method but
// for the access path: tests of the first run through all four.
#pragma once

#include "suites/support/volume_data.hpp"

#include <optional>
#include <ostream>
#include <string>

namespace dmrp::suites {

/// One of the four methods.
struct VolumeMaker {
  Revision revision = Revision::kIVolumeClient3;
  bool ex = false;

  [[nodiscard]] bool third() const { return revision == Revision::kIVolumeClient3; }
  /// The id for this method, of ids for IVolumeClient and IVolumeClient3, without and with Ex.
  [[nodiscard]] const char* One(const char* plain, const char* plain_third, const char* ex_first,
                                const char* ex_third) const {
    if (ex) return third() ? ex_third : ex_first;
    return third() ? plain_third : plain;
  }
  friend void PrintTo(const VolumeMaker& maker, std::ostream* out) {
    *out << harness::ToString(maker.revision) << (maker.ex ? "_Ex" : "_Plain");
  }
};

struct VolumeMakerName {
  std::string operator()(const ::testing::TestParamInfo<VolumeMaker>& info) const {
    return ::testing::PrintToString(info.param);
  }
};

inline const auto kAllVolumeMakers = ::testing::Values(
    VolumeMaker{Revision::kIVolumeClient, false}, VolumeMaker{Revision::kIVolumeClient3, false},
    VolumeMaker{Revision::kIVolumeClient, true}, VolumeMaker{Revision::kIVolumeClient3, true});

/// What the four methods take and give in common.
using MakeVolumeRequest = CreateVolumeAssignAndFormatExRequest;
struct MadeVolume {
  TASK_INFO tinfo;
  HRESULT result = 0;
};

class VolumeMakerTest : public VolumeDataTest {
 protected:
  Outcome<MadeVolume> MakeWith(const VolumeMaker& maker, const MakeVolumeRequest& request) {
    Session& session = SessionOf(maker.revision);
    if (maker.ex) {
      return Rewrapped(session.Change<CreateVolumeAssignAndFormatExReply>(
          session.interface(), "CreateVolumeAssignAndFormatEx", request));
    }
    CreateVolumeAssignAndFormatRequest plain;
    plain.volumeSpec = request.volumeSpec;
    plain.diskList = request.diskList;
    plain.letter = request.letter;
    plain.letterLastKnownState = request.letterLastKnownState;
    plain.fsSpec = request.fsSpec;
    plain.quickFormat = request.quickFormat;
    return Rewrapped(session.Change<CreateVolumeAssignAndFormatReply>(session.interface(),
                                                                      "CreateVolumeAssignAndFormat", plain));
  }

  /// A request for a volume of that shape with a letter that is free, formatted quickly.
  MakeVolumeRequest Right(Session& session, const VolumeShape& shape, std::int32_t file_system = FSTYPE_FAT) {
    CreateVolumeRequest volume = RequestFor(session, shape);
    MakeVolumeRequest request;
    request.volumeSpec = volume.volumeSpec;
    request.diskList = std::move(volume.diskList);
    const DRIVE_LETTER_INFO letter = FreeLetter(session);
    request.letter = letter.letter;
    request.letterLastKnownState = letter.lastKnownState;
    request.AccessPath = std::u16string(1, u'\0');
    request.fsSpec = FileSystemSpec(file_system, file_system == FSTYPE_NTFS ? 1024 : 4096, u"MADE");
    request.quickFormat = true;
    return request;
  }

  /// Waits until the volume is told to be formatted and healthy, after `mark`; the test ends undecided when
  /// it is not.
  VOLUME_INFO SettledVolume(Session& session, LdmObjectId id, std::uint64_t mark) {
    const auto settled = session.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.id == id && object.volume && object.volume->status == VOLUME_STATUS_HEALTHY &&
                 (object.volume->vflags & VOLUME_FORMAT_IN_PROGRESS) == 0 && object.volume->fsId != 0;
        },
        kFormatLimit, mark);
    EXPECT_TRUE(settled) << "no DMNOTIFY_VOLUME_INFO/LDMACTION_MODIFIED shows volume " << id << " at rest";
    return VolumeNow(session, id);
  }
  /// The task as its final notification after `mark` shows it.
  TASK_INFO EndOf(Session& session, const TASK_INFO& tinfo, std::uint64_t mark) {
    if (IsFinal(tinfo.status)) return tinfo;
    const auto end = session.sink().WaitFor(
        [&](const ReceivedObject& object) {
          return object.task && object.id == tinfo.id && IsFinal(object.task->status);
        },
        kFormatLimit, mark);
    [&] { ASSERT_TRUE(end) << "no final notification of task " << tinfo.id; }();
    return *end->task;
  }

 private:
  template <typename Reply>
  static Outcome<MadeVolume> Rewrapped(const Outcome<Reply>& reply) {
    Outcome<MadeVolume> made;
    made.call = reply.call;
    made.error = reply.error;
    made.value = {reply.value.tinfo, reply.value.result};
    return made;
  }
};

}  // namespace dmrp::suites
