// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bench/report_test_data.hpp"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

namespace allium::bench::test {
namespace {

namespace json = boost::json;

bool has_word(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

json::object environment_of_a_run() {
  return {{"cpu", "Model <X> & \"Y\""},
          {"tsc_hz", 2'000'000'000},
          {"kernels", "onion=vaes,x25519=ifma"},
          {"pages", "2 MiB"},
          {"steal_percent", 0.25}};
}

}  // namespace

ReportMachine vector_machine() {
  ReportMachine machine;
  machine.cpus = 2;
  machine.onion_kernels = {"ipsec-mb-sse", "ipsec-mb", "vaes"};
  machine.x25519_kernels = {"libsodium", "ifma"};
  machine.best_onion = "vaes";
  machine.best_x25519 = "ifma";
  machine.l3_bytes = 32'000'000;
  return machine;
}

json::object forward_result(double cycles) {
  return {{"schema", "allium.bench.forward/1"},
          {"class", "d"},
          {"ip", 4},
          {"burst", 32},
          {"valid", true},
          {"drops", json::object()},
          {"loop_bytes", 36'000'000},
          {"sessions", 4096},
          {"cycles_per_packet", cycles},
          {"cycles_per_packet_min", cycles * 0.95},
          {"cycles_per_packet_max", cycles * 1.1},
          {"io_cycles_per_packet", cycles * 0.1},
          {"cycles_without_io", cycles * 0.9},
          {"udp_checksum_cycles", 80},
          {"mpps", 2000 / cycles},
          {"gbit_s", 2000 / cycles * 1.232 * 8},
          {"environment", environment_of_a_run()}};
}

void add_contender(double ratio, json::object& result) {
  json::object contender =
      forward_result(result.at("cycles_per_packet").to_number<double>() * ratio);
  contender["kernels"] = "onion=other";
  contender["ratio"] = ratio;
  contender["ratio_min"] = ratio * 0.9;
  contender["ratio_max"] = ratio * 1.1;
  if (!result.contains("contenders")) {
    result["contenders"] = json::array();
  }
  result["contenders"].as_array().push_back(std::move(contender));
}

json::object no_drop_result() {
  return {{"schema", "allium.bench.no_drop/1"}, {"valid", true},
          {"loop_bytes", 36'000'000},           {"no_drop", {{"mpps", 1.5}}},
          {"partial_drop", {{"mpps", 1.75}}},   {"flooded", {{"mpps", 2.0}}}};
}

json::object crypto_result() {
  const auto row = [](const char* kernel, const char* function, const char* packet_class,
                      double cycles) {
    return json::object{
        {"kernel", kernel},
        {"function", function},
        {"class", packet_class},
        {"cycles_per_packet_by_burst", {{"1", cycles * 2}, {"32", cycles}}},
        {"cycles_per_packet_low_by_burst", {{"1", cycles * 1.9}, {"32", cycles * 0.9}}},
        {"cycles_per_packet_high_by_burst", {{"1", cycles * 2.1}, {"32", cycles * 1.1}}}};
  };
  const auto over = [](json::object object, const char* yardstick, double ratio) {
    object["yardstick"] = yardstick;
    object["over_yardstick_by_burst"] = {{"32", ratio}};
    object["over_yardstick_low_by_burst"] = {{"32", ratio * 0.98}};
    object["over_yardstick_high_by_burst"] = {{"32", ratio * 1.02}};
    return object;
  };
  return {{"schema", "allium.bench.crypto/1"},
          {"environment", environment_of_a_run()},
          {"figures",
           {over(row("vaes", "chain_l3", "d", 600), "ipsec-mb floor_l3", 1.5),
            over(row("vaes", "chain", "d", 500), "ipsec-mb floor", 1.6),
            over(row("vaes", "chain_l3", "v", 200), "ipsec-mb floor_l3", 3),
            row("ipsec-mb", "floor_l3", "d", 400), row("ipsec-mb", "floor", "d", 300),
            row("libsodium", "x25519", "", 140'000),
            over(row("ifma", "x25519", "", 20'000), "libsodium x25519", 1.0 / 7)}}};
}

Result<ProgramEnd> FakeProgram::operator()(const std::vector<std::string>& words,
                                           const std::string& kernels, double /*seconds_max*/) {
  PlannedRun run;
  run.words = words;
  run.kernels = kernels;
  const std::string command = command_line(run);
  commands.push_back(command);
  now_s += 1;
  for (const auto& [part, end] : answers) {
    if (command.find(part) != std::string::npos) {
      return end;
    }
  }
  if (has_word(words, "no-drop")) {
    return ProgramEnd{0, false, json::serialize(no_drop_result()), ""};
  }
  json::object result = has_word(words, "crypto") ? crypto_result() : forward_result(500);
  for (const std::string& word : words) {
    if (word.rfind("--compare-", 0) == 0) {
      add_contender(word == "--compare-workers" ? 0.5 : 4, result);
    }
  }
  return ProgramEnd{0, false, json::serialize(result), ""};
}

json::array fake_runs(const ReportPlan& plan, FakeProgram& program) {
  auto runs = carry_out(
      plan, {1000, 100},
      [&](const auto& words, const auto& kernels, double seconds) {
        return program(words, kernels, seconds);
      },
      [&] { return program.now_s; }, [](const std::string&) {});
  return std::move(runs.value());
}

json::object fake_report(FakeProgram& program, const ReportMachine& machine) {
  ReportFacts facts;
  facts.version = "0.1.0";
  facts.begun_utc = "2026-01-02T03:04:05Z";
  facts.seconds = 12;
  facts.environment = {{"cpu", "Model <X> & \"Y\""}, {"cpus", 2},
                       {"isa", {"aes", "avx2"}},     {"l2_bytes", 2097152},
                       {"l3_bytes", 33554432},       {"virtual", false},
                       {"tsc_hz", 2'000'000'000},    {"tsc_is_constant", true},
                       {"huge_pages_free", 8},       {"kernel_release", "6.1"},
                       {"steal_percent", 0.5}};
  const ReportPlan plan = plan_report(facts.size, machine);
  return make_report(plan, machine, fake_runs(plan, program), std::move(facts));
}

}  // namespace allium::bench::test
