// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/internal/worker.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <rte_ring_elem.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/engine/send_order.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::dataplane {
namespace {

using onion::lanes_with;
using onion::Outgoing;
using onion::PacketType;
using onion::Stage;
using onion::Verdict;

// A device that takes nothing for this many tries is full; more would only delay the next burst.
constexpr int kSendTries = 8;

// How long a datagram waits for its neighbour's address: the kernel gives up after about 3 s.
constexpr std::uint64_t kNeighbourWaitMs = 3000;

constexpr std::size_t kReturnPlainBytes = 24;  // k_ret 16 | prev 6 | meta 2

bool has_room(const rte_mbuf* packet, const std::uint8_t* payload) noexcept {
  const auto* begin = static_cast<const std::uint8_t*>(packet->buf_addr);
  const auto before = static_cast<std::size_t>(payload - begin);
  return before >= kHeadersBytesV6 && before + onion::kDatagramBytesMax <= packet->buf_len;
}

}  // namespace

Worker::Worker(Shared& shared, std::size_t index, RingPointer deliveries)
    : shared_(shared),
      index_(index),
      deliveries_(std::move(deliveries)),
      setups_(shared.config.setups_waiting_max),
      setup_pace_(
          shared.config.clock.now_tsc != nullptr ? shared.config.clock.tsc_hz : rte_get_tsc_hz(),
          shared.config.setup_share_percent) {
  parked_.reserve(shared.config.parked_max);
  unresolved_.reserve(shared.config.unresolved_max);
}

Worker::~Worker() {
  for (const Waiting& waiting : parked_) {
    rte_pktmbuf_free(waiting.packet);
  }
  for (const Waiting& waiting : unresolved_) {
    rte_pktmbuf_free(waiting.packet);
  }
  while (setups_.size() > 0) {
    rte_pktmbuf_free(setups_.pop().packet);
  }
}

void Worker::make_relay() {
  onion::RelayParts parts{};
  parts.kernels = shared_.config.kernels;
  parts.replay = &*shared_.replay;
  parts.handles = &*shared_.handles;
  parts.bridge = &shared_.bridge;
  parts.limiter = shared_.limiter.get();
  parts.sequence = {this, take_sequence};
  parts.salt = {this, take_salt};
  parts.random = random_.source();
  parts.sink = {this, deliver};
  parts.probe = shared_.config.probe;
  relay_ = std::make_unique<onion::Relay>(parts);
}

std::size_t Worker::poll() noexcept {
  const auto thread_id = static_cast<unsigned>(index_);
  rte_rcu_qsbr_thread_online(shared_.quiescence, thread_id);
  published_ = shared_.snapshot.load(std::memory_order_acquire);
  next_hops_ = shared_.next_hops.load(std::memory_order_acquire);
  received_this_turn_ = 0;
  data_this_turn_ = 0;
  if (published_ != nullptr && relay_ != nullptr) {
    snapshot_ = published_->relay.get();
    now_ms_ = shared_.config.clock.now_ms(shared_.config.clock.state);
    for (std::size_t port = 0; port < shared_.config.ports.size(); ++port) {
      receive(port);
    }
    run_setups();
    run_parked();
    run_unresolved();
    if (index_ == 0) {
      run_replies();
    }
    ring_bell();
  }
  rte_rcu_qsbr_thread_offline(shared_.quiescence, thread_id);
  return received_this_turn_;
}

// ---- receive ----

void Worker::receive(std::size_t port_index) noexcept {
  onion::Lanes<rte_mbuf*> packets;
  shared_.config.probe(Stage::turn);
  const std::uint16_t count = rte_eth_rx_burst(
      shared_.config.ports[port_index].dpdk_port, static_cast<std::uint16_t>(index_),
      packets.data(), static_cast<std::uint16_t>(shared_.config.burst_max));
  if (count == 0) {
    return;
  }
  received_this_turn_ += count;
  shared_.config.probe(Stage::receive);
  parse(port_index, std::span(packets).first(count));
  shared_.config.probe(Stage::parse);
  if (data_.burst.count == 0) {
    return;
  }
  relay_->admit(*snapshot_, data_.burst, now_ms_);
  take_setup_lanes();
  shared_.config.probe(Stage::setup_wait);
  relay_->process(*snapshot_, data_.burst, now_ms_);
  park_delayed(data_);
  finish(data_);
}

