// SPDX-License-Identifier: Apache-2.0
#include "control/node_status.hpp"

#include <sys/timex.h>

#include <array>
#include <string_view>
#include <utility>

#include "control/service/encoding.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

constexpr std::uint64_t kDocumentWarningS = 86'400;

json::object dataplane_json(const DataplaneState& dp, const FastLaneCounters& fast_lane) {
  return {{"connected", dp.is_connected},
          {"serving", dp.is_serving},
          {"problem", dp.problem},
          {"pid", dp.pid},
          {"workers", dp.workers},
          {"device", dp.device},
          {"kernels", dp.kernels},
          {"accepts_from_ms", dp.accepts_from_ms},
          {"relays", dp.relays},
          {"connections", dp.connections},
          {"requests", fast_lane.requests},
          {"answered", fast_lane.answered},
          {"answers_too_long", fast_lane.too_long},
          {"answers_lost", dp.replies_lost},
          {"malformed", fast_lane.malformed},
          {"unserved", fast_lane.unserved},
          {"busy", fast_lane.busy}};
}

std::string mib(std::uint64_t bytes) {
  return std::to_string(bytes >> 20);
}

json::object omq_status(const OmqCounters& omq) {
  return {{"received", omq.received},
          {"answered", omq.answered},
          {"answers_oversized", omq.answers_oversized},
          {"refused_unknown", omq.refused_unknown},
          {"refused_forbidden", omq.refused_forbidden},
          {"refused_no_tag", omq.refused_no_tag},
          {"refused_busy", omq.refused_busy},
          {"refused_clients", omq.refused_clients},
          {"refused_address_full", omq.refused_address_full},
          {"cut_idle", omq.cut_idle},
          {"cut_silent", omq.cut_silent},
          {"malformed", omq.malformed},
          {"oversized", omq.oversized},
          {"unsent_gone", omq.unsent_gone},
          {"unsent_full", omq.unsent_full},
          {"cut_slow", omq.cut_slow},
          {"cut_unfinished", omq.cut_unfinished},
          {"cut_node", omq.cut_node},
          {"cut_broken", omq.cut_broken},
          {"requested", omq.requested},
          {"timeouts", omq.timeouts},
          {"unknown_tags", omq.unknown_tags}};
}

}  // namespace

std::string broken_advice(const storage::StoreDisk& disk) {
  const std::string last_try = disk.problem.empty() ? "" : " (last try: " + disk.problem + ")";
  if (disk.waits_for_descriptors) {
    return "alliumd had no descriptors left for its files; it goes on by itself when there are "
           "some again. If it stays so, raise LimitNOFILE of its unit" +
           last_try;
  }
  if (!disk.waits_for_room) {
    return "look at the disk, then restart alliumd";
  }
  return "its disk is full; make room for " + mib(disk.bytes_to_open) +
         " MiB, it then goes on by itself" + last_try;
}

KernelClock read_kernel_clock() {
  timex about{};
  const int state = ntp_adjtime(&about);
  const double unit_ms = (about.status & STA_NANO) != 0 ? 1e-6 : 1e-3;
  return {state != TIME_ERROR && (about.status & STA_UNSYNC) == 0,
          static_cast<double>(about.offset) * unit_ms};
}

std::string swarm_text(SwarmId swarm) {
  if (swarm == kNoSwarm) {
    return "none";
  }
  std::array<std::uint8_t, 8> bytes;
  store_be(bytes.data(), swarm, bytes.size());
  return to_hex(bytes);
}

json::array problems_of(const NodeReport& report) {
  const NodeServiceStatus& now = report.service;
  json::array found;
  const auto add = [&found](std::string_view text) { found.emplace_back(text); };
  if (!report.registry_problem.empty()) {
    add(report.registry_problem);
  }
  if (!report.fetch_problem.empty()) {
    add("the network document is not fetched: " + report.fetch_problem);
  }
  if (!now.is_ready && report.valid_until_s != 0) {
    add("the network document has no service node (no 'service' line of a relay): clients are "
        "answered 503; ask its authorities for another");
  } else if (!now.is_ready) {
    add("no list of nodes yet: clients are answered 503");
  } else if (now.swarm == kNoSwarm) {
    add("the network document has this node in no swarm");
  } else if (report.valid_until_s < report.now_s + kDocumentWarningS &&
             report.registry_problem.empty()) {
    add("the network document ends within a day: get a newer one");
  }
  if (!report.is_clock_good) {
    add("the clock is off by " + std::to_string(report.clock_offset_ms.value_or(0)) +
        " ms against other nodes: set it (timedatectl); no packets are forwarded until then");
  } else if (report.dataplane && !report.dataplane->is_serving) {
    add("no packets are forwarded: " + report.dataplane->problem);
  }
  if (now.members > 1 && now.members_dead > 0) {
    add(std::to_string(now.members_dead) + " of " + std::to_string(now.members - 1) +
        " other members of the swarm do not answer; what they miss is kept for them" +
        (now.fetch.parts_open > 0 ? ", and what this node lacks it gets when they do" : ""));
  }
  if (report.omq_turned_away > 0) {
    add("there are too many OMQ connections: " + std::to_string(report.omq_turned_away) +
        " were turned away in the last seconds (omq in --json: cut_silent have said nothing, "
        "refused_clients and cut_idle are clients beyond the bound, cut_unfinished had messages "
        "that did not end); see who has many (ss -tn)");
  }
  if (report.disk.is_broken) {
    add("the store cannot write: " + broken_advice(report.disk));
  } else if (now.store.is_nearly_full) {
    add("the store is nearly full: raise [storage] max_bytes, or add disk");
  }
  if (report.disk.is_nearly_full && !report.disk.is_broken) {
    add("the store's disk is nearly full: " + mib(report.disk.bytes_free.value_or(0)) +
        " MiB are free where " + mib(report.disk.bytes_wanted) +
        " should be; make room, or lower [storage] max_bytes");
  }
  return found;
}

