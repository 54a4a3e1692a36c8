// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/node.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"
#include "tools/devnet/topology.hpp"

namespace allium::devnet {
namespace {

// A devnet relay is sized for 20,000 packets a second: 4 MiB of replay set.
constexpr std::uint64_t kPacketsPerSecond = 20000;
constexpr int kAnswerTimeoutMs = 5000;
constexpr std::uint64_t kStartTimeoutMs = 15000;
constexpr unsigned kHandlesPerHost = 64;  // all clients of a devnet share one host
constexpr unsigned kHandlesPerSite = 256;

onion::HandleLimits handle_limits() {
  return {1024, kHandlesPerHost, kHandlesPerSite};
}

void sleep_ms(long duration_ms) noexcept {
  const timespec duration{0, duration_ms * 1'000'000};
  nanosleep(&duration, nullptr);
}

}  // namespace

const char* node_state_name(NodeState state) noexcept {
  switch (state) {
    case NodeState::down:
      return "down";
    case NodeState::starting:
      return "starting";
    case NodeState::up:
      return "up";
    case NodeState::killed:
      return "killed";
  }
  return "?";
}

Node::Node(const NodePlan& plan, const RuntimeDirectory& directory)
    : plan_(plan),
      directory_(directory),
      name_(node_name(plan.index)),
      endpoints_(node_endpoints(plan.index)) {}

Random Node::random_for(void* self, const char* purpose, std::uint64_t index) {
  Node& node = *static_cast<Node*>(self);
  if (!node.plan_.seed) {
    return system_random();
  }
  // Short-lived keys must differ between two devnets of one seed: their sequence numbers start anew.
  node.seeded_ = std::make_unique<SeededRandom>(
      *node.plan_.seed, node.name_ + " " + purpose + " " + std::to_string(index) + " of " +
                            std::to_string(node.plan_.started_ms));
  return node.seeded_->source();
}

Result<std::unique_ptr<Node>> Node::create(const NodePlan& plan,
                                           const RuntimeDirectory& directory) {
  std::unique_ptr<Node> node(new Node(plan, directory));
  const std::uint64_t lines = onion::ReplaySet::lines_for(kPacketsPerSecond);
  auto replay = control_port::create_sealed_memory("allium-replay-" + node->name_,
                                                   onion::ReplaySet::bytes_needed(lines));
  if (!replay) {
    return tl::unexpected(replay.error());
  }
  node->replay_memory_ = *replay;
  auto handles = control_port::create_sealed_memory(
      "allium-handles-" + node->name_, onion::HandleTable::bytes_needed(handle_limits()));
  if (!handles) {
    return tl::unexpected(handles.error());
  }
  node->handle_memory_ = *handles;
  SeededRandom seeded(plan.seed.value_or(0), node->name_ + " identity");
  control::Seed seed;
  (plan.seed ? seeded.source() : system_random())(seed.bytes());
  control::IdentitySecret identity = control::IdentitySecret::from_seed(seed);
  if (auto created = node->create_service(seed); !created) {
    return tl::unexpected(created.error());
  }
  node->keys_ = std::make_unique<control::NodeKeys>(
      std::move(identity), control::KeySource{node.get(), random_for}, plan.started_ms);
  return node;
}

Result<void> Node::create_service(const control::Seed& seed) {
  if (plan_.service_program.empty()) {
    return {};
  }
  auto service = ServiceProcess::create(
      {plan_.service_program, name_, plan_.network_namespace, endpoints_, plan_.authority},
      directory_, seed);
  if (!service) {
    return tl::unexpected(service.error());
  }
  service_ = *std::move(service);
  return {};
}

Node::~Node() {
  stop();
  for (const int descriptor : {replay_memory_, handle_memory_}) {
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
}

int Node::control_descriptor() const noexcept {
  return controller_ ? controller_->descriptor() : -1;
}

void Node::run_dataplane() const {
  // The relay goes with its supervisor, however that ends.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log =
      open(directory_.node_log(name_).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (setns(plan_.network_namespace, CLONE_NEWNET) != 0) {
    std::perror("allium devnet: network namespace");
    _exit(1);
  }
  const std::string socket = directory_.node_socket(name_);
  const std::string port = std::to_string(kOnionPort);
  const std::string workers = std::to_string(plan_.worker_count);
  const std::string device =
      "net_af_packet0,iface=eth0,framesz=2048,blocksz=65536,framecnt=1024,qpairs=" + workers;
  std::vector<const char*> arguments = {plan_.dataplane_program.c_str(),
                                        "--vdev",
                                        device.c_str(),
                                        "--control",
                                        socket.c_str(),
                                        "--port",
                                        port.c_str(),
                                        "--workers",
                                        workers.c_str(),
                                        "--memory",
                                        "48"};
  if (plan_.no_huge) {
    arguments.push_back("--no-huge");
  }
  arguments.push_back(nullptr);
  execv(plan_.dataplane_program.c_str(), const_cast<char* const*>(arguments.data()));
  std::perror(plan_.dataplane_program.c_str());
  _exit(127);
}

Result<void> Node::spawn(std::uint64_t now_ms) {
  if (auto ready = keys_->begin_start(plan_.worker_count, now_ms); !ready) {
    return ready;
  }
  controller_.reset();
  unlink(directory_.node_socket(name_).c_str());
  pid_ = fork();
  if (pid_ < 0) {
    return fail(Errc::unavailable, std::string("cannot start a process: ") + std::strerror(errno));
  }
  if (pid_ == 0) {
    run_dataplane();
  }
  if (service_ && service_->pid() <= 0) {
    if (auto spawned = service_->spawn(); !spawned) {
      return spawned;
    }
  }
  state_ = NodeState::starting;
  spawned_ms_ = now_ms;
  ++starts_;
  return {};
}

Result<bool> Node::connect_if_ready(std::span<const control::PeerKeys> peers,
                                    std::uint64_t now_ms) {
  if (controller_) {
    // The relay is up; its storage half follows.
    if (service_ && !service_->is_ready()) {
      return now_ms > spawned_ms_ + kStartTimeoutMs
                 ? fail(Errc::timeout,
                        name_ + ": alliumd does not come up: " + service_->last_words())
                 : Result<bool>(false);
    }
    state_ = NodeState::up;
    return true;
  }
  if (access(directory_.node_socket(name_).c_str(), F_OK) != 0) {
    if (now_ms > spawned_ms_ + kStartTimeoutMs) {
      return fail(Errc::timeout, name_ + " does not come up: " + last_words());
    }
    return false;
  }
  auto connected =
      control_port::Controller::connect(directory_.node_socket(name_), kAnswerTimeoutMs);
  if (!connected) {
    if (connected.error().code == Errc::unavailable && now_ms <= spawned_ms_ + kStartTimeoutMs) {
      return false;  // the file is there, but nobody listens yet
    }
    return tl::unexpected(connected.error());
  }
  controller_.emplace(std::move(*connected));
  control_port::Configure configure;
  configure.replay_lines = onion::ReplaySet::lines_for(kPacketsPerSecond);
  configure.handles_max = static_cast<std::uint32_t>(handle_limits().live_max);
  configure.handles_per_host = kHandlesPerHost;
  configure.handles_per_site = kHandlesPerSite;
  // The first start brings new keys: nothing can have been lost. Later starts find the set as it was.
  configure.slot_floor_if_new = 0;
  auto accepted =
      controller_->configure(configure, replay_memory_, handle_memory_, kAnswerTimeoutMs);
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  accepts_from_ms_ = accepted->accepts_from_ms;
  if (auto published = publish(peers, now_ms); !published) {
    return tl::unexpected(published.error());
  }
  return connect_if_ready(peers, now_ms);
}

Result<void> Node::publish(std::span<const control::PeerKeys> peers, std::uint64_t now_ms) {
  if (!controller_) {
    return {};
  }
  auto snapshot = keys_->make_snapshot(endpoints_.front(), peers, now_ms);
  if (!snapshot) {
    return tl::unexpected(snapshot.error());
  }
  auto accepted = controller_->publish(std::move(snapshot->begin), std::move(snapshot->peers),
                                       kAnswerTimeoutMs);
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  return {};
}

Result<control_port::Counters> Node::counters() {
  if (!controller_) {
    return fail(Errc::unavailable, name_ + " is " + node_state_name(state_) +
                                       "; start it: allium devnet start " + name_);
  }
  return controller_->counters(kAnswerTimeoutMs);
}

Result<void> Node::drain() {
  if (!controller_) {
    return {};
  }
  auto arrived = controller_->read_arrived();
  controller_->deliveries().clear();
  if (!arrived) {
    controller_.reset();
  }
  return arrived;
}

void Node::kill_now() noexcept {
  if (service_) {
    service_->kill_now();
  }
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    on_exit();
  }
  state_ = NodeState::killed;
}

void Node::stop() noexcept {
  if (service_) {
    service_->stop();
  }
  if (pid_ <= 0) {
    return;
  }
  kill(pid_, SIGTERM);
  for (int tries = 0; tries < 100 && pid_ > 0; ++tries) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      on_exit();
      return;
    }
    sleep_ms(10);
  }
  kill_now();
}

void Node::on_exit() noexcept {
  pid_ = -1;
  state_ = NodeState::down;
  controller_.reset();
}

std::string Node::last_words() const {
  std::ifstream file(directory_.node_log(name_));
  std::string line;
  std::string last = "no word from it";
  while (std::getline(file, line)) {
    if (!line.empty()) {
      last = line;
    }
  }
  return last;
}

}  // namespace allium::devnet