void Worker::parse(std::size_t port_index, std::span<rte_mbuf*> packets) noexcept {
  const PortIdentity& identity = shared_.config.ports[port_index].identity;
  data_.clear();
  onion::Burst& burst = data_.burst;
  for (rte_mbuf* packet : packets) {
    rte_prefetch0(rte_pktmbuf_mtod(packet, void*));
  }
  ParsedFrame parsed;
  std::size_t lane = 0;
  for (rte_mbuf* packet : packets) {
    auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
    if (packet->nb_segs != 1 || !parse_frame({frame, packet->data_len}, identity, parsed) ||
        !has_room(packet, frame + parsed.payload_offset)) {
      rte_pktmbuf_free(packet);
      continue;
    }
    std::uint8_t* payload = frame + parsed.payload_offset;
    burst.data[lane] = payload;
    burst.bytes[lane] = static_cast<std::uint16_t>(parsed.payload_bytes);
    burst.source[lane] = parsed.source;
    data_.packet[lane] = packet;
    const unsigned nibble = parsed.payload_bytes > 0 ? payload[0] & 15U : 0;
    data_.wire_type[lane] = static_cast<std::uint8_t>(onion::is_packet_type(nibble) ? nibble : 0);
    ++lane;
  }
  burst.count = lane;
  data_.origin.fill(Origin::received);
  if (burst.count != packets.size()) {
    counters_.begin();
    counters_.add_not_onion(packets.size() - burst.count);
    counters_.end();
  }
}

void Worker::move_lane(std::size_t from, std::size_t to) noexcept {
  onion::Burst& burst = data_.burst;
  burst.data[to] = burst.data[from];
  burst.bytes[to] = burst.bytes[from];
  burst.source[to] = burst.source[from];
  burst.verdict[to] = burst.verdict[from];
  burst.type[to] = burst.type[from];
  burst.slot[to] = burst.slot[from];
  burst.from_relay[to] = burst.from_relay[from];
  burst.previous[to] = burst.previous[from];
  burst.outgoing[to] = burst.outgoing[from];
  burst.target[to] = burst.target[from];
  burst.delay_10ms[to] = burst.delay_10ms[from];
  burst.client_tag[to] = burst.client_tag[from];
  data_.packet[to] = data_.packet[from];
  data_.wire_type[to] = data_.wire_type[from];
  data_.origin[to] = data_.origin[from];
}

// Setup packets that passed admission wait, so that one X25519 batch serves several and data goes first; the
// others close ranks. For whom there is no room, `rate`.
void Worker::take_setup_lanes() noexcept {
  onion::Burst& burst = data_.burst;
  const onion::LaneMask setup_lanes = burst.pending() & (lanes_with(burst.type, PacketType::s0) |
                                                         lanes_with(burst.type, PacketType::s1));
  // What was dropped on the way here is no data that has to be served.
  data_this_turn_ += static_cast<std::size_t>(std::popcount(burst.pending() & ~setup_lanes));
  if (setup_lanes == 0) {
    return;
  }
  const std::size_t waiting_before = setups_.size();
  const std::size_t count = std::exchange(burst.count, 0);
  for (std::size_t lane = 0; lane < count; ++lane) {
    const bool is_setup = (setup_lanes >> lane & 1) != 0;
    if (is_setup && !setups_.is_full()) {
      setups_.push({data_.packet[lane], burst.data[lane], burst.source[lane], burst.slot[lane],
                    burst.previous[lane], burst.bytes[lane], burst.type[lane],
                    data_.wire_type[lane], burst.from_relay[lane]});
      continue;
    }
    if (is_setup) {
      burst.verdict[lane] = Verdict::rate;
    }
    move_lane(lane, burst.count++);
  }
  const std::size_t taken = setups_.size() - waiting_before;
  counters_.begin();
  counters_.add_received(taken);
  counters_.add_parked(static_cast<std::int64_t>(taken));
  counters_.end();
}

