// SPDX-License-Identifier: Apache-2.0
#pragma once

// What steers allium-dp from here: which relays there are and their keys; and whether packets pass at all, which they do while this
// node's clock is good. A node without a dataplane watches its clock as well.
//
//   Ownership  owns the link; borrows the log.
//   Threads    the service thread; the link has one of its own.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "control/manage/configuration.hpp"
#include "control/manage/event_log.hpp"
#include "control/network/record_book.hpp"
#include "control/node/clock_watch.hpp"
#include "control/node/dataplane_link.hpp"
#include "control/node/identity_file.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class DataplaneSteering {
 public:
  /// As DataplaneLink's.
  struct Events {
    std::function<void(std::function<void()>)> post;
    std::function<void(SignedNodeRecord)> on_record;
    std::function<void(std::vector<control_port::DeliveryRecord>)> on_deliveries;
  };

  explicit DataplaneSteering(const EventLog& log) : log_(log) {}

  DataplaneSteering(const DataplaneSteering&) = delete;
  DataplaneSteering& operator=(const DataplaneSteering&) = delete;

  /// Does nothing where the configuration has no dataplane. Errors are DataplaneLink's.
  [[nodiscard]] Result<void> open(const Configuration& configuration, const Seed& seed,
                                  Events events);

  /// Lets go of it; it goes on with what it has.
  void close() { link_.reset(); }

  /// The relays of the records' document, and the keys of those that have told theirs.
  void set_relays(const RecordBook& records, const IdentityKey& self);

  /// Another node said the time: ClockWatch::add().
  void hear_time(const IdentityKey& node, std::uint64_t their_ms, std::uint64_t sent_ms,
                 std::uint64_t heard_ms);

  void reply(control_port::ReturnReply reply);

  /// False: there is no dataplane to ask.
  [[nodiscard]] bool ask_counters(DataplaneLink::OnCounters done);

  /// None: this node has none.
  [[nodiscard]] std::optional<DataplaneState> state() const;

  /// Ours minus the others'; none: too few have said it.
  [[nodiscard]] std::optional<std::int64_t> clock_offset_ms() const;

  [[nodiscard]] bool is_clock_good() const noexcept { return is_clock_good_; }

 private:
  void on_state(const DataplaneState& now);

  const EventLog& log_;
  std::unique_ptr<DataplaneLink> link_;  ///< null: this node has none
  DataplaneState state_;
  ClockWatch clock_;
  bool is_clock_good_ = true;
};

}  // namespace allium::control
