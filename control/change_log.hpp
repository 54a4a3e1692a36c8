// SPDX-License-Identifier: Apache-2.0
#pragma once

// What has changed since it was last told, for whoever reads the log and not the status.
//
//   Ownership  borrows the log.
//   Threads    one.

#include <cstddef>
#include <cstdint>

#include "control/manage/event_log.hpp"
#include "control/node_status.hpp"

namespace allium::control {

class ChangeLog {
 public:
  explicit ChangeLog(const EventLog& log) : log_(log) {}

  /// An event for each thing that is not as it was the time before; the first time, as it is on a good day.
  void tell(const NodeReport& report);

 private:
  const EventLog& log_;
  std::size_t members_dead_ = 0;
  std::uint64_t records_refused_ = 0;
  std::uint64_t parts_open_ = 0;
  bool is_store_broken_ = false;
  bool is_store_nearly_full_ = false;
  bool is_disk_nearly_full_ = false;
};

}  // namespace allium::control
