// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/pipe_tally.hpp"

#include <poll.h>

namespace allium::control {

void PipeTally::taken(std::size_t bytes) {
  // In this order: a frame that is seen in neither place would be free.
  in_writing_ = bytes;
  in_pipe_ -= bytes;
  moved_at_ = Clock::now().time_since_epoch().count();
  if (is_waited_for_.exchange(false)) {
    wake_();
  }
}

void PipeTally::settle(int descriptor) {
  std::size_t bytes = in_writing_;
  if (bytes == 0) {
    return;
  }
  pollfd asked{.fd = descriptor, .events = POLLOUT, .revents = 0};
  const bool is_written = descriptor < 0 || ::poll(&asked, 1, 0) != 0;
  if (is_written) {
    in_writing_.compare_exchange_strong(bytes, 0);
  }
}

}  // namespace allium::control
