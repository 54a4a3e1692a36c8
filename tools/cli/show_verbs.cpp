// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <memory>
#include <string>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <boost/json.hpp>

#include "dataplane/onion/verdict.hpp"
#include "tools/cli/devnet_verbs.hpp"
#include "tools/cli/output.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

long long number(const json::object& object, const char* key) {
  return object.at(key).to_number<long long>();
}

void print_counters(const json::object& node) {
  std::printf("%s\n", node.at("node").as_string().c_str());
  std::printf("  received  %10lld = forwarded %lld + delivered %lld + dropped %lld + parked %lld\n",
              number(node, "received"), number(node, "forwarded"), number(node, "delivered"),
              number(node, "dropped"), number(node, "parked"));
  std::printf("  sent      %10lld = forwarded %lld + answers %lld + challenges %lld\n",
              number(node, "sent"), number(node, "forwarded"), number(node, "answers"),
              number(node, "challenges"));
  std::printf("  books     %s\n", node.at("balanced").as_bool() ? "balanced" : "DO NOT BALANCE");
  for (const auto& [type, row] : node.at("by_type").as_object()) {
    std::printf("  %-8s", std::string(type).c_str());
    for (const auto& [verdict, count] : row.as_object()) {
      std::printf("  %s %lld", std::string(verdict).c_str(), count.to_number<long long>());
    }
    std::printf("\n");
  }
}

void print_drops(const json::object& node) {
  std::printf("%s  dropped %lld of %lld received\n", node.at("node").as_string().c_str(),
              number(node, "dropped"), number(node, "received"));
  const json::object& drops = node.at("drops").as_object();
  for (std::size_t v = onion::kFirstDrop; v < onion::kVerdictCount; ++v) {
    const auto verdict = static_cast<onion::Verdict>(v);
    const std::string name(onion::verdict_name(verdict));
    const long long count = number(drops, name.c_str());
    if (count > 0) {
      std::printf("  %10lld  %-13s %s\n", count, name.c_str(),
                  std::string(onion::verdict_explanation(verdict)).c_str());
    }
  }
}

void add_verb(CLI::App& show, const char* name, const char* description,
              void (*print)(const json::object&)) {
  CLI::App* verb = show.add_subcommand(name, description);
  auto node = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  verb->add_option("NODE", *node, "n1, n2, ..., the start of an id, or all")->required();
  verb->add_flag("--json", *as_json, "One JSON object on standard output");
  verb->callback([=] {
    const json::object answer = ask({{"verb", "counters"}, {"node", *node}});
    if (*as_json) {
      print_json(answer);
    } else {
      for (const json::value& item : answer.at("nodes").as_array()) {
        print(item.as_object());
      }
    }
    const json::array& silent = answer.at("without_answer").as_array();
    for (const json::value& item : silent) {
      std::fprintf(stderr, "%s gives no counters: %s\n", item.at("node").as_string().c_str(),
                   item.at("reason").as_string().c_str());
    }
    finish_with(silent.empty() ? kExitDone : kExitNegative);
  });
}

}  // namespace

void add_show_verbs(CLI::App& program) {
  CLI::App* show = program.add_subcommand("show", "What relays have counted");
  show->require_subcommand(1);
  add_verb(*show, "counters", "Where every packet went, and whether the books balance",
           print_counters);
  add_verb(*show, "drops", "Dropped packets by reason, each in words", print_drops);
}

}  // namespace allium::cli
