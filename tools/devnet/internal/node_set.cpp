// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/internal/node_set.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "tools/devnet/internal/wall_clock.hpp"

namespace allium::devnet {
namespace {

constexpr int kStartingTickMs = 10;

void log_problem(const Node& node, const std::string& text) {
  std::fprintf(stderr, "%s: %s\n", node.name().c_str(), text.c_str());
}

bool has_ended(pid_t pid) {
  return pid > 0 && waitpid(pid, nullptr, WNOHANG) == pid;
}

}  // namespace

std::string hex_id(const Node& node) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", node.id());
  return text.data();
}

Node* NodeSet::find(std::string_view name_or_id) const {
  if (name_or_id.empty()) {
    return nullptr;
  }
  std::vector<Node*> found;
  for (const auto& node : nodes_) {
    if (node->name() == name_or_id) {
      return node.get();
    }
    if (hex_id(*node).starts_with(name_or_id)) {
      found.push_back(node.get());
    }
  }
  return found.size() == 1 ? found.front() : nullptr;
}

std::size_t NodeSet::count(NodeState state) const {
  return static_cast<std::size_t>(std::count_if(
      nodes_.begin(), nodes_.end(), [&](const auto& node) { return node->state() == state; }));
}

// What a node that is starting, and so is one of them, has to know the keys of.
std::size_t NodeSet::others_running() const {
  return count(NodeState::up) + count(NodeState::starting) - 1;
}

Result<void> NodeSet::spawn_all() const {
  for (const auto& node : nodes_) {
    if (auto spawned = node->spawn(wall_clock_ms()); !spawned) {
      return spawned;
    }
  }
  return {};
}

bool NodeSet::look_which_are_up(const StartReport& report) const {
  bool news = false;
  for (const auto& node : nodes_) {
    if (node->state() != NodeState::starting) {
      continue;
    }
    const auto is_up = node->look_whether_up(others_running(), wall_clock_ms());
    if (is_up) {
      news |= *is_up;
    } else {
      log_problem(*node, is_up.error().text);
      report.tell_failure(is_up.error().text);
      node->stop();
    }
  }
  return news;
}

Result<void> NodeSet::start(Node& node) const {
  if (node.state() == NodeState::up || node.state() == NodeState::starting) {
    return fail(Errc::refused, node.name() + " is up already");
  }
  if (auto spawned = node.spawn(wall_clock_ms()); !spawned) {
    return spawned;
  }
  for (;;) {
    const auto is_up = node.look_whether_up(others_running(), wall_clock_ms());
    if (!is_up) {
      node.stop();
      return tl::unexpected(is_up.error());
    }
    if (*is_up) {
      return {};
    }
    if (has_ended(node.pid())) {
      node.on_exit();
      return fail(Errc::unavailable, node.name() + ": " + node.last_words());
    }
    ServiceProcess& service = node.service();
    if (has_ended(service.pid())) {
      service.on_exit();
      node.stop();
      return fail(Errc::unavailable, node.name() + ": alliumd ended: " + service.last_words());
    }
    poll(nullptr, 0, kStartingTickMs);
  }
}

void NodeSet::reap(const StartReport& report) {
  for (const auto& node : nodes_) {
    if (has_ended(node->service().pid())) {
      node->service().on_exit();
      service_ended(*node, report);
    }
    if (has_ended(node->pid())) {
      dataplane_ended(*node, report);
    }
  }
}

void NodeSet::dataplane_ended(Node& node, const StartReport& report) {
  const bool was_starting = node.state() == NodeState::starting;
  node.on_exit();
  if (was_starting && report.is_open()) {
    report.tell_failure(node.name() + " does not start: " + node.last_words());
    return;
  }
  std::fprintf(stderr, "%s crashed: %s\n", node.name().c_str(), node.last_words().c_str());
  if (!may_restart()) {
    return;
  }
  if (auto spawned = node.spawn(wall_clock_ms()); !spawned) {
    log_problem(node, spawned.error().text);
  }
}

void NodeSet::service_ended(Node& node, const StartReport& report) {
  const std::string words = "alliumd ended: " + node.service().last_words();
  log_problem(node, words);
  if (node.state() == NodeState::starting && report.is_open()) {
    report.tell_failure(node.name() + ": " + words);
    return;
  }
  if (!may_restart()) {
    return;
  }
  if (auto spawned = node.service().spawn(); !spawned) {
    log_problem(node, spawned.error().text);
  }
}

bool NodeSet::may_restart() {
  return ++crash_restarts_ <= kCrashRestartsMax;
}

void NodeSet::end_all() {
  // All at once; the destructors wait for each.
  for (const auto& node : nodes_) {
    for (const pid_t pid : {node->pid(), node->service().pid()}) {
      if (pid > 0) {
        kill(pid, SIGTERM);
      }
    }
  }
  nodes_.clear();
}

}  // namespace allium::devnet
