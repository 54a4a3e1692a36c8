// SPDX-License-Identifier: Apache-2.0
#include "control/node/dataplane_link.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "control/node/node_memory.hpp"
#include "dataplane/control_port/controller.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace {

constexpr int kAnswerTimeoutMs = 2000;
constexpr int kTickMs = 1000;
constexpr std::uint64_t kFirstRetryMs = 20;
constexpr std::uint64_t kLastRetryMs = 1000;
// Records of a network that starts come one by one: not each needs a snapshot of its own.
constexpr std::uint64_t kPublishGapMs = 100;
// Keys exist long before they are needed, so a refused snapshot has time.
constexpr std::uint64_t kRefusedGapMs = 5000;

std::uint64_t clock_ms(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

onion::HandleLimits handle_limits(const DataplaneOptions& options) noexcept {
  return {options.handles_max, options.handles_per_host, options.handles_per_site};
}

}  // namespace

struct DataplaneLink::State {
  State(DataplaneOptions with, NodeKeys node_keys, NodeMemory node_memory, Events to, int bell_fd)
      : options(std::move(with)),
        keys(std::move(node_keys)),
        memory(std::move(node_memory)),
        events(std::move(to)),
        bell(bell_fd) {}

  ~State() { close(bell); }

  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // The mailbox: written by the service thread.
  struct Mail {
    bool is_ending = false;
    bool is_serving = true;
    bool has_network = false;
    std::vector<onion::Endpoint> own;
    std::vector<PeerKeys> peers;
    std::vector<control_port::ReturnReply> replies;
    std::vector<OnCounters> counters;
    std::uint64_t replies_lost = 0;
  };

  void ring() const noexcept { static_cast<void>(eventfd_write(bell, 1)); }

  void run();
  void take_mail();
  void tend_keys();
  void tend_connection();
  Result<void> connect();
  void tend_snapshot();
  Result<void> publish();
  void lose(const Error& error);
  void carry_replies();
  void carry_deliveries();
  void answer_counters();
  void tell();
  [[nodiscard]] int wait_ms() const;

  DataplaneOptions options;
  NodeKeys keys;
  NodeMemory memory;
  Events events;
  int bell;

  std::mutex lock;
  Mail mail;

  // Of the thread alone.
  std::vector<onion::Endpoint> own;
  std::vector<PeerKeys> peers;
  bool has_network = false;
  bool may_serve = true;
  bool needs_record = false;
  bool needs_snapshot = false;
  std::uint64_t publish_after_ms = 0;  ///< of the monotonic clock, as the next one
  std::uint64_t connect_after_ms = 0;
  std::uint64_t retry_ms = kFirstRetryMs;
  std::vector<control_port::ReturnReply> replies;
  std::vector<OnCounters> counters;
  std::optional<control_port::Controller> controller;
  DataplaneState state;
  bool is_ending = false;
  std::thread thread;
};

void DataplaneLink::State::tell() {
  events.post([on_state = events.on_state, copy = state] { on_state(copy); });
}

void DataplaneLink::State::take_mail() {
  eventfd_t count = 0;
  static_cast<void>(eventfd_read(bell, &count));
  const std::lock_guard guard(lock);
  is_ending = mail.is_ending;
  needs_snapshot |= std::exchange(may_serve, mail.is_serving) != mail.is_serving;
  if (std::exchange(mail.has_network, false)) {
    needs_record |= !has_network || own != mail.own;
    has_network = true;
    own = std::move(mail.own);
    peers = std::move(mail.peers);
    needs_snapshot = true;
  }
  replies = std::exchange(mail.replies, {});
  state.replies_lost = mail.replies_lost;
  for (OnCounters& wanted : std::exchange(mail.counters, {})) {
    counters.push_back(std::move(wanted));
  }
}

void DataplaneLink::State::tend_keys() {
  const std::uint64_t now_ms = clock_ms(CLOCK_REALTIME);
  needs_snapshot |= keys.advance(now_ms);
  needs_record |= keys.record_changed();
  if (!needs_record || own.empty()) {
    return;
  }
  needs_record = false;
  auto record = keys.make_record(own, now_ms);
  NodeKeys::State kept;
  keys.save(kept);
  memory.keep(kept);
  if (record) {
    events.post([on_record = events.on_record, made = *std::move(record)]() mutable {
      on_record(std::move(made));
    });
  }
}