std::uint64_t Worker::now_tsc() const noexcept {
  const EngineClock& clock = shared_.config.clock;
  return clock.now_tsc != nullptr ? clock.now_tsc(clock.state) : rte_rdtsc();
}

void Worker::run_setups() noexcept {
  if (!setup_pace_.enter_turn({now_ms_, received_this_turn_, data_this_turn_, setups_.size()})) {
    return;
  }
  const std::uint64_t begin_tsc = now_tsc();
  const std::size_t lanes = setup_pace_.lanes_due(begin_tsc);
  if (lanes == 0) {
    return;
  }
  other_.clear();
  onion::Burst& burst = other_.burst;
  for (; burst.count < lanes; ++burst.count) {
    const WaitingSetup setup = setups_.pop();
    const std::size_t lane = burst.count;
    burst.data[lane] = setup.payload;
    burst.bytes[lane] = setup.bytes;
    burst.source[lane] = setup.source;
    burst.verdict[lane] = Verdict::pending;
    burst.type[lane] = setup.type;
    burst.slot[lane] = setup.slot;
    burst.from_relay[lane] = setup.from_relay;
    burst.previous[lane] = setup.previous;
    burst.outgoing[lane] = Outgoing::none;
    burst.delay_10ms[lane] = 0;
    other_.packet[lane] = setup.packet;
    other_.wire_type[lane] = setup.wire_type;
    other_.origin[lane] = Origin::parked;
  }
  relay_->process(*snapshot_, burst, now_ms_);
  park_delayed(other_);
  finish(other_);
  setup_pace_.enter_batch(lanes, begin_tsc, now_tsc());
}

// ---- delays ----

void Worker::park_delayed(PacketBurst& packets) noexcept {
  onion::Burst& burst = packets.burst;
  const onion::LaneMask delayed = packets.lanes() & lanes_with(burst.outgoing, Outgoing::forward) &
                                  ~lanes_with(burst.delay_10ms, std::uint8_t{0});
  for (onion::LaneMask rest = delayed; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
    if (parked_.size() == shared_.config.parked_max) {
      burst.verdict[lane] = Verdict::rate;
      burst.outgoing[lane] = Outgoing::none;
      continue;
    }
    Waiting waiting;
    waiting.packet = std::exchange(packets.packet[lane], nullptr);
    waiting.payload = burst.data[lane];
    waiting.due_ms = now_ms_ + std::uint64_t{10} * burst.delay_10ms[lane];
    waiting.target = burst.target[lane];
    waiting.type = burst.type[lane];
    waiting.slot = burst.slot[lane];
    waiting.bytes = burst.bytes[lane];
    waiting.wire_type = packets.wire_type[lane];
    waiting.outgoing = Outgoing::forward;
    waiting.verdict = Verdict::forward;
    parked_.push_back(waiting);
    burst.verdict[lane] = Verdict::parked;
    burst.outgoing[lane] = Outgoing::none;
  }
}

void Worker::run_parked() noexcept {
  if (parked_.empty() || parked_checked_ms_ == now_ms_) {
    return;
  }
  other_.clear();
  onion::Burst& burst = other_.burst;
  for (std::size_t i = 0; i < parked_.size() && burst.count < onion::kBurstMax;) {
    if (parked_[i].due_ms > now_ms_) {
      ++i;
      continue;
    }
    const Waiting waiting = parked_[i];
    parked_[i] = parked_.back();
    parked_.pop_back();
    const std::size_t lane = burst.count++;
    burst.data[lane] = waiting.payload;
    burst.bytes[lane] = waiting.bytes;
    burst.verdict[lane] = waiting.verdict;
    burst.type[lane] = waiting.type;
    burst.slot[lane] = waiting.slot;
    burst.outgoing[lane] = waiting.outgoing;
    burst.target[lane] = waiting.target;
    burst.delay_10ms[lane] = 0;
    other_.packet[lane] = waiting.packet;
    other_.wire_type[lane] = waiting.wire_type;
    other_.origin[lane] = Origin::parked;
  }
  parked_checked_ms_ = burst.count < onion::kBurstMax ? now_ms_ : 0;
  if (burst.count > 0) {
    finish(other_);
  }
}

