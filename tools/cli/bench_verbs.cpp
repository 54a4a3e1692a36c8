// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/bench_verbs.hpp"

#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <boost/json.hpp>

#include "tools/bench/crypto.hpp"
#include "tools/bench/environment.hpp"
#include "tools/cli/bench_helper.hpp"
#include "tools/cli/no_drop_verb.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/report_verbs.hpp"
#include "tools/cli/service_bench_verbs.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

struct ForwardOptions {
  std::string packet_class = "d";
  TrafficOptions traffic;
  std::size_t packets = 0;
  std::size_t repeats = 7;
  std::size_t passes = 2;
  std::string backend = "pcap";
  std::size_t workers = 1;
  std::size_t bad_tags = 0;
  std::vector<std::string> compare_kernels;
  std::vector<std::size_t> compare_bursts;
  std::vector<std::size_t> compare_bad_tags;
  std::vector<std::size_t> compare_workers;
  bool stages = false;
  bool same_replay_key = false;
  bool json = false;
};

// A loop has whole bursts of every relay that takes part.
std::size_t packet_step(const ForwardOptions& options) {
  std::size_t step = options.traffic.burst * options.workers;
  for (const std::size_t burst : options.compare_bursts) {
    step = std::lcm(step, burst * options.workers);
  }
  for (const std::size_t workers : options.compare_workers) {
    step = std::lcm(step, options.traffic.burst * workers);
  }
  return step;
}

void print_counts(const json::object& result) {
  std::printf(
      "packets   received %.0f, forwarded %.0f, counted by the sink %.0f, written to the replay "
      "set %.0f\n",
      real(result, "received"), real(result, "forwarded"), real(result, "counted_by_sink"),
      real(result, "written_to_replay_set"));
  std::printf("          one pass before that: the next relay accepts %.0f of %.0f\n",
              real(result, "accepted_by_next_relay"), real(result, "packets"));
  std::printf("drops    ");
  const json::object& drops = result.at("drops").as_object();
  for (const auto& [reason, count] : drops) {
    std::printf(" %s %.0f", std::string(reason).c_str(), count.to_number<double>());
  }
  std::printf("%s\n", drops.empty() ? " none" : "");
}

void print_figures(const json::object& result) {
  std::printf(
      "class %s   %.*f Mpps  %.2f Gbit/s of UDP payload  %.0f TSC cycles a packet "
      "(median of %.0f, min %.0f, max %.0f)\n",
      result.at("class").as_string().c_str(), real(result, "mpps") < 0.1 ? 4 : 3,
      real(result, "mpps"), real(result, "gbit_s"), real(result, "cycles_per_packet"),
      real(result, "repeats"), real(result, "cycles_per_packet_min"),
      real(result, "cycles_per_packet_max"));
  std::printf(
      "          of these the devices' own copies take about %.0f cycles: a loop without any "
      "relay, in the same run\n",
      real(result, "io_cycles_per_packet"));
  std::printf("          UDP checksums of what is sent, which a NIC can compute, about %.0f\n",
              real(result, "udp_checksum_cycles"));
  std::printf("          mean with every interruption of the run: %.0f cycles\n",
              real(result, "cycles_per_packet_mean"));
}

// What differs from the relay that was asked for.
std::string difference(const json::object& result, const json::object& other) {
  const std::string kernels = result.at("environment").at("kernels").as_string().c_str();
  if (kernels != other.at("kernels").as_string().c_str()) {
    return std::string("kernels ") + other.at("kernels").as_string().c_str();
  }
  for (const auto& [key, text] : {std::pair("burst", "packets a burst"),
                                  {"bad_tag_percent", "% wrong link tags"},
                                  {"workers", "workers"}}) {
    if (real(result, key) != real(other, key)) {
      return std::to_string(static_cast<int>(real(other, key))) + " " + text;
    }
  }
  return "the same";
}

void print_compared(const json::object& result) {
  const json::value* others = result.if_contains("contenders");
  if (others == nullptr) {
    return;
  }
  for (const json::value& value : others->as_array()) {
    const json::object& other = value.as_object();
    std::printf("beside it %.0f TSC cycles a packet, %.2f times (%.2f to %.2f): %s\n",
                real(other, "cycles_per_packet"), real(other, "ratio"), real(other, "ratio_min"),
                real(other, "ratio_max"), difference(result, other).c_str());
  }
}

