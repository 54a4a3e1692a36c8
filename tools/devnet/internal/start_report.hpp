// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `allium devnet up` and the supervisor that it has forked tell each other until the devnet is complete, over a socket pair:
//
//   supervisor  P3/12    so many relays are up
//               Etext    it does not come up: why
//               R        all are up
//   command     K        it knows, and ends. Where it ends without, it was interrupted, and the devnet ends too.
//
//   Ownership  StartReport owns the supervisor's end, whoever calls follow_start() the command's.
//   Errors     Errc::unavailable: what the supervisor says; Errc::timeout: it says nothing.
//   Threads    one each.

#include <cstddef>
#include <functional>
#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

class StartReport {
 public:
  explicit StartReport(int connection) : connection_(connection) {}

  ~StartReport();
  StartReport(const StartReport&) = delete;
  StartReport& operator=(const StartReport&) = delete;

  /// For poll(): readable when the command has said something or has gone; -1 once the report is closed.
  [[nodiscard]] int descriptor() const noexcept { return connection_; }

  /// The command still waits. Nothing is told after that.
  [[nodiscard]] bool is_open() const noexcept { return connection_ >= 0; }

  void tell_progress(std::size_t up, std::size_t total) const;
  void tell_failure(const std::string& why) const;
  void tell_ready() const;

  /// Hears the command's last word and closes the report. False: it went without.
  [[nodiscard]] bool hear_last_word();

 private:
  void tell(const std::string& line) const;

  int connection_;
};

/// The command's side: returns when the devnet is complete. `progress` gets lines for people.
[[nodiscard]] Result<void> follow_start(int connection,
                                        const std::function<void(const std::string&)>& progress);

}  // namespace allium::devnet
