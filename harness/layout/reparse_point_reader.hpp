// Reparse points of NTFS folders, as ntfscat of ntfs-3g finds them on a copy of the volume.
#pragma once

#include "protocol/base/error.hpp"
#include "protocol/base/text.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace dmrp::harness {

/// The reparse data of a folder or file ([MS-FSCC] 2.1.2: tag, length, data), of the NTFS volume that lies at
/// `offset` with `length` octets in a raw image. `path`: from the volume's root, with slashes, UTF-8.
/// @return nothing where it has no reparse point; kMalformed when ntfscat cannot read the volume or finds no
///     such path, kUsage for a volume outside of the image, kSystem when the image cannot be read or ntfscat
///     cannot be run.
Result<std::optional<Bytes>> ReadReparsePoint(const std::filesystem::path& image, std::uint64_t offset,
                                              std::uint64_t length, std::string_view path);

}  // namespace dmrp::harness
