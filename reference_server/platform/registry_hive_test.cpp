#include "reference_server/platform/registry_hive.hpp"

#include "reference_server/platform/registry_test_support.hpp"

#include <algorithm>
#include <random>

namespace dmrp::server {
namespace {

Bytes Octets(std::string_view text) {
  const auto octets = std::as_bytes(std::span(text));
  return {octets.begin(), octets.end()};
}

RegistryKey Sample() {
  RegistryKey root;
  auto& devices = root.Make("MountedDevices").values;
  devices["\\DosDevices\\C:"] = BinaryValue(Octets("twelve bytes"));
  devices["\\??\\Volume{8a7f1e3c-0000-11d0-b40b-00aa005ff586}"] = BinaryValue(Octets("twelve bytes"));
  auto& info = root.Make("ControlSet001\\Services\\dmio\\Partition Info").values;
  info["OldPartitionNumber"] = DwordValue(2);
  info[""] = {RegistryType::kString, Octets(std::string_view("d\0e\0\0\0", 6))};
  info["Empty"] = BinaryValue({});
  info["Odd type"] = {RegistryType{42}, Octets("odd data")};
  info["Odder type"] = {RegistryType{0xFFFD0003}, Octets("odd data")};
  return root;
}

std::string DumpOfSample() {
  return "\\ControlSet001\\Services\\dmio\\Partition Info|Empty|3|\n"
         "\\ControlSet001\\Services\\dmio\\Partition Info|Odd type|42|6f64642064617461\n"
         "\\ControlSet001\\Services\\dmio\\Partition Info|Odder type|4294770691|6f64642064617461\n"
         "\\ControlSet001\\Services\\dmio\\Partition Info|OldPartitionNumber|4|02000000\n"
         "\\ControlSet001\\Services\\dmio\\Partition Info||1|640065000000\n"
         "\\MountedDevices|\\??\\Volume{8a7f1e3c-0000-11d0-b40b-00aa005ff586}|3|7477656c7665206279746573\n"
         "\\MountedDevices|\\DosDevices\\C:|3|7477656c7665206279746573\n";
}

Bytes Serialized(const RegistryKey& root) {
  const auto octets = SerializeHive(root);
  EXPECT_TRUE(octets) << octets.error().ToString();
  return octets.value_or(Bytes{});
}

RegistryKey Parsed(std::span<const std::byte> octets) {
  const auto root = ParseHive(octets);
  EXPECT_TRUE(root) << root.error().ToString();
  return root.value_or(RegistryKey{});
}

TEST(RegistryHive, GivesBackEverythingThatWasPutIn) {
  RegistryKey root = Sample();
  root.Make("Schlüssel\\日本").values["Größe 値"] = DwordValue(7);
  root.Make("Big").values["v"] = BinaryValue(Bytes(60'000, std::byte{0xA5}));
  for (int i = 0; i < 300; ++i) root.Make(fmt::format("Many\\Key {}", i)).values["n"] = DwordValue(1);
  EXPECT_EQ(Parsed(Serialized(root)), root);
  EXPECT_EQ(Parsed(Serialized({})), RegistryKey{});
}

TEST(RegistryHive, OtherReadersFindTheSame) {
  const ScratchFolder folder;
  WriteInPlace(folder / "hive", Serialized(Sample()));
  EXPECT_EQ(DumpWithHivex(folder / "hive"), DumpOfSample());
  EXPECT_EQ(DumpWithImpacket(folder / "hive"), DumpOfSample());
}

TEST(RegistryHive, ReadsWhatAnotherProgramAddedInPlace) {
  const ScratchFolder folder;
  WriteInPlace(folder / "hive", Serialized(Sample()));
  RunPython(R"(import hivex, sys
h = hivex.Hivex(sys.argv[1], write=True)
n = h.node_get_child(h.root(), 'MountedDevices')
h.node_set_value(n, {'key': '\\DosDevices\\Q:', 't': 3, 'value': b'abc'})
h.commit(None))",
            folder / "hive");
  RegistryKey expected = Sample();
  expected.Make("MountedDevices").values["\\DosDevices\\Q:"] = BinaryValue(Octets("abc"));
  EXPECT_EQ(Parsed(Content(folder / "hive")), expected);
}

TEST(RegistryHive, DoesNotGrowWhenItIsRewritten) {
  Bytes octets = Serialized(Sample());
  const std::size_t size = octets.size();
  for (int i = 0; i < 50; ++i) octets = Serialized(Parsed(octets));
  EXPECT_EQ(octets.size(), size);
}

TEST(RegistryHive, NamesAreEqualInAnyCase) {
  RegistryKey root = Sample();
  EXPECT_NE(root.FindValue("MOUNTEDDEVICES", "\\dosdevices\\c:"), nullptr);
  root.Make("mounteddevices").values["\\DOSDEVICES\\C:"] = DwordValue(1);
  EXPECT_EQ(root.keys.size(), 2U);
  EXPECT_EQ(AsDword(*root.FindValue("MountedDevices", "\\DosDevices\\C:")), 1U);
  EXPECT_EQ(root.Find("MountedDevices\\None"), nullptr);
  EXPECT_EQ(root.Find(""), &root);
  EXPECT_EQ(AsDword(BinaryValue(Bytes(4))), std::nullopt);
}

TEST(RegistryHive, WhatIsNoHiveIsMalformed) {
  const Bytes hive = Serialized(Sample());
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{512}, std::size_t{4096}}) {
    const auto root = ParseHive(std::span(hive).first(size));
    ASSERT_FALSE(root) << size;
    EXPECT_EQ(root.error().kind, ErrorKind::kMalformed) << root.error().ToString();
  }
  Bytes checksum = hive;
  checksum[508] ^= std::byte{1};
  EXPECT_FALSE(ParseHive(checksum));
  EXPECT_FALSE(ParseHive(Bytes(100'000, std::byte{0x5A})));
}

TEST(RegistryHive, AKeyThatContainsItselfIsMalformed) {
  RegistryKey root;
  root.Make("Alpha\\Beta\\Gamma");
  Bytes hive = Serialized(root);
  // Beta's list of subkeys becomes Alpha's, so that Beta contains itself.
  const auto key_at = [&](std::string_view name) {
    const Bytes wanted = Octets(name);
    const auto found = std::ranges::search(hive, wanted);
    EXPECT_FALSE(found.empty()) << name;
    return static_cast<std::size_t>(found.begin() - hive.begin()) - 76;  // the name stands at 76 of "nk"
  };
  std::copy_n(hive.begin() + static_cast<std::ptrdiff_t>(key_at("Alpha") + 28), 4,
              hive.begin() + static_cast<std::ptrdiff_t>(key_at("Beta") + 28));
  const auto read = ParseHive(hive);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kMalformed) << read.error().ToString();
}

TEST(RegistryHive, ValuesThatShareTheirDataCountEachTime) {
  RegistryKey root;
  root.values["large"] = BinaryValue(Bytes(60'000));
  for (int i = 0; i < 100; ++i) root.values[fmt::format("small{:03}", i)] = BinaryValue(Bytes(8));
  Bytes hive = Serialized(root);
  // A value's record has length and place of its data at 4, its name at 20.
  const auto record_of = [&](std::string_view name) {
    const auto found = std::ranges::search(hive, Octets(name));
    EXPECT_FALSE(found.empty()) << name;
    return found.begin() - 20;
  };
  for (int i = 0; i < 100; ++i) {
    std::copy_n(record_of("large") + 4, 8, record_of(fmt::format("small{:03}", i)) + 4);
  }
  const auto read = ParseHive(hive, {.octets = std::size_t{1} << 20});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kLimit) << read.error().ToString();
  EXPECT_TRUE(ParseHive(hive, {.octets = std::size_t{8} << 20}));
}

TEST(RegistryHive, LimitsHold) {
  const Bytes hive = Serialized(Sample());
  for (const HiveLimits& limits : {HiveLimits{.octets = hive.size() - 1}, HiveLimits{.keys = 5},
                                   HiveLimits{.values = 6}, HiveLimits{.depth = 4}}) {
    const auto root = ParseHive(hive, limits);
    ASSERT_FALSE(root);
    EXPECT_EQ(root.error().kind, ErrorKind::kLimit) << root.error().ToString();
  }
  EXPECT_TRUE(ParseHive(hive, {.octets = hive.size(), .keys = 6, .values = 7, .depth = 5}));

  RegistryKey large;
  large.values["v"] = BinaryValue(Bytes(std::size_t{2} << 20));
  const auto written = SerializeHive(large);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::kLimit) << written.error().ToString();
  EXPECT_FALSE(SerializeHive(Sample(), {.depth = 4}));
}

TEST(RegistryHive, RandomDamageIsAnErrorOrReadsAsSomething) {
  const Bytes hive = Serialized(Sample());
  std::mt19937 random(11);
  int failed = 0;
  for (int round = 0; round < 4000; ++round) {
    Bytes damaged = hive;
    for (int i = 0; i < 3; ++i) {
      // Most of it beyond the base block, whose checksum would catch it.
      const std::size_t at = (i == 0 ? 0 : 4096) + random() % (round % 2 == 0 ? 4096 : 600);
      damaged[std::min(at, damaged.size() - 1)] = static_cast<std::byte>(random());
    }
    std::copy_n(hive.begin(), round % 4 == 0 ? 0 : 4096, damaged.begin());
    if (!ParseHive(damaged)) ++failed;
  }
  EXPECT_GT(failed, 100);
  EXPECT_LT(failed, 4000);
}

}  // namespace
}  // namespace dmrp::server