// ---- the end of a burst ----

void Worker::finish(PacketBurst& packets) noexcept {
  onion::Burst& burst = packets.burst;
  relay_->transmit(*snapshot_, burst, now_ms_);
  for (std::size_t lane = 0; lane < burst.count; ++lane) {
    const bool on_its_way = burst.outgoing[lane] != Outgoing::none && queue_for_send(packets, lane);
    if (!on_its_way && packets.packet[lane] != nullptr) {
      rte_pktmbuf_free(std::exchange(packets.packet[lane], nullptr));
    }
  }
  shared_.config.probe(Stage::frame);
  send_queued(packets);
  shared_.config.probe(Stage::send);
  count(packets);
  shared_.config.probe(Stage::books);
  packets.clear();
}

// False: the packet goes nowhere (or waits, and then is not the burst's any more).
bool Worker::queue_for_send(PacketBurst& packets, std::size_t lane) noexcept {
  onion::Burst& burst = packets.burst;
  const onion::Endpoint& target = burst.target[lane].endpoint;
  const NextHop* hop = next_hops_ == nullptr ? nullptr : next_hops_->find(target.address);
  if (hop == nullptr) {
    return wait_for_neighbour(packets, lane);
  }
  const PortIdentity& identity = shared_.config.ports[hop->port_index].identity;
  const std::size_t header_bytes = write_headers({identity.mac, hop->mac, hop->source_address,
                                                  target.address, identity.onion_port, target.port},
                                                 burst.data[lane], burst.bytes[lane]);
  rte_mbuf* packet = packets.packet[lane];
  const std::uint8_t* frame = burst.data[lane] - header_bytes;
  packet->data_off =
      static_cast<std::uint16_t>(frame - static_cast<const std::uint8_t*>(packet->buf_addr));
  packet->data_len = static_cast<std::uint16_t>(header_bytes + burst.bytes[lane]);
  packet->pkt_len = packet->data_len;
  packet->ol_flags = 0;
  SendQueue& queue = send_queues_[hop->port_index];
  queue.packet[queue.count++] = packet;
  return true;
}

bool Worker::wait_for_neighbour(PacketBurst& packets, std::size_t lane) noexcept {
  onion::Burst& burst = packets.burst;
  // The ring's policy when full: the address is asked for again with the next packet.
  has_news_ = true;
  static_cast<void>(rte_ring_mp_enqueue_elem(shared_.unresolved.get(),
                                             burst.target[lane].endpoint.address.data(), 16));
  if (unresolved_.size() == shared_.config.unresolved_max) {
    if (burst.outgoing[lane] != Outgoing::challenge) {
      burst.verdict[lane] = Verdict::tx_full;
    }
    burst.outgoing[lane] = Outgoing::none;
    return false;
  }
  Waiting waiting;
  waiting.packet = std::exchange(packets.packet[lane], nullptr);
  waiting.payload = burst.data[lane];
  waiting.due_ms = now_ms_ + kNeighbourWaitMs;
  waiting.origin = packets.origin[lane] == Origin::service ? Origin::service : Origin::parked;
  waiting.target = burst.target[lane];
  waiting.type = burst.type[lane];
  waiting.slot = burst.slot[lane];
  waiting.bytes = burst.bytes[lane];
  waiting.wire_type = packets.wire_type[lane];
  waiting.outgoing = std::exchange(burst.outgoing[lane], Outgoing::none);
  waiting.verdict = std::exchange(burst.verdict[lane], Verdict::parked);
  unresolved_.push_back(waiting);
  return false;
}

