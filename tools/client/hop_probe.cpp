// SPDX-License-Identifier: Apache-2.0
#include "tools/client/hop_probe.hpp"

#include <utility>

#include <fmt/format.h>

#include "tools/client/client_path.hpp"

namespace allium::client {

HopProbe::HopProbe(PathPlan plan, CookieJar& cookies, const Random& random)
    : plan_(std::move(plan)),
      cookies_(&cookies),
      random_(random),
      phase_ms_(random_phase_ms(random)) {
  begin_hop();
}

void HopProbe::begin_hop() {
  SetupExchange::Request request;
  request.type = onion::PacketType::s0;
  const auto hop_count = static_cast<std::ptrdiff_t>(round_trips_us_.size() + 1);
  request.plan.assign(plan_.begin(), plan_.begin() + hop_count);
  request.phase_ms = phase_ms_;
  request.attempts = kAttempts;
  request.timeout_us = kTimeoutUs;
  exchange_.emplace(std::move(request), *cookies_, random_);
}

void HopProbe::take_result() {
  switch (exchange_->state()) {
    case SetupExchange::State::waiting:
      return;
    case SetupExchange::State::answered:
      round_trips_us_.push_back(exchange_->round_trip_us());
      if (round_trips_us_.size() < plan_.size()) {
        begin_hop();
      } else {
        exchange_.reset();
      }
      return;
    case SetupExchange::State::failed:
      exchange_.reset();
      return;
  }
}

void HopProbe::on_time(Wire& wire, const Moment& now) {
  if (exchange_) {
    exchange_->on_time(wire, now);
    take_result();
  }
}

bool HopProbe::on_datagram(Wire& wire, const onion::Endpoint& source, Bytes datagram,
                           const Moment& now) {
  if (!exchange_ || !exchange_->on_datagram(wire, source, datagram, now)) {
    return false;
  }
  take_result();
  return true;
}

std::uint64_t HopProbe::deadline_us() const noexcept {
  return exchange_ ? exchange_->deadline_us() : kNever;
}

std::string HopProbe::finding() const {
  const std::size_t answered = round_trips_us_.size();
  if (answered == plan_.size()) {
    return plan_.size() == 1 ? fmt::format("hop 1 ({}) answers one-shot requests", plan_[0].name)
                             : fmt::format("all {} hops answer one-shot requests", plan_.size());
  }
  std::string text = fmt::format("hop {} ({}) does not answer", answered + 1, plan_[answered].name);
  if (answered > 0) {
    text += fmt::format(", hop {} ({}) does", answered, plan_[answered - 1].name);
  }
  return text;
}

}  // namespace allium::client
