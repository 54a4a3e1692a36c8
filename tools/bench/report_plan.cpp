// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_plan.hpp"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

#include "tools/bench/forward_options.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kBurst = 32;
constexpr std::size_t kSessions = 4096;

struct ClassOfPackets {
  const char* letter;
  const char* series;
  std::size_t datagram_bytes;
  std::size_t quick_packets;  ///< more than a core's own caches hold
};

constexpr ClassOfPackets kClasses[] = {{"d", "class D", 1232, 8192}, {"v", "class V", 256, 32'768}};
constexpr ClassOfPackets kSetups = {"s", "class S", 1232, 1024};

constexpr std::size_t kWorkersMost = 16;

std::string megabytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes < 1'000'000 ? "%.2f MB" : "%.0f MB",
                static_cast<double>(bytes) / 1e6);
  return text;
}

class Planner {
 public:
  Planner(const ReportSize& size, const ReportMachine& machine) : size_(size), machine_(machine) {}

  ReportPlan plan() {
    add_crypto();
    add_kernels();
    add_setups();
    add_bursts();
    add_garbage();
    add_cores();
    // So far for figures. From here on a quick report has smaller loops.
    quick_packets_ = size_.quick;
    add_bursts_and_cores_of_v();
    add_stages();
    add_classes();
    add_working_sets();
    add_replay_sets();
    add_no_drop();
    return std::move(plan_);
  }

 private:
  using Words = std::vector<std::string>;

  void add_group(ReportGroup group) {
    if (group.source.empty()) {
      group.source = group.id;
    }
    plan_.groups.push_back(std::move(group));
  }

  /// A run of `bench forward` in a plot; `more` are its options besides class, size and repeats. `step`: what the
  /// packets of its loop are a multiple of.
  PlannedRun& add_forward(const std::string& id, const std::string& group,
                          const ClassOfPackets& packets, const Words& labels, const Words& more,
                          std::size_t step = kBurst) {
    PlannedRun run;
    run.id = id;
    run.group = group;
    run.series = packets.series;
    run.labels = labels;
    run.words = {"bench", "forward", "--json", "--class", packets.letter};
    run.words.insert(run.words.end(), more.begin(), more.end());
    const bool has_size = std::find(more.begin(), more.end(), "--packets") != more.end();
    const std::size_t wanted = size_.packets != 0 ? size_.packets
                               : quick_packets_   ? packets.quick_packets
                                                  : 0;
    if (wanted != 0 && !has_size) {
      const std::size_t count = (wanted + step - 1) / step * step;
      run.words.insert(run.words.end(), {"--packets", std::to_string(count), "--sessions",
                                         std::to_string(std::min(count, kSessions))});
    }
    // A small loop fills no large set, and to clear one for each relay takes longer than to measure.
    if (size_.packets != 0 && std::find(more.begin(), more.end(), "--replay-mpps") == more.end()) {
      run.words.insert(run.words.end(), {"--replay-mpps", "0.05"});
    }
    if (size_.repeats != 0 || size_.quick) {
      run.words.insert(run.words.end(),
                       {"--repeats", std::to_string(size_.repeats != 0 ? size_.repeats : 3)});
    }
    if (size_.quick && !has_size) {
      run.words.insert(run.words.end(), {"--passes", "1"});
    }
    plan_.runs.push_back(std::move(run));
    return plan_.runs.back();
  }

  /// A run whose contenders are the further labels: each is the value of an option.
  PlannedRun& add_contest(const std::string& group, const ClassOfPackets& packets,
                          const std::string& option, const std::string& compare,
                          const Words& labels, std::size_t step = kBurst) {
    Words more;
    if (!option.empty()) {
      more = {option, labels.front()};
    }
    for (std::size_t i = 1; i < labels.size(); ++i) {
      more.insert(more.end(), {compare, labels[i]});
    }
    return add_forward(group + "_" + packets.letter, group, packets, labels, more, step);
  }

  /// A run of its own for one point.
  PlannedRun& add_point(const std::string& group, const ClassOfPackets& packets,
                        const std::string& label, const Words& more) {
    return add_forward(group + "_" + packets.letter + "_" + label, group, packets, {label}, more);
  }

