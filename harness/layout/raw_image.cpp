#include "harness/layout/raw_image.hpp"

#include "harness/layout/reader_internal.hpp"
#include "protocol/base/guid.hpp"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::harness {

Result<RawImage> RawImage::Open(const std::filesystem::path& image, const std::filesystem::path& scratch) {
  auto info = internal::RunProgram({"qemu-img", "info", "-U", "--output=json", image.string()});
  if (!info) return tl::unexpected(info.error());
  const auto json = nlohmann::json::parse(info->out, nullptr, /*allow_exceptions=*/false);
  if (info->exit_status != 0 || !json.is_object() || !json.contains("format")) {
    return Fail(ErrorKind::kSystem, fmt::format("qemu-img info {}: {}", image.string(), info->err));
  }
  if (json["format"] == "raw") return RawImage(image, /*owned=*/false);

  RawImage raw(scratch / fmt::format("{}-{}.raw", image.stem().string(), Guid::Random().ToString()),
               /*owned=*/true);
  auto converted =
      internal::RunProgram({"qemu-img", "convert", "-U", "-O", "raw", image.string(), raw.path_.string()},
                           std::chrono::minutes(2));
  if (!converted) return tl::unexpected(converted.error());
  if (converted->exit_status != 0) {
    return Fail(ErrorKind::kSystem, fmt::format("qemu-img convert {}: {}", image.string(), converted->err));
  }
  return raw;
}

RawImage::RawImage(RawImage&& other) noexcept
    : path_(std::move(other.path_)), owned_(std::exchange(other.owned_, false)) {}

RawImage& RawImage::operator=(RawImage&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(owned_, other.owned_);
  return *this;
}

RawImage::~RawImage() {
  if (!owned_) return;
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace dmrp::harness
