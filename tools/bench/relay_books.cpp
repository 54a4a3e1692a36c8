// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/relay_books.hpp"

#include <string>

#include "dataplane/onion/verdict.hpp"

namespace allium::bench {

RelayBooks books_of(const Contender& contender) {
  return {contender.counters(), contender.sink_count(), contender.replay_places_taken()};
}

Outcome outcome_of(const RelayBooks& begin, const RelayBooks& end) {
  Outcome outcome;
  outcome.received = end.relay.received - begin.relay.received;
  outcome.forwarded = end.relay.forwarded - begin.relay.forwarded;
  outcome.sink = end.sink - begin.sink;
  outcome.written = end.written - begin.written;
  for (std::size_t v = onion::kFirstDrop; v < onion::kVerdictCount; ++v) {
    const std::uint64_t count = end.relay.verdicts[v] - begin.relay.verdicts[v];
    if (count != 0) {
      outcome.drops[std::string(onion::verdict_name(static_cast<onion::Verdict>(v)))] = count;
    }
  }
  return outcome;
}

}  // namespace allium::bench
