// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/engine.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>

#include "crypto_accel/base/check.hpp"
#include "dataplane/engine/internal/shared.hpp"
#include "dataplane/engine/internal/worker.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::dataplane {
namespace {

// An idle worker first gives way, then sleeps, each time a sixteenth longer: about 32 ms of silence until it
// sleeps 2 ms at a time, so that a conversation is answered quickly and 12 idle relays take a tenth of a core.
constexpr unsigned kSpinPolls = 16;
constexpr unsigned kYieldPolls = 64;
constexpr long kSleepNsFirst = 50'000;
constexpr long kSleepNsMax = 2'000'000;
constexpr long kSleepGrowth = 16;

std::uint64_t realtime_ms(void*) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

class IdlePolicy {
 public:
  void busy() noexcept {
    empty_polls_ = 0;
    sleep_ns_ = kSleepNsFirst;
  }

  void idle() noexcept {
    if (++empty_polls_ <= kSpinPolls) {
      return;
    }
    if (empty_polls_ <= kYieldPolls) {
      sched_yield();
      return;
    }
    const timespec duration{0, sleep_ns_};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, nullptr);
    sleep_ns_ = std::min(sleep_ns_ + sleep_ns_ / kSleepGrowth, kSleepNsMax);
  }

 private:
  unsigned empty_polls_ = 0;
  long sleep_ns_ = kSleepNsFirst;
};

// A CPU that went away since it was chosen leaves the worker where it is.
void pin_to(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Rings are found by name in one table of the process: names must differ between engines.
std::string next_ring_name() {
  static std::atomic<unsigned> serial{0};
  return "allium_" + std::to_string(serial.fetch_add(1));
}

Result<RingPointer> make_ring(std::size_t element_bytes, std::size_t count, unsigned flags) {
  rte_ring* ring =
      rte_ring_create_elem(next_ring_name().c_str(), static_cast<unsigned>(element_bytes),
                           static_cast<unsigned>(count), SOCKET_ID_ANY, flags | RING_F_EXACT_SZ);
  if (ring == nullptr) {
    return fail(Errc::unavailable, "no memory for a ring; give the EAL more with --memory");
  }
  return RingPointer(ring);
}

}  // namespace

EngineClock system_clock() noexcept {
  return {nullptr, realtime_ms};
}

struct Engine::State {
  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  std::atomic<bool> running{false};
  std::unique_ptr<crypto_accel::OnionBatch> batch;  // expands the keys of new snapshots
  std::uint64_t started_ms = 0;
  std::size_t next_delivery_worker = 0;

  ~State() {
    workers.clear();
    delete shared.snapshot.exchange(nullptr);
    delete shared.next_hops.exchange(nullptr);
    rte_free(shared.quiescence);
    if (shared.bell >= 0) {
      close(shared.bell);
    }
  }

  // Publishes a pointer and frees the old one when no worker can see it.
  template <typename T>
  void swap_published(std::atomic<const T*>& target, std::unique_ptr<const T> value) {
    const std::unique_ptr<const T> old(target.exchange(value.release(), std::memory_order_acq_rel));
    // As rte_rcu_qsbr_synchronize(), of which a sanitizer sees nothing: it is in the library, these are in its header.
    rte_rcu_qsbr_check(shared.quiescence, rte_rcu_qsbr_start(shared.quiescence), true);
  }
};

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}

Engine::~Engine() {
  stop();
}