void DataplaneLink::State::lose(const Error& error) {
  controller.reset();
  const bool is_new = std::exchange(state.is_connected, false) || state.problem != error.text;
  state.is_serving = false;
  state.pid = 0;
  state.problem = error.text;
  connect_after_ms = clock_ms(CLOCK_MONOTONIC) + retry_ms;
  retry_ms = std::min(2 * retry_ms, kLastRetryMs);
  if (is_new) {
    tell();
  }
}

void DataplaneLink::State::tend_connection() {
  if (controller || clock_ms(CLOCK_MONOTONIC) < connect_after_ms) {
    return;
  }
  if (const Result<void> connected = connect(); !connected) {
    lose(connected.error());
  }
}

Result<void> DataplaneLink::State::connect() {
  if (access(options.socket.c_str(), F_OK) != 0) {
    return fail(Errc::unavailable,
                "allium-dp is not running: nothing at " + options.socket + "; start it");
  }
  auto connected = control_port::Controller::connect(options.socket, kAnswerTimeoutMs);
  if (!connected) {
    return tl::unexpected(connected.error());
  }
  const std::uint64_t now_ms = clock_ms(CLOCK_REALTIME);
  // A new set where these keys have been in use already: what the lost one held stays shut out.
  const std::uint64_t floor_if_new = keys.have_served() ? onion::slot_of(now_ms) + 2 : 0;
  control_port::Configure configure;
  configure.replay_lines = onion::ReplaySet::lines_for(options.packets_per_second);
  configure.handles_max = options.handles_max;
  configure.handles_per_host = options.handles_per_host;
  configure.handles_per_site = options.handles_per_site;
  configure.slot_floor_if_new = floor_if_new;
  auto accepted =
      connected->configure(configure, memory.replay(), memory.handles(), kAnswerTimeoutMs);
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  // Whether it is a new start or the same one again: under numbers of its own it is right in both cases.
  const control_port::Welcome& welcome = connected->welcome();
  if (auto ready = keys.begin_start(std::max<std::size_t>(welcome.worker_count, 1), now_ms);
      !ready) {
    return ready;
  }
  state.pid = welcome.pid;
  state.workers = welcome.worker_count;
  state.device = welcome.device;
  state.kernels = welcome.kernels;
  state.is_connected = true;
  state.accepts_from_ms = accepted->accepts_from_ms;
  state.problem = "the network document does not have this node yet";
  ++state.connections;
  controller.emplace(*std::move(connected));
  needs_snapshot = true;
  publish_after_ms = 0;
  retry_ms = kFirstRetryMs;
  tell();
  return {};
}

void DataplaneLink::State::tend_snapshot() {
  const std::uint64_t now_ms = clock_ms(CLOCK_MONOTONIC);
  if (!controller || !needs_snapshot || own.empty() || now_ms < publish_after_ms) {
    return;
  }
  needs_snapshot = false;
  publish_after_ms = now_ms + kPublishGapMs;
  if (const Result<void> published = publish(); !published) {
    needs_snapshot = true;
    publish_after_ms = now_ms + kRefusedGapMs;
    if (published.error().code != Errc::refused) {
      lose(published.error());
      return;
    }
    state.is_serving = false;
    state.problem = "allium-dp took no snapshot: " + published.error().text;
  }
  tell();
}

Result<void> DataplaneLink::State::publish() {
  auto snapshot = keys.make_snapshot(own.front(), peers, clock_ms(CLOCK_REALTIME));
  if (!snapshot) {
    return tl::unexpected(snapshot.error());
  }
  NodeKeys::State kept;
  keys.save(kept);
  memory.keep(kept);
  if (!may_serve) {
    snapshot->begin.epochs.clear();
    snapshot->begin.hours.clear();
    snapshot->begin.sequences.clear();
    snapshot->begin.peer_count = 0;
    snapshot->peers.clear();
  }
  state.relays = static_cast<std::size_t>(
      std::count_if(snapshot->peers.begin(), snapshot->peers.end(),
                    [](const onion::PeerConfig& peer) { return !peer.links.empty(); }));
  auto accepted =
      controller->publish(std::move(snapshot->begin), std::move(snapshot->peers), kAnswerTimeoutMs);
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  state.accepts_from_ms = accepted->accepts_from_ms;
  state.is_serving = may_serve;
  state.problem = may_serve ? "" : "withdrawn: this node's clock is off";
  return {};
}