// Datagrams whose link header is on already; their neighbour is known now, or they gave up.
void Worker::run_unresolved() noexcept {
  // A look at every waiting packet a turn would let spoofed sources cost more than their own packets.
  if (unresolved_.empty() ||
      (unresolved_checked_ms_ == now_ms_ && checked_next_hops_ == next_hops_)) {
    return;
  }
  other_.clear();
  onion::Burst& burst = other_.burst;
  for (std::size_t i = 0; i < unresolved_.size() && burst.count < onion::kBurstMax;) {
    const Waiting waiting = unresolved_[i];
    const bool is_known =
        next_hops_ != nullptr && next_hops_->find(waiting.target.endpoint.address) != nullptr;
    const bool gave_up = !is_known && waiting.due_ms <= now_ms_;
    if (!is_known && !gave_up) {
      ++i;
      continue;
    }
    unresolved_[i] = unresolved_.back();
    unresolved_.pop_back();
    const std::size_t lane = burst.count++;
    burst.data[lane] = waiting.payload;
    burst.bytes[lane] = waiting.bytes;
    burst.outgoing[lane] = gave_up ? Outgoing::none : waiting.outgoing;
    burst.target[lane] = waiting.target;
    burst.verdict[lane] =
        gave_up && waiting.outgoing != Outgoing::challenge ? Verdict::no_route : waiting.verdict;
    other_.packet[lane] = waiting.packet;
    other_.wire_type[lane] = waiting.wire_type;
    other_.origin[lane] = waiting.origin;
  }
  unresolved_checked_ms_ = burst.count < onion::kBurstMax ? now_ms_ : 0;
  checked_next_hops_ = next_hops_;
  for (std::size_t lane = 0; lane < burst.count; ++lane) {
    const bool on_its_way = burst.outgoing[lane] != Outgoing::none && queue_for_send(other_, lane);
    if (!on_its_way && other_.packet[lane] != nullptr) {
      rte_pktmbuf_free(std::exchange(other_.packet[lane], nullptr));
    }
  }
  if (burst.count > 0) {
    send_queued(other_);
    count(other_);
    other_.clear();
  }
}

void Worker::send_queued(PacketBurst& packets) noexcept {
  onion::Burst& burst = packets.burst;
  for (std::size_t port = 0; port < shared_.config.ports.size(); ++port) {
    SendQueue& queue = send_queues_[port];
    permute_places(queue.count, random_.source(), [&](std::size_t one, std::size_t other) {
      std::swap(queue.packet[one], queue.packet[other]);
    });
    std::size_t sent = 0;
    for (int tries = 0; sent < queue.count && tries < kSendTries; ++tries) {
      if (tries > 0) {
        rte_pause();
      }
      sent += rte_eth_tx_burst(shared_.config.ports[port].dpdk_port,
                               static_cast<std::uint16_t>(index_), queue.packet.data() + sent,
                               static_cast<std::uint16_t>(queue.count - sent));
    }
    for (std::size_t i = sent; i < queue.count; ++i) {
      const auto found = std::find(packets.packet.begin(), packets.packet.end(), queue.packet[i]);
      const auto lane = static_cast<std::size_t>(found - packets.packet.begin());
      rte_pktmbuf_free(queue.packet[i]);
      if (burst.outgoing[lane] != Outgoing::challenge) {
        burst.verdict[lane] = Verdict::tx_full;
      }
      burst.outgoing[lane] = Outgoing::none;
    }
    queue.count = 0;
  }
}

// received = forwarded + delivered + drops + parked holds before and after, so also for a reader.
void Worker::count(PacketBurst& packets) noexcept {
  const onion::Burst& burst = packets.burst;
  const onion::LaneMask all = packets.lanes();
  const onion::LaneMask received = all & lanes_with(packets.origin, Origin::received);
  const onion::LaneMask were_parked = all & lanes_with(packets.origin, Origin::parked);
  const onion::LaneMask are_parked = all & lanes_with(burst.verdict, Verdict::parked);
  const auto number_of = [](onion::LaneMask lanes) {
    return static_cast<std::uint64_t>(std::popcount(lanes));
  };
  counters_.begin();
  counters_.add_received(number_of(received));
  counters_.add_parked(static_cast<std::int64_t>(number_of(received & are_parked)) -
                       static_cast<std::int64_t>(number_of(were_parked & ~are_parked)));
  for (onion::LaneMask rest = (received | were_parked) & ~are_parked; rest != 0;) {
    const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
    const onion::LaneMask same = rest & lanes_with(burst.verdict, burst.verdict[lane]) &
                                 lanes_with(packets.wire_type, packets.wire_type[lane]);
    counters_.add_verdicts(packets.wire_type[lane], burst.verdict[lane], number_of(same));
    rest &= ~same;
  }
  counters_.add_answers(number_of(all & lanes_with(burst.outgoing, Outgoing::answer)));
  counters_.add_challenges(number_of(all & lanes_with(burst.outgoing, Outgoing::challenge)));
  counters_.end();
}

