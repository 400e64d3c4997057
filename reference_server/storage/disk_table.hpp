#pragma once

#include "reference_server/storage/gpt.hpp"
#include "reference_server/storage/mbr.hpp"

#include <optional>
#include <vector>

namespace dmrp::server {

/// A layout together with the octets it was read from: what an operation edits.
struct DiskTable {
  DiskLayout layout;
  Bytes mbr;                    ///< sector 0
  std::vector<EbrNode> chain;   ///< MBR disks with an extended partition: never empty unless damaged
  std::optional<GptTable> gpt;  ///< GPT disks
};

StorageResult<DiskTable> ReadTable(BlockDevice& device);

}  // namespace dmrp::server
