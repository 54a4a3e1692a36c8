// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/environment.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace allium::bench {
namespace {

namespace json = boost::json;

json::object quiet_metal() {
  return {{"virtual", false},    {"tsc_is_constant", true}, {"huge_pages_free", 512},
          {"pages", kHugePages}, {"steal_percent", 0.2},    {"spread_percent", 2.0}};
}

TEST(Environment, QuietMetalIsNotComparativeOnly) {
  json::object place = quiet_metal();
  mark_comparative(place);

  EXPECT_FALSE(place.at("comparative_only").as_bool());
  EXPECT_TRUE(place.at("comparative_reasons").as_array().empty());
}

TEST(Environment, EachReasonIsNamed) {
  const std::pair<const char*, json::value> worse[] = {
      {"virtual", true},      {"tsc_is_constant", false}, {"pages", "4 KiB"},
      {"steal_percent", 1.5}, {"spread_percent", 11.0},   {"workers", 2},
  };
  for (const auto& [key, value] : worse) {
    json::object place = quiet_metal();
    place[key] = value;

    EXPECT_EQ(comparative_reasons(place).size(), 1U) << key;
  }
}

TEST(Environment, FreeHugePagesCountWhereNothingHasRunYet) {
  json::object place = {{"virtual", false}, {"tsc_is_constant", true}, {"huge_pages_free", 0}};
  EXPECT_EQ(comparative_reasons(place).size(), 1U);

  place["huge_pages_free"] = 3;
  EXPECT_TRUE(comparative_reasons(place).empty());
}

TEST(Environment, StealIsAShareOfAllTicksBetweenTwoMoments) {
  EXPECT_EQ(steal_percent({1000, 10}, {1200, 20}), 5);
  EXPECT_EQ(steal_percent({1000, 10}, {1000, 10}), 0);
}

TEST(Environment, SaysWhatTheMachineIs) {
  json::object place = environment();
  mark_comparative(place);

  EXPECT_GT(place.at("cpus").to_number<int>(), 0);
  EXPECT_GT(place.at("tsc_hz").to_number<double>(), 1e8);
  EXPECT_FALSE(place.at("cpu").as_string().empty());
  EXPECT_FALSE(place.at("isa").as_array().empty());
  const std::string text = environment_text(place);
  EXPECT_NE(text.find(place.at("cpu").as_string().c_str()), std::string::npos);
  EXPECT_EQ(text.find("COMPARATIVE ONLY") != std::string::npos,
            place.at("comparative_only").as_bool());
}

TEST(Environment, MachineTimeGoesOn) {
  const MachineTime begin = machine_time();
  EXPECT_GT(begin.all, 0U);
  EXPECT_LE(begin.stolen, begin.all);
  EXPECT_GE(machine_time().all, begin.all);
}

}  // namespace
}  // namespace allium::bench