void print_stages(const json::object& result) {
  const json::value* stages = result.if_contains("stages");
  if (stages == nullptr) {
    return;
  }
  std::printf("by stage, with a clock that reads after each of them (%.0f cycles a packet):\n",
              real(result, "cycles_per_packet_with_stage_clock"));
  for (const auto& [name, cycles] : stages->as_object()) {
    std::printf("          %-14s %7.1f\n", std::string(name).c_str(), cycles.to_number<double>());
  }
}

std::string method(const json::object& result) {
  const bool is_ring = result.at("backend").as_string() == "ring";
  const double workers = real(result, "workers");
  std::string text = is_ring ? "a ring filled by the worker's own thread" : "replay file";
  text += " -> one whole relay on ";
  text += workers > 1 ? std::to_string(static_cast<int>(workers)) + " cores" : "one core";
  text += " -> null device";
  text += real(result, "ip") == 6 ? ", IPv6" : ", IPv4";
  if (real(result, "bad_tag_percent") > 0) {
    text += ", " + std::to_string(static_cast<int>(real(result, "bad_tag_percent"))) +
            " % of the packets with a wrong link tag";
  }
  return text;
}

void print_forward(const json::object& result) {
  const json::object& place = result.at("environment").as_object();
  std::printf("%s\n", bench::environment_text(place).c_str());
  std::printf("          kernels %s, pages %s, steal %.1f %% and %.0f preemptions during the run\n",
              place.at("kernels").as_string().c_str(), place.at("pages").as_string().c_str(),
              real(place, "steal_percent"), real(place, "preemptions"));
  std::printf(
      "method    %s; %.0f packets of %.0f sessions, %.1f MB, a new replay key each pass; bursts of "
      "%.0f; medians of slices of %.0f packets; a replay set of %.0f MB\n",
      method(result).c_str(), real(result, "packets"), real(result, "sessions"),
      real(result, "loop_bytes") / 1e6, real(result, "burst"), real(result, "slice_packets"),
      real(result, "replay_set_bytes") / 1e6);
  print_counts(result);
  if (result.at("valid").as_bool()) {
    print_figures(result);
    print_compared(result);
    print_stages(result);
  } else {
    std::printf(
        "no figure: for one every packet has to be new, forwarded and right, or dropped for the "
        "wrong link tag that it was given\n");
  }
}

void forward(const ForwardOptions& options) {
  std::vector<std::string> words = {"--class",    options.packet_class,
                                    "--repeats",  std::to_string(options.repeats),
                                    "--passes",   std::to_string(options.passes),
                                    "--backend",  options.backend,
                                    "--workers",  std::to_string(options.workers),
                                    "--bad-tags", std::to_string(options.bad_tags)};
  const std::vector<std::string> traffic = words_of(options.traffic);
  words.insert(words.end(), traffic.begin(), traffic.end());
  for (const std::string& kernels : options.compare_kernels) {
    words.insert(words.end(), {"--compare-kernels", kernels});
  }
  const auto add_numbers = [&](const char* word, const std::vector<std::size_t>& numbers) {
    for (const std::size_t number : numbers) {
      words.insert(words.end(), {word, std::to_string(number)});
    }
  };
  add_numbers("--compare-burst", options.compare_bursts);
  add_numbers("--compare-bad-tags", options.compare_bad_tags);
  add_numbers("--compare-workers", options.compare_workers);
  if (options.packets != 0) {
    words.insert(words.end(), {"--packets", std::to_string(options.packets)});
  }
  if (options.stages) {
    words.emplace_back("--stages");
  }
  if (options.same_replay_key) {
    words.emplace_back("--same-replay-key");
  }
  const HelperResult result = run_bench_helper(words);
  if (options.json) {
    print_json(result.object);
  } else {
    print_forward(result.object);
  }
  finish_with(result.exit_code);
}

