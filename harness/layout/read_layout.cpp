// Prints what every independent reader sees on a raw image: read_layout IMAGE [SECTOR_BYTES]
#include "harness/layout/readers.hpp"

#include <charconv>
#include <cstring>
#include <iostream>

#include <nlohmann/json.hpp>

int main(int argc, char** argv) {
  std::uint32_t sector_bytes = 512;
  const bool bad_number =
      argc == 3 && std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), sector_bytes).ec != std::errc{};
  if (argc < 2 || argc > 3 || bad_number) {
    std::cerr << "usage: read_layout IMAGE [SECTOR_BYTES]\n";
    return 254;
  }
  const auto observed = dmrp::harness::Observe(argv[1], sector_bytes);
  if (!observed) {
    std::cerr << observed.error().ToString() << '\n';
    return 1;
  }
  std::cout << ToJson(*observed).dump(2) << '\n';
  return observed->dissents.empty() ? 0 : 2;
}