// ---- services ----

bool Worker::seal_context(const onion::ReturnContext& context, DeliverySlot& slot) noexcept {
  const std::uint64_t epoch = onion::epoch_of(now_ms_);
  const onion::RelaySnapshot::Epoch* keys = snapshot_->epoch(epoch);
  if (keys == nullptr) {
    return false;
  }
  const std::size_t live_bytes = onion::kReturnBlockBytes * context.depth;
  std::uint8_t* block = slot.context.data();
  random_.source()({block, crypto_accel::kGcmNonceBytes});
  block[0] =
      static_cast<std::uint8_t>((block[0] & 0xf8U) | (context.depth & 3U) << 1 | (epoch & 1));
  std::uint8_t* plain = block + crypto_accel::kGcmNonceBytes;
  store_block(plain, context.k_ret);
  std::memcpy(plain + 16, context.previous.data(), context.previous.size());
  const std::uint64_t expiry = onion::unit10_of(now_ms_) + onion::kReturnLife10s;
  store_be(plain + 22, static_cast<std::uint64_t>(context.previous_type) << 12 | (expiry & 0xfff),
           2);
  std::memcpy(block + onion::kReturnBlockBytes, context.live.data(), live_bytes);
  std::array<std::uint8_t, crypto_accel::kGcmTagBytes> tag{};
  crypto_accel::gcm_seal(keys->return_block,
                         std::span<const std::uint8_t, crypto_accel::kGcmNonceBytes>(
                             block, crypto_accel::kGcmNonceBytes),
                         {context.live.data(), live_bytes}, {plain, kReturnPlainBytes}, tag);
  std::memcpy(plain + kReturnPlainBytes, tag.data(), tag.size());
  slot.context_bytes = static_cast<std::uint8_t>(onion::kReturnBlockBytes + live_bytes);
  return true;
}