// Each makes one more relay, which differs in this and takes turns with the first on the same packets.
void add_comparisons(CLI::App& verb, ForwardOptions& options) {
  verb.add_option("--compare-kernels", options.compare_kernels,
                  "In turns, a relay on these kernels (as ALLIUM_KERNEL) and how many times slower")
      ->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  const auto add_numbers = [&](const char* name, std::vector<std::size_t>& target, int low,
                               int high, const char* text) {
    verb.add_option(name, target, text)
        ->check(CLI::Range(low, high))
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add_numbers("--compare-burst", options.compare_bursts, 1, 32, "In turns, with these bursts");
  add_numbers("--compare-bad-tags", options.compare_bad_tags, 0, 100,
              "In turns, with this percentage of wrong link tags");
  add_numbers("--compare-workers", options.compare_workers, 1, 16, "In turns, on so many cores");
}

void add_forward(CLI::App& bench_verbs) {
  CLI::App* verb = bench_verbs.add_subcommand(
      "forward", "Packets a second of one whole relay on one core, from a replay file to nowhere");
  auto options = std::make_shared<ForwardOptions>();
  verb->add_option("--class", options->packet_class,
                   "d: 1232-byte packets, v: 256-byte packets, s: setup packets (S0)")
      ->check(CLI::IsMember({"d", "v", "s"}))
      ->capture_default_str();
  verb->add_option(
          "--packets", options->packets,
          "Packets in the loop, a multiple of the burst [as many as make 36 MB, 4096 of class s]")
      ->check(CLI::Range(1, 262'144));
  verb->add_option("--repeats", options->repeats, "Repeated measurements")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--passes", options->passes, "Passes over the loop in one of them")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--bad-tags", options->bad_tags,
                   "Percent of the packets that have a wrong link tag and must be dropped for it")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  verb->add_option("--backend", options->backend,
                   "pcap: a replay file; ring: the worker's own thread puts packets into a ring")
      ->check(CLI::IsMember({"pcap", "ring"}))
      ->capture_default_str();
  verb->add_option("--workers", options->workers,
                   "Cores, each with its share of the packets; rings")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  verb->add_flag(
      "--stages", options->stages,
      "Where the cycles go, by stage: from passes of their own, in turns with the others");
  add_traffic_options(*verb, options->traffic);
  add_comparisons(*verb, *options);
  verb->add_flag("--same-replay-key", options->same_replay_key,
                 "Keep the replay key: every packet was seen in the pass that the next relay "
                 "checked, so all are "
                 "dropped as replays, and there is no figure; shows that the set is really used");
  verb->add_flag("--json", options->json, "One JSON object on standard output");
  verb->footer(
      "Examples:\n  allium bench forward --class d\n  allium bench forward --class v --json\n"
      "  allium bench forward --class d --compare-kernels onion=ipsec-mb\n"
      "  allium bench forward --class d --compare-bad-tags 100 --compare-burst 1\n"
      "Numbers of virtual machines are ratios, not product figures.");
  verb->callback([options] {
    const bool is_one_worker = options->workers == 1 && options->compare_workers.empty();
    if (options->backend != "ring" && !is_one_worker) {
      std::fprintf(stderr, "error: several workers take --backend ring: a file has one queue\n");
      finish_with(kExitUsage);
    }
    if (options->stages && options->workers > 1) {
      std::fprintf(stderr, "error: --stages is of one worker\n");
      finish_with(kExitUsage);
    }
    if (options->packets % packet_step(*options) != 0) {
      std::fprintf(stderr,
                   "error: --packets takes a multiple of every burst and number of workers, here "
                   "of %zu\n",
                   packet_step(*options));
      finish_with(kExitUsage);
    }
    forward(*options);
  });
}

json::object marked_environment() {
  json::object environment = bench::environment();
  bench::mark_comparative(environment);
  return environment;
}

void print_crypto(const std::vector<bench::CryptoFigure>& figures) {
  std::printf("%s\n", bench::environment_text(marked_environment()).c_str());
  std::printf(
      "TSC cycles a packet by burst size; medians; packets and keys warm, packets of _l3 in 36 "
      "MB\n");
  std::printf("%-14s %-15s %-5s", "KERNEL", "FUNCTION", "CLASS");
  for (const std::size_t burst : bench::kBurstSizes) {
    std::printf(" %8zu", burst);
  }
  std::printf("\n");
  for (const bench::CryptoFigure& figure : figures) {
    std::printf("%-14s %-15s %-5s", figure.kernel.c_str(), figure.function.c_str(),
                figure.packet_class.c_str());
    for (const bench::Quartiles& cycles : figure.cycles_per_packet) {
      std::printf(" %8.0f", cycles.median);
    }
    if (!figure.yardstick.empty()) {
      std::printf("   %.2f x %s", figure.over_yardstick.back().median, figure.yardstick.c_str());
    }
    std::printf("\n");
  }
}

json::object by_burst(const std::vector<bench::Quartiles>& values,
                      double bench::Quartiles::*which) {
  json::object object;
  for (std::size_t i = 0; i < values.size(); ++i) {
    object[std::to_string(bench::kBurstSizes[i])] = values[i].*which;
  }
  return object;
}

void put_by_burst(json::object& object, const std::string& name,
                  const std::vector<bench::Quartiles>& values) {
  object[name + "_by_burst"] = by_burst(values, &bench::Quartiles::median);
  object[name + "_low_by_burst"] = by_burst(values, &bench::Quartiles::low);
  object[name + "_high_by_burst"] = by_burst(values, &bench::Quartiles::high);
}

json::object crypto_json(const std::vector<bench::CryptoFigure>& figures) {
  json::array list;
  for (const bench::CryptoFigure& figure : figures) {
    json::object object = {
        {"kernel", figure.kernel}, {"function", figure.function}, {"class", figure.packet_class}};
    put_by_burst(object, "cycles_per_packet", figure.cycles_per_packet);
    if (figure.loop_bytes != 0) {
      object["loop_bytes"] = figure.loop_bytes;
      object["loop_huge_percent"] = figure.loop_huge_percent;
    }
    if (!figure.yardstick.empty()) {
      object["yardstick"] = figure.yardstick;
      put_by_burst(object, "over_yardstick", figure.over_yardstick);
    }
    list.push_back(std::move(object));
  }
  return {{"schema", "allium.bench.crypto/1"},
          {"environment", marked_environment()},
          {"figures", std::move(list)}};
}

void add_crypto(CLI::App& bench_verbs) {
  CLI::App* verb = bench_verbs.add_subcommand(
      "crypto", "Every kernel that this CPU runs: cycles a packet by burst size");
  auto as_json = std::make_shared<bool>(false);
  auto is_quick = std::make_shared<bool>(false);
  verb->add_flag("--quick", *is_quick, "A quarter of the samples");
  verb->add_flag("--json", *as_json, "One JSON object on standard output");
  verb->callback([as_json, is_quick] {
    const auto figures = bench::measure_crypto(*is_quick, [](const std::string& what) {
      std::fprintf(stderr, "measuring %s\n", what.c_str());
    });
    if (*as_json) {
      print_json(crypto_json(figures));
    } else {
      print_crypto(figures);
    }
  });
}

void add_env(CLI::App& bench_verbs) {
  CLI::App* verb = bench_verbs.add_subcommand("env", "What this machine is, for the record");
  auto as_json = std::make_shared<bool>(false);
  verb->add_flag("--json", *as_json, "One JSON object on standard output");
  verb->callback([as_json] {
    json::object environment = marked_environment();
    if (*as_json) {
      environment["schema"] = "allium.bench.env/1";
      print_json(environment);
    } else {
      std::printf("%s\n", bench::environment_text(environment).c_str());
    }
  });
}

}  // namespace

void add_bench_verbs(CLI::App& program) {
  CLI::App* verbs = program.add_subcommand(
      "bench", "Measurements of this machine and of a devnet's service nodes");
  verbs->require_subcommand(1);
  add_forward(*verbs);
  add_no_drop_verb(*verbs);
  add_crypto(*verbs);
  add_report_verbs(*verbs);
  add_service_bench_verbs(*verbs);
  add_env(*verbs);
}

}  // namespace allium::cli
