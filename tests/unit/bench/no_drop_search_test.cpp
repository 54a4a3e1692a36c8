// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/no_drop_search.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

constexpr double kCapacityPps = 1.37e6;
constexpr SearchLimits kLimits{2e6, 0, 1e4, 3};

/// What a relay that forwards `capacity` packets a second does with a second of `pps`.
Trial trial_of(double pps, double capacity = kCapacityPps) {
  Trial trial;
  trial.wanted_pps = pps;
  trial.offered_pps = pps;
  trial.offered = static_cast<std::uint64_t>(pps);
  trial.lost = static_cast<std::uint64_t>(std::max(0.0, pps - capacity));
  return trial;
}

TEST(NoDropSearch, ComesAsNearAsItsStepFromBelow) {
  std::vector<Trial> trials;
  const auto found = find_rate(
      kLimits, [](double pps) { return trial_of(pps); }, trials);

  ASSERT_TRUE(found);
  EXPECT_LE(found->pps, kCapacityPps);
  EXPECT_GE(found->pps, kCapacityPps - kLimits.step_pps);
  EXPECT_FALSE(found->is_at_least);
  EXPECT_LE(trials.size(), 10U);  // 2^8 steps between 0 and the most
}

TEST(NoDropSearch, TakesSoMuchLossAsItMay) {
  SearchLimits limits = kLimits;
  limits.loss_max = 0.01;
  std::vector<Trial> trials;
  const auto found = find_rate(
      limits, [](double pps) { return trial_of(pps); }, trials);

  ASSERT_TRUE(found);
  const double edge = kCapacityPps / (1 - limits.loss_max);
  EXPECT_LE(found->pps, edge + 1);
  EXPECT_GE(found->pps, edge - limits.step_pps);
}

TEST(NoDropSearch, GoesOnWithWhatIsKnownAlready) {
  std::vector<Trial> trials = {trial_of(1.3e6), trial_of(1.4e6)};
  std::vector<double> asked;
  const auto run = [&asked](double pps) {
    asked.push_back(pps);
    return trial_of(pps);
  };
  ASSERT_TRUE(find_rate(kLimits, run, trials));

  ASSERT_FALSE(asked.empty());
  EXPECT_GT(*std::min_element(asked.begin(), asked.end()), 1.3e6);
  EXPECT_LT(*std::max_element(asked.begin(), asked.end()), 1.4e6);
  EXPECT_EQ(trials.size(), asked.size() + 2);
}

TEST(NoDropSearch, SaysWhereNothingHigherWasTried) {
  std::vector<Trial> trials;
  const auto found = find_rate(
      kLimits, [](double pps) { return trial_of(pps, 1e9); }, trials);

  ASSERT_TRUE(found);
  EXPECT_EQ(found->pps, kLimits.most_pps);
  EXPECT_TRUE(found->is_at_least);
  EXPECT_EQ(trials.size(), 1U);
}

TEST(NoDropSearch, GivesWhatWasOfferedAndNotWhatWasWanted) {
  std::vector<Trial> trials;
  const auto run = [](double pps) {
    Trial trial = trial_of(pps);
    trial.offered_pps = 0.9 * pps;
    return trial;
  };
  const auto found = find_rate(kLimits, run, trials);

  ASSERT_TRUE(found);
  EXPECT_LE(found->pps, 0.9 * kCapacityPps);
  EXPECT_GE(found->pps, 0.9 * (kCapacityPps - kLimits.step_pps));
}

TEST(NoDropSearch, GivesTheMostThatWasOfferedWhereAGeneratorFellBehind) {
  constexpr double kBehindAbove = 1.3e6;
  const auto run = [](double pps) {
    Trial trial = trial_of(pps);
    if (pps > kBehindAbove) {
      trial.offered_pps = 0.5 * pps;
    }
    return trial;
  };
  std::vector<Trial> trials = {trial_of(kBehindAbove)};
  SearchLimits limits = kLimits;
  const auto none = find_rate(limits, run, trials);
  limits.loss_max = 0.005;
  const auto few = find_rate(limits, run, trials);

  ASSERT_TRUE(none && few);
  EXPECT_EQ(none->pps, kBehindAbove);
  EXPECT_EQ(few->pps, kBehindAbove);
}

TEST(NoDropSearch, TriesAgainWhereTheRelayWasInterruptedAndNowhereElse) {
  int interrupted = 0;
  std::vector<Trial> trials;
  const auto run = [&interrupted](double pps) {
    Trial trial = trial_of(pps);
    if (pps <= kCapacityPps && ++interrupted % 3 != 0) {
      trial.lost = 5;
      trial.interruptions = 1;
    }
    return trial;
  };
  const auto found = find_rate(kLimits, run, trials);

  ASSERT_TRUE(found);
  EXPECT_GE(found->pps, kCapacityPps - kLimits.step_pps);
  for (const double pps : {trials.front().wanted_pps, trials.back().wanted_pps}) {
    const auto tries = std::count_if(trials.begin(), trials.end(),
                                     [pps](const Trial& trial) { return trial.wanted_pps == pps; });
    EXPECT_EQ(tries, pps <= kCapacityPps ? 3 : 1) << pps;
  }
}

TEST(NoDropSearch, EndsAtNothingWhereEveryRateLoses) {
  std::vector<Trial> trials;
  const auto run = [](double pps) {
    Trial trial = trial_of(pps);
    trial.lost = 1;
    return trial;
  };
  const auto found = find_rate(kLimits, run, trials);

  ASSERT_TRUE(found);
  EXPECT_EQ(found->pps, 0);
  EXPECT_FALSE(found->is_at_least);
}

TEST(NoDropSearch, PassesOnWhyATrialCouldNotBe) {
  std::vector<Trial> trials;
  const auto run = [](double) -> Result<Trial> { return fail(Errc::unavailable, "no core"); };
  const auto found = find_rate(kLimits, run, trials);

  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().text, "no core");
}

}  // namespace
}  // namespace allium::bench
