// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/verdict.hpp"

#include <set>

#include <gtest/gtest.h>

namespace allium::onion {
namespace {

TEST(Verdict, DropsHaveTheNamesOfTheSpecification) {
  const std::set<std::string_view> specified = {
      "length",   "version",    "type",        "ll_key",        "ll_tag",     "slot",
      "cookie",   "rate",       "fs_type",     "fs_expired",    "s_key",      "s_dh",
      "rt",       "header_mac", "r_block",     "r_expired",     "replay",     "handle",
      "no_route", "tx_full",    "svc_unknown", "svc_malformed", "svc_cookie",
  };
  std::set<std::string_view> named;

  for (std::size_t i = kFirstDrop; i < kVerdictCount; ++i) {
    ASSERT_TRUE(is_drop(static_cast<Verdict>(i)));
    named.insert(verdict_name(static_cast<Verdict>(i)));
  }

  EXPECT_EQ(named, specified);
  EXPECT_EQ(named.size(), kVerdictCount - kFirstDrop);
}

TEST(Verdict, WordsStandBesideTheirVerdict) {
  EXPECT_EQ(verdict_name(Verdict::forward), "forward");
  EXPECT_EQ(verdict_name(Verdict::deliver), "deliver");
  EXPECT_EQ(verdict_name(Verdict::parked), "parked");
  EXPECT_EQ(verdict_name(Verdict::length), "length");
  EXPECT_EQ(verdict_name(Verdict::rt), "rt");
  EXPECT_EQ(verdict_name(Verdict::tx_full), "tx_full");
}

TEST(Verdict, EachIsExplainedInASentence) {
  for (std::size_t i = 0; i < kVerdictCount; ++i) {
    const std::string_view words = verdict_explanation(static_cast<Verdict>(i));
    EXPECT_GT(words.size(), 10U);
    EXPECT_EQ(words.back(), '.');
  }
}

}  // namespace
}  // namespace allium::onion
