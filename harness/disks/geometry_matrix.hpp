// The kinds of disks and drives of vms/geometries.toml, each with what a server has to show of it.
#pragma once

#include "harness/disks/disk_spec.hpp"
#include "protocol/base/error.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace dmrp::harness {

/// One row. Names are those of the IDL behind their prefix: "SCSI" is BUSTYPE_SCSI. Where the specification
/// leaves a choice, several are listed.
struct MatrixRow {
  DiskSpec spec;                   ///< with the row's name
  std::vector<std::string> bus;    ///< BUSTYPE_*
  std::vector<std::string> type;   ///< DEVICETYPE_*
  std::vector<std::string> state;  ///< DEVICESTATE_*
  std::vector<std::string> style;  ///< PARTITIONSTYLE_*
  bool quick = false;              ///< belongs to the subset of every run
};

/// The rows of the file's table [matrix], in its order. kMalformed and kUsage name the row.
Result<std::vector<MatrixRow>> LoadMatrix(const std::filesystem::path& file);

/// vms/geometries.toml of this source tree.
std::filesystem::path GeometriesFile();

/// Whether this run takes every row of its tables, quick or not: the environment's DMRP_FULL is 1.
bool TakesEveryRow();

/// The rows that this run looks at: all of them when it TakesEveryRow, else the quick ones.
Result<std::vector<MatrixRow>> ChosenMatrix();

}  // namespace dmrp::harness
