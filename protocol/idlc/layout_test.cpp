// Where NDR puts each member of each structure, found by changing one member at a time.
#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/fields.hpp"

#include <algorithm>
#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace dmrp {
namespace {

template <typename T>
Bytes Encoded(const T& value) {
  ndr::Writer writer;
  Encode(writer, value);
  return std::move(writer).Take().value();
}

/// The first octet that differs.
std::size_t Difference(const Bytes& a, const Bytes& b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

template <typename T>
void Change(T& value) {
  if constexpr (std::same_as<T, bool>) {
    value = true;
  } else if constexpr (std::same_as<T, Guid>) {
    value.Data1 = 0xFFFFFFFF;
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(2);
  } else {
    value = static_cast<T>(~value);
  }
}

/// The alignment of a structure: where an array of it starts behind a count, its elements do.
template <typename T>
class LayoutOf {
 public:
  explicit LayoutOf(const T& base) : base_(base), octets_(Encoded(base)) {
    T changing = base;
    Walk(changing, changing, "");
    std::ranges::sort(members_);
  }

  [[nodiscard]] std::string Text() const {
    std::string text =
        "align " + std::to_string(Alignment()) + ", size " + std::to_string(octets_.size()) + ": ";
    for (const auto& [offset, name] : members_) {
      text += (offset == 0 ? "" : ", ") + std::to_string(offset) + " " + name;
    }
    return text;
  }

 private:
  [[nodiscard]] std::size_t Alignment() const {
    ndr::Writer writer;
    writer.Put(std::uint8_t{0});
    Encode(writer, base_);
    return std::move(writer).Take().value().size() - octets_.size();
  }

  template <typename Struct>
  void Walk(T& whole, Struct& part, const std::string& prefix) {
    VisitFields(part, [&](const char* name, auto& member) { Probe(whole, prefix + name, member); });
  }

  void Probe(T& whole, const std::string& name, auto& member) {
    const auto original = member;
    // A different union arm may be needed for another style; what matters is the first octet.
    if constexpr (std::same_as<std::remove_cvref_t<decltype(member)>, PARTITIONSTYLE>) {
      Styles(whole, name);
    } else {
      Change(member);
      members_.emplace_back(Difference(octets_, Encoded(whole)), name);
      member = original;
    }
  }
  void Styles(T whole, const std::string& name) {
    const int other = whole.partitionStyle == PARTITIONSTYLE_MBR ? 3 : 1;
    whole.partitionStyle = static_cast<PARTITIONSTYLE>(other);
    whole.mbr.emplace();
    members_.emplace_back(Difference(octets_, Encoded(whole)), name);
  }
  template <typename Element, std::size_t size>
  void Probe(T& whole, const std::string& name, std::array<Element, size>& member) {
    member.front() = 0x7F;
    members_.emplace_back(Difference(octets_, Encoded(whole)), name);
    member.front() = 0;
  }
  /// An array behind a pointer: an empty one changes only the referent, an element of it then the count.
  template <typename Array>
    requires requires(Array& array) { array.resize(1); }
  void Probe(T& whole, const std::string& name, std::optional<Array>& member) {
    member.emplace();
    const Bytes empty = Encoded(whole);
    members_.emplace_back(Difference(octets_, empty) - 2, name);  // the referent becomes 00 00 02 00
    member->resize(1);
    members_.emplace_back(Difference(empty, Encoded(whole)), CountOf(name));
    member.reset();
  }
  template <typename Arm>
    requires requires(Arm& arm) { VisitFields(arm, [](const char*, auto&) {}); }
  void Probe(T& whole, const std::string& name, std::optional<Arm>& member) {
    if (member) Walk(whole, *member, name + ".");
  }

  static std::string CountOf(const std::string& array) {
    if (array == "sstring") return "cchString";
    if (array == "iLabelChSet") return "cchLabel";
    std::string count = "cch" + array;
    count[3] = static_cast<char>(count[3] - 'a' + 'A');
    return count;
  }

  T base_;
  Bytes octets_;
  std::vector<std::pair<std::size_t, std::string>> members_;
};

template <typename T>
std::string Layout(const T& base) {
  return LayoutOf<T>(base).Text();
}

template <typename T>
T Styled(PARTITIONSTYLE style) {
  T value;
  value.partitionStyle = style;
  if (style == PARTITIONSTYLE_MBR) value.mbr.emplace();
  if (style == PARTITIONSTYLE_GPT) value.gpt.emplace();
  return value;
}

TEST(Layout, OffsetsOfEveryStructure) {
  EXPECT_EQ(Layout(VOLUME_SPEC{}),
            "align 8, size 24: "
            "0 type, 2 layout, 4 partitionType, 8 length, 16 lastKnownState");
  EXPECT_EQ(Layout(VOLUME_INFO{}),
            "align 8, size 60: "
            "0 id, 8 type, 10 layout, 16 length, 24 fsId, 32 memberCount, 36 status, "
            "40 lastKnownState, 48 taskId, 56 vflags");
  EXPECT_EQ(Layout(DISK_SPEC{}),
            "align 8, size 32: "
            "0 diskId, 8 length, 16 needContiguous, 24 lastKnownState");
  EXPECT_EQ(Layout(DISK_INFO{}),
            "align 8, size 136: "
            "0 id, 8 length, 16 freeBytes, 24 bytesPerTrack, 28 bytesPerCylinder, 32 bytesPerSector, "
            "36 regionCount, 40 dflags, 44 deviceType, 48 deviceState, 52 busType, 56 attributes, "
            "60 isUpgradeable, 64 portNumber, 68 targetNumber, 72 lunNumber, 80 lastKnownState, "
            "88 taskId, 96 cchName, 100 cchVendor, 104 cchDgid, 108 cchAdapterName, 112 cchDgName, "
            "116 name, 120 vendor, 124 dgid, 128 adapterName, 132 dgName");
  EXPECT_EQ(Layout(REGION_SPEC{}),
            "align 8, size 48: "
            "0 regionId, 8 regionType, 16 diskId, 24 start, 32 length, 40 lastKnownState");
  EXPECT_EQ(Layout(REGION_INFO{}),
            "align 8, size 88: "
            "0 id, 8 diskId, 16 volId, 24 fsId, 32 start, 40 length, 48 regionType, "
            "52 partitionType, 56 isActive, 58 status, 64 lastKnownState, 72 taskId, 80 rflags, "
            "84 currentPartitionNumber");
  EXPECT_EQ(Layout(DRIVE_LETTER_INFO{}),
            "align 8, size 44: "
            "0 letter, 8 storageId, 16 isUsed, 24 lastKnownState, 32 taskId, 40 dlflags");
  EXPECT_EQ(Layout(FILE_SYSTEM_INFO{}),
            "align 8, size 68: "
            "0 id, 8 storageId, 16 totalAllocationUnits, 24 availableAllocationUnits, "
            "32 allocationUnitSize, 36 fsflags, 40 lastKnownState, 48 taskId, 56 fsType, "
            "60 cchLabel, 64 label");
  EXPECT_EQ(Layout(IFILE_SYSTEM_INFO{}),
            "align 4, size 40: "
            "0 fsType, 4 fsName, 20 fsFlags, 24 fsCompressionFlags, 28 cchLabelLimit, 32 cchLabel, "
            "36 iLabelChSet");
  EXPECT_EQ(Layout(TASK_INFO{}),
            "align 8, size 48: "
            "0 id, 8 storageId, 16 createTime, 24 clientID, 32 percentComplete, 36 status, 38 type, "
            "40 error, 44 tflag");
  EXPECT_EQ(Layout(COUNTED_STRING{}),
            "align 8, size 24: "
            "0 sourceId, 8 targetId, 16 cchString, 20 sstring");
  EXPECT_EQ(Layout(MERGE_OBJECT_INFO{}),
            "align 8, size 24: "
            "0 type, 4 flags, 8 layout, 16 length");
  EXPECT_EQ(Layout(Styled<DISK_INFO_EX>(PARTITIONSTYLE_MBR)),
            "align 8, size 152: "
            "0 id, 8 length, 16 freeBytes, 24 bytesPerTrack, 28 bytesPerCylinder, 32 bytesPerSector, "
            "36 regionCount, 40 dflags, 44 deviceType, 48 deviceState, 52 busType, 56 attributes, "
            "60 maxPartitionCount, 64 isUpgradeable, 65 maySwitchStyle, 66 partitionStyle, "
            "72 mbr.signature, 76 portNumber, 80 targetNumber, 84 lunNumber, 88 lastKnownState, "
            "96 taskId, 104 cchName, 108 cchVendor, 112 cchDgid, 116 cchAdapterName, 120 cchDgName, "
            "124 cchDevInstId, 128 name, 132 vendor, 136 dgid, 140 adapterName, 144 dgName, "
            "148 devInstId");
  EXPECT_EQ(Layout(Styled<DISK_INFO_EX>(PARTITIONSTYLE_GPT)),
            "align 8, size 168: "
            "0 id, 8 length, 16 freeBytes, 24 bytesPerTrack, 28 bytesPerCylinder, 32 bytesPerSector, "
            "36 regionCount, 40 dflags, 44 deviceType, 48 deviceState, 52 busType, 56 attributes, "
            "60 maxPartitionCount, 64 isUpgradeable, 65 maySwitchStyle, 66 partitionStyle, "
            "72 gpt.diskId, 88 portNumber, 92 targetNumber, 96 lunNumber, 104 lastKnownState, "
            "112 taskId, 120 cchName, 124 cchVendor, 128 cchDgid, 132 cchAdapterName, 136 cchDgName, "
            "140 cchDevInstId, 144 name, 148 vendor, 152 dgid, 156 adapterName, 160 dgName, "
            "164 devInstId");
  EXPECT_EQ(Layout(Styled<DISK_INFO_EX>(PARTITIONSTYLE_UNKNOWN)),
            "align 8, size 152: "
            "0 id, 8 length, 16 freeBytes, 24 bytesPerTrack, 28 bytesPerCylinder, 32 bytesPerSector, "
            "36 regionCount, 40 dflags, 44 deviceType, 48 deviceState, 52 busType, 56 attributes, "
            "60 maxPartitionCount, 64 isUpgradeable, 65 maySwitchStyle, 66 partitionStyle, "
            "72 portNumber, 76 targetNumber, 80 lunNumber, 88 lastKnownState, 96 taskId, "
            "104 cchName, 108 cchVendor, 112 cchDgid, 116 cchAdapterName, 120 cchDgName, "
            "124 cchDevInstId, 128 name, 132 vendor, 136 dgid, 140 adapterName, 144 dgName, "
            "148 devInstId");
  EXPECT_EQ(Layout(Styled<REGION_INFO_EX>(PARTITIONSTYLE_MBR)),
            "align 8, size 96: "
            "0 id, 8 diskId, 16 volId, 24 fsId, 32 start, 40 length, 48 regionType, "
            "50 partitionStyle, 56 mbr.partitionType, 60 mbr.isActive, 62 status, 64 lastKnownState, "
            "72 taskId, 80 rflags, 84 currentPartitionNumber, 88 cchName, 92 name");
  EXPECT_EQ(Layout(Styled<REGION_INFO_EX>(PARTITIONSTYLE_GPT)),
            "align 8, size 136: "
            "0 id, 8 diskId, 16 volId, 24 fsId, 32 start, 40 length, 48 regionType, "
            "50 partitionStyle, 56 gpt.partitionType, 72 gpt.partitionId, 88 gpt.attributes, "
            "96 status, 104 lastKnownState, 112 taskId, 120 rflags, 124 currentPartitionNumber, "
            "128 cchName, 132 name");
  EXPECT_EQ(Layout(Styled<REGION_INFO_EX>(PARTITIONSTYLE_UNKNOWN)),
            "align 8, size 88: "
            "0 id, 8 diskId, 16 volId, 24 fsId, 32 start, 40 length, 48 regionType, "
            "50 partitionStyle, 54 status, 56 lastKnownState, 64 taskId, 72 rflags, "
            "76 currentPartitionNumber, 80 cchName, 84 name");
}

TEST(Layout, UnionTagFollowsPartitionStyle) {
  const Bytes disk = Encoded(Styled<DISK_INFO_EX>(PARTITIONSTYLE_GPT));
  EXPECT_EQ(disk[66], std::byte{2});
  EXPECT_EQ(disk[68], std::byte{2});
  const Bytes region = Encoded(Styled<REGION_INFO_EX>(PARTITIONSTYLE_MBR));
  EXPECT_EQ(region[50], std::byte{1});
  EXPECT_EQ(region[52], std::byte{1});
}

TEST(Layout, ArrayElementsAreAlignedAndTheLastOneIsNotPadded) {
  FTEnumVolumesReply reply;
  reply.ftVolumeList.resize(2);
  reply.result = -1;
  const Bytes octets = Encoded(reply);
  // count, referent, max_count, 4 of padding, 60, 4 of padding, 60, result
  ASSERT_EQ(octets.size(), 16u + 64 + 60 + 4);
  EXPECT_EQ(ToHex(std::span(octets).last(4)), "ffffffff");
}

TEST(Layout, ParametersStandWhereTheSpecificationPutsThem) {
  CreatePartitionAssignAndFormatRequest request;
  const Bytes base = Encoded(request);
  request.letter = u'X';
  EXPECT_EQ(Difference(base, Encoded(request)), 48u);
  request = {};
  request.letterLastKnownState = 1;
  EXPECT_EQ(Difference(base, Encoded(request)), 56u);
}

}  // namespace
}  // namespace dmrp
