// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/no_drop_search.hpp"

#include <algorithm>
#include <optional>

namespace allium::bench {
namespace {

class Search {
 public:
  Search(const SearchLimits& limits, const RunTrial& run, std::vector<Trial>& trials)
      : limits_(limits), run_(run), trials_(trials) {}

  Result<FoundRate> result() {
    learn();
    if (!failed_pps_) {
      if (auto tried = try_at(limits_.most_pps); !tried) {
        return tl::unexpected(tried.error());
      }
    }
    while (failed_pps_ && *failed_pps_ - passed_.wanted_pps > limits_.step_pps) {
      if (auto tried = try_at((passed_.wanted_pps + *failed_pps_) / 2); !tried) {
        return tl::unexpected(tried.error());
      }
    }
    return FoundRate{offered_most_pps(), !failed_pps_};
  }

 private:
  [[nodiscard]] bool passes(const Trial& trial) const { return trial.loss() <= limits_.loss_max; }

  /// Not that of the trial at the highest rate: its generator may have been interrupted and have offered less than another.
  [[nodiscard]] double offered_most_pps() const {
    double most = 0;
    for (const Trial& trial : trials_) {
      if (passes(trial)) {
        most = std::max(most, trial.offered_pps);
      }
    }
    return most;
  }

  /// Between which rates the search goes on. Where one failed and a higher one passed, the failure was chance.
  void learn() {
    for (const Trial& trial : trials_) {
      if (passes(trial) && trial.wanted_pps > passed_.wanted_pps) {
        passed_ = trial;
      }
    }
    failed_pps_.reset();
    for (const Trial& trial : trials_) {
      if (!passes(trial) && trial.wanted_pps > passed_.wanted_pps) {
        failed_pps_ = std::min(failed_pps_.value_or(trial.wanted_pps), trial.wanted_pps);
      }
    }
  }

  Result<void> try_at(double pps) {
    for (std::size_t i = 0; i < limits_.tries; ++i) {
      auto trial = run_(pps);
      if (!trial) {
        return tl::unexpected(trial.error());
      }
      trial->wanted_pps = pps;
      trials_.push_back(*trial);
      if (passes(*trial) || trial->interruptions == 0) {
        break;
      }
    }
    learn();
    return {};
  }

  const SearchLimits& limits_;
  const RunTrial& run_;
  std::vector<Trial>& trials_;
  Trial passed_;
  std::optional<double> failed_pps_;
};

}  // namespace

Result<FoundRate> find_rate(const SearchLimits& limits, const RunTrial& run,
                            std::vector<Trial>& trials) {
  return Search(limits, run, trials).result();
}

}  // namespace allium::bench
