// SPDX-License-Identifier: Apache-2.0
#pragma once

// A relay without devices or an engine: the neighbours of the relay under test. It runs the portable kernels, whichever
// the relay under test runs.
//
//   Ownership  owns all its state.
//   Threads    one.

#include <cstddef>
#include <memory>

#include "dataplane/onion/relay.hpp"

namespace allium::bench {

class BareRelay {
 public:
  /// `packets_max` is what its replay set has room for.
  BareRelay(const onion::SnapshotConfig& snapshot, std::size_t packets_max,
            onion::DeliverySink sink);
  ~BareRelay();
  BareRelay(const BareRelay&) = delete;
  BareRelay& operator=(const BareRelay&) = delete;

  /// At the moment of the traffic.
  void run(onion::Burst& burst) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allium::bench
