// SPDX-License-Identifier: Apache-2.0
#include "control/manage/counters_json.hpp"

#include "dataplane/onion/verdict.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::control {

namespace json = boost::json;

json::object counters_json(const std::string& node, const control_port::Counters& counters) {
  json::object drops;
  json::object by_type;
  std::uint64_t dropped = 0;
  for (std::size_t v = onion::kFirstDrop; v < onion::kVerdictCount; ++v) {
    const std::string name(onion::verdict_name(static_cast<onion::Verdict>(v)));
    drops[name] = counters.verdicts[v];
    dropped += counters.verdicts[v];
  }
  for (std::size_t type = 0; type < counters.by_type.size(); ++type) {
    json::object row;
    for (std::size_t v = 0; v < onion::kVerdictCount; ++v) {
      if (counters.by_type[type][v] != 0) {
        row[std::string(onion::verdict_name(static_cast<onion::Verdict>(v)))] =
            counters.by_type[type][v];
      }
    }
    if (!row.empty()) {
      const std::string_view name =
          type == 0 ? "unknown" : onion::type_info(static_cast<onion::PacketType>(type)).name;
      by_type[std::string(name)] = std::move(row);
    }
  }
  const bool is_balanced =
      counters.received == counters.forwarded + counters.delivered + dropped + counters.parked &&
      counters.sent == counters.forwarded + counters.answers + counters.challenges;
  return {{"node", node},
          {"uptime_ms", counters.uptime_ms},
          {"received", counters.received},
          {"forwarded", counters.forwarded},
          {"delivered", counters.delivered},
          {"dropped", dropped},
          {"parked", counters.parked},
          {"sent", counters.sent},
          {"answers", counters.answers},
          {"challenges", counters.challenges},
          {"not_onion", counters.not_onion},
          {"balanced", is_balanced},
          {"drops", std::move(drops)},
          {"by_type", std::move(by_type)}};
}

}  // namespace allium::control
