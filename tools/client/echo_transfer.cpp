// SPDX-License-Identifier: Apache-2.0
#include "tools/client/echo_transfer.hpp"

#include <algorithm>
#include <tuple>

#include "crypto_accel/base/check.hpp"

namespace allium::client {
namespace {

// So many later packets have come back that one is lost and not merely late: more than workers and queues
// of a few relays reorder.
constexpr std::uint64_t kReorderMax = 64;
constexpr std::uint64_t kStallUsMin = 1'000'000;
constexpr std::uint64_t kProbeUsMax = 500'000;

}  // namespace

EchoTransfer::EchoTransfer(Bytes file, std::size_t payload_bytes, std::uint64_t transfer_id)
    : file_(file),
      chunk_bytes_max_(payload_bytes - kHeaderBytes),
      chunk_count_(static_cast<std::uint32_t>(
          std::max<std::size_t>((file.size() + chunk_bytes_max_ - 1) / chunk_bytes_max_, 1))),
      transfer_id_(transfer_id),
      received_(file.size()),
      back_(chunk_count_) {
  ALLIUM_CHECK(payload_bytes > kHeaderBytes && file.size() <= kFileBytesMax);
}

std::size_t EchoTransfer::chunk_bytes(std::uint32_t chunk) const noexcept {
  const std::size_t start = std::size_t{chunk} * chunk_bytes_max_;
  return std::min(chunk_bytes_max_, file_.size() - start);
}

std::uint64_t EchoTransfer::stall_after_us() const noexcept {
  return std::max(kStallUsMin, 3 * round_trip_.timer_us());
}

// --- sending ----------------------------------------------------------------------------------------

void EchoTransfer::forget_returned() {
  while (!again_.empty() && back_[again_.front()]) {
    again_.pop_front();
  }
  while (!in_flight_.empty() && !in_flight_.front().open) {
    in_flight_.pop_front();
  }
}

bool EchoTransfer::anything_to_send() const noexcept {
  return !again_.empty() || next_new_ < chunk_count_;
}

bool EchoTransfer::may_send(std::uint64_t now_us) const noexcept {
  return stalled_ ? now_us >= probe_at_us_ : flying_ < window_;
}

std::uint32_t EchoTransfer::take_chunk() {
  if (again_.empty()) {
    return next_new_++;
  }
  const std::uint32_t chunk = again_.front();
  again_.pop_front();
  ++counts_.retransmitted;
  return chunk;
}

std::optional<std::vector<std::uint8_t>> EchoTransfer::next(std::uint64_t now_us) {
  find_losses(now_us);
  note_stall(now_us);
  forget_returned();
  if (done() || !anything_to_send() || !may_send(now_us)) {
    return std::nullopt;
  }
  chosen_ = take_chunk();
  const std::size_t byte_count = chunk_bytes(chosen_);
  std::vector<std::uint8_t> payload(kHeaderBytes + byte_count);
  store_be(payload.data(), transfer_id_, 8);
  store_be(payload.data() + 8, chosen_, 4);
  store_be(payload.data() + 12, byte_count, 2);
  const Bytes source = file_.subspan(std::size_t{chosen_} * chunk_bytes_max_, byte_count);
  std::copy(source.begin(), source.end(), payload.begin() + kHeaderBytes);
  return payload;
}

void EchoTransfer::sent(std::uint64_t path_number, std::uint64_t seq, std::uint64_t now_us) {
  if (!started_) {
    started_ = true;
    last_arrival_us_ = now_us;
  }
  in_flight_.push_back({path_number, seq, ++next_order_, chosen_, now_us, true});
  ++flying_;
  ++counts_.packets_sent;
  if (stalled_) {
    probe_at_us_ = now_us + probe_wait_us_;
    probe_wait_us_ = std::min(2 * probe_wait_us_, kProbeUsMax);
  }
}

// --- losses -----------------------------------------------------------------------------------------

bool EchoTransfer::is_lost(const InFlight& packet, std::uint64_t now_us) const {
  const std::uint64_t age_us = now_us - packet.sent_us;
  return age_us >= round_trip_.timer_us() || (packet.order + kReorderMax <= highest_back_ &&
                                              age_us >= round_trip_.smoothed_us() * 5 / 4);
}

void EchoTransfer::give_up(InFlight& packet) {
  packet.open = false;
  --flying_;
  if (!back_[packet.chunk]) {
    again_.push_back(packet.chunk);
  }
}

void EchoTransfer::find_losses(std::uint64_t now_us) {
  bool any = false;
  for (InFlight& packet : in_flight_) {
    if (!packet.open) {
      continue;
    }
    if (!is_lost(packet, now_us)) {
      break;  // whatever was sent later is younger and has fewer behind it
    }
    give_up(packet);
    any = true;
  }
  if (any) {
    shrink_window(now_us);
  }
}

void EchoTransfer::shrink_window(std::uint64_t now_us) {
  if (now_us - halved_at_us_ < round_trip_.smoothed_us()) {
    return;
  }
  halved_at_us_ = now_us;
  window_ = std::max(window_ / 2, kWindowMin);
  window_doubles_until_ = window_;
  answers_since_growth_ = 0;
}

void EchoTransfer::grow_window() {
  ++answers_since_growth_;
  if (window_ < window_doubles_until_ || answers_since_growth_ >= window_) {
    window_ = std::min(window_ + 1, kWindowMax);
    answers_since_growth_ = 0;
  }
}

void EchoTransfer::note_stall(std::uint64_t now_us) {
  if (stalled_ || !started_ || done() || now_us - last_arrival_us_ < stall_after_us()) {
    return;
  }
  stalled_ = true;
  ++counts_.stalls;
  for (InFlight& packet : in_flight_) {
    if (packet.open) {
      give_up(packet);
    }
  }
  in_flight_.clear();
  window_ = kWindowMin;
  window_doubles_until_ = kWindowMax / 2;
  probe_at_us_ = now_us;
  probe_wait_us_ = RoundTrip::kTimerUsMin;
}

// --- what comes back ----------------------------------------------------------------------------------

std::optional<EchoTransfer::Chunk> EchoTransfer::parse(Bytes payload) const noexcept {
  if (payload.size() < kHeaderBytes || load_be(payload.data(), 8) != transfer_id_) {
    return std::nullopt;
  }
  const auto number = static_cast<std::uint32_t>(load_be(payload.data() + 8, 4));
  const std::size_t byte_count = load_be(payload.data() + 12, 2);
  if (number >= chunk_count_ || byte_count != chunk_bytes(number) ||
      byte_count > payload.size() - kHeaderBytes) {
    return std::nullopt;
  }
  return Chunk{number, payload.subspan(kHeaderBytes, byte_count)};
}

void EchoTransfer::arrived(std::uint64_t path_number, std::uint64_t seq, Bytes payload,
                           std::uint64_t now_us) {
  const std::optional<Chunk> chunk = parse(payload);
  if (!chunk) {
    ++counts_.foreign;
    return;
  }
  ++counts_.packets_received;
  last_arrival_us_ = now_us;
  stalled_ = false;
  note_answer(path_number, seq, now_us);
  store(*chunk);
}

void EchoTransfer::note_answer(std::uint64_t path_number, std::uint64_t seq, std::uint64_t now_us) {
  const auto place = std::lower_bound(
      in_flight_.begin(), in_flight_.end(), std::pair(path_number, seq),
      [](const InFlight& packet, const std::pair<std::uint64_t, std::uint64_t>& key) {
        return std::pair(packet.path_number, packet.seq) < key;
      });
  if (place == in_flight_.end() || place->path_number != path_number || place->seq != seq) {
    return;  // given up long ago
  }
  round_trip_.add(now_us - place->sent_us);
  highest_back_ = std::max(highest_back_, place->order);
  if (place->open) {
    place->open = false;
    --flying_;
    grow_window();
  }
}

void EchoTransfer::store(const Chunk& chunk) {
  if (back_[chunk.number]) {
    ++counts_.repeated;
    return;
  }
  back_[chunk.number] = true;
  ++chunks_back_;
  bytes_back_ += chunk.data.size();
  std::copy(chunk.data.begin(), chunk.data.end(),
            received_.begin() +
                static_cast<std::ptrdiff_t>(std::size_t{chunk.number} * chunk_bytes_max_));
}

std::uint64_t EchoTransfer::deadline_us(std::uint64_t now_us) const {
  if (done()) {
    return kNever;
  }
  if (anything_to_send() && may_send(now_us)) {
    return now_us;
  }
  std::uint64_t deadline = kNever;
  if (stalled_ && anything_to_send()) {
    deadline = probe_at_us_;
  }
  for (const InFlight& packet : in_flight_) {
    if (packet.open) {
      deadline = std::min(deadline, packet.sent_us + round_trip_.timer_us());
      break;
    }
  }
  if (started_ && !stalled_) {
    deadline = std::min(deadline, last_arrival_us_ + stall_after_us());
  }
  return deadline;
}

}  // namespace allium::client
