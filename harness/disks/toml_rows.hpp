// Tables of a TOML file whose entries are all of one kind.
#pragma once

#include "protocol/base/error.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace dmrp::harness::internal {

/// The entries of the file's table `name` in the file's order, each as `read(key, node)` makes it, a Result.
/// kMalformed for a file that is no TOML or has no such table; the errors of `read`, with file, table and
/// key.
template <typename Read>
auto ReadTomlRows(const std::filesystem::path& file, const std::string& name, Read read)
    -> Result<std::vector<typename std::invoke_result_t<Read, std::string, const toml::node&>::value_type>> {
  using Row = typename std::invoke_result_t<Read, std::string, const toml::node&>::value_type;
  toml::table root;
  try {
    root = toml::parse_file(file.string());
  } catch (const toml::parse_error& error) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: line {}: {}", file.string(),
                                                   error.source().begin.line, error.description()));
  }
  const auto* table = root[name].as_table();
  if (table == nullptr) {
    return Fail(ErrorKind::kMalformed, fmt::format("{}: no table [{}]", file.string(), name));
  }
  struct Found {
    std::pair<std::uint32_t, std::uint32_t> place;  // line and column
    Row row;
  };
  std::vector<Found> found;
  for (const auto& [key, node] : *table) {
    auto row = read(std::string(key.str()), node);
    if (!row) {
      return Fail(row.error().kind,
                  fmt::format("{}: [{}] {}: {}", file.string(), name, key.str(), row.error().message));
    }
    const toml::source_position& place = node.source().begin;
    found.push_back({{place.line, place.column}, *std::move(row)});
  }
  // toml++ keeps its tables by key.
  std::ranges::sort(found, {}, &Found::place);
  std::vector<Row> rows;
  for (auto& each : found) rows.push_back(std::move(each.row));
  return rows;
}

}  // namespace dmrp::harness::internal
