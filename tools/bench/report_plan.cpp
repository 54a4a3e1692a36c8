// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_plan.hpp"

#include <algorithm>
#include <cstdio>
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
};

constexpr ClassOfPackets kClasses[] = {{"d", "class D", 1232}, {"v", "class V", 256}};

/// Kernels that only call ipsec-mb are arrangements of it: a ratio of such a one to the best of them says nothing.
bool is_ipsec_mb(const std::string& kernel) {
  return kernel.rfind("ipsec-mb", 0) == 0;
}

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
    add_figures();
    add_bursts();
    add_kernels();
    add_cores();
    add_stages();
    add_garbage();
    add_classes();
    add_working_sets();
    add_setups();
    add_checksums();
    add_replay_sets();
    return std::move(plan_);
  }

 private:
  using Words = std::vector<std::string>;

  void add_group(ReportGroup group) { plan_.groups.push_back(std::move(group)); }

  /// A run of `bench forward`; `more` are its options besides class, size and repeats.
  PlannedRun& add_forward(const std::string& id, const std::string& packet_class,
                          const Words& more) {
    PlannedRun run;
    run.id = id;
    run.words = {"bench", "forward", "--json", "--class", packet_class};
    run.words.insert(run.words.end(), more.begin(), more.end());
    const bool has_size =
        std::find(more.begin(), more.end(), std::string("--packets")) != more.end();
    if (size_.packets != 0 && !has_size) {
      run.words.insert(run.words.end(), {"--packets", std::to_string(size_.packets)});
      run.words.insert(run.words.end(),
                       {"--sessions", std::to_string(std::min(size_.packets, kSessions))});
    }
    if (const std::size_t repeats = size_.repeats != 0 ? size_.repeats
                                    : size_.quick      ? 3
                                                       : 0;
        repeats != 0) {
      run.words.insert(run.words.end(), {"--repeats", std::to_string(repeats)});
    }
    if (size_.quick && !has_size) {
      run.words.insert(run.words.end(), {"--passes", "1"});
    }
    plan_.runs.push_back(std::move(run));
    return plan_.runs.back();
  }

  PlannedRun& add_point(const char* group, const ClassOfPackets& packets, const std::string& label,
                        const Words& more) {
    PlannedRun& run =
        add_forward(std::string(group) + "_" + packets.letter + "_" + label, packets.letter, more);
    run.group = group;
    run.series = packets.series;
    run.label = label;
    return run;
  }

  void add_figures() {
    const std::string no_kernel =
        is_ipsec_mb(machine_.best_onion)
            ? "the best kernel of this CPU is itself made of calls of ipsec-mb (" +
                  machine_.best_onion + ")"
            : "";
    const std::string no_x25519 =
        machine_.best_x25519 == "libsodium" ? "this CPU runs no X25519 but libsodium's" : "";
    PlannedRun crypto;
    crypto.id = "crypto";
    crypto.words = {"bench", "crypto", "--json"};
    if (size_.quick) {
      crypto.words.emplace_back("--quick");
    }
    plan_.runs.push_back(std::move(crypto));
    add_forward("d_over_ipsec_mb", "d", {"--compare-kernels", "onion=ipsec-mb"}).impossible =
        no_kernel;
    add_forward("v_over_ipsec_mb", "v", {"--compare-kernels", "onion=ipsec-mb"}).impossible =
        no_kernel;
    add_forward("path_opens_over_libsodium", "s", {"--compare-kernels", "x25519=libsodium"})
        .impossible = no_x25519;
    for (const char* burst : {"1", "4", "8"}) {
      add_forward("burst" + std::string(burst) + "_over_burst32", "d", {"--compare-burst", burst});
    }
    add_forward("garbage_cost_over_valid", "d", {"--compare-bad-tags", "100"});
  }

  void add_bursts() {
    add_group({"burst", "Packets that a worker takes at once", "burst", "cycles_per_packet",
               PlotKind::lines,
               "A quiet relay has short bursts, a busy one has bursts of 32: cycles a packet fall "
               "as load rises."});
    for (const ClassOfPackets& packets : kClasses) {
      for (const char* burst : {"1", "2", "4", "8", "16", "32"}) {
        add_point("burst", packets, burst, {"--burst", burst});
      }
    }
  }

  void add_kernels() {
    add_group({"kernel", "Kernels", "kernel of the onion layer", "cycles_per_packet",
               PlotKind::bars,
               "The whole relay with each kernel that this CPU runs; ipsec-mb is the "
               "straightforward arrangement: key expansion and every step by its API."});
    for (const ClassOfPackets& packets : kClasses) {
      for (const std::string& kernel : machine_.onion_kernels) {
        add_point("kernel", packets, kernel, {}).kernels = "onion=" + kernel;
      }
    }
  }

  void add_cores() {
    add_group({"cores", "Cores", "workers", "mpps", PlotKind::lines,
               "Rings between cores instead of devices. Cores of a virtual machine may be two "
               "threads of one core, and others' load moves this figure most."});
    for (const ClassOfPackets& packets : kClasses) {
      for (std::size_t workers = 1; workers <= std::min<std::size_t>(machine_.cpus, 16);
           workers = workers < 4 ? workers + 1 : workers * 2) {
        add_point("cores", packets, std::to_string(workers),
                  {"--backend", "ring", "--workers", std::to_string(workers)});
      }
    }
  }

  void add_stages() {
    add_group({"stages", "Stages of the worker", "stage", "", PlotKind::bars,
               "With the counter read between stages, which itself costs: their sum is more than "
               "the whole."});
    for (const ClassOfPackets& packets : kClasses) {
      PlannedRun& run =
          add_forward("stages_" + std::string(packets.letter), packets.letter, {"--stages"});
      run.group = "stages";
      run.series = packets.series;
    }
  }

  void add_garbage() {
    add_group({"garbage", "Share of garbage", "% of packets with a wrong link tag",
               "cycles_per_packet", PlotKind::lines,
               "What somebody without keys can send: such a packet ends at its link tag."});
    for (const char* percent : {"0", "10", "50", "90", "100"}) {
      if (!size_.quick || percent[0] == '5') {
        add_point("garbage", kClasses[0], percent, {"--bad-tags", percent});
      }
    }
  }

  void add_classes() {
    add_group({"class", "Classes and IP versions", "class and IP version", "cycles_per_packet",
               PlotKind::bars, ""});
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
        add_working_set(packets, std::max<std::size_t>(kLoopBytes, machine_.l3_bytes) * 6 / 5,
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
    for (const std::string& kernel : machine_.x25519_kernels) {
      PlannedRun& run = add_forward("setup_" + kernel, "s", {});
      run.group = "setup";
      run.series = "class S";
      run.label = kernel;
      run.kernels = "x25519=" + kernel;
    }
  }

  void add_checksums() {
    add_group({"checksum", "Sent UDP checksums", "IPv4 UDP checksum", "cycles_per_packet",
               PlotKind::bars,
               "IPv4 allows a UDP checksum of zero and IPv6 does not; a NIC computes it for "
               "nothing, here the core does."});
    for (const ClassOfPackets& packets : kClasses) {
      add_point("checksum", packets, "none", {});
      add_point("checksum", packets, "computed", {"--udp-checksums"});
    }
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

  ReportSize size_;
  const ReportMachine& machine_;
  ReportPlan plan_;
};

}  // namespace

ReportPlan plan_report(const ReportSize& size, const ReportMachine& machine) {
  return Planner(size, machine).plan();
}

}  // namespace allium::bench
