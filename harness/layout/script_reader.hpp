// What the readers behind programs and scripts share: running them, and taking their words apart.
#pragma once

#include "harness/layout/dynamic_layout.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace dmrp::harness::internal {

inline constexpr auto kProgramDeadline = std::chrono::minutes(2);

/// kMalformed: `what` is not what the program is known to say.
tl::unexpected<Error> NotUnderstood(std::string_view program, std::string_view what);

/// "simple", "RAID5" (libldm) and so on.
Result<DynamicVolumeType> VolumeTypeOf(const std::string& name);

/// Runs a script of this folder and parses its JSON document. With `findings` an exit status of 1 is no
/// error.
Result<nlohmann::json> RunScript(const char* name, const std::vector<std::string>& arguments,
                                 bool findings = false);

/// Members of a JSON document, with an error kept for the end instead of an exception.
class Document {
 public:
  explicit Document(const nlohmann::json& value) : value_(value) {}

  template <typename T>
  T Get(const char* name) {
    const auto found = value_.find(name);
    if (found != value_.end()) {
      if constexpr (std::is_same_v<T, std::string>) {
        if (found->is_string()) return found->template get<std::string>();
      } else if constexpr (std::is_same_v<T, bool>) {
        if (found->is_boolean()) return found->template get<bool>();
      } else {
        if (found->is_number_unsigned()) return found->template get<T>();
      }
    }
    good_ = false;
    return T{};
  }
  template <typename T>
  std::optional<T> Find(const char* name) {
    const auto found = value_.find(name);
    if (found == value_.end() || found->is_null()) return std::nullopt;
    return Get<T>(name);
  }
  Guid GetGuid(const char* name) {
    const auto guid = Guid::Parse(Get<std::string>(name));
    good_ = good_ && guid.has_value();
    return guid.value_or(Guid{});
  }
  std::vector<nlohmann::json> List(const char* name) {
    const auto found = value_.find(name);
    if (found != value_.end() && found->is_array()) return found->get<std::vector<nlohmann::json>>();
    good_ = false;
    return {};
  }
  std::vector<std::string> Strings(const char* name) {
    std::vector<std::string> strings;
    for (const nlohmann::json& each : List(name)) {
      Require(each.is_string());
      if (each.is_string()) strings.push_back(each.get<std::string>());
    }
    return strings;
  }
  void Require(bool condition) { good_ = good_ && condition; }
  [[nodiscard]] bool good() const { return good_; }

 private:
  const nlohmann::json& value_;
  bool good_ = true;
};

}  // namespace dmrp::harness::internal
