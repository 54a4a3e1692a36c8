// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/report_verbs.hpp"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <boost/json.hpp>

#include "crypto_accel/kernel_registry.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/program_run.hpp"
#include "tools/bench/report.hpp"
#include "tools/bench/report_compare.hpp"
#include "tools/bench/report_folder.hpp"
#include "tools/bench/report_html.hpp"
#include "tools/bench/report_runs.hpp"
#include "tools/cli/output.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

// A report takes less than 15 minutes, a quick one less than two, whatever the machine.
constexpr double kReportSeconds = 870;
constexpr double kQuickReportSeconds = 112;
constexpr double kRunSeconds = 120;

// A report is some megabytes; a file beyond this is none.
constexpr std::uintmax_t kMeasurementBytesMax = 64'000'000;

struct ReportWords {
  std::string folder;
  bench::ReportSize size;
  bool json = false;
};

double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string kernel_wish() {
  const char* const wish =
      std::getenv("ALLIUM_KERNEL");  // NOLINT(concurrency-mt-unsafe): the only thread
  return wish == nullptr ? "" : wish;
}

bench::ReportMachine this_machine(const json::object& environment) {
  const auto best = crypto_accel::select_kernels(kernel_wish());
  if (!best) {
    finish_with(best.error());
  }
  bench::ReportMachine machine;
  machine.cpus = environment.at("cpus").to_number<std::size_t>();
  machine.l3_bytes = environment.at("l3_bytes").to_number<std::size_t>();
  machine.available_memory_bytes = bench::available_memory_bytes();
  machine.best_onion = std::string(best->onion->name);
  machine.best_x25519 = std::string(best->x25519->name);
  for (const auto& kernel : crypto_accel::onion_kernels()) {
    if (kernel.supported()) {
      machine.onion_kernels.emplace_back(kernel.name);
    }
  }
  for (const auto& kernel : crypto_accel::x25519_kernels()) {
    if (kernel.supported()) {
      machine.x25519_kernels.emplace_back(kernel.name);
    }
  }
  return machine;
}

std::string this_program() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path helper = path.parent_path() / "allium-bench-dp";
  if (error || access(helper.c_str(), X_OK) != 0) {
    finish_with(Error{Errc::unavailable,
                      helper.string() + " is not there; build it: cmake --build --preset release"});
  }
  return path.string();
}

