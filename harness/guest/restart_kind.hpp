#pragma once

namespace dmrp::harness {

/// How a guest goes down before it comes up again.
enum class RestartKind {
  kClean,     ///< the server is asked to end, file systems are unmounted
  kPowerCut,  ///< at once
};

}  // namespace dmrp::harness
