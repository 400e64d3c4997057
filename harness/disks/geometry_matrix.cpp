#include "harness/disks/geometry_matrix.hpp"

#include "harness/disks/toml_rows.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace dmrp::harness {
namespace {

// A string, or an array of at least one.
std::vector<std::string> Names(const toml::table& row, std::string_view key) {
  std::vector<std::string> names;
  if (const auto one = row[key].value<std::string>()) {
    names.push_back(*one);
  } else if (const auto* several = row[key].as_array()) {
    for (const auto& element : *several) {
      names.push_back(element.value<std::string>().value_or(""));
    }
  }
  return names;
}

Result<MatrixRow> ReadRow(const std::string& name, const toml::table& table) {
  for (const auto& [key, value] : table) {
    const std::string_view known[] = {"disk", "bus", "type", "state", "style", "quick"};
    if (std::find(std::begin(known), std::end(known), key.str()) == std::end(known)) {
      return Fail(ErrorKind::kMalformed, fmt::format("{} is unknown", key.str()));
    }
  }
  auto spec = ParseDiskSpec(table["disk"].value<std::string>().value_or("disk") + ",name=" + name);
  if (!spec) {
    return tl::unexpected(spec.error());
  }
  MatrixRow row{*std::move(spec),      Names(table, "bus"),   Names(table, "type"),
                Names(table, "state"), Names(table, "style"), table["quick"].value_or(false)};
  for (const auto& [key, names] :
       {std::pair{"bus", &row.bus}, {"type", &row.type}, {"state", &row.state}, {"style", &row.style}}) {
    if (names->empty() || std::find(names->begin(), names->end(), "") != names->end()) {
      return Fail(ErrorKind::kMalformed, fmt::format("{} is a name or an array of names", key));
    }
  }
  return row;
}

}  // namespace

Result<std::vector<MatrixRow>> LoadMatrix(const std::filesystem::path& file) {
  return internal::ReadTomlRows(file, "matrix",
                                [](const std::string& name, const toml::node& value) -> Result<MatrixRow> {
                                  const auto* table = value.as_table();
                                  if (table == nullptr) return Fail(ErrorKind::kMalformed, "not a table");
                                  return ReadRow(name, *table);
                                });
}

std::filesystem::path GeometriesFile() { return DMRP_SOURCE_DIRECTORY "/vms/geometries.toml"; }

bool TakesEveryRow() {
  const char* full = std::getenv("DMRP_FULL");
  return full != nullptr && std::string_view(full) == "1";
}

Result<std::vector<MatrixRow>> ChosenMatrix() {
  auto rows = LoadMatrix(GeometriesFile());
  if (rows && !TakesEveryRow()) {
    std::erase_if(*rows, [](const MatrixRow& row) { return !row.quick; });
  }
  return rows;
}

}  // namespace dmrp::harness
