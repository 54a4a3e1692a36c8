// SPDX-License-Identifier: Apache-2.0

// What a client hears of a member that says what no member says.

#include <algorithm>

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

const std::string kSignature(64, '\xff');
const std::string kHash(43, 'h');
const std::string kOtherHash(43, 'i');
const json::object kBad = {{"failed", true}, {"bad_peer_response", true}};

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

class MemberEntry : public testing::Test {
 protected:
  /// What the answer to such a command has of a member that says this.
  json::object entry_of(std::string_view method, const PeerParts& said) {
    world.node(1).lie = said;
    const Answer answer = world.call(0, method, params(method));
    EXPECT_EQ(answer.status, Status::ok) << json::serialize(answer.body);
    const std::string text = body_text(answer, Format::json);
    EXPECT_TRUE(is_ascii(text));
    EXPECT_LT(text.size(), 3'000'000U);
    return in(answer);
  }

  json::object entry(std::string_view method, const json::object& said) {
    return entry_of(method, {serialise_bt(said)});
  }

  json::object in(const Answer& answer) {
    const auto* body = answer.body.if_object();
    const auto* swarm = body == nullptr ? nullptr : body->if_contains("swarm");
    return swarm == nullptr ? json::object() : swarm->at(to_hex(world.node(1).key())).as_object();
  }

  json::object params(std::string_view method) const {
    const std::string name(method);
    const std::string now = std::to_string(world.now_ms);
    if (method == "store") {
      return owner.store("hello", world.now_ms);
    }
    if (method == "delete") {
      return owner.remove({kHash});
    }
    if (method == "expire") {
      return owner.signed_params(
          "expireshorten" + now + kHash,
          {{"messages", json::array{kHash}}, {"expiry", world.now_ms}, {"shorten", true}});
    }
    if (method == "expire_all") {
      return owner.signed_params(name + now, {{"expiry", world.now_ms}});
    }
    if (method == "delete_all") {
      return owner.signed_params(name + "all" + now,
                                 {{"timestamp", world.now_ms}, {"namespace", "all"}});
    }
    const std::string token(36, '\x03');
    return owner.signed_params(
        name + now + token,
        {{name == "revoke_subaccount" ? "revoke" : "unrevoke", to_base64(bytes_of(token))},
         {"timestamp", world.now_ms}});
  }

  SwarmWorld world{2};
  TestAccount owner{5, 1};
};

TEST_F(MemberEntry, HasNothingThatIsNoText) {
  EXPECT_EQ(
      entry("store", {{"hash", "\xff\xfe\"" + std::string(40, '\0')}, {"signature", kSignature}}),
      kBad);
  const json::object strange = entry(
      "store",
      {{"hash", kHash}, {"signature", kSignature}, {"\xff\xff", 1}, {"reason", "\xff"}, {"t", 5}});
  EXPECT_EQ(strange,
            (json::object{{"hash", kHash}, {"signature", to_base64(bytes_of(kSignature))}}))
      << "what is not known is left out";
}

