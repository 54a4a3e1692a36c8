// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/pipe_tally.hpp"

namespace allium::control {

void PipeTally::taken(std::size_t bytes) {
  in_pipe_ -= bytes;
  moved_at_ = Clock::now().time_since_epoch().count();
  if (is_waited_for_.exchange(false)) {
    wake_();
  }
}

}  // namespace allium::control