json::object status_json(const NodeReport& report) {
  const NodeServiceStatus& now = report.service;
  json::array problem_list = problems_of(report);
  json::object status;
  status["schema"] = "allium.status/1";
  status["version"] = ALLIUM_VERSION;
  status["healthy"] = problem_list.empty();
  status["problems"] = std::move(problem_list);
  status["node"] = to_hex(report.node);
  status["uptime_s"] = report.now_s - report.started_s;
  status["ready"] = now.is_ready;
  status["swarm"] = now.swarm == kNoSwarm ? json::value() : json::value(swarm_text(now.swarm));
  status["members"] = now.members;
  status["members_dead"] = now.members_dead;
  status["members_behind"] = now.members_behind;
  status["network"] = {{"height", report.height}, {"valid_until_s", report.valid_until_s}};
  const auto& bytes_free = report.disk.bytes_free;
  status["store"] = {{"messages", now.store.messages},
                     {"accounts", now.store.accounts},
                     {"used_bytes", now.store.bytes_used},
                     {"limit_bytes", now.store.bytes_limit},
                     {"disk_free_bytes", bytes_free ? json::value(*bytes_free) : json::value()},
                     {"disk_wanted_bytes", report.disk.bytes_wanted}};
  status["requests"] = {{"rpc", now.rpc_requests},
                        {"rate_limited", now.rate_limited},
                        {"onion", now.onion.received},
                        {"onion_refused", now.onion.refused},
                        {"connections", now.https.connections_open},
                        {"subscriptions", now.subscriptions}};
  status["omq"] = omq_status(now.omq);
  status["swarm_traffic"] = {{"forwarded", now.swarm_counters.forwarded},
                             {"timeouts", now.swarm_counters.timeouts},
                             {"queued", now.swarm_counters.queued},
                             {"handed_over", now.swarm_counters.handed_over},
                             {"kept_by_others", now.swarm_counters.kept_by_others},
                             {"lost_records", now.swarm_counters.lost_records},
                             {"moot", now.swarm_counters.moot},
                             {"finished_late", now.swarm_counters.finished_late},
                             {"done_again", now.swarm_counters.done_again},
                             {"messages_pushed", now.swarm_counters.messages_pushed},
                             {"messages_taken", now.swarm_counters.messages_taken},
                             {"messages_refused", now.swarm_counters.messages_refused}};
  status["fetch"] = {{"parts_open", now.fetch.parts_open},
                     {"pages", now.fetch.pages},
                     {"served", now.fetch.served}};
  status["clock"] = {
      {"synchronised", report.kernel_clock.is_synchronised},
      {"kernel_offset_ms", report.kernel_clock.offset_ms},
      {"offset_ms", report.clock_offset_ms ? json::value(*report.clock_offset_ms) : json::value()},
      {"good", report.is_clock_good}};
  status["dataplane"] = report.dataplane
                            ? json::value(dataplane_json(*report.dataplane, now.fast_lane))
                            : json::value();
  status["records"] = {{"known", report.records_known},
                       {"taken", now.records.taken},
                       {"older", now.records.older},
                       {"refused", now.records.refused},
                       {"last_refusal", now.records.last_refusal}};
  return status;
}

std::string status_line(const NodeReport& report) {
  const NodeServiceStatus& now = report.service;
  return ALLIUM_VERSION " " + std::string(problems_of(report).empty() ? "ACTIVE" : "DEGRADED") +
         " swarm=" + swarm_text(now.swarm) + "(" + std::to_string(now.members) + ") " +
         std::to_string(now.store.messages) + " msgs";
}

}  // namespace allium::control
