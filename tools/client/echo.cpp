// SPDX-License-Identifier: Apache-2.0
#include "tools/client/echo.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "tools/client/path_keeper.hpp"

namespace allium::client {
namespace {

// Datagrams taken between two looks at the timers; a quarter of the window keeps it full.
constexpr int kDatagramsPerTurn = 64;
constexpr std::uint64_t kProgressUs = 1'000'000;

std::uint64_t draw_id(const Random& random) {
  std::array<std::uint8_t, 8> bytes;
  random(bytes);
  return load_be(bytes.data(), bytes.size());
}

class EchoSession {
 public:
  EchoSession(Wire& wire, NetworkSource& network, const EchoOptions& options, Bytes file,
              const Random& random, Talk& talk)
      : wire_(wire),
        options_(options),
        talk_(talk),
        file_bytes_(file.size()),
        keeper_(network, options.path, random, talk),
        transfer_(file, ClientPath::payload_bytes(onion::PacketClass::d), draw_id(random)) {}

  Result<EchoResult> run() {
    if (const Result<void> started = keeper_.start(wire_.now()); !started) {
      return tl::unexpected(started.error());
    }
    while (!transfer_.done() && !wire_.interrupted()) {
      if (const Result<void> turned = turn(); !turned) {
        return tl::unexpected(turned.error());
      }
    }
    return collect();
  }

 private:
  Result<void> turn() {
    const Moment now = wire_.now();
    keeper_.on_time(wire_, now);
    if (keeper_.failure()) {
      return tl::unexpected(*keeper_.failure());
    }
    note_path(now);
    if (const Result<void> sent = send_window(now); !sent) {
      return sent;
    }
    if (const Result<void> alive = note_silence(now); !alive) {
      return alive;
    }
    note_progress(now);
    take_datagrams(deadline_us(now));
    return {};
  }

  /// Follows the keeper to a new path.
  void note_path(const Moment& now) {
    if (keeper_.current() == nullptr || keeper_.paths_opened() == path_number_) {
      return;
    }
    path_number_ = keeper_.paths_opened();
    result_.hops.clear();
    for (const RelayView& relay : keeper_.current()->plan()) {
      result_.hops.push_back(relay.name);
    }
    talk_.say(fmt::format("path {} through {} open in {}", path_number_,
                          path_names(keeper_.current()->plan()), in_ms(keeper_.open_us())));
    if (path_number_ == 1) {
      start_us_ = now.tick_us;
      next_progress_us_ = now.tick_us + kProgressUs;
      if (talk_.traced()) {
        keeper_.trace_hops();
      }
    }
  }

  Result<void> send_window(const Moment& now) {
    ClientPath* const path = keeper_.current();
    if (path == nullptr) {
      return {};
    }
    while (const auto payload = transfer_.next(now.tick_us)) {
      const Result<ClientPath::Sent> sent =
          path->build(onion::PacketClass::d, *payload, now.unix_ms);
      if (!sent) {
        return tl::unexpected(sent.error());
      }
      wire_.send(path->entry(), sent->datagram.view());
      transfer_.sent(path_number_, sent->seq, now.tick_us);
      talk_.trace(now, fmt::format("path {} seq {} sent", path_number_, sent->seq));
    }
    return {};
  }

  Result<void> note_silence(const Moment& now) {
    if (start_us_ == kNever) {
      return {};
    }
    if (transfer_.stalled() != stalled_) {
      stalled_ = transfer_.stalled();
      if (stalled_) {
        stalled_since_us_ = transfer_.last_arrival_us();
        talk_.say(fmt::format("path {} stalls: nothing has come back for {}; sending on",
                              path_number_, in_ms(now.tick_us - stalled_since_us_)));
        keeper_.diagnose();
      }
    }
    const std::uint64_t silent_us = now.tick_us - std::max(transfer_.last_arrival_us(), start_us_);
    if (silent_us >= options_.give_up_s * 1'000'000) {
      return fail(
          Errc::timeout,
          fmt::format("nothing has come back for {} s{}. See 'allium devnet status', or choose "
                      "another path with --path",
                      silent_us / 1'000'000,
                      keeper_.finding().empty() ? "" : " (" + keeper_.finding() + ")"));
    }
    return {};
  }

