// A set of the record as volume_pattern.hpp knows volumes, so that its data is read, written and checked
// through the members: copies that are equal, rows that add up, patterns that lie where they should.
//
//   auto view = AsVolume(*record.Find("parity"), {{0x11111111, "a.raw"}, ...});
//   EXPECT_THAT(*CheckParity(view.group, view.volume), IsEmpty());
#pragma once

#include "harness/ft/ft_record.hpp"
#include "harness/layout/dynamic_layout.hpp"

#include <cstdint>
#include <filesystem>
#include <map>

namespace dmrp::harness {

struct FtVolumeView {
  DynamicGroup group;  ///< its disks are named by their signatures, "11111111"
  DynamicVolume volume;
};

enum class FtMembers {
  kHealthy,  ///< the others are missing
  kAll,      ///< whatever their state: to see what a rebuild made of them
};

/// @param images  of the disks that are present, by their signatures
FtVolumeView AsVolume(const FtRecordSet& set, const std::map<std::uint32_t, std::filesystem::path>& images,
                      FtMembers members = FtMembers::kHealthy);

}  // namespace dmrp::harness
