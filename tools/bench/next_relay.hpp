// SPDX-License-Identifier: Apache-2.0
#pragma once

// The relay behind the relay under test: opens what came out of it. A packet that a broken relay sent on fails
// here, by its frame, its checksums, its link tag, its header MAC, or the data at its end. It runs the portable kernel, whichever
// the relay under test ran.
//
//   Ownership  owns all its state; borrows nothing after the constructor.
//   Errors     packets that fail are not counted.
//   Threads    one.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/engine/frame.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {

class NextRelay {
 public:
  /// Expects packets 0 .. packet_count - 1 of `traffic`.
  NextRelay(const Traffic& traffic, std::size_t packet_count);
  ~NextRelay();
  NextRelay(const NextRelay&) = delete;
  NextRelay& operator=(const NextRelay&) = delete;

  /// How many of these frames are expected packets that have not arrived before.
  std::size_t accept(std::vector<std::vector<std::uint8_t>> frames);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allium::bench
