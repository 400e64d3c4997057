// Tables of cases that run through both revisions, as far as a run has time for.
#pragma once

#include "dmrp/interfaces/types.hpp"
#include "harness/disks/geometry_matrix.hpp"

#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

namespace dmrp::suites {

/// The pairs of revisions and values that a test is to run over, where one pair costs a guest. A run of every
/// row takes each value through both revisions; any other takes the first value through both and each of the
/// rest through one, in turn, so that every value and every revision is met. The second value goes through
/// `next`.
template <typename T>
std::vector<std::tuple<Revision, T>> Dealt(const std::vector<T>& values,
                                           Revision next = Revision::kIVolumeClient3) {
  const bool all = harness::TakesEveryRow();
  std::vector<std::tuple<Revision, T>> pairs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool both = all || i == 0;
    const bool third = (next == Revision::kIVolumeClient3) == (i % 2 == 1);
    if (both || !third) pairs.emplace_back(Revision::kIVolumeClient, values[i]);
    if (both || third) pairs.emplace_back(Revision::kIVolumeClient3, values[i]);
  }
  return pairs;
}

/// The revisions of a test that looks into a case that others cover through both: both in a run of every row,
/// otherwise the one named.
inline std::vector<Revision> AtLeast(Revision one) {
  if (!harness::TakesEveryRow()) return {one};
  return {Revision::kIVolumeClient, Revision::kIVolumeClient3};
}

}  // namespace dmrp::suites
