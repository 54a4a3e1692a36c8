// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/zap.hpp"

#include <gtest/gtest.h>

#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control {
namespace {

using test::Frames;

constexpr std::size_t kDomain = 2;
constexpr std::size_t kMechanism = 5;
constexpr std::size_t kCredentials = 6;

const X25519Key kKey = test::key_pair(7).key;

Frames question() {
  return {"1.0", "id", "allium", "10.0.0.1", "", "CURVE", {kKey.begin(), kKey.end()}};
}

const Admit kAdmitAll = [](const X25519Key&, const std::string&) { return true; };
const Frames kRefusal = {"1.0", "id", "400", "no", "", ""};

TEST(Zap, GivesAnAdmittedClientItsKeyAsUserId) {
  X25519Key asked{};
  std::string from;
  const Frames reply = zap_reply(question(), [&](const X25519Key& key, const std::string& address) {
    asked = key;
    from = address;
    return true;
  });

  ASSERT_EQ(reply.size(), 6U);
  EXPECT_EQ(asked, kKey);
  EXPECT_EQ(from, "10.0.0.1");
  EXPECT_EQ(Frames(reply.begin(), reply.begin() + 4), (Frames{"1.0", "id", "200", "OK"}));
  EXPECT_EQ(key_of_user_id(reply[4]), kKey);
}

TEST(Zap, TurnsAwayForNowWhomItMayNotAdmit) {
  EXPECT_EQ(zap_reply(question(), [](const X25519Key&, const std::string&) { return false; }),
            (Frames{"1.0", "id", "300", "not now", "", ""}));
}

TEST(Zap, RefusesWhateverIsNotCurveInOurDomain) {
  Frames plain = question();
  plain[kMechanism] = "NULL";
  Frames elsewhere = question();
  elsewhere[kDomain] = "other";
  Frames short_key = question();
  short_key[kCredentials].pop_back();
  Frames more = question();
  more.emplace_back("password");

  for (const Frames& frames : {plain, elsewhere, short_key, more, Frames{"1.0", "id"}}) {
    EXPECT_EQ(zap_reply(frames, kAdmitAll), kRefusal);
  }
}

TEST(Zap, ReadsNoKeyOutOfAnotherUserId) {
  const std::string hex(64, 'a');

  EXPECT_TRUE(key_of_user_id(hex).has_value());
  EXPECT_FALSE(key_of_user_id("").has_value());
  EXPECT_FALSE(key_of_user_id(hex.substr(1)).has_value());
  EXPECT_FALSE(key_of_user_id(hex + "aa").has_value());
  EXPECT_FALSE(key_of_user_id(hex.substr(1) + "g").has_value());
}

}  // namespace
}  // namespace allium::control
