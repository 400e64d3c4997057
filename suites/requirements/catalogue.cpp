#include "suites/requirements/catalogue.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace dmrp::suites {
namespace {

Result<Requirement> ParseLine(const std::string& line) {
  const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!entry.is_object()) return Fail(ErrorKind::kMalformed, "not a JSON object");
  Requirement rule;
  const auto text = [&entry](const char* name, std::string& member) {
    const auto found = entry.find(name);
    if (found == entry.end() || !found->is_string()) return false;
    member = found->get_ref<const std::string&>();
    return true;
  };
  if (!text("id", rule.id) || !text("section", rule.section) || !text("interface", rule.interface) ||
      !text("level", rule.level) || !text("statement", rule.statement)) {
    return Fail(ErrorKind::kMalformed, "a member of id, section, interface, level, statement is no text");
  }
  if (std::string method; text("method", method)) rule.method = std::move(method);
  if (const auto opnum = entry.find("opnum"); opnum != entry.end() && opnum->is_number_unsigned()) {
    rule.opnum = opnum->get<std::uint16_t>();
  }
  return rule;
}

}  // namespace

std::string Requirement::ToString() const {
  return fmt::format("{} ({}, {}): {}", section, level, id, statement);
}

Result<Catalogue> Catalogue::Load(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return FailErrno("open " + path.string(), errno);
  Catalogue catalogue;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    auto rule = ParseLine(line);
    if (!rule) {
      return Fail(ErrorKind::kMalformed,
                  fmt::format("{}:{}: {}", path.string(), number, rule.error().message));
    }
    std::string id = rule->id;
    if (!catalogue.rules_.emplace(id, std::move(*rule)).second) {
      return Fail(ErrorKind::kMalformed, fmt::format("{}:{}: {} occurs twice", path.string(), number, id));
    }
  }
  return catalogue;
}

const Catalogue& Catalogue::Bundled() {
  static const Catalogue catalogue = [] {
    const char* named = std::getenv("DMRP_CATALOGUE");
    auto loaded = Load(named != nullptr ? named : DMRP_CATALOGUE_FILE);
    if (!loaded) {
      std::cerr << "catalogue: " << loaded.error().ToString() << '\n';
      return Catalogue{};
    }
    return std::move(*loaded);
  }();
  return catalogue;
}

const Requirement* Catalogue::Find(std::string_view id) const {
  const auto found = rules_.find(id);
  return found == rules_.end() ? nullptr : &found->second;
}

}  // namespace dmrp::suites