void DataplaneLink::State::carry_replies() {
  for (const control_port::ReturnReply& reply : std::exchange(replies, {})) {
    if (!controller) {
      return;  // as lost as packets in a relay that dies
    }
    if (const Result<void> sent = controller->send(reply, kAnswerTimeoutMs); !sent) {
      lose(sent.error());
    }
  }
}

void DataplaneLink::State::carry_deliveries() {
  if (!controller) {
    return;
  }
  const Result<void> read = controller->read_arrived();
  if (!controller->deliveries().empty()) {
    events.post([on_deliveries = events.on_deliveries,
                 records = std::exchange(controller->deliveries(), {})]() mutable {
      on_deliveries(std::move(records));
    });
  }
  if (!read) {
    lose(read.error());
  }
}

void DataplaneLink::State::answer_counters() {
  for (OnCounters& done : std::exchange(counters, {})) {
    Result<control_port::Counters> answer = fail(Errc::unavailable, state.problem);
    if (controller) {
      answer = controller->counters(kAnswerTimeoutMs);
      if (!answer) {
        lose(answer.error());
      }
    }
    events.post([done = std::move(done), answer = std::move(answer)]() mutable {
      done(std::move(answer));
    });
  }
}

int DataplaneLink::State::wait_ms() const {
  const std::uint64_t now_ms = clock_ms(CLOCK_MONOTONIC);
  std::uint64_t wait = kTickMs;
  const auto until = [&](std::uint64_t then_ms) {
    wait = std::min(wait, then_ms > now_ms ? then_ms - now_ms : 0);
  };
  if (!controller) {
    until(connect_after_ms);
  } else if (needs_snapshot && !own.empty()) {
    until(publish_after_ms);
  }
  return static_cast<int>(wait);
}

void DataplaneLink::State::run() {
  while (!is_ending) {
    tend_keys();
    tend_connection();
    tend_snapshot();
    std::array<pollfd, 2> waits = {
        {{bell, POLLIN, 0}, {controller ? controller->descriptor() : -1, POLLIN, 0}}};
    poll(waits.data(), waits.size(), wait_ms());
    take_mail();
    carry_deliveries();
    carry_replies();
    answer_counters();
  }
}

Result<std::unique_ptr<DataplaneLink>> DataplaneLink::open(DataplaneOptions options,
                                                           IdentitySecret identity,
                                                           const Random& random, Events events) {
  auto memory = NodeMemory::open(
      onion::ReplaySet::bytes_needed(onion::ReplaySet::lines_for(options.packets_per_second)),
      onion::HandleTable::bytes_needed(handle_limits(options)));
  if (!memory) {
    return tl::unexpected(memory.error());
  }
  const int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell < 0) {
    return fail(Errc::unavailable, std::string("eventfd: ") + std::strerror(errno));
  }
  NodeKeys::State kept;
  memory->load(kept);
  NodeKeys keys(std::move(identity), random, clock_ms(CLOCK_REALTIME), kept);
  auto state = std::make_unique<State>(std::move(options), std::move(keys), *std::move(memory),
                                       std::move(events), bell);
  state->thread = std::thread([running = state.get()] { running->run(); });
  return std::unique_ptr<DataplaneLink>(new DataplaneLink(std::move(state)));
}

DataplaneLink::DataplaneLink(std::unique_ptr<State> state) : state_(std::move(state)) {}

DataplaneLink::~DataplaneLink() {
  {
    const std::lock_guard guard(state_->lock);
    state_->mail.is_ending = true;
  }
  state_->ring();
  state_->thread.join();
}

void DataplaneLink::set_network(std::vector<onion::Endpoint> own, std::vector<PeerKeys> peers) {
  {
    const std::lock_guard guard(state_->lock);
    state_->mail.has_network = true;
    state_->mail.own = std::move(own);
    state_->mail.peers = std::move(peers);
  }
  state_->ring();
}

void DataplaneLink::set_serving(bool is_serving) {
  {
    const std::lock_guard guard(state_->lock);
    state_->mail.is_serving = is_serving;
  }
  state_->ring();
}

void DataplaneLink::reply(control_port::ReturnReply reply) {
  {
    const std::lock_guard guard(state_->lock);
    if (state_->mail.replies.size() >= kRepliesMax) {
      ++state_->mail.replies_lost;
      return;
    }
    state_->mail.replies.push_back(std::move(reply));
  }
  state_->ring();
}

void DataplaneLink::ask_counters(OnCounters done) {
  {
    const std::lock_guard guard(state_->lock);
    state_->mail.counters.push_back(std::move(done));
  }
  state_->ring();
}

}  // namespace allium::control
