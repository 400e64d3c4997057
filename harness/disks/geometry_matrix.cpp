#include "harness/disks/geometry_matrix.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <toml++/toml.h>

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
      return Fail(ErrorKind::kMalformed, fmt::format("{}: {} is unknown", name, key.str()));
    }
  }
  auto spec = ParseDiskSpec(table["disk"].value<std::string>().value_or("disk") + ",name=" + name);
  if (!spec) {
    return Fail(spec.error().kind, fmt::format("{}: {}", name, spec.error().message));
  }
  MatrixRow row{*std::move(spec),      Names(table, "bus"),   Names(table, "type"),
                Names(table, "state"), Names(table, "style"), table["quick"].value_or(false)};
  for (const auto& [key, names] :
       {std::pair{"bus", &row.bus}, {"type", &row.type}, {"state", &row.state}, {"style", &row.style}}) {
    if (names->empty() || std::find(names->begin(), names->end(), "") != names->end()) {
      return Fail(ErrorKind::kMalformed, fmt::format("{}: {} is a name or an array of names", name, key));
    }
  }
  return row;
}

}  // namespace

Result<std::vector<MatrixRow>> LoadMatrix(const std::filesystem::path& file) {
  toml::table root;
  try {
    root = toml::parse_file(file.string());
  } catch (const toml::parse_error& error) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: line {}: {}", file.string(),
                                                   error.source().begin.line, error.description()));
  }
  const auto* matrix = root["matrix"].as_table();
  if (matrix == nullptr) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: no table [matrix]", file.string()));
  }
  std::vector<std::pair<std::uint32_t, MatrixRow>> found;
  for (const auto& [key, value] : *matrix) {
    const auto* table = value.as_table();
    auto row = table == nullptr ? Fail(ErrorKind::kMalformed, fmt::format("{} is not a table", key.str()))
                                : ReadRow(std::string(key.str()), *table);
    if (!row) {
      return Fail(row.error().kind, fmt::format("{}: [matrix] {}", file.string(), row.error().message));
    }
    found.emplace_back(value.source().begin.line, *std::move(row));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<MatrixRow> rows;
  for (auto& [line, row] : found) {
    rows.push_back(std::move(row));
  }
  return rows;
}

std::filesystem::path GeometriesFile() { return DMRP_SOURCE_DIRECTORY "/vms/geometries.toml"; }

Result<std::vector<MatrixRow>> ChosenMatrix() {
  auto rows = LoadMatrix(GeometriesFile());
  const char* full = std::getenv("DMRP_FULL");
  if (rows && (full == nullptr || std::string_view(full) != "1")) {
    std::erase_if(*rows, [](const MatrixRow& row) { return !row.quick; });
  }
  return rows;
}

}  // namespace dmrp::harness