  void add_crypto() {
    PlannedRun crypto;
    crypto.id = "crypto";
    crypto.words = {"bench", "crypto", "--json"};
    if (size_.quick) {
      crypto.words.emplace_back("--quick");
    }
    plan_.runs.push_back(std::move(crypto));
  }

  void add_bursts() {
    add_group({"burst", "Packets that a worker takes at once", "burst", "cycles_per_packet",
               PlotKind::lines,
               "A quiet relay has short bursts, a busy one has bursts of 32: cycles a packet fall "
               "as load rises."});
    add_bursts_of(kClasses[0]);
  }

  void add_bursts_of(const ClassOfPackets& packets) {
    add_contest("burst", packets, "--burst", "--compare-burst",
                size_.quick ? Words{"32", "8", "4", "1"} : Words{"32", "16", "8", "4", "2", "1"});
  }

  /// The best kernel and, as contenders, the others; `kind` is "onion" or "x25519".
  PlannedRun& add_kernel_contest(const std::string& group, const ClassOfPackets& packets,
                                 const std::string& kind, const std::string& best,
                                 const Words& kernels) {
    Words labels = {best};
    Words more;
    for (const std::string& kernel : kernels) {
      if (kernel != best) {
        labels.push_back(kernel);
        more.insert(more.end(), {"--compare-kernels", kind + "=" + kernel});
      }
    }
    return add_forward(group + "_" + packets.letter, group, packets, labels, more);
  }

  void add_kernels() {
    add_group({"kernel", "Kernels", "kernel of the onion layer", "cycles_per_packet",
               PlotKind::bars,
               "The whole relay with each kernel that this CPU runs; ipsec-mb is the "
               "straightforward arrangement: key expansion and every step by its API."});
    for (const ClassOfPackets& packets : kClasses) {
      add_kernel_contest("kernel", packets, "onion", machine_.best_onion, machine_.onion_kernels);
    }
  }

  void add_cores() {
    add_group({"cores", "Cores", "workers", "mpps", PlotKind::lines,
               "Rings between cores instead of devices. Cores of a virtual machine may be two "
               "threads of one core, and others' load moves this figure most."});
    add_cores_of(kClasses[0]);
  }

  void add_cores_of(const ClassOfPackets& packets) {
    const std::size_t most = std::min<std::size_t>(machine_.cpus, kWorkersMost);
    Words labels;
    std::size_t step = kBurst;
    for (std::size_t workers = 1; workers < most; workers *= 2) {
      labels.push_back(std::to_string(workers));
      step = kBurst * workers;
    }
    labels.push_back(std::to_string(most));
    PlannedRun& run = add_contest("cores", packets, "--workers", "--compare-workers", labels,
                                  std::lcm(step, kBurst * most));
    run.words.insert(run.words.end(), {"--backend", "ring"});
  }

  void add_bursts_and_cores_of_v() {
    add_bursts_of(kClasses[1]);
    add_cores_of(kClasses[1]);
  }

  void add_stages() {
    add_group({"stages", "Stages of the worker", "stage", "", PlotKind::bars,
               "With the counter read between stages, which itself costs: their sum is more than "
               "the whole."});
    for (const ClassOfPackets& packets : kClasses) {
      add_forward("stages_" + std::string(packets.letter), "stages", packets, {""}, {"--stages"});
    }
  }

  void add_garbage() {
    add_group({"garbage", "Share of garbage", "% of packets with a wrong link tag",
               "cycles_per_packet", PlotKind::lines,
               "What somebody without keys can send: such a packet ends at its link tag."});
    add_contest("garbage", kClasses[0], "", "--compare-bad-tags",
                size_.quick ? Words{"0", "100"} : Words{"0", "10", "50", "90", "100"});
  }

  void add_classes() {
    add_group({"class", "Classes and IP versions", "IP version", "cycles_per_packet",
               PlotKind::bars, "", ""});
    add_group(
        {"checksum", "UDP checksums of what is sent", "IP version", "udp_checksum_cycles",
         PlotKind::bars,
         "Part of the whole relay's cost, and of the same runs; a NIC computes them for nothing.",
         "class"});
    for (const ClassOfPackets& packets : kClasses) {
      for (const char* ip : {"4", "6"}) {
        add_point("class", packets, "IPv" + std::string(ip), {"--ip", ip});
      }
    }
  }

