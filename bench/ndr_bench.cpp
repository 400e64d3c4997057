// NDR of the reply that a disk administrator's client waits for most: EnumDisks with many disks.
// bench/run prints it beside impacket's decoding of the same octets.

#include "dmrp/interfaces/codec.hpp"
#include "dmrp/interfaces/messages.hpp"
#include "protocol/ndr/reader.hpp"
#include "protocol/ndr/writer.hpp"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include <benchmark/benchmark.h>

namespace dmrp {
namespace {

EnumDisksReply ReplyWithDisks(std::int64_t disks) {
  EnumDisksReply reply;
  for (std::int64_t i = 0; i < disks; ++i) {
    DISK_INFO disk;
    disk.id = i + 1;
    disk.length = 64LL << 20;
    disk.freeBytes = disk.length;
    disk.bytesPerSector = 512;
    disk.bytesPerTrack = 63 * 512;
    disk.bytesPerCylinder = 255 * 63 * 512;
    disk.lastKnownState = 1;
    disk.name =
        u"Harddisk" + std::u16string(1, static_cast<char16_t>(u'0' + i % 10)) + std::u16string(1, u'\0');
    disk.vendor = std::u16string(u"QEMU HARDDISK\0", 14);
    disk.adapterName = std::u16string(u"virtio_scsi\0", 12);
    reply.diskList.push_back(std::move(disk));
  }
  return reply;
}

Bytes Encoded(const EnumDisksReply& reply) {
  ndr::Writer writer;
  Encode(writer, reply);
  auto bytes = std::move(writer).Take();
  return bytes ? *std::move(bytes) : Bytes{};
}

void EncodeEnumDisks(benchmark::State& state) {
  const EnumDisksReply reply = ReplyWithDisks(state.range(0));
  std::size_t octets = 0;
  for (auto _ : state) {
    const Bytes bytes = Encoded(reply);
    octets = bytes.size();
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(octets) * state.iterations());
}
BENCHMARK(EncodeEnumDisks)->Arg(1)->Arg(64);

void DecodeEnumDisks(benchmark::State& state) {
  const Bytes bytes = Encoded(ReplyWithDisks(state.range(0)));
  // The comparison program decodes exactly these octets.
  if (const char* path = std::getenv("DMRP_BENCH_STUB"); path != nullptr && state.range(0) == 64) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  for (auto _ : state) {
    ndr::Reader reader(bytes);
    EnumDisksReply reply;
    Decode(reader, reply);
    if (!reader.ok()) state.SkipWithError("the reply does not decode");
    benchmark::DoNotOptimize(reply.diskList.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes.size()) * state.iterations());
}
BENCHMARK(DecodeEnumDisks)->Arg(1)->Arg(64);

}  // namespace
}  // namespace dmrp