/// The runs of the plan, each this program again.
json::array carry_out(const bench::ReportPlan& plan, double seconds_max,
                      const std::string& program) {
  bench::ProgramRuns programs(program, "allium");
  auto runs = bench::carry_out(
      plan, {seconds_max, kRunSeconds},
      [&](const std::vector<std::string>& words, const std::string& kernels, double seconds) {
        return programs.run(words, kernels, seconds);
      },
      seconds_now, [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
  if (!runs && programs.interrupted_by() != 0) {
    std::fprintf(stderr, "error: %s; nothing was written\n", runs.error().text.c_str());
    finish_with(128 + programs.interrupted_by());
  }
  if (!runs) {
    finish_with(runs.error());
  }
  return std::move(*runs);
}

json::object measure(const ReportWords& words, const std::string& program) {
  bench::ReportFacts facts;
  facts.version = ALLIUM_VERSION;
  facts.begun_utc = utc_now();
  facts.size = words.size;
  facts.seconds_max = words.size.quick ? kQuickReportSeconds : kReportSeconds;
  facts.kernel_wish = kernel_wish();
  facts.environment = bench::environment();
  const bench::ReportMachine machine = this_machine(facts.environment);
  const bench::ReportPlan plan = bench::plan_report(words.size, machine);
  const double begin = seconds_now();
  const bench::MachineTime begin_time = bench::machine_time();
  json::array runs = carry_out(plan, facts.seconds_max, program);
  facts.seconds = seconds_now() - begin;
  facts.environment["steal_percent"] = bench::steal_percent(begin_time, bench::machine_time());
  return bench::make_report(plan, machine, std::move(runs), std::move(facts));
}

void report(const ReportWords& words) {
  const std::string program = this_program();
  auto folder = bench::ReportFolder::open(words.folder);
  if (!folder) {
    finish_with(folder.error());
  }
  const json::object report = measure(words, program);
  if (auto written = folder->write(json::serialize(report) + "\n", bench::report_html(report));
      !written) {
    finish_with(written.error());
  }
  if (words.json) {
    print_json(report);
  } else {
    std::printf("%s\n%s%s\n%s\n",
                bench::environment_text(report.at("environment").as_object()).c_str(),
                bench::report_text(report).c_str(), folder->html_path().c_str(),
                folder->json_path().c_str());
  }
  finish_with(bench::is_complete(report) ? kExitDone : kExitNegative);
}

void add_report(CLI::App& bench_verbs) {
  CLI::App* const verb = bench_verbs.add_subcommand(
      "report", "Everything that is measured of a relay, as a page and as JSON");
  const auto words = std::make_shared<ReportWords>();
  verb->add_option("--out", words->folder,
                   "Directory for report.html and report.json; empty, new or an earlier report")
      ->required();
  verb->add_flag("--quick", words->size.quick,
                 "Less than two minutes instead of 15: fewer repeats and points, no fewer figures");
  verb->add_option("--packets", words->size.packets,
                   "Packets in every loop, a multiple of 32; small loops stay in caches [as many "
                   "as make 36 MB]")
      ->check(CLI::Range(32, 262'144));
  verb->add_option("--repeats", words->size.repeats,
                   "Repeated measurements of every run [7, quick: 3]")
      ->check(CLI::Range(1, 1000));
  verb->add_flag("--json", words->json, "Print report.json, too");
  verb->footer(
      "Runs `allium bench forward` and `allium bench crypto` with all sorts of options, one after "
      "the other, and shows the "
      "figures\nagainst their bars. Leave the machine alone meanwhile. What cannot be measured is "
      "named with its reason, "
      "and the rest\ngoes on.\n"
      "Exit codes: 0 all measured, 1 a figure is missing or a run failed (the report is written), "
      "2 usage, 3 refused, "
      "4 the\nhelper is missing.\n"
      "Examples:\n  allium bench report --out report\n  allium bench report --out quick --quick\n"
      "Numbers of virtual machines are ratios, not product figures.");
  verb->callback([words] {
    if (words->size.packets % 32 != 0) {
      std::fprintf(stderr, "error: --packets takes a multiple of 32\n");
      finish_with(kExitUsage);
    }
    report(*words);
  });
}

json::value measurement(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) {
    finish_with(Error{error == std::errc::no_such_file_or_directory ? Errc::not_found : Errc::io,
                      path + ": " + error.message()});
  }
  if (size > kMeasurementBytesMax) {
    finish_with(Error{Errc::malformed, path + " is too large for a measurement"});
  }
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  json::error_code problem;
  json::value value = json::parse(text, problem);
  if (!file || problem) {
    finish_with(
        Error{Errc::malformed, path + " is no JSON" + (problem ? ": " + problem.message() : "")});
  }
  return value;
}

struct CompareWords {
  std::string a;
  std::string b;
  double max_regress_percent = 2;
  bool json = false;
};

void compare(const CompareWords& words) {
  const json::value a = measurement(words.a);
  const json::value b = measurement(words.b);
  const auto comparison = bench::compare_measurements(a, b, words.max_regress_percent);
  if (!comparison) {
    finish_with(Error{comparison.error().code,
                      comparison.error().text + " (A is " + words.a + ", B is " + words.b + ")"});
  }
  for (const std::string& warning : comparison->warnings) {
    std::fprintf(stderr, "WARNING: %s\n", warning.c_str());
  }
  if (!comparison->warnings.empty()) {
    std::fprintf(stderr,
                 "WARNING: A and B were not measured under the same conditions: what differs may "
                 "be the machine\n");
  }
  if (words.json) {
    print_json(bench::comparison_json(*comparison, words.max_regress_percent));
  } else {
    std::printf("A  %s\nB  %s\n%s", words.a.c_str(), words.b.c_str(),
                bench::comparison_text(*comparison).c_str());
  }
  finish_with(bench::is_no_regress(*comparison) ? kExitDone : kExitNegative);
}

void add_compare(CLI::App& bench_verbs) {
  CLI::App* const verb = bench_verbs.add_subcommand(
      "compare", "Whether B is faster than A: two reports, or two results of forward or crypto");
  const auto words = std::make_shared<CompareWords>();
  verb->add_option("A", words->a,
                   "report.json, or what `bench forward --json` or `bench crypto --json` printed")
      ->required();
  verb->add_option("B", words->b, "Another one of the same kind")->required();
  verb->add_option("--max-regress", words->max_regress_percent,
                   "Percent by which a figure of B may be worse")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  verb->add_flag("--json", words->json, "One JSON object on standard output");
  verb->footer(
      "A difference counts where the ranges of the repeats do not overlap; else the two are the "
      "same.\n"
      "Exit codes: 0 nothing is slower, 1 a figure is slower by more than --max-regress or is "
      "missing in B, 2 usage, "
      "3 a file\nis no measurement or the two did different work, 4 there is no such file.\n"
      "Examples:\n  allium bench compare base/report.json new/report.json\n"
      "  allium bench compare base.json new.json --max-regress 5");
  verb->callback([words] { compare(*words); });
}

}  // namespace

void add_report_verbs(CLI::App& bench_verbs) {
  add_report(bench_verbs);
  add_compare(bench_verbs);
}

}  // namespace allium::cli
