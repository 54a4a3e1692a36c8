// SPDX-License-Identifier: Apache-2.0
#include "tools/client/ping.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "tools/client/path_keeper.hpp"

namespace allium::client {
namespace {

// Datagrams taken between two looks at the timers.
constexpr int kDatagramsPerTurn = 64;

class PingSession {
 public:
  PingSession(Wire& wire, NetworkSource& network, const PingOptions& options, const Random& random,
              Talk& talk, const std::function<void(const PingAnswer&)>& on_answer)
      : wire_(wire),
        options_(options),
        talk_(talk),
        on_answer_(on_answer),
        keeper_(network, options.path, random, talk) {}

  Result<PingResult> run() {
    if (const Result<void> started = keeper_.start(wire_.now()); !started) {
      return tl::unexpected(started.error());
    }
    while (!finished() && !wire_.interrupted()) {
      const Moment now = wire_.now();
      keeper_.on_time(wire_, now);
      if (keeper_.failure()) {
        return tl::unexpected(*keeper_.failure());
      }
      if (const Result<void> sent = send_if_due(now); !sent) {
        return tl::unexpected(sent.error());
      }
      expire(now);
      if (!finished()) {
        take_datagrams(deadline_us(now));
      }
    }
    result_.interrupted = wire_.interrupted();
    result_.paths_opened = keeper_.paths_opened();
    result_.open_us = keeper_.open_us();
    result_.ignored = keeper_.ignored();
    return std::move(result_);
  }

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // path number, seq

  struct Waiting {
    std::uint64_t number;
    std::uint64_t sent_us;
  };

  [[nodiscard]] bool finished() const { return result_.sent == options_.count && waiting_.empty(); }

  /// With --trace the hops are asked one by one first.
  [[nodiscard]] bool ready() {
    if (keeper_.current() == nullptr) {
      return false;
    }
    if (talk_.traced() && !hops_traced_) {
      hops_traced_ = true;
      keeper_.trace_hops();
    }
    return !keeper_.probing();
  }

  Result<void> send_if_due(const Moment& now) {
    if (!ready() || result_.sent == options_.count || now.tick_us < next_send_us_) {
      return {};
    }
    ClientPath& path = *keeper_.current();
    Result<ClientPath::Sent> sent = path.build(options_.packet_class, Bytes{}, now.unix_ms);
    if (!sent) {
      return tl::unexpected(sent.error());
    }
    wire_.send(path.entry(), sent->datagram.view());
    ++result_.sent;
    note_hops(path);
    waiting_[{keeper_.paths_opened(), sent->seq}] = {result_.sent, now.tick_us};
    next_send_us_ = now.tick_us + options_.interval_ms * 1000;
    talk_.trace(now,
                fmt::format("sent number {} on path {}", result_.sent, keeper_.paths_opened()));
    return {};
  }

  void note_hops(const ClientPath& path) {
    result_.hops.clear();
    for (const RelayView& relay : path.plan()) {
      result_.hops.push_back(relay.name);
    }
  }

  void expire(const Moment& now) {
    // Keys rise with the time of sending.
    while (!waiting_.empty() &&
           now.tick_us >= waiting_.begin()->second.sent_us + options_.timeout_ms * 1000) {
      talk_.trace(now, fmt::format("no answer to number {}", waiting_.begin()->second.number));
      waiting_.erase(waiting_.begin());
      ++lost_in_a_row_;
      if (lost_in_a_row_ == kLostBeforeProbe) {
        keeper_.diagnose();
      }
    }
  }

  [[nodiscard]] std::uint64_t deadline_us(const Moment& now) {
    std::uint64_t deadline = keeper_.deadline_us(now);
    if (result_.sent < options_.count && ready()) {
      deadline = std::min(deadline, next_send_us_);
    }
    if (!waiting_.empty()) {
      deadline = std::min(deadline, waiting_.begin()->second.sent_us + options_.timeout_ms * 1000);
    }
    return deadline;
  }

  void take_datagrams(std::uint64_t deadline) {
    std::array<std::uint8_t, onion::kDatagramBytesMax> buffer;
    for (int i = 0; i < kDatagramsPerTurn; ++i) {
      const std::optional<Wire::Arrival> arrival = wire_.receive(buffer, i == 0 ? deadline : 0);
      if (!arrival) {
        return;
      }
      const Moment now = wire_.now();
      const auto data = keeper_.on_datagram(wire_, arrival->source,
                                            Bytes(buffer).first(arrival->byte_count), now);
      if (data) {
        take_answer(*data, now);
      }
    }
  }

  void take_answer(const PathKeeper::Data& data, const Moment& now) {
    const auto found = waiting_.find({data.path_number, data.received.packet.seq});
    if (found == waiting_.end() || data.received.packet_class != options_.packet_class) {
      return;  // too late: it has been counted as lost
    }
    lost_in_a_row_ = 0;
    const std::uint64_t round_trip_us = now.tick_us - found->second.sent_us;
    result_.round_trips_us.push_back(round_trip_us);
    ++result_.received;
    talk_.trace(now, fmt::format("answer to number {} after {}", found->second.number,
                                 in_ms(round_trip_us)));
    if (on_answer_ && keeper_.current() != nullptr) {
      on_answer_({found->second.number, data.received.packet.data_bytes, &keeper_.current()->plan(),
                  round_trip_us});
    }
    waiting_.erase(found);
  }

  static constexpr std::uint64_t kLostBeforeProbe = 3;

  Wire& wire_;
  const PingOptions& options_;
  Talk& talk_;
  const std::function<void(const PingAnswer&)>& on_answer_;
  PathKeeper keeper_;
  PingResult result_;
  std::map<Key, Waiting> waiting_;
  std::uint64_t next_send_us_ = 0;
  std::uint64_t lost_in_a_row_ = 0;
  bool hops_traced_ = false;
};

}  // namespace

Spread spread_of(std::vector<std::uint64_t> values) {
  if (values.empty()) {
    return {};
  }
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

Result<PingResult> ping(Wire& wire, NetworkSource& network, const PingOptions& options,
                        const Random& random, Talk& talk,
                        const std::function<void(const PingAnswer&)>& on_answer) {
  return PingSession(wire, network, options, random, talk, on_answer).run();
}

}  // namespace allium::client
