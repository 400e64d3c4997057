// How long until a guest's server answers: a cold boot, and a copy-on-write clone of the booted template.
// bench/run prints the start of libguestfs's appliance beside it.

#include "harness/guest/guest.hpp"

#include <cstdlib>
#include <iostream>
#include <memory>
#include <utility>

#include <benchmark/benchmark.h>

namespace dmrp::harness {
namespace {

void Measure(benchmark::State& state, GuestFactory& factory,
             Result<Guest> (GuestFactory::*start)(const GuestOptions&)) {
  for (auto _ : state) {
    auto guest = (factory.*start)({});
    if (!guest) {
      state.SkipWithError(guest.error().ToString().c_str());
      return;
    }
    state.SetIterationTime(std::chrono::duration<double>(guest->times().ready).count());
  }
}

int Run(int argc, char** argv) {
  if (auto inside = EnterNamespace(argc, argv); !inside) {
    std::cerr << inside.error().ToString() << '\n';
    return EXIT_FAILURE;
  }
  benchmark::Initialize(&argc, argv);
  auto created = GuestFactory::Create(DefaultGuestSettings());
  if (!created) {
    std::cerr << created.error().ToString() << '\n';
    return EXIT_FAILURE;
  }
  GuestFactory& factory = **created;
  if (auto prepared = factory.PrepareTemplate("pc"); !prepared) {
    std::cerr << prepared.error().ToString() << '\n';
    return EXIT_FAILURE;
  }
  const auto add = [&](const char* name, auto start, int rounds) {
    benchmark::RegisterBenchmark(
        name, [&factory, start](benchmark::State& state) { Measure(state, factory, start); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(rounds);
  };
  add("ColdBoot", &GuestFactory::ColdBoot, 3);
  add("Clone", &GuestFactory::Start, 5);
  benchmark::RunSpecifiedBenchmarks();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace dmrp::harness

int main(int argc, char** argv) { return dmrp::harness::Run(argc, argv); }
