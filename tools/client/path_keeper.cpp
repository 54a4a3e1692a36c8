// SPDX-License-Identifier: Apache-2.0
#include "tools/client/path_keeper.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "dataplane/onion/time_index.hpp"

namespace allium::client {
namespace {

// Clients limit how fast they build new paths (SPEC.md section 8).
constexpr std::uint64_t kRetryUsFirst = 2'000'000;
constexpr std::uint64_t kRetryUsMax = 60'000'000;

std::uint64_t ticks_until_ms(const Moment& now, std::uint64_t unix_ms) {
  return unix_ms <= now.unix_ms ? now.tick_us : now.tick_us + (unix_ms - now.unix_ms) * 1000;
}

}  // namespace

PathKeeper::PathKeeper(NetworkSource& network, PathChoice choice, const Random& random, Talk& talk)
    : network_(&network), choice_(std::move(choice)), random_(random), talk_(&talk) {}

Result<void> PathKeeper::start(const Moment& now) {
  return begin_opening(now);
}

Result<void> PathKeeper::begin_opening(const Moment& now) {
  const Result<NetworkView> view = network_->load();
  if (!view) {
    return tl::unexpected(view.error());
  }
  SetupExchange::Request request;
  request.phase_ms = random_phase_ms(random_);
  Result<PathPlan> plan = choose_path(
      *view, choice_, onion::hour_of(phased_ms(now.unix_ms, request.phase_ms)), random_);
  if (!plan) {
    return tl::unexpected(plan.error());
  }
  request.plan = std::move(*plan);
  talk_->trace(now,
               fmt::format("opening path {}: {}", paths_opened_ + 1, path_names(request.plan)));
  opening_ = std::make_unique<SetupExchange>(std::move(request), cookies_, random_);
  return {};
}

void PathKeeper::on_time(Wire& wire, const Moment& now) {
  drop_ended(now);
  renew_if_due(now);
  if (opening_) {
    opening_->on_time(wire, now);
    take_opening(now);
  }
  if (probe_) {
    probe_->on_time(wire, now);
    take_probe(now);
  }
}

void PathKeeper::drop_ended(const Moment& now) {
  if (previous_ && now.unix_ms >= previous_->end_ms()) {
    previous_.reset();
  }
  if (current_ && now.unix_ms >= current_->end_ms()) {
    talk_->say(fmt::format("path {} has ended before the next one was open", paths_opened_));
    current_.reset();
  }
}

void PathKeeper::renew_if_due(const Moment& now) {
  const bool due = paths_opened_ > 0 && (!current_ || now.unix_ms >= current_->renewal_ms());
  if (!due || opening_ || now.tick_us < retry_at_us_) {
    return;
  }
  if (const Result<void> begun = begin_opening(now); !begun) {
    talk_->say("cannot open the next path: " + begun.error().text);
    opening_failed(now);
  }
}

void PathKeeper::opening_failed(const Moment& now) {
  retry_wait_us_ = retry_wait_us_ == 0 ? kRetryUsFirst : std::min(2 * retry_wait_us_, kRetryUsMax);
  retry_at_us_ = now.tick_us + retry_wait_us_;
}

void PathKeeper::take_opening(const Moment& now) {
  if (!opening_ || opening_->state() == SetupExchange::State::waiting) {
    return;
  }
  const std::unique_ptr<SetupExchange> opening = std::move(opening_);
  if (opening->state() == SetupExchange::State::failed) {
    const std::string text =
        fmt::format("path {}: {}", path_names(opening->request().plan), opening->failure().text);
    if (paths_opened_ > 0) {
      talk_->say("cannot open the next path yet: " + text);
      opening_failed(now);
      return;
    }
    // The first path: what is wrong is worth a few packets more.
    talk_->say("no answer over " + text + "; asking hop by hop");
    probe_for_trace_ = false;
    probe_ = std::make_unique<HopProbe>(opening->request().plan, cookies_, random_);
    return;
  }
  if (opening->challenge_after_us() != 0) {
    talk_->trace(now, fmt::format("cookie challenge of {} answered after {}",
                                  opening->request().plan.front().name,
                                  in_ms(opening->challenge_after_us())));
  }
  previous_ = std::move(current_);
  current_ =
      std::make_unique<ClientPath>(opening->request().plan, std::move(opening->session()),
                                   opening->request().phase_ms, opening->sent_unix_ms(), random_);
  ++paths_opened_;
  open_us_ = opening->round_trip_us();
  retry_wait_us_ = 0;
  choice_.entry = current_->plan().front().name;
  talk_->trace(now, fmt::format("path {} open: {} in {}", paths_opened_,
                                path_names(current_->plan()), in_ms(open_us_)));
}

void PathKeeper::diagnose() {
  if (current_ && !probing()) {
    probe_for_trace_ = false;
    probe_ = std::make_unique<HopProbe>(current_->plan(), cookies_, random_);
  }
}

void PathKeeper::trace_hops() {
  if (current_ && !probing()) {
    probe_for_trace_ = true;
    probe_ = std::make_unique<HopProbe>(current_->plan(), cookies_, random_);
  }
}

void PathKeeper::take_probe(const Moment& now) {
  if (!probe_ || !probe_->finished()) {
    return;
  }
  const std::unique_ptr<HopProbe> probe = std::move(probe_);
  finding_ = probe->finding();
  if (probe_for_trace_) {
    for (std::size_t i = 0; i < probe->round_trips_us().size(); ++i) {
      talk_->trace(now, fmt::format("hop {} {} ok {}", i + 1, probe->plan()[i].name,
                                    in_ms(probe->round_trips_us()[i])));
    }
  }
  if (!probe_for_trace_ || probe->round_trips_us().size() < probe->plan().size()) {
    talk_->say(finding_);
  }
  if (paths_opened_ == 0) {
    const bool all = probe->round_trips_us().size() == probe->plan().size();
    failure_ =
        Error{Errc::timeout,
              fmt::format("cannot open a path over {}: {}. {}", path_names(probe->plan()), finding_,
                          all ? "Try again"
                              : "See 'allium devnet status' and start that relay, or choose "
                                "another path with --path")};
  }
}

std::optional<PathKeeper::Data> PathKeeper::on_datagram(Wire& wire, const onion::Endpoint& source,
                                                        Bytes datagram, const Moment& now) {
  const std::optional<onion::BackwardEnvelope> envelope = onion::read_backward_envelope(datagram);
  if (!envelope) {
    ++ignored_.unknown;
    return std::nullopt;
  }
  if (current_ && source == current_->entry() && current_->owns(*envelope)) {
    if (auto received = current_->open(datagram, now.unix_ms, ignored_)) {
      return Data{paths_opened_, *received};
    }
    return std::nullopt;
  }
  if (previous_ && source == previous_->entry() && previous_->owns(*envelope)) {
    if (auto received = previous_->open(datagram, now.unix_ms, ignored_)) {
      return Data{paths_opened_ - 1, *received};
    }
    return std::nullopt;
  }
  if (opening_ && opening_->on_datagram(wire, source, datagram, now)) {
    take_opening(now);
  } else if (probe_ && probe_->on_datagram(wire, source, datagram, now)) {
    take_probe(now);
  } else {
    ++ignored_.unknown;
  }
  return std::nullopt;
}

std::uint64_t PathKeeper::deadline_us(const Moment& now) const {
  std::uint64_t deadline = kNever;
  if (opening_) {
    deadline = std::min(deadline, opening_->deadline_us());
  }
  if (probe_) {
    deadline = std::min(deadline, probe_->deadline_us());
  }
  if (current_) {
    deadline = std::min(deadline, ticks_until_ms(now, current_->end_ms()));
  }
  if (!opening_ && paths_opened_ > 0) {
    const std::uint64_t due = current_ ? ticks_until_ms(now, current_->renewal_ms()) : now.tick_us;
    deadline = std::min(deadline, std::max(due, retry_at_us_));
  }
  return deadline;
}

}  // namespace allium::client
