// Calls against a running server: how many a second at each level, and what a notification adds to a call
// that changes something. bench/run starts the server (DMRP_BENCH_HOST, a disk with two primary partitions)
// and prints impacket's figures beside these.

#include "harness/client/session.hpp"
#include "harness/target/target.hpp"
#include "protocol/dmrp/defaults.hpp"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

namespace dmrp {
namespace {

std::shared_ptr<harness::ClientHost> StartHost(rpc::AuthLevel level) {
  const char* server = std::getenv("DMRP_BENCH_HOST");
  if (server == nullptr) return nullptr;
  const harness::Target target = harness::DefaultTarget();
  harness::ClientHostOptions options;
  options.server = {server, kResolverPort};
  options.class_id = target.class_id;
  options.account = *target.Find(harness::Role::kAdministrator);
  options.auth_level = level;
  options.callback_accounts = target.callback_accounts;
  auto history = harness::History::Discarding();
  auto monitor = std::make_shared<harness::RuleMonitor>(std::make_shared<harness::Findings>(history),
                                                        std::chrono::milliseconds(0));
  auto host = harness::ClientHost::Start(std::move(options), std::move(monitor), std::move(history));
  return host ? *host : nullptr;
}

void EnumTasks(benchmark::State& state) {
  const auto host = StartHost(static_cast<rpc::AuthLevel>(state.range(0)));
  auto object = host ? host->Activate(IID_IVolumeClient) : Fail(ErrorKind::kUsage, "set DMRP_BENCH_HOST");
  if (!object) {
    state.SkipWithError(object.error().ToString().c_str());
    return;
  }
  const Bytes stub(4);  // taskCount
  for (auto _ : state) {
    const auto reply = object->Call(opnum::IVolumeClient::EnumTasks, stub);
    if (!reply) state.SkipWithError(reply.error().ToString().c_str());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(EnumTasks)
    ->ArgName("level")
    ->Arg(static_cast<int>(rpc::AuthLevel::kIntegrity))
    ->Arg(static_cast<int>(rpc::AuthLevel::kPrivacy))
    ->UseRealTime();

/// Marks one partition active, then the other; with `watched` a client is notified of each change first.
void MarkActivePartition(benchmark::State& state) {
  const bool watched = state.range(0) != 0;
  const auto host = StartHost(rpc::AuthLevel::kPrivacy);
  if (!host) {
    state.SkipWithError("set DMRP_BENCH_HOST");
    return;
  }
  harness::SessionOptions options;
  options.initialize = watched;
  auto session = host->Open(std::move(options));
  if (!session) {
    state.SkipWithError(session.error().ToString().c_str());
    return;
  }
  const auto disks = (*session)->EnumDisks();
  std::size_t turn = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<REGION_INFO_EX> partitions;
    for (const REGION_INFO_EX& region :
         (*session)->EnumDiskRegions(disks.value.disks.at(0).id).value.regions) {
      if (region.regionType == REGION_PRIMARY) partitions.push_back(region);
    }
    const REGION_INFO_EX& chosen = partitions.at(turn++ % partitions.size());
    MarkActivePartitionRequest request;
    request.regionId = chosen.id;
    request.regionLastKnownState = chosen.lastKnownState;
    state.ResumeTiming();
    const auto outcome =
        (*session)->Call<MarkActivePartitionReply>(kIVolumeClient3, "MarkActivePartition", request);
    if (!outcome.succeeded()) state.SkipWithError(outcome.call.text.c_str());
  }
}
BENCHMARK(MarkActivePartition)->ArgName("watched")->Arg(0)->Arg(1)->UseRealTime();

}  // namespace
}  // namespace dmrp