bool Worker::deliver(void* self, const onion::Delivery& delivery) noexcept {
  if (delivery.service != static_cast<std::uint16_t>(onion::Service::storage)) {
    return true;
  }
  Worker& worker = *static_cast<Worker*>(self);
  DeliverySlot slot{};
  slot.type = static_cast<std::uint8_t>(delivery.type);
  slot.data_bytes = static_cast<std::uint16_t>(std::min(delivery.data_bytes, slot.data.size()));
  std::memcpy(slot.t.data(), delivery.t, slot.t.size());
  std::memcpy(slot.data.data(), delivery.data, slot.data_bytes);
  const bool ready = delivery.context == nullptr || worker.seal_context(*delivery.context, slot);
  if (!ready || rte_ring_sp_enqueue_elem(worker.deliveries_.get(), &slot, sizeof slot) != 0) {
    worker.shared_.deliveries_lost.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  worker.has_news_ = true;
  return true;
}

// The one system call of a worker: at once where it has nothing else to do, else once a millisecond at most, and
// only after the main thread has looked. So it is paid for by time, not by packets.
void Worker::ring_bell() noexcept {
  if (!has_news_ || (received_this_turn_ > 0 && bell_ms_ == now_ms_)) {
    return;
  }
  has_news_ = false;
  if (shared_.is_bell_armed.exchange(false, std::memory_order_acq_rel)) {
    bell_ms_ = now_ms_;
    eventfd_write(shared_.bell, 1);
  }
}

bool Worker::open_context(const ReplySlot& slot, onion::ReturnContext& context) const noexcept {
  if (slot.route_bytes < onion::kReturnBlockBytes) {
    return false;
  }
  const std::uint8_t* block = slot.route.data();
  const std::uint64_t now_epoch = onion::epoch_of(now_ms_);
  const onion::RelaySnapshot::Epoch* keys =
      snapshot_->epoch(now_epoch - ((now_epoch ^ block[0]) & 1));
  context.depth = block[0] >> 1 & 3;
  const std::size_t live_bytes = onion::kReturnBlockBytes * context.depth;
  if (keys == nullptr || slot.route_bytes != onion::kReturnBlockBytes + live_bytes) {
    return false;
  }
  std::memcpy(context.live.data(), block + onion::kReturnBlockBytes, live_bytes);
  std::array<std::uint8_t, kReturnPlainBytes> plain{};
  std::memcpy(plain.data(), block + crypto_accel::kGcmNonceBytes, plain.size());
  const bool is_genuine = crypto_accel::gcm_open(
      keys->return_block,
      std::span<const std::uint8_t, crypto_accel::kGcmNonceBytes>(block,
                                                                  crypto_accel::kGcmNonceBytes),
      {context.live.data(), live_bytes}, plain,
      std::span<const std::uint8_t, crypto_accel::kGcmTagBytes>(
          block + crypto_accel::kGcmNonceBytes + kReturnPlainBytes, crypto_accel::kGcmTagBytes));
  const std::uint64_t meta = load_be(plain.data() + 22, 2);
  const std::uint64_t left_10s = (meta - onion::unit10_of(now_ms_)) & 0xfff;
  context.k_ret = load_block(plain.data());
  std::memcpy(context.previous.data(), plain.data() + 16, context.previous.size());
  context.previous_type = static_cast<onion::NextType>(meta >> 12);
  wipe(plain.data(), plain.size());
  return is_genuine && left_10s >= 1 && left_10s <= onion::kReturnLife10s;
}

void Worker::originate(const ReplySlot& slot, PacketBurst& packets) noexcept {
  rte_mbuf* packet = rte_pktmbuf_alloc(shared_.config.pool);
  if (packet == nullptr) {
    return;
  }
  onion::Burst& burst = packets.burst;
  const std::size_t lane = burst.count++;
  burst.data[lane] = rte_pktmbuf_mtod(packet, std::uint8_t*) + kHeadersBytesV6;
  burst.outgoing[lane] = Outgoing::none;
  burst.verdict[lane] = Verdict::svc_malformed;
  burst.delay_10ms[lane] = 0;
  packets.packet[lane] = packet;
  packets.wire_type[lane] = 0;
  packets.origin[lane] = Origin::service;
  const Bytes data(slot.data.data(), slot.data_bytes);
  if (slot.is_block != 0) {
    relay_->reply_block(*snapshot_, static_cast<onion::PacketClass>(slot.packet_class),
                        {slot.route.data(), slot.route_bytes}, slot.seq, data, burst, lane,
                        now_ms_);
    return;
  }
  onion::ReturnContext context;
  if (open_context(slot, context)) {
    relay_->reply_return(*snapshot_, context, slot.seq, data, burst, lane, now_ms_);
  }
  wipe(&context, sizeof context);
}

void Worker::run_replies() noexcept {
  other_.clear();
  ReplySlot slot;
  while (other_.burst.count < onion::kBurstMax &&
         rte_ring_sc_dequeue_elem(shared_.replies.get(), &slot, sizeof slot) == 0) {
    originate(slot, other_);
  }
  if (other_.burst.count > 0) {
    finish(other_);
  }
}

// ---- numbers ----

bool Worker::take_sequence(void* self, std::uint64_t epoch, std::uint64_t& seq) noexcept {
  Worker& worker = *static_cast<Worker*>(self);
  SequenceBlock& block = worker.sequence_;
  if (block.epoch != epoch || block.next == block.end) {
    block = worker.shared_.sequences.take_block(epoch);
  }
  if (block.next == block.end) {
    return false;
  }
  seq = block.next++;
  return true;
}

// alloc:12 | counter:44. The counter never goes back in this process, so a salt repeats in no epoch.
bool Worker::take_salt(void* self, std::uint64_t, std::uint64_t& salt) noexcept {
  Worker& worker = *static_cast<Worker*>(self);
  constexpr std::uint64_t kCounterEnd = std::uint64_t{1} << 44;
  if (worker.salt_counter_ == kCounterEnd) {
    return false;
  }
  const std::uint64_t alloc = worker.published_->salt_alloc_first + worker.index_;
  salt = (alloc & 0xfff) << 44 | worker.salt_counter_++;
  return true;
}

}  // namespace allium::dataplane
