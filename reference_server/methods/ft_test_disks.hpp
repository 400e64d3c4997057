// Disks with FT sets for tests of the methods.
#pragma once

#include "protocol/base/text.hpp"
#include "reference_server/storage/ft/disk_registry.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace dmrp::server {

struct FtTestSet {
  ft::FtType type = ft::FtType::kMirror;
  std::vector<std::pair<std::size_t, std::uint64_t>> members;  ///< disk and octets
  char letter = 0;
  std::optional<std::size_t> orphan;  ///< the member that is out of the set
};

struct FtTestDisks {
  std::vector<Bytes> fronts;  ///< of each disk, with its tables
  Bytes record;               ///< the value of the registry
};

/// Disks of `size` octets, of which the first `front` are given, with the sets, each member a primary
/// partition of type 87; then a plain partition of type 07 on each disk of `plain`.
FtTestDisks MakeFtTestDisks(std::size_t disks, std::uint64_t size, std::uint64_t front,
                            const std::vector<FtTestSet>& sets,
                            const std::vector<std::pair<std::size_t, std::uint64_t>>& plain = {});

}  // namespace dmrp::server