Result<std::unique_ptr<Engine>> Engine::create(const EngineConfig& config) {
  if (config.worker_count < 1 || config.worker_count > kWorkersMax || config.ports.empty() ||
      config.ports.size() > kPortsMax || config.burst_max < 1 || config.burst_max > 32) {
    return fail(Errc::out_of_range, "between 1 and 16 workers, 1 and 8 ports, bursts of 1 to 32");
  }
  if (config.setups_waiting_max < 1 || config.setup_share_percent < 1 ||
      config.setup_share_percent > 100) {
    return fail(Errc::out_of_range,
                "setup packets have 1 to 100 percent and room for one at least");
  }
  auto state = std::make_unique<State>();
  Shared& shared = state->shared;
  shared.config = config;
  shared.limiter = std::make_unique<onion::SetupLimiter>(onion::SetupLimits{}, system_random());
  const auto threads = static_cast<std::uint32_t>(config.worker_count);
  shared.quiescence = static_cast<rte_rcu_qsbr*>(
      rte_zmalloc(nullptr, rte_rcu_qsbr_get_memsize(threads), RTE_CACHE_LINE_SIZE));
  if (shared.quiescence == nullptr || rte_rcu_qsbr_init(shared.quiescence, threads) != 0) {
    return fail(Errc::unavailable, "no memory for the workers; give the EAL more with --memory");
  }
  shared.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (shared.bell < 0) {
    return fail(Errc::unavailable, "no descriptor is left for the workers' bell");
  }
  auto unresolved = make_ring(16, 256, RING_F_SC_DEQ);
  auto replies = make_ring(sizeof(ReplySlot), 256, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (!unresolved || !replies) {
    return tl::unexpected(unresolved ? replies.error() : unresolved.error());
  }
  shared.unresolved = std::move(*unresolved);
  shared.replies = std::move(*replies);
  state->batch = std::make_unique<crypto_accel::OnionBatch>(*config.kernels.onion);
  for (std::size_t i = 0; i < config.worker_count; ++i) {
    auto deliveries =
        make_ring(sizeof(DeliverySlot), config.deliveries_max, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (!deliveries) {
      return tl::unexpected(deliveries.error());
    }
    rte_rcu_qsbr_thread_register(shared.quiescence, static_cast<unsigned>(i));
    state->workers.push_back(std::make_unique<Worker>(shared, i, std::move(*deliveries)));
  }
  state->started_ms = config.clock.now_ms(config.clock.state);
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

Result<std::uint64_t> Engine::configure(const control_port::Configure& configure,
                                        const PersistentMemory& memory) {
  Shared& shared = state_->shared;
  if (shared.replay) {
    return fail(Errc::refused, "configured already; restart allium-dp for other memory");
  }
  const onion::HandleLimits limits{configure.handles_max, configure.handles_per_host,
                                   configure.handles_per_site};
  auto replay = onion::ReplaySet::attach(
      memory.replay, configure.replay_lines, configure.slot_floor_if_new,
      state_->workers.size() == 1 ? onion::Inserters::one : onion::Inserters::many);
  if (!replay) {
    return tl::unexpected(replay.error());
  }
  auto handles = onion::HandleTable::attach(memory.handles, limits, configure.first_handle_if_new);
  if (!handles) {
    return tl::unexpected(handles.error());
  }
  shared.replay.emplace(std::move(*replay));
  shared.handles.emplace(std::move(*handles));
  const std::uint64_t now_ms = shared.config.clock.now_ms(shared.config.clock.state);
  const std::uint64_t slot = onion::slot_of(now_ms);
  shared.replay->raise_floor(slot - 1);
  shared.replay->clear_all_due();
  for (const auto& worker : state_->workers) {
    worker->make_relay();
  }
  const std::uint64_t floor = shared.replay->floor();
  return floor > slot ? floor * onion::kSlotSeconds * 1000 : now_ms;
}

Result<void> Engine::publish(const control_port::SnapshotBegin& begin,
                             std::vector<onion::PeerConfig> peers) {
  if (peers.size() != begin.peer_count) {
    return fail(Errc::malformed, "the snapshot promised " + std::to_string(begin.peer_count) +
                                     " relays and brought " + std::to_string(peers.size()));
  }
  onion::SnapshotConfig config;
  config.own_id = begin.own_id;
  config.own_endpoint = begin.own_endpoint;
  config.cookie_required = begin.cookie_required;
  config.peers = std::move(peers);
  for (const onion::EpochSecrets& source : begin.epochs) {
    onion::EpochSecrets& target = config.epochs.emplace_back();
    target.epoch = source.epoch;
    target.segment.copy_from(source.segment);
    target.secret.copy_from(source.secret);
    target.return_block.copy_from(source.return_block);
    target.replay.copy_from(source.replay);
    target.cookie.copy_from(source.cookie);
  }
  for (const onion::HourKey& source : begin.hours) {
    onion::HourKey& target = config.hours.emplace_back();
    target.hour = source.hour;
    target.private_key.copy_from(source.private_key);
    target.public_key = source.public_key;
  }
  auto relay = onion::RelaySnapshot::build(config, *state_->batch);
  if (!relay) {
    return tl::unexpected(relay.error());
  }
  for (const control_port::SequenceRange& range : begin.sequences) {
    state_->shared.sequences.set_range(range.epoch, range.first, range.end);
  }
  state_->shared.limiter->set_limits(begin.setup_limits);
  auto published = std::make_unique<PublishedSnapshot>();
  published->relay = std::move(*relay);
  published->salt_alloc_first = begin.salt_alloc_first;
  state_->swap_published<PublishedSnapshot>(state_->shared.snapshot, std::move(published));
  return {};
}

void Engine::publish_next_hops(NextHopTable table) {
  state_->swap_published<NextHopTable>(state_->shared.next_hops,
                                       std::make_unique<const NextHopTable>(std::move(table)));
}

int Engine::news_descriptor() const noexcept {
  return state_->shared.bell;
}

void Engine::read_news() noexcept {
  eventfd_t count = 0;
  eventfd_read(state_->shared.bell, &count);
  state_->shared.is_bell_armed.store(true, std::memory_order_release);
}

std::vector<NextHopTable::Address> Engine::take_unresolved(std::size_t count_max) {
  std::vector<NextHopTable::Address> addresses;
  NextHopTable::Address address{};
  while (addresses.size() < count_max &&
         rte_ring_sc_dequeue_elem(state_->shared.unresolved.get(), address.data(), 16) == 0) {
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(address);
    }
  }
  return addresses;
}

void Engine::start() {
  ALLIUM_CHECK(is_configured() && has_snapshot() && !state_->running.load());
  state_->running.store(true);
  const std::vector<int>& cpus = state_->shared.config.worker_cpus;
  for (std::size_t i = 0; i < state_->workers.size(); ++i) {
    const int cpu = cpus.empty() ? -1 : cpus[i % cpus.size()];
    state_->threads.emplace_back([this, one = state_->workers[i].get(), cpu] {
      if (cpu >= 0) {
        pin_to(cpu);
      }
      // An EAL thread id gives the thread its cache of the packet pool; without one it still works.
      const bool is_registered = rte_thread_register() == 0;
      IdlePolicy policy;
      while (state_->running.load(std::memory_order_relaxed)) {
        if (one->poll() > 0 || one->setups_waiting() > 0) {
          policy.busy();
        } else {
          policy.idle();
        }
      }
      if (is_registered) {
        rte_thread_unregister();
      }
    });
  }
}

void Engine::stop() noexcept {
  state_->running.store(false);
  for (std::thread& thread : state_->threads) {
    thread.join();
  }
  state_->threads.clear();
}

std::size_t Engine::poll_once(std::size_t worker_index) noexcept {
  return state_->workers[worker_index]->poll();
}

std::size_t Engine::setups_waiting(std::size_t worker_index) const noexcept {
  return state_->workers[worker_index]->setups_waiting();
}

void Engine::maintain() noexcept {
  Shared& shared = state_->shared;
  if (!shared.replay) {
    return;
  }
  const std::uint64_t slot = onion::slot_of(shared.config.clock.now_ms(shared.config.clock.state));
  shared.replay->raise_floor(slot - 1);
  static_cast<void>(shared.replay->clear_some(shared.replay->slice_lines()));
}

control_port::Counters Engine::counters() const noexcept {
  control_port::Counters sum;
  sum.at_ms = state_->shared.config.clock.now_ms(state_->shared.config.clock.state);
  sum.uptime_ms = sum.at_ms - state_->started_ms;
  for (const auto& worker : state_->workers) {
    worker->counters().sum_into(sum);
  }
  return sum;
}

control_port::Deliveries Engine::take_deliveries(std::size_t count_max) {
  control_port::Deliveries deliveries;
  deliveries.lost = state_->shared.deliveries_lost.load(std::memory_order_relaxed);
  DeliverySlot slot;
  for (std::size_t i = 0; i < state_->workers.size(); ++i) {
    Worker& worker = *state_->workers[(state_->next_delivery_worker + i) % state_->workers.size()];
    while (deliveries.records.size() < count_max &&
           rte_ring_sc_dequeue_elem(worker.deliveries(), &slot, sizeof slot) == 0) {
      control_port::DeliveryRecord& record = deliveries.records.emplace_back();
      record.type = static_cast<onion::PacketType>(slot.type);
      record.t = slot.t;
      record.data.assign(slot.data.begin(), slot.data.begin() + slot.data_bytes);
      record.sealed_context.assign(slot.context.begin(), slot.context.begin() + slot.context_bytes);
    }
  }
  ++state_->next_delivery_worker;
  return deliveries;
}

namespace {

Result<void> enqueue_reply(rte_ring* ring, ReplySlot& slot, Bytes route, Bytes data) {
  if (route.size() > slot.route.size() || data.size() > slot.data.size()) {
    return fail(Errc::out_of_range, "an answer is longer than a packet holds");
  }
  slot.route_bytes = static_cast<std::uint16_t>(route.size());
  slot.data_bytes = static_cast<std::uint16_t>(data.size());
  std::copy(route.begin(), route.end(), slot.route.begin());
  std::copy(data.begin(), data.end(), slot.data.begin());
  if (rte_ring_sp_enqueue_elem(ring, &slot, sizeof slot) != 0) {
    return fail(Errc::full, "too many answers are waiting; try again");
  }
  return {};
}

}  // namespace

Result<void> Engine::reply(const control_port::ReturnReply& reply) {
  ReplySlot slot{};
  slot.seq = reply.seq;
  return enqueue_reply(state_->shared.replies.get(), slot, reply.sealed_context, reply.data);
}

Result<void> Engine::reply(const control_port::BlockReply& reply) {
  ReplySlot slot{};
  slot.is_block = 1;
  slot.packet_class = static_cast<std::uint8_t>(reply.packet_class);
  slot.seq = reply.seq;
  return enqueue_reply(state_->shared.replies.get(), slot, reply.reply_block, reply.data);
}

std::size_t Engine::worker_count() const noexcept {
  return state_->workers.size();
}

bool Engine::is_configured() const noexcept {
  return state_->shared.replay.has_value();
}

bool Engine::has_snapshot() const noexcept {
  return state_->shared.snapshot.load() != nullptr;
}

}  // namespace allium::dataplane
