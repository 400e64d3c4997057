#include "harness/layout/script_reader.hpp"

#include "harness/layout/reader_internal.hpp"

#include <fmt/format.h>

namespace dmrp::harness::internal {

using nlohmann::json;

tl::unexpected<Error> NotUnderstood(std::string_view program, std::string_view what) {
  return Fail(ErrorKind::kMalformed, fmt::format("{} says \"{}\"", program, what.substr(0, 200)));
}

Result<DynamicVolumeType> VolumeTypeOf(const std::string& name) {
  for (const DynamicVolumeType type :
       {DynamicVolumeType::kSimple, DynamicVolumeType::kSpanned, DynamicVolumeType::kStriped,
        DynamicVolumeType::kMirrored, DynamicVolumeType::kRaid5}) {
    if (DynamicVolumeTypeName(type) == name) return type;
  }
  if (name == "RAID5") return DynamicVolumeType::kRaid5;
  return NotUnderstood("a reader of volumes", name);
}

Result<json> RunScript(const char* name, const std::vector<std::string>& arguments, bool findings) {
  std::vector<std::string> argv{"/usr/bin/python3", "-B", std::string(DMRP_LAYOUT_DIRECTORY "/") + name};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto output = RunProgram(argv, kProgramDeadline);
  if (!output) return tl::unexpected(output.error());
  if (output->exit_status != 0 && !(findings && output->exit_status == 1)) {
    return Fail(ErrorKind::kSystem,
                fmt::format("{} ended with {}: {}", name, output->exit_status, output->err));
  }
  auto document = json::parse(output->out, nullptr, false);
  if (document.is_discarded()) {
    return Fail(ErrorKind::kMalformed,
                fmt::format("{}: {}{}", name, output->out.substr(0, 200), output->err));
  }
  return document;
}

}  // namespace dmrp::harness::internal
