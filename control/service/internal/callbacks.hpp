// SPDX-License-Identifier: Apache-2.0
#pragma once

// Callbacks that come later: when all of many have come, and only if whom they are for is still there.
//
//   Threads  the service thread.

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace allium::control::internal {

/// `then`, unless whoever owns `is_alive` has gone by the time.
template <typename F>
[[nodiscard]] auto while_alive(const std::shared_ptr<bool>& is_alive, F then) {
  return
      [weak = std::weak_ptr<bool>(is_alive), then = std::move(then)](auto&&... arguments) mutable {
        if (!weak.expired()) {
          then(std::forward<decltype(arguments)>(arguments)...);
        }
      };
}

/// Calls `done` when it was called `count` times itself. Copies share it: there is one for each of a thousand messages, and `done` may hold
/// them all.
[[nodiscard]] inline std::function<void()> after_all(std::size_t count,
                                                     std::function<void()> done) {
  struct Waiting {
    std::size_t left;
    std::function<void()> done;
  };

  return [waiting = std::make_shared<Waiting>(Waiting{count, std::move(done)})] {
    if (--waiting->left == 0) {
      waiting->done();
    }
  };
}

}  // namespace allium::control::internal
