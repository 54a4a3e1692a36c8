// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/no_drop_verb.hpp"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <boost/json.hpp>

#include "tools/bench/environment.hpp"
#include "tools/cli/bench_helper.hpp"
#include "tools/cli/output.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

struct NoDropOptions {
  std::string packet_class = "d";
  TrafficOptions traffic;
  std::size_t packets = 0;
  double trial_seconds = 1;
  double step_percent = 1;
  bool json = false;
};

void print_rate(const char* name, const json::object& rate, const std::string& text) {
  std::printf("%-9s %.3f Mpps  %.2f Gbit/s of UDP payload  %s\n", name, real(rate, "mpps"),
              real(rate, "gbit_s"), text.c_str());
}

void print_found(const char* name, const json::object& found, const std::string& text) {
  if (real(found, "mpps") == 0) {
    std::printf("%-9s none: packets were lost at every rate that was tried\n", name);
    return;
  }
  print_rate(name, found,
             found.at("is_at_least").as_bool() ? text + "; nothing higher was tried" : text);
}

void print_no_drop(const json::object& result) {
  const json::object& place = result.at("environment").as_object();
  std::printf("%s\n", bench::environment_text(place).c_str());
  std::printf("          kernels %s, pages %s, steal %.1f %% during the search\n",
              place.at("kernels").as_string().c_str(), place.at("pages").as_string().c_str(),
              real(place, "steal_percent"));
  const json::array& trials = result.at("trials").as_array();
  std::printf(
      "method    a generator on one core -> ring of %.0f packets -> one whole relay on another -> "
      "null device, IPv%.0f;\n"
      "          %.0f packets of %.0f sessions, %.1f MB, a new replay key twice a loop; %zu trials "
      "of %g s, halving to %g %% of the flooded rate\n",
      real(result, "ring_frames"), real(result, "ip"), real(result, "packets"),
      real(result, "sessions"), real(result, "loop_bytes") / 1e6, trials.size(),
      real(result, "trial_seconds"), real(result, "step_percent"));
  std::printf(
      "packets   taken by the ring %.0f, received %.0f, forwarded %.0f, counted by the sink %.0f, "
      "written to the replay set %.0f\n",
      real(result, "accepted"), real(result, "received"), real(result, "forwarded"),
      real(result, "counted_by_sink"), real(result, "written_to_replay_set"));
  if (!result.at("valid").as_bool()) {
    std::printf(
        "no rate: for one every packet that the ring took has to be new, forwarded and right\n");
    return;
  }
  const json::object& no_drop = result.at("no_drop").as_object();
  const json::object& partial = result.at("partial_drop").as_object();
  char lost[48];
  std::snprintf(lost, sizeof lost, "at most %g %% of a trial lost",
                real(partial, "loss_percent_max"));
  print_found("no drop", no_drop, "none of a trial lost");
  print_found("few drops", partial, lost);
  print_rate("flooded", result.at("flooded").as_object(), "forwarded while more was offered");
  double interruptions = 0;
  for (const json::value& trial : trials) {
    interruptions += real(trial.as_object(), "interruptions");
  }
  if (interruptions > 0) {
    std::printf(
        "          the relay's core was taken away %.0f times in %.0f s: what was lost then is not "
        "the relay's rate; give it a core of its own\n",
        interruptions, static_cast<double>(trials.size()) * real(result, "trial_seconds"));
  }
}

void no_drop(const NoDropOptions& options) {
  std::vector<std::string> words = {"no-drop",
                                    "--class",
                                    options.packet_class,
                                    "--trial-seconds",
                                    std::to_string(options.trial_seconds),
                                    "--step-percent",
                                    std::to_string(options.step_percent)};
  const std::vector<std::string> traffic = words_of(options.traffic);
  words.insert(words.end(), traffic.begin(), traffic.end());
  if (options.packets != 0) {
    words.insert(words.end(), {"--packets", std::to_string(options.packets)});
  }
  const HelperResult result = run_bench_helper(words);
  if (options.json) {
    print_json(result.object);
  } else {
    print_no_drop(result.object);
  }
  finish_with(result.exit_code);
}

}  // namespace

void add_no_drop_verb(CLI::App& bench_verbs) {
  CLI::App* verb = bench_verbs.add_subcommand(
      "no-drop", "The highest rate that one relay on one core keeps without losing a packet");
  auto options = std::make_shared<NoDropOptions>();
  verb->add_option("--class", options->packet_class, "d: 1232-byte packets, v: 256-byte packets")
      ->check(CLI::IsMember({"d", "v"}))
      ->capture_default_str();
  verb->add_option("--packets", options->packets,
                   "Packets in the loop, a multiple of the burst [as many as make 36 MB]")
      ->check(CLI::Range(4096, 262'144));
  add_traffic_options(*verb, options->traffic);
  verb->add_option("--trial-seconds", options->trial_seconds, "How long a rate has to be kept")
      ->check(CLI::Range(0.01, 600.0))
      ->capture_default_str();
  verb->add_option("--step-percent", options->step_percent,
                   "How near the search comes, in percent of what the relay forwards in a flood")
      ->check(CLI::Range(0.1, 50.0))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "One JSON object on standard output");
  verb->footer(
      "A search as in RFC 2544, section 26.1: a rate is offered for some time; whether anything "
      "was "
      "lost says in which half the search goes on.\n"
      "RFC 2544 keeps the last rate for 60 s: --trial-seconds 60. Takes two CPUs that nobody else "
      "uses.\n"
      "Examples:\n  allium bench no-drop --class d\n"
      "  allium bench no-drop --class v --trial-seconds 10 --json");
  verb->callback([options] {
    if (options->packets % options->traffic.burst != 0) {
      std::fprintf(stderr, "error: --packets takes a multiple of the burst, here of %zu\n",
                   options->traffic.burst);
      finish_with(kExitUsage);
    }
    no_drop(*options);
  });
}

}  // namespace allium::cli
