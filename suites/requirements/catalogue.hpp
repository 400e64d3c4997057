// The wording of the rules, for messages of failing tests.
//
//   if (const Requirement* rule = Catalogue::Bundled().Find("DMRP-0532")) Print(rule->statement);
//
// The data is requirements.jsonl beside this file, read at first use.
#pragma once

#include "protocol/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace dmrp::suites {

/// One rule of the specification; README.md in this folder explains the members.
struct Requirement {
  std::string id;
  std::string section;
  std::string interface;
  std::optional<std::string> method;
  std::optional<std::uint16_t> opnum;
  std::string level;
  std::string statement;

  /// "3.2.4.2 (MUST, DMRP-0532): Unless stated otherwise, ..."
  [[nodiscard]] std::string ToString() const;
};

class Catalogue {
 public:
  /// Reads a catalogue; kMalformed names the line, kSystem an unreadable file.
  static Result<Catalogue> Load(const std::filesystem::path& path);
  /// The catalogue of this project: the file that $DMRP_CATALOGUE names, else the one in the source tree.
  /// Empty, with a line on stderr, if it cannot be read: messages then show ids only.
  static const Catalogue& Bundled();

  /// The rule of that id ("DMRP-0532"), or null.
  [[nodiscard]] const Requirement* Find(std::string_view id) const;
  [[nodiscard]] std::size_t size() const { return rules_.size(); }

 private:
  std::map<std::string, Requirement, std::less<>> rules_;
};

}  // namespace dmrp::suites
