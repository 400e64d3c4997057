// Writes seeds for ndr_decoders_fuzz: one arbitrary value of each type named on the command line, of every
// type when none is.
//
//   make_ndr_corpus FOLDER [TYPE...]
#include "protocol/idlc/arbitrary.hpp"
#include "protocol/idlc/message_registry.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  using namespace dmrp;
  if (argc < 2) {
    std::cerr << "usage: make_ndr_corpus FOLDER [TYPE...]\n";
    return 2;
  }
  const std::string folder = argv[1];
  const std::vector<std::string> wanted(argv + 2, argv + argc);
  int status = 0;
  testing::ForEachWireType([&]<typename T>(const std::string& name) {
    if (!wanted.empty() && std::ranges::find(wanted, name) == wanted.end()) return;
    testing::Arbitrary arbitrary(name + " seed");
    ndr::Writer writer;
    Encode(writer, arbitrary.Make<T>());
    const Result<Bytes> octets = std::move(writer).Take();
    if (!octets) {
      std::cerr << name << ": " << octets.error().ToString() << "\n";
      status = 1;
      return;
    }
    std::ofstream file(folder + "/" + name, std::ios::binary);
    const std::uint16_t number = testing::TypeNumber(name);
    file.put(static_cast<char>(number & 0xFF));
    file.put(static_cast<char>(number >> 8));
    for (const std::byte octet : *octets) file.put(static_cast<char>(octet));
    if (!file.flush()) status = 1;
  });
  return status;
}
