// SPDX-License-Identifier: Apache-2.0
#include "tools/client/setup_exchange.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "dataplane/onion/time_index.hpp"

namespace allium::client {
namespace {

using onion::PacketType;

/// Section 12.1: the body of a path-open answer lies behind the record.
Bytes echoed_part(PacketType type, Bytes x_r) noexcept {
  return type == PacketType::s1 ? x_r.subspan(onion::kRecordBytes) : x_r;
}

std::vector<onion::SetupHop> setup_hops(const PathPlan& plan, std::uint64_t hour,
                                        onion::Service service) {
  std::vector<onion::SetupHop> hops(plan.size());
  for (std::size_t i = 0; i < plan.size(); ++i) {
    hops[i].onion_key = *plan[i].key_of(hour);
    hops[i].next = i + 1 < plan.size() ? onion::NextHop::to_relay(plan[i + 1].id)
                                       : onion::NextHop::to_service(service);
  }
  return hops;
}

}  // namespace

onion::Cookie CookieJar::get(const onion::Endpoint& entry) const {
  const auto found = cookies_.find(entry);
  return found == cookies_.end() ? onion::Cookie{} : found->second;
}

void CookieJar::put(const onion::Endpoint& entry, const onion::Cookie& cookie) {
  if (cookies_.size() >= kEntriesMax && !cookies_.contains(entry)) {
    cookies_.erase(cookies_.begin());  // any: a cookie lost costs one round trip
  }
  cookies_[entry] = cookie;
}

SetupExchange::SetupExchange(Request request, CookieJar& cookies, const Random& random)
    : request_(std::move(request)), cookies_(&cookies), random_(random) {
  request_.attempts = std::clamp<std::size_t>(request_.attempts, 1, kAttemptsMax);
  attempts_.reserve(request_.attempts);
  sent_data_ = request_.data;
  if (sent_data_.empty()) {
    sent_data_.resize(onion::type_info(request_.type).x_r_bytes);
    random_(sent_data_);
  }
}

void SetupExchange::give_up(Error error) {
  failure_ = std::move(error);
  state_ = State::failed;
  deadline_us_ = kNever;
}

void SetupExchange::on_time(Wire& wire, const Moment& now) {
  if (state_ != State::waiting || now.tick_us < deadline_us_) {
    return;
  }
  if (attempts_.size() < request_.attempts) {
    send_attempt(wire, now);
    return;
  }
  const RelayView& entry = request_.plan.front();
  give_up({Errc::timeout,
           entry_spoke_ ? fmt::format("{} answers, but nothing comes from behind it", entry.name)
                        : fmt::format("nothing comes from {}", entry.name)});
}

void SetupExchange::send_attempt(Wire& wire, const Moment& now) {
  const std::uint64_t clock_ms = phased_ms(now.unix_ms, request_.phase_ms);
  const std::uint64_t hour = onion::hour_of(clock_ms);
  for (const RelayView& relay : request_.plan) {
    if (relay.key_of(hour) == nullptr) {
      give_up(
          {Errc::stale, fmt::format("{} publishes no onion key for this hour: check the clock, or "
                                    "get newer node records",
                                    relay.name)});
      return;
    }
  }
  const std::vector<onion::SetupHop> hops = setup_hops(request_.plan, hour, request_.service);
  onion::SetupRequest setup;
  setup.type = request_.type;
  setup.slot = onion::slot_of(clock_ms);
  setup.hour = hour;
  setup.hops = hops;
  random_(setup.t);
  setup.data = sent_data_;
  setup.cookie = cookies_->get(request_.plan.front().endpoint);
  Result<onion::SetupPacket> packet = onion::build_setup(setup, random_);
  if (!packet) {
    give_up(packet.error());
    return;
  }
  if (attempts_.empty()) {
    first_sent_us_ = now.tick_us;
  }
  deadline_us_ = now.tick_us + (request_.timeout_us << attempts_.size());
  attempts_.push_back({std::move(*packet), now, false});
  wire.send(request_.plan.front().endpoint, attempts_.back().packet.datagram.view());
}

bool SetupExchange::on_datagram(Wire& wire, const onion::Endpoint& source, Bytes datagram,
                                const Moment& now) {
  if (state_ != State::waiting || source != request_.plan.front().endpoint) {
    return false;
  }
  const std::optional<onion::BackwardEnvelope> envelope = onion::read_backward_envelope(datagram);
  if (!envelope) {
    return false;
  }
  if (envelope->type == PacketType::c) {
    return on_challenge(wire, *envelope, datagram, now);
  }
  return envelope->type == PacketType::r && on_return(*envelope, datagram, now);
}

bool SetupExchange::on_challenge(Wire& wire, const onion::BackwardEnvelope& envelope,
                                 Bytes datagram, const Moment& now) {
  for (Attempt& attempt : attempts_) {
    const onion::Cookie mark = attempt.packet.challenge_mark();
    if (std::memcmp(mark.data(), envelope.look_up.data(), mark.size()) != 0) {
      continue;
    }
    entry_spoke_ = true;
    // One challenge a packet: whoever could repeat it could make us send without end.
    if (!attempt.challenged) {
      attempt.challenged = true;
      const onion::Cookie cookie = onion::challenge_cookie(datagram);
      cookies_->put(request_.plan.front().endpoint, cookie);
      onion::put_cookie(
          MutableBytes(attempt.packet.datagram.bytes).first(attempt.packet.datagram.byte_count),
          cookie);
      wire.send(request_.plan.front().endpoint, attempt.packet.datagram.view());
      if (challenge_after_us_ == 0) {
        challenge_after_us_ = now.tick_us - first_sent_us_;
      }
    }
    return true;
  }
  return false;
}

bool SetupExchange::on_return(const onion::BackwardEnvelope& envelope, Bytes datagram,
                              const Moment& now) {
  for (Attempt& attempt : attempts_) {
    if (!equal(attempt.packet.stack_tag.data(), envelope.look_up.data(), kBlockBytes)) {
      continue;
    }
    std::array<const Secret<16>*, onion::kHopsMax> secrets{};
    for (std::size_t i = 0; i < attempt.packet.hop_count; ++i) {
      secrets[i] = &attempt.packet.hop[i].k_ret;
    }
    const auto packet = onion::open_backward(
        onion::PacketClass::r, phased_ms(now.unix_ms, request_.phase_ms),
        std::span<const Secret<16>* const>(secrets).first(attempt.packet.hop_count), datagram);
    if (packet && accept(attempt, *packet)) {
      entry_spoke_ = true;
      answered_sent_ = attempt.sent;
      round_trip_us_ = now.tick_us - attempt.sent.tick_us;
      state_ = State::answered;
      deadline_us_ = kNever;
    }
    return true;
  }
  return false;
}

bool SetupExchange::accept_piece(Attempt& attempt, const onion::BackwardPacket& packet) {
  const std::uint64_t bit = packet.seq < 64 ? std::uint64_t{1} << packet.seq : 0;
  if (bit == 0 || (attempt.seen & bit) != 0) {
    return false;
  }
  attempt.seen |= bit;
  entry_spoke_ = true;
  return request_.on_packet(static_cast<std::size_t>(&attempt - attempts_.data()), packet);
}

bool SetupExchange::accept(Attempt& attempt, const onion::BackwardPacket& packet) {
  if (request_.on_packet) {
    return accept_piece(attempt, packet);
  }
  if (packet.seq != 0) {
    return false;
  }
  const Bytes echoed = echoed_part(request_.type, packet.view());
  if (std::memcmp(echoed.data(), sent_data_.data(), sent_data_.size()) != 0) {
    return false;
  }
  if (request_.type == PacketType::s0) {
    return true;
  }
  onion::Record received;
  std::memcpy(received.data(), packet.data.data(), received.size());
  std::optional<onion::PathSession> session =
      onion::open_record(attempt.packet.hops(), attempt.packet.record, received);
  wipe(received.data(), received.size());
  if (!session) {
    return false;
  }
  session_ = std::move(*session);
  return true;
}

}  // namespace allium::client
