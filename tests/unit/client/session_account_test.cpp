// SPDX-License-Identifier: Apache-2.0
#include "tools/client/session_account.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "control/service/authentication.hpp"
#include "control/service/encoding.hpp"

namespace allium::client {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kNowMs = 1'800'000'000'000;

SessionAccount account() {
  control::Seed seed;
  seed.bytes().fill(7);
  return SessionAccount::from_seed(seed).value();
}

/// The signature of the completed parameters holds for `text`, as a node checks it.
bool is_signed(const json::object& params, std::string_view text) {
  control::Authentication who;
  who.account = account_of(params).value();
  who.ed25519 = control::array_of<32>(*control::from_hex(params.at("pubkey_ed25519").as_string()));
  who.signature = control::array_of<64>(*control::from_base64(params.at("signature").as_string()));
  return control::holds(who, text, control::Access::none, {});
}

TEST(SessionAccount, HasTheIdThatClientsShow) {
  const std::string id = account().id();
  EXPECT_EQ(id.size(), 66U);
  EXPECT_EQ(id.substr(0, 2), "05");
}

// Vectors of other clients. A seed is what the words of a recovery phrase stand for, and ends in 16 zero bytes.
TEST(SessionAccount, IsTheOneThatOtherClientsMakeOfARecoveryPhrase) {
  const std::pair<const char*, const char*> kVectors[] = {
      // puffin luxury annoyed rustled memoir faxed smidgen puddle kiwi nylon utopia zinger kiwi
      {"39038c8988db02c1af44e8c847bd9713",
       "054830367d369d94605247999a375dbd0a0f65fdec5de1535612bcb6d4de452c69"},
      // thirteen times "session"
      {"dc040000dc040000dc040000dc040000",
       "0512742fb4ac033a8a33f5776aa0e7e88f35f7af9f65dee31e57fbc7d6f8664b12"},
      // thirteen times "love"
      {"37030000370300003703000037030000",
       "053db493811f729da20289e31498b8fe2b28edc90358cd3ec11a6b12ac1b9fb818"},
      // unknown number jukebox pledge lipstick sieve tumbling federal womanly outbreak tapestry gorilla sieve
      {"ec45addd629e84472edbfab1f7deee83",
       "05ab0badfc19ac18f71d7bb10d5ca5c92731aa301cc483169c691cf697b83e765a"},
  };
  for (const auto& [words, id] : kVectors) {
    const std::string half = control::from_hex(words).value();
    control::Seed seed;
    std::copy(half.begin(), half.end(), seed.bytes().begin());
    EXPECT_EQ(SessionAccount::from_seed(seed).value().id(), id);
  }
}

TEST(SessionAccount, SignsWhatEachMethodWants) {
  const auto complete = [](std::string_view method, const json::object& params) {
    return account().complete(method, params, kNowMs).value();
  };
  const std::string now = std::to_string(kNowMs);
  EXPECT_TRUE(is_signed(complete("store", {{"data", "eA=="}}), "store" + now));
  EXPECT_TRUE(is_signed(complete("store", {{"namespace", 2}}), "store2" + now));
  EXPECT_TRUE(is_signed(complete("retrieve", {}), "retrieve" + now));
  EXPECT_TRUE(is_signed(complete("retrieve", {{"namespace", -10}}), "retrieve-10" + now));
  EXPECT_TRUE(is_signed(complete("retrieve", {{"timestamp", 5}}), "retrieve5"));
  EXPECT_TRUE(is_signed(complete("delete", {{"messages", {"aa", "bb"}}}), "deleteaabb"));
  EXPECT_TRUE(is_signed(complete("delete_all", {{"namespace", "all"}}), "delete_allall" + now));
  EXPECT_TRUE(is_signed(complete("delete_before", {{"before", 9}}), "delete_before9"));
  EXPECT_TRUE(is_signed(complete("expire_all", {{"expiry", 9}}), "expire_all9"));
  EXPECT_TRUE(
      is_signed(complete("expire", {{"messages", {"aa"}}, {"expiry", 9}, {"shorten", true}}),
                "expireshorten9aa"));
  EXPECT_TRUE(
      is_signed(complete("get_expiries", {{"messages", {"aa"}}}), "get_expiries" + now + "aa"));
  const std::string token(36, 'A');  // raw
  const std::string hex =
      "41414141414141414141414141414141414141414141414141414141414141414141414"
      "1";
  const std::string base64 = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
  EXPECT_TRUE(is_signed(complete("revoke_subaccount", {{"revoke", hex}}),
                        "revoke_subaccount" + now + token));
  EXPECT_TRUE(is_signed(complete("unrevoke_subaccount", {{"unrevoke", {hex, base64}}}),
                        "unrevoke_subaccount" + now + token + token));
  EXPECT_TRUE(is_signed(complete("revoked_subaccounts", {}), "revoked_subaccounts" + now));
}

TEST(SessionAccount, LeavesWhatTheCallerGave) {
  const json::object given = {{"pubkey", std::string("03") + std::string(64, '0')}, {"ttl", 5}};
  const auto params = account().complete("store", given, kNowMs).value();
  EXPECT_EQ(params.at("pubkey"), given.at("pubkey"));
  EXPECT_EQ(params.at("ttl"), 5);
  EXPECT_FALSE(params.contains("signature")) << "another's account is not ours to sign for";
  const auto signed_already = account().complete("retrieve", {{"signature", "x"}}, kNowMs).value();
  EXPECT_EQ(signed_already.at("signature"), "x");
  EXPECT_FALSE(account().complete("info", {}, kNowMs)->contains("signature"));
}

TEST(SessionAccount, SpellsBytesInBase64WhereverTheyStandInAnAnswer) {
  const std::string bytes("\0\xff\xfe", 3);
  EXPECT_EQ(body_from_bt(json::value(bytes)), json::value("AP/+"));
  EXPECT_EQ(body_from_bt({{"results", {{{"body", bytes}, {"code", 200}}}}}),
            (json::value{{"results", {{{"body", "AP/+"}, {"code", 200}}}}}));
  for (const char* const text : {"", "no method x\n", "na\xc3\xafve", "\"\\\x01"}) {
    EXPECT_EQ(body_from_bt(json::value(text)), json::value(text));
  }
}

TEST(SessionAccount, SpellsBothLanes) {
  const json::object params = {
      {"data", "aGk="},
      {"requests", json::array{json::object{{"params", {{"signature", "AAE="}}}}}}};
  const auto raw = params_for_bt("batch", params);
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->at("data"), "hi");
  const json::value& inner = raw->at("requests").as_array()[0].at("params").at("signature");
  EXPECT_EQ(inner.as_string(), std::string_view("\0\1", 2));
  EXPECT_EQ(body_from_bt(*raw), json::value(params));
  const auto bad = params_for_bt("store", {{"data", "?"}});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().text.find("data"), std::string::npos);
  EXPECT_FALSE(params_for_bt("store", {{"x", 1.5}})) << "bt has no fractions";
  const auto revoke =
      params_for_bt("revoke_subaccount", {{"revoke", {std::string(72, 'a'), "AAE="}}});
  EXPECT_EQ(revoke->at("revoke").as_array()[0].as_string().size(), 36U);
  EXPECT_EQ(revoke->at("revoke").as_array()[1].as_string().size(), 2U);
  EXPECT_EQ(params_for_bt("oxend_request", {{"params", {{"a", 1}}}})->at("params"), R"({"a":1})");
}

