// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the client tells a person while it works: lines for standard error, never data.
//
//   Threads    one.

#include <cstdint>
#include <functional>
#include <string>

#include <fmt/format.h>

#include "tools/client/wire.hpp"

namespace allium::client {

class Talk {
 public:
  using Sink = std::function<void(const std::string& line)>;

  /// `traced`: also what happens packet by packet, with times since the first line.
  Talk(Sink sink, bool traced) : sink_(std::move(sink)), traced_(traced) {}

  void say(const std::string& line) { sink_(line); }

  [[nodiscard]] bool traced() const noexcept { return traced_; }

  void trace(const Moment& now, const std::string& line) {
    if (!traced_) {
      return;
    }
    if (start_us_ == kNever) {
      start_us_ = now.tick_us;
    }
    sink_(fmt::format("{:10.3f} ms  {}", static_cast<double>(now.tick_us - start_us_) / 1000.0,
                      line));
  }

 private:
  Sink sink_;
  bool traced_;
  std::uint64_t start_us_ = kNever;
};

/// "1.234 ms".
[[nodiscard]] inline std::string in_ms(std::uint64_t us) {
  return fmt::format("{:.3f} ms", static_cast<double>(us) / 1000.0);
}

}  // namespace allium::client
