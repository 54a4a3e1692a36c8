// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/no_drop_options.hpp"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/bench/parsed_words.hpp"

namespace allium::bench {
namespace {

std::optional<NoDropOptions> parse(std::vector<std::string> words) {
  return test::parsed_words(parse_no_drop_options, std::move(words));
}

TEST(NoDropOptions, ReadsEveryWord) {
  const auto options = parse({"--class", "v", "--ip", "6", "--sessions", "7", "--packets", "4104",
                              "--burst", "12", "--replay-mpps", "2.5", "--trial-seconds", "0.25",
                              "--step-percent", "5", "--no-huge"});

  ASSERT_TRUE(options);
  EXPECT_EQ(options->traffic.packet_class, onion::PacketClass::v);
  EXPECT_TRUE(options->traffic.is_v6);
  EXPECT_EQ(options->traffic.sessions, 7U);
  EXPECT_EQ(options->traffic.packets, 4104U);
  EXPECT_EQ(options->traffic.burst, 12U);
  EXPECT_EQ(options->traffic.replay_mpps, 2.5);
  EXPECT_EQ(options->traffic.pages, dataplane::Pages::small);
  EXPECT_EQ(options->traffic.backend, Backend::ring);
  EXPECT_EQ(options->trial_seconds, 0.25);
  EXPECT_EQ(options->step_percent, 5);
}

TEST(NoDropOptions, IsClassDForASecondWithoutAnyWord) {
  const auto options = parse({});

  ASSERT_TRUE(options);
  EXPECT_EQ(options->traffic.packet_class, onion::PacketClass::d);
  EXPECT_EQ(options->trial_seconds, 1);
  EXPECT_EQ(options->step_percent, 1);
}

TEST(NoDropOptions, RefusesWhatItDoesNotMeasure) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--class", "s"},             // set-up packets wait for company: no rate at a ring
           {"--packets", "4064"},        // its half is shorter than the ring
           {"--packets", "4097"},        // no whole bursts
           {"--packets", "300000"},      //
           {"--trial-seconds", "0"},     //
           {"--trial-seconds", "601"},   //
           {"--step-percent", "0"},      //
           {"--step-percent", "fifty"},  //
           {"--workers", "2"},           //
           {"more"}}) {
    EXPECT_FALSE(parse(words)) << words.front() << " " << words.back();
  }
}

}  // namespace
}  // namespace allium::bench