  void add_working_sets() {
    add_group({"working_set", "Working set", "packets in the loop, sessions", "cycles_per_packet",
               PlotKind::lines,
               "From a loop that a core's own caches hold to one that is larger than all caches "
               "that this machine names."});
    for (const ClassOfPackets& packets : kClasses) {
      add_working_set(packets, 32'000, 16);
      add_working_set(packets, 256'000, 64);
      if (!size_.quick) {
        add_working_set(packets, 1'000'000, 512);
        add_working_set(packets, 4'000'000, 2048);
        add_working_set(packets, kLoopBytes, 4096);
        add_working_set(packets, std::max<std::size_t>(kLoopBytes, machine_.l3_bytes) * 51 / 50,
                        65'536);
      }
    }
  }

  void add_working_set(const ClassOfPackets& packets, std::size_t bytes, std::size_t sessions) {
    const std::size_t wanted = std::max<std::size_t>(bytes / packets.datagram_bytes / kBurst, 1);
    std::size_t count = std::min(wanted * kBurst, kLoopPacketsMax);
    if (size_.packets != 0) {
      count = std::min(count, size_.packets);
    }
    // As many packets as the default loop has in one pass: what is too short to be timed is run more often.
    const std::size_t passes = std::clamp<std::size_t>(60'000 / count, 1, 1000);
    const std::string label = megabytes(bytes) + ", " + std::to_string(sessions);
    PlannedRun& run =
        add_point("working_set", packets, label,
                  {"--packets", std::to_string(count), "--sessions",
                   std::to_string(std::min(sessions, count)), "--passes", std::to_string(passes)});
    run.id =
        "working_set_" + std::string(packets.letter) + "_" + std::to_string(bytes / 1000) + "kB";
    if (wanted * kBurst > kLoopPacketsMax && size_.packets == 0) {
      run.impossible = "a loop of " + megabytes(bytes) + " has more packets than the " +
                       std::to_string(kLoopPacketsMax) + " that a loop may have";
    } else if (machine_.available_memory_bytes != 0 &&
               count * kPacketBufferBytes > machine_.available_memory_bytes / 2) {
      run.impossible = "too little free memory for " + megabytes(bytes) + " of packets";
    }
  }

  void add_setups() {
    add_group({"setup", "Path set-up", "kernel of X25519", "mpps", PlotKind::bars,
               "Setup packets through a relay in the middle of a path; one key agreement each."});
    add_kernel_contest("setup", kSetups, "x25519", machine_.best_x25519, machine_.x25519_kernels);
  }

  void add_replay_sets() {
    add_group({"replay", "Replay set", "packets that the set is made for, Mpps",
               "cycles_per_packet", PlotKind::lines,
               "The larger the set, the rarer is a line of it in a cache."});
    for (const char* mpps : {"1", "2", "4", "8"}) {
      if (!size_.quick || mpps[0] == '8') {
        add_point("replay", kClasses[1], mpps, {"--replay-mpps", mpps});
      }
    }
  }

  void add_no_drop() {
    add_group(
        {"no_drop", "Rates that are kept", "packets lost", "", PlotKind::bars,
         "Packets come from a generator on another core through a ring, which loses what finds "
         "it full: the highest rate at which a trial loses nothing, the highest that loses "
         "0.5 %, and what is forwarded while more is offered."});
    for (const ClassOfPackets& packets : kClasses) {
      PlannedRun run;
      run.id = "no_drop_" + std::string(packets.letter);
      run.group = "no_drop";
      run.series = packets.series;
      run.words = {"bench",
                   "no-drop",
                   "--json",
                   "--class",
                   packets.letter,
                   "--trial-seconds",
                   size_.quick || size_.packets != 0 ? "0.1" : "0.5"};
      if (size_.quick || size_.packets != 0) {
        run.words.insert(run.words.end(), {"--step-percent", "10"});
      }
      if (size_.packets != 0) {
        run.words.insert(run.words.end(), {"--packets", "4096", "--sessions", "64"});
      }
      if (machine_.cpus < 2) {
        run.impossible = "it takes two cores";
      }
      plan_.runs.push_back(std::move(run));
    }
  }

  ReportSize size_;
  const ReportMachine& machine_;
  bool quick_packets_ = false;
  ReportPlan plan_;
};

}  // namespace

ReportPlan plan_report(const ReportSize& size, const ReportMachine& machine) {
  return Planner(size, machine).plan();
}

}  // namespace allium::bench
