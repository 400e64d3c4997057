// Frames from a guest that may say anything.
#include "harness/guest/agent_protocol.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dmrp::harness::agent;
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  FrameSplitter splitter;
  std::size_t taken = 0;
  // In two pieces, as a stream may come.
  for (const auto piece : {octets.substr(0, size / 2), octets.substr(size / 2)}) {
    splitter.Append(piece);
    while (const auto payload = splitter.Next()) {
      taken += payload->size() + 4;
      FrameReader reader(*payload);
      (void)reader.Kind();
      (void)reader.U32();
      const auto words = reader.Strings();
      std::size_t length = 0;
      for (const auto& word : words) {
        length += word.size();
      }
      if (length > payload->size() || (!reader.ok() && reader.U64() != 0)) {
        std::abort();
      }
    }
  }
  if (taken > size) {
    std::abort();
  }
  return 0;
}