TEST(SessionAccount, SaysWhenARequestNamesNoAccount) {
  EXPECT_FALSE(account_of({}));
  EXPECT_FALSE(account_of({{"pubkey", "05"}}));
  EXPECT_FALSE(account_of({{"pubkey", 5}}));
}

TEST(SessionAccount, CountsOnlyReceiptsThatHoldOfMembers) {
  const auto key_of = [](std::uint8_t n) {
    control::Seed seed;
    seed.bytes().fill(n);
    return control::IdentitySecret::from_seed(seed);
  };
  const std::string hash = "a hash";
  json::object swarm;
  const auto sign_as = [&](std::uint8_t whose, std::uint8_t by) {
    swarm[control::to_hex(key_of(whose).public_key())] = {
        {"signature", control::to_base64(key_of(by).sign(control::bytes_of(hash)))}};
  };
  sign_as(1, 1);
  sign_as(2, 2);
  sign_as(3, 1);  // somebody else's
  sign_as(9, 9);  // no member
  swarm[control::to_hex(key_of(4).public_key())] = {{"failed", true}, {"timeout", true}};
  std::vector<control::IdentityKey> members;
  for (std::uint8_t n = 1; n <= 5; ++n) {
    members.push_back(key_of(n).public_key());
  }
  const Receipts receipts = check_receipts(json::object{{"hash", hash}, {"swarm", swarm}}, members);
  EXPECT_EQ(receipts.members, 5U);
  EXPECT_EQ(receipts.valid, 2U);
  EXPECT_EQ(check_receipts("text", members).valid, 0U);
  EXPECT_EQ(check_receipts(json::object{{"hash", 5}, {"swarm", swarm}}, members).valid, 0U);
}

}  // namespace
}  // namespace allium::client
