// Whatever a log's octets are, reading it ends in an error or in entries that lie inside of it.
#include "harness/disks/write_log.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int file = memfd_create("log", 0);
  if (file < 0 || write(file, data, size) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  if (const auto log = dmrp::harness::WriteLog::Read("/proc/self/fd/" + std::to_string(file))) {
    for (const auto& entry : log->writes()) {
      if (entry.data != 0 && (entry.data > size || entry.length > size - entry.data)) {
        std::abort();
      }
    }
  }
  close(file);
  return 0;
}