TEST_F(MemberEntry, IsNotLargerThanAnAnswerOfAMember) {
  EXPECT_EQ(entry("store", {{"hash", std::string(3'500'000, 'h')}, {"signature", kSignature}}),
            kBad);
  const json::object many = {{"deleted", json::array(70'000, json::value(kHash))},
                             {"signature", kSignature}};
  EXPECT_EQ(entry("delete", many), kBad);
  json::object by_space;
  for (int space = 0; space < 70; ++space) {
    by_space[std::to_string(space)] = json::array(1'000, json::value(kHash));
  }
  EXPECT_EQ(entry("delete_all", {{"deleted", by_space}, {"signature", kSignature}}), kBad);
}

TEST_F(MemberEntry, IsBadWhereATypeIsAnother) {
  const auto is_bad = [this](std::string_view method, json::object said) {
    said.emplace("signature", kSignature);
    return entry(method, said) == kBad;
  };
  EXPECT_TRUE(is_bad("store", {{"hash", json::object{{"a", 1}}}}));
  EXPECT_TRUE(is_bad("store", {{"hash", std::string(43, '!')}}));
  EXPECT_TRUE(is_bad("store", {{"hash", kHash}, {"expiry", -1}}));
  EXPECT_TRUE(is_bad("store", {{"hash", kHash}, {"expiry", json::array{5}}}));
  EXPECT_TRUE(is_bad("store", {{"hash", kHash}, {"already", "yes"}}));
  EXPECT_TRUE(is_bad("store", {{"hash", kHash}, {"signature", "short"}}));
  EXPECT_TRUE(is_bad("store", {{"hash", kHash}, {"failed", "no"}}));
  EXPECT_TRUE(is_bad("store", {{"hash", kHash}, {"failed", 0}}));
  EXPECT_TRUE(is_bad("store", {}));
  EXPECT_TRUE(is_bad("delete", {{"deleted", 5}}));
  EXPECT_TRUE(is_bad("delete", {{"deleted", json::array{kHash, 5}}}));
  EXPECT_TRUE(is_bad("delete_all", {{"deleted", json::object{{"one", json::array{kHash}}}}}));
  EXPECT_TRUE(is_bad("delete_all", {{"deleted", json::object{{"1", kHash}}}}));
  EXPECT_TRUE(is_bad("expire", {{"updated", json::array{}}, {"expiry", "soon"}}));
  EXPECT_TRUE(is_bad(
      "expire",
      {{"updated", json::array{}}, {"expiry", 5}, {"unchanged", json::object{{"no hash", 5}}}}));
  EXPECT_TRUE(is_bad("unrevoke_subaccount", {{"count", "two"}}));
  EXPECT_EQ(entry("revoke_subaccount", {{"signature", std::string(63, 's')}}), kBad);
}

TEST_F(MemberEntry, HasAllThatMembersAnswer) {
  const auto passes = [this](std::string_view method, json::object said) {
    said["signature"] = kSignature;
    json::object expected = said;
    expected["signature"] = to_base64(bytes_of(kSignature));
    EXPECT_EQ(entry(method, said), expected);
  };
  passes("store", {{"hash", kHash}, {"expiry", world.now_ms}});
  passes("store", {{"already", 1}, {"hash", kHash}, {"expiry", world.now_ms}});
  passes("delete", {{"deleted", json::array{kHash, kOtherHash}}});
  passes("delete_all", {{"deleted", json::array{kHash}}});
  passes("delete_all",
         {{"deleted", json::object{{"0", json::array{kHash}}, {"-11", json::array{kOtherHash}}}}});
  passes("delete_all", {{"deleted", json::array(40'000, json::value(kHash))}});
  passes("expire_all", {{"updated", json::array{kHash}}});
  passes("expire", {{"updated", json::array{kHash}}, {"expiry", world.now_ms}});
  passes("expire", {{"updated", json::array{kHash, kOtherHash}},
                    {"expiry", json::array{world.now_ms, world.now_ms + 1}}});
  passes("expire", {{"updated", json::array{}},
                    {"expiry", world.now_ms},
                    {"unchanged", json::object{{kHash, world.now_ms}}}});
  passes("revoke_subaccount", {});
  passes("unrevoke_subaccount", {{"count", 2}});
}

TEST_F(MemberEntry, HasBytesAsTheRequestHasThem) {
  const json::object said = {{"hash", kHash}, {"signature", kSignature}};
  world.node(1).lie = {serialise_bt(said)};
  const json::object params = {{"pubkey", text_of(owner.account())},
                               {"timestamp", world.now_ms},
                               {"ttl", 60'000},
                               {"data", "x"}};
  EXPECT_EQ(in(world.call(0, "store", params, Format::bt)), said);
}

TEST_F(MemberEntry, SaysWhyAMemberFailed) {
  EXPECT_EQ(entry("store", {{"failed", 1}, {"query_failure", 1}, {"hash", "\xff"}}),
            (json::object{{"failed", true}, {"query_failure", true}}));
  EXPECT_EQ(entry("store", {{"failed", 1}, {"code", 504}, {"reason", "out of patience"}}),
            (json::object{{"failed", true}, {"code", "504"}, {"reason", "out of patience"}}));
  EXPECT_EQ(entry("store", {{"failed", 1}, {"code", "\xff"}}), kBad);
  EXPECT_EQ(entry("store", {{"failed", 1}, {"reason", "\xff\xfe"}}),
            json::object({{"failed", true}}));
}

TEST_F(MemberEntry, SaysWhyAMemberRefused) {
  EXPECT_EQ(entry_of("store", {"400", "no such thing"}),
            (json::object{{"failed", true}, {"code", "400"}, {"reason", "no such thing"}}));
  EXPECT_EQ(entry_of("store", {"4\xff"
                               "0",
                               "no such thing"}),
            kBad);
  EXPECT_EQ(entry_of("store", {"401", "\xff\xfe what"}),
            (json::object{{"failed", true}, {"code", "401"}}));
  EXPECT_EQ(entry_of("store", {"401", std::string(2'000'000, 'x')}),
            (json::object{{"failed", true}, {"code", "401"}}));
  const std::string full = serialise_bt(
      json::object{{"failed", 1}, {"query_failure", 1}, {"reason", "the store is full"}});
  EXPECT_EQ(entry_of("store", {"403", full}), (json::object{{"failed", true},
                                                            {"query_failure", true},
                                                            {"code", "403"},
                                                            {"reason", "the store is full"}}))
      << "bt is read, not shown";
}

}  // namespace
}  // namespace allium::control::test
