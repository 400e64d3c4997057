#include "harness/layout/reparse_point_reader.hpp"

#include "harness/layout/reader_internal.hpp"
#include "harness/layout/volume_copy.hpp"

#include <fmt/format.h>

namespace dmrp::harness {

Result<std::optional<Bytes>> ReadReparsePoint(const std::filesystem::path& image, std::uint64_t offset,
                                              std::uint64_t length, std::string_view path) {
  auto copy = internal::VolumeCopy::Make(image, offset, length);
  if (!copy) return tl::unexpected(copy.error());
  // $REPARSE_POINT is attribute type 0xC0. -f: also a volume that was not unmounted.
  auto seen = internal::RunProgram({"ntfscat", "-f", "-a", "0xC0", copy->path().string(), std::string(path)});
  if (!seen) return tl::unexpected(seen.error());
  if (seen->exit_status == 0) {
    const auto* octets = reinterpret_cast<const std::byte*>(seen->out.data());
    return Bytes(octets, octets + seen->out.size());
  }
  if (seen->err.find("Cannot find attribute type 0xc0") != std::string::npos) return std::nullopt;
  return Fail(ErrorKind::kMalformed, fmt::format("ntfscat, path \"{}\": {}", path, seen->err));
}

}  // namespace dmrp::harness