  void note_progress(const Moment& now) {
    if (start_us_ == kNever || now.tick_us < next_progress_us_) {
      return;
    }
    next_progress_us_ = now.tick_us + kProgressUs;
    const double seconds = static_cast<double>(now.tick_us - start_us_) / 1e6;
    const auto back = static_cast<double>(transfer_.bytes_back());
    talk_.say(
        fmt::format("{:5.1f} %  {:.1f} of {:.1f} MB back  {:.2f} MB/s  window {}  sent again {}",
                    file_bytes_ == 0 ? 0.0 : 100.0 * back / static_cast<double>(file_bytes_),
                    back / 1e6, static_cast<double>(file_bytes_) / 1e6, back / 1e6 / seconds,
                    transfer_.window(), transfer_.counts().retransmitted));
  }

  [[nodiscard]] std::uint64_t deadline_us(const Moment& now) {
    std::uint64_t deadline = keeper_.deadline_us(now);
    if (start_us_ != kNever) {
      deadline = std::min(deadline, next_progress_us_);
      if (keeper_.current() != nullptr) {
        deadline = std::min(deadline, transfer_.deadline_us(now.tick_us));
      }
    }
    return deadline;
  }

  void take_datagrams(std::uint64_t deadline) {
    std::array<std::uint8_t, onion::kDatagramBytesMax> buffer;
    for (int i = 0; i < kDatagramsPerTurn && !transfer_.done(); ++i) {
      const std::optional<Wire::Arrival> arrival = wire_.receive(buffer, i == 0 ? deadline : 0);
      if (!arrival) {
        return;
      }
      const Moment now = wire_.now();
      const auto data = keeper_.on_datagram(wire_, arrival->source,
                                            Bytes(buffer).first(arrival->byte_count), now);
      if (data && data->received.packet_class == onion::PacketClass::d) {
        transfer_.arrived(data->path_number, data->received.packet.seq, data->received.payload(),
                          now.tick_us);
        talk_.trace(
            now, fmt::format("path {} seq {} back", data->path_number, data->received.packet.seq));
        note_recovery(now);
      }
    }
  }

  void note_recovery(const Moment& now) {
    if (stalled_ && !transfer_.stalled()) {
      stalled_ = false;
      result_.stalled_us += now.tick_us - stalled_since_us_;
      talk_.say(fmt::format("path {} goes on after {}", path_number_,
                            in_ms(now.tick_us - stalled_since_us_)));
    }
  }

  Result<EchoResult> collect() {
    const Moment now = wire_.now();
    result_.complete = transfer_.done();
    result_.received.assign(transfer_.received().begin(), transfer_.received().end());
    result_.counts = transfer_.counts();
    result_.ignored = keeper_.ignored();
    result_.paths_opened = keeper_.paths_opened();
    result_.open_us = keeper_.open_us();
    result_.duration_us = start_us_ == kNever ? 0 : now.tick_us - start_us_;
    result_.round_trip_us = transfer_.round_trip().smoothed_us();
    return std::move(result_);
  }

  Wire& wire_;
  const EchoOptions& options_;
  Talk& talk_;
  std::size_t file_bytes_;
  PathKeeper keeper_;
  EchoTransfer transfer_;
  EchoResult result_;
  std::uint64_t path_number_ = 0;
  std::uint64_t start_us_ = kNever;
  std::uint64_t next_progress_us_ = kNever;
  bool stalled_ = false;
  std::uint64_t stalled_since_us_ = 0;
};

}  // namespace

Result<EchoResult> echo_file(Wire& wire, NetworkSource& network, const EchoOptions& options,
                             Bytes file, const Random& random, Talk& talk) {
  return EchoSession(wire, network, options, file, random, talk).run();
}

}  // namespace allium::client
