// Values of generated types for tests: every member gets something, deterministically from a seed.
#pragma once

#include "protocol/base/guid.hpp"
#include "protocol/base/text.hpp"

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dmrp::testing {

/// Fills values through the generated VisitFields. Enumerations get values that exist, characters end with a
/// null, arrays have up to three elements, pointers are null now and then.
class Arbitrary {
 public:
  explicit Arbitrary(std::string_view seed_text) {
    std::vector<std::uint32_t> words(seed_text.begin(), seed_text.end());
    std::seed_seq seed(words.begin(), words.end());
    random_.seed(seed);
  }

  template <typename T>
  T Make() {
    T value{};
    Fill(value);
    return value;
  }

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }

  template <typename T>
    requires(std::integral<T> && !std::same_as<T, bool>)
  void Fill(T& value) {
    value = static_cast<T>(random_());
  }
  void Fill(bool& value) { value = Below(2) == 1; }
  void Fill(std::byte& value) { value = static_cast<std::byte>(Below(256)); }
  void Fill(Guid& value) {
    Fill(value.Data1);
    Fill(value.Data2);
    Fill(value.Data3);
    for (std::uint8_t& octet : value.Data4) Fill(octet);
  }
  template <typename T>
    requires(std::is_enum_v<T> && !std::same_as<T, std::byte>)
  void Fill(T& value) {
    do {
      value = static_cast<T>(Below(16));
    } while (NameOf(value).empty());
  }
  void Fill(std::u16string& value) {
    value.assign(Below(6), u'\0');
    for (char16_t& unit : value) unit = static_cast<char16_t>(1 + Below(0xFFFE));
    value.push_back(u'\0');
  }
  void Fill(std::string& value) {
    value.assign(Below(6), 'x');
    value.push_back('\0');
  }
  template <typename T>
  void Fill(std::vector<T>& value) {
    value = std::vector<T>(Below(4));
    for (T& element : value) Fill(element);
  }
  template <typename T, std::size_t size>
  void Fill(std::array<T, size>& value) {
    for (T& element : value) Fill(element);
  }
  template <typename T>
  void Fill(std::optional<T>& value) {
    value.reset();
    if (Below(4) != 0) Fill(value.emplace());
  }
  template <typename T>
    requires requires(T& value) { VisitFields(value, [](const char*, auto&) {}); }
  void Fill(T& value) {
    VisitFields(value, [this](const char* /*name*/, auto& member) { this->Fill(member); });
    Reconcile(value);
  }

 private:
  /// Restores what the IDL demands across members.
  template <typename T>
  void Reconcile(T& v) {
    if constexpr (requires { v.mbr, v.gpt, v.partitionStyle; }) {
      v.mbr.reset();
      v.gpt.reset();
      if (static_cast<int>(v.partitionStyle) == 1) Fill(v.mbr.emplace());
      if (static_cast<int>(v.partitionStyle) == 2) Fill(v.gpt.emplace());
    }
    if constexpr (requires { v.affectedDiskList, v.affectedDiskFlags; }) {
      v.affectedDiskFlags.resize(v.affectedDiskList.size());
    }
    if constexpr (requires { v.pclsid, v.pSizes; }) SameSize(v.pclsid, v.pSizes);
    if constexpr (requires { v.piid, v.phresults, v.ppIntfData; }) {
      SameSize(v.piid, v.phresults);
      SameSize(v.piid, v.ppIntfData);
      SameSize(v.phresults, v.ppIntfData);
    }
    if constexpr (requires { v.size, v.extent; }) {
      v.size = v.extent ? static_cast<std::uint32_t>(v.extent->size()) : 0;
      if (v.extent) v.extent->resize((v.size + 1) & ~1u);
    }
    if constexpr (requires { v.size, v.data, v.id; }) {
      v.size = static_cast<std::uint32_t>(v.data.size());
      v.data.resize((v.size + 7) & ~7u);
    }
    if constexpr (requires { v.max_towers, v.ITowers; })
      v.max_towers = static_cast<std::uint32_t>(v.ITowers.size());
    if constexpr (requires { v.max_ents, v.entries; }) {
      v.max_ents = static_cast<std::uint32_t>(v.entries.size() + Below(3));
    }
  }

  template <typename A, typename B>
  static void SameSize(std::optional<A>& a, std::optional<B>& b) {
    if (a && b) {
      b->resize(a->size());
    } else {
      a.reset();
      b.reset();
    }
  }

  std::mt19937_64 random_;
};

}  // namespace dmrp::testing
