// SPDX-License-Identifier: Apache-2.0

// The storage RPC on one swarm of three; what is said about members is in swarm_peers_test.cpp.

#include "control/service/storage_rpc.hpp"

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

class StorageRpcTest : public testing::Test {
 protected:
  const json::object& body(const Answer& answer) {
    if (!answer.body.is_object()) {
      ADD_FAILURE() << json::serialize(answer.body);
      static const json::object kEmpty;
      return kEmpty;
    }
    return answer.body.get_object();
  }

  const json::object& member(const Answer& answer, std::size_t node) {
    return body(answer).at("swarm").as_object().at(to_hex(world.node(node).key())).as_object();
  }

  void expect(const Answer& answer, Status status, std::string_view text) {
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.body, json::value(text)) << json::serialize(answer.body);
  }

  bool receipt_holds(const json::object& member, std::size_t node, std::string_view text) {
    const auto bytes = from_base64(member.at("signature").as_string());
    return signature_holds(world.node(node).key(), bytes_of(text), array_of<64>(*bytes).value());
  }

  std::string stored(std::string_view data, int space = 0) {
    const Answer answer = world.call(0, "store", owner.store(data, world.now_ms, space));
    EXPECT_EQ(answer.status, Status::ok) << json::serialize(answer.body);
    return std::string(body(answer).at("hash").as_string());
  }

  SwarmWorld world{3};
  TestAccount owner{5, 1};
};

TEST_F(StorageRpcTest, StoresAtEveryMemberWithAReceiptOfEach) {
  const Answer answer = world.call(1, "store", owner.store("hello", world.now_ms));
  ASSERT_EQ(answer.status, Status::ok);
  const std::string hash(body(answer).at("hash").as_string());
  EXPECT_EQ(hash.size(), 43U);
  EXPECT_TRUE(body(answer).contains("t"));
  EXPECT_EQ(body(answer).at("hf"), (json::array{19, 4}));
  EXPECT_EQ(body(answer).at("swarm").as_object().size(), 3U);
  for (std::size_t node = 0; node < 3; ++node) {
    const json::object& one = member(answer, node);
    EXPECT_EQ(one.at("hash"), json::value(hash));
    EXPECT_FALSE(one.contains("already"));
    EXPECT_TRUE(receipt_holds(one, node, hash));
    EXPECT_EQ(data_in(world.call(node, "retrieve", owner.retrieve(world.now_ms))),
              std::vector<std::string>{"hello"});
  }
  EXPECT_TRUE(member(answer, 1).contains("t")) << "the answering node's clock";
}

TEST_F(StorageRpcTest, SaysAlreadyToTheSameDataAndTakesTheLaterExpiry) {
  const std::string hash = stored("hello");
  world.now_ms += 1000;
  const std::uint64_t later = world.now_ms + 7'200'000;
  const json::object again = owner.store("hello", world.now_ms, 0, 7'200'000);
  const Answer answer = world.call(2, "store", again);
  EXPECT_EQ(body(answer).at("hash"), json::value(hash));
  EXPECT_EQ(member(answer, 2).at("already"), json::value(true));
  EXPECT_EQ(member(answer, 0).at("already"), json::value(1)) << "as it came from a member";
  EXPECT_EQ(member(answer, 0).at("expiry").as_int64(), static_cast<std::int64_t>(later));
}

TEST_F(StorageRpcTest, SpeaksBt) {
  json::object params = {{"pubkey", text_of(owner.account())},
                         {"timestamp", world.now_ms},
                         {"expiry", world.now_ms + 60'000},
                         {"data", std::string("\0\xff", 2)}};
  const Answer answer = world.call(0, "store", params, Format::bt);
  ASSERT_EQ(answer.status, Status::ok) << json::serialize(answer.body);
  EXPECT_EQ(member(answer, 0).at("signature").as_string().size(), 64U);
  EXPECT_EQ(member(answer, 1).at("signature").as_string().size(), 64U);
  const Answer page = world.call(1, "retrieve", owner.retrieve(world.now_ms), Format::json);
  EXPECT_EQ(data_in(page), (std::vector<std::string>{std::string("\0\xff", 2)}));
  EXPECT_NE(body_text(answer, Format::bt).find("9:signature64:"), std::string::npos);
}

TEST_F(StorageRpcTest, TakesNumbersAsTextAndTheOldSpellings) {
  json::object params = owner.store("hello", world.now_ms);
  params["timestamp"] = std::to_string(world.now_ms);
  params["ttl"] = "60000";
  params["pubKey"] = params["pubkey"];
  params.erase("pubkey");
  params["jsonrpc"] = "2.0";
  params["maxSize"] = 1.5;
  params["expiry"] = nullptr;
  EXPECT_EQ(world.call(0, "store", params).status, Status::ok);
}

TEST_F(StorageRpcTest, RefusesAStoreInTheWordsOfThePeers) {
  const auto refused = [this](Status status, std::string_view text, auto change) {
    json::object params = owner.store("hello", world.now_ms);
    change(params);
    expect(world.call(0, "store", params), status, text);
  };
  const std::uint64_t now = world.now_ms;
  refused(Status::bad_request, "invalid request: Required field 'data' missing",
          [](auto& p) { p.erase("data"); });
  refused(Status::bad_request, "invalid request: Required field 'timestamp' missing",
          [](auto& p) { p.erase("timestamp"); });
  refused(Status::bad_request, "invalid request: Required field 'expiry' or 'ttl' missing",
          [](auto& p) { p.erase("ttl"); });
  refused(Status::bad_request, "invalid request: Cannot specify both 'expiry' and 'ttl'",
          [now](auto& p) { p["expiry"] = now + 60'000; });
  refused(Status::bad_request, "invalid request: Required field 'pubkey' missing",
          [](auto& p) { p.erase("pubkey"); });
  refused(Status::bad_request, "invalid request: Pubkey must be 66 hex digits (33 bytes) long",
          [](auto& p) { p["pubkey"] = "05"; });
  refused(Status::bad_request, "invalid request: Invalid 'data' value: not base64 encoded",
          [](auto& p) { p["data"] = "?"; });
  refused(Status::bad_request,
          "invalid request: Message body exceeds maximum allowed length of 76800 bytes",
          [](auto& p) { p["data"] = std::string(102'404, 'A'); });
  refused(Status::bad_request, "invalid request: Invalid value given for 'data': expected string",
          [](auto& p) { p["data"] = 7; });
  refused(Status::bad_request,
          "invalid request: Invalid value given for 'namespace': value out of range",
          [](auto& p) { p["namespace"] = 40'000; });
  refused(Status::forbidden, "Provided expiry/TTL is not valid.",
          [](auto& p) { p["ttl"] = 9'999; });
  refused(Status::forbidden, "Provided expiry/TTL is not valid.",
          [](auto& p) { p["ttl"] = std::uint64_t{14} * 86'400'000 + 1; });
  refused(Status::not_acceptable, "Timestamp error: check your clock",
          [now](auto& p) { p["timestamp"] = now + 10'001; });
  refused(Status::not_acceptable, "Timestamp error: check your clock",
          [now](auto& p) { p["timestamp"] = now / 1000; });
  refused(Status::unauthorised, "store: signature required to store to namespace 1",
          [](auto& p) { p["namespace"] = 1; });
}

TEST_F(StorageRpcTest, TakesTheLongestMessage) {
  EXPECT_EQ(stored(std::string(76'800, 'x')).size(), 43U);
}

TEST_F(StorageRpcTest, ChecksWhoStoresIntoAPrivateNamespace) {
  stored("mine", 5);
  json::object params = owner.store("mine", world.now_ms, 5);
  params["sig_timestamp"] = world.now_ms - 60'001;
  expect(world.call(0, "store", params), Status::not_acceptable,
         "store signature timestamp too far from current time");
  params = TestAccount(5, 2).store("not mine", world.now_ms, 5);
  params["pubkey"] = owner.hex();
  expect(world.call(0, "store", params), Status::unauthorised,
         "store signature verification failed");
}

TEST_F(StorageRpcTest, KeepsTheNewestOnlyInAPublicOutboxWhichAnyoneReads) {
  stored("first", -1);
  world.now_ms += 5;
  stored("second", -1);
  const json::object anyone = {{"pubkey", owner.hex()}, {"namespace", -1}};
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(data_in(world.call(node, "retrieve", anyone)), std::vector<std::string>{"second"});
  }
}

TEST_F(StorageRpcTest, ExtendsWhatIsStoredAgainInAnOutboxButKeepsItsTimestamp) {
  const std::string hash = stored("same", -1);
  world.now_ms += 5;
  const std::uint64_t later_ms = world.now_ms + 7'200'000;
  const Answer again = world.call(1, "store", owner.store("same", world.now_ms, -1, 7'200'000));
  EXPECT_EQ(member(again, 1).at("already"), json::value(true));
  const Answer page = world.call(2, "retrieve", {{"pubkey", owner.hex()}, {"namespace", -1}});
  const json::object& kept = body(page).at("messages").at(0).as_object();
  EXPECT_EQ(kept.at("hash"), json::value(hash));
  EXPECT_EQ(kept.at("timestamp").to_number<std::uint64_t>(), kStartMs);
  EXPECT_EQ(kept.at("expiration").to_number<std::uint64_t>(), later_ms);
}

TEST_F(StorageRpcTest, LetsNoOlderMessageReplaceTheOneInAnOutbox) {
  const json::object older = owner.store("older", world.now_ms, -21);
  world.now_ms += 5;
  stored("newer", -21);
  const Answer answer = world.call(1, "store", older);
  ASSERT_EQ(answer.status, Status::ok);
  const json::object& mine = member(answer, 1);
  EXPECT_EQ(mine.at("hash"), body(answer).at("hash"));
  EXPECT_FALSE(mine.contains("already")) << "it is not there";
  EXPECT_TRUE(receipt_holds(mine, 1, std::string(mine.at("hash").as_string())));
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(data_in(world.call(node, "retrieve", {{"pubkey", owner.hex()}, {"namespace", -21}})),
              std::vector<std::string>{"newer"});
  }
}

TEST_F(StorageRpcTest, PagesByTheLastHash) {
  std::vector<std::string> hashes;
  for (int i = 0; i < 5; ++i) {
    hashes.push_back(stored("message " + std::to_string(i)));
  }
  json::object params = owner.retrieve(world.now_ms);
  params["max_count"] = 2;
  Answer answer = world.call(0, "retrieve", params);
  EXPECT_EQ(data_in(answer), (std::vector<std::string>{"message 0", "message 1"}));
  EXPECT_EQ(body(answer).at("more"), json::value(true));
  params["last_hash"] = hashes[3];
  answer = world.call(0, "retrieve", params);
  EXPECT_EQ(data_in(answer), std::vector<std::string>{"message 4"});
  EXPECT_EQ(body(answer).at("more"), json::value(false));
  params["last_hash"] = std::string(43, 'A');
  EXPECT_EQ(data_in(world.call(0, "retrieve", params)).size(), 2U) << "unknown: from the beginning";
  params["last_hash"] = "short";
  expect(world.call(0, "retrieve", params), Status::bad_request,
         "invalid request: Invalid last_hash: expected base64 (43 chars)");
}

TEST_F(StorageRpcTest, LimitsAPageBySizeButGivesOneMessage) {
  stored(std::string(3000, 'a'));
  stored(std::string(3000, 'b'));
  json::object params = owner.retrieve(world.now_ms);
  params["max_size"] = 10;
  EXPECT_EQ(data_in(world.call(0, "retrieve", params)).size(), 1U);
  params["max_size"] = 2 * (100 + 43 + 4000);
  EXPECT_EQ(data_in(world.call(0, "retrieve", params)).size(), 2U);
  params["max_size"] = 2 * (100 + 43 + 4000) - 1;
  EXPECT_EQ(data_in(world.call(0, "retrieve", params)).size(), 1U);
  params["max_size"] = -1;
  EXPECT_EQ(data_in(world.call(0, "retrieve", params)).size(), 2U);
  params["max_size"] = -2000;
  EXPECT_EQ(data_in(world.call(0, "retrieve", params)).size(), 1U);
}

TEST_F(StorageRpcTest, GivesNoMoreForABatchThanForOneRetrieve) {
  constexpr std::size_t kCount = 50;
  for (std::size_t i = 0; i < kCount; ++i) {
    stored(std::to_string(i) + std::string(76'000, '.'));
  }
  json::object all = owner.retrieve(world.now_ms);
  all["max_size"] = -1;
  const json::array requests(4, json::object{{"method", "retrieve"}, {"params", all}});
  for (const std::string_view method : {"batch", "sequence"}) {
    const Answer answer = world.call(0, method, {{"requests", requests}});
    const json::array& results = body(answer).at("results").as_array();
    ASSERT_EQ(results.size(), 4U);
    std::vector<std::size_t> counts;
    for (const json::value& result : results) {
      counts.push_back(result.at("body").at("messages").as_array().size());
      EXPECT_EQ(result.at("body").at("more").as_bool(), counts.back() < kCount);
    }
    EXPECT_EQ(counts, (std::vector<std::size_t>{kCount, 22, 1, 1}))
        << method << ", a message each at least";
  }
}

TEST_F(StorageRpcTest, RefusesARetrieveInTheWordsOfThePeers) {
  expect(world.call(0, "retrieve", {{"pubkey", owner.hex()}}), Status::unauthorised,
         "retrieve: request signature required");
  expect(world.call(0, "retrieve", {{"pubkey", owner.hex()}, {"namespace", 2}}),
         Status::bad_request, "invalid request: Required field 'signature' missing");
  json::object params = owner.retrieve(world.now_ms - 60'001);
  expect(world.call(0, "retrieve", params), Status::not_acceptable,
         "retrieve timestamp too far from current time");
  params = owner.retrieve(world.now_ms);
  params["namespace"] = 2;
  expect(world.call(0, "retrieve", params), Status::unauthorised,
         "retrieve signature verification failed");
  params["timestamp"] = world.now_ms / 1000;
  expect(world.call(0, "retrieve", params), Status::bad_request,
         "invalid request: Invalid timestamp for 'timestamp': timestamp must be in milliseconds");
  params = owner.retrieve(world.now_ms);
  params["signature"] = "abc";
  expect(world.call(0, "retrieve", params), Status::bad_request,
         "invalid request: invalid signature: expected base64 encoded Ed25519 signature");
}

TEST_F(StorageRpcTest, TakesTheFakeHashThatClientsAskFor) {
  const std::string fake(43, '/');
  EXPECT_EQ(world.call(0, "delete", owner.remove({fake})).status, Status::ok);
  const std::string text = std::to_string(world.now_ms + 60'000) + fake;
  const json::object params = owner.signed_params(
      "expire" + text, {{"messages", json::array{fake}}, {"expiry", world.now_ms + 60'000}});
  EXPECT_EQ(world.call(0, "expire", params).status, Status::ok);
  const json::object look =
      owner.signed_params("get_expiries" + std::to_string(world.now_ms) + fake,
                          {{"messages", json::array{fake}}, {"timestamp", world.now_ms}});
  EXPECT_EQ(world.call(0, "get_expiries", look).status, Status::ok);
  json::object page = owner.retrieve(world.now_ms);
  page["last_hash"] = fake;
  EXPECT_EQ(world.call(0, "retrieve", page).status, Status::ok);
  expect(world.call(0, "delete", owner.remove({std::string(43, '-')})), Status::bad_request,
         "invalid request: invalid message hash: " + std::string(43, '-'));
}

TEST_F(StorageRpcTest, DeletesEverywhereAndSaysWhat) {
  const std::string hash = stored("hello");
  const std::string other(43, 'A');
  const Answer answer = world.call(1, "delete", owner.remove({hash, other}));
  ASSERT_EQ(answer.status, Status::ok);
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(member(answer, node).at("deleted"), json::array{hash});
    EXPECT_TRUE(receipt_holds(member(answer, node), node, owner.hex() + hash + other + hash));
    EXPECT_TRUE(data_in(world.call(node, "retrieve", owner.retrieve(world.now_ms))).empty());
  }
}

TEST_F(StorageRpcTest, SaysNotFoundWhereADeletionWasRequired) {
  json::object params = owner.remove({std::string(43, 'A')});
  EXPECT_EQ(world.call(0, "delete", params).status, Status::ok);
  params["required"] = true;
  EXPECT_EQ(world.call(0, "delete", params).status, Status::not_found);
}

TEST_F(StorageRpcTest, DeletesAllOfANamespaceOrOfEveryOne) {
  const std::string in_default = stored("default");
  const std::string in_five = stored("five", 5);
  const std::string now = std::to_string(world.now_ms);
  Answer answer = world.call(
      0, "delete_all", owner.signed_params("delete_all" + now, {{"timestamp", world.now_ms}}));
  EXPECT_EQ(member(answer, 2).at("deleted"), json::array{in_default});
  EXPECT_TRUE(receipt_holds(member(answer, 2), 2, owner.hex() + now + in_default));
  const std::uint64_t asked = world.now_ms;
  answer = world.call(0, "delete_all",
                      owner.signed_params("delete_allall" + std::to_string(asked),
                                          {{"timestamp", asked}, {"namespace", "all"}}));
  EXPECT_EQ(member(answer, 1).at("deleted"), (json::object{{"5", json::array{in_five}}}));
  answer =
      world.call(0, "delete_all",
                 owner.signed_params("delete_all" + now, {{"timestamp", world.now_ms + 60'001}}));
  expect(answer, Status::not_acceptable, "delete_all timestamp too far from current time");
}

TEST_F(StorageRpcTest, DeletesWhatIsOld) {
  const std::string old = stored("old");
  world.now_ms += 10;
  stored("new");
  const std::string before = std::to_string(kStartMs + 5);
  const Answer answer =
      world.call(0, "delete_before",
                 owner.signed_params("delete_before" + before, {{"before", kStartMs + 5}}));
  EXPECT_EQ(member(answer, 1).at("deleted"), json::array{old});
  EXPECT_EQ(data_in(world.call(1, "retrieve", owner.retrieve(world.now_ms))),
            std::vector<std::string>{"new"});
  const std::uint64_t future = world.now_ms + 60'001;
  expect(world.call(
             0, "delete_before",
             owner.signed_params("delete_before" + std::to_string(future), {{"before", future}})),
         Status::unauthorised, "delete_before timestamp too far in the future");
}

TEST_F(StorageRpcTest, ChangesExpiriesAndSignsThem) {
  const std::string hash = stored("hello");
  const std::uint64_t sooner = world.now_ms + 60'000;
  const std::string text = std::to_string(sooner);
  json::object params =
      owner.signed_params("expireshorten" + text + hash,
                          {{"messages", json::array{hash}}, {"expiry", sooner}, {"shorten", true}});
  Answer answer = world.call(0, "expire", params);
  EXPECT_EQ(member(answer, 1).at("updated"), json::array{hash});
  EXPECT_EQ(member(answer, 1).at("expiry").as_int64(), static_cast<std::int64_t>(sooner));
  EXPECT_TRUE(receipt_holds(member(answer, 1), 1, owner.hex() + text + hash + hash));
  answer = world.call(0, "expire", params);
  EXPECT_TRUE(member(answer, 2).at("updated").as_array().empty());
  EXPECT_EQ(member(answer, 2).at("unchanged").as_object().at(hash).as_int64(),
            static_cast<std::int64_t>(sooner));
  EXPECT_TRUE(receipt_holds(member(answer, 2), 2, owner.hex() + text + hash + hash + text));
  const std::string now = std::to_string(world.now_ms);
  answer = world.call(2, "get_expiries",
                      owner.signed_params("get_expiries" + now + hash,
                                          {{"messages", hash}, {"timestamp", world.now_ms}}));
  EXPECT_EQ(body(answer).size(), 1U) << "nothing but the expiries";
  EXPECT_EQ(body(answer).at("expiries").as_object().at(hash).as_uint64(), sooner);
}

TEST_F(StorageRpcTest, SaysThatATrivialExtensionChangedNothing) {
  const std::string hash = stored("hello");  // for an hour
  const std::string held = std::to_string(kStartMs + 3'600'000);
  const auto extended_by = [&](std::uint64_t more_ms) {
    const std::uint64_t expiry = kStartMs + 3'600'000 + more_ms;
    const json::object params = owner.signed_params(
        "expireextend" + std::to_string(expiry) + hash,
        {{"messages", json::array{hash}}, {"expiry", expiry}, {"extend", true}});
    return std::pair(std::to_string(expiry), world.call(0, "expire", params));
  };
  const auto [asked, answer] = extended_by(30'000);
  for (std::size_t node = 0; node < 3; ++node) {
    const json::object& mine = member(answer, node);
    EXPECT_TRUE(mine.at("updated").as_array().empty());
    EXPECT_EQ(mine.at("unchanged").as_object().at(hash).to_number<std::uint64_t>(),
              kStartMs + 3'600'000);
    EXPECT_TRUE(receipt_holds(mine, node, owner.hex() + asked + hash + hash + held));
  }
  const auto [enough, longer] = extended_by(36'000);
  EXPECT_EQ(member(longer, 1).at("updated"), json::array{hash});
  EXPECT_TRUE(receipt_holds(member(longer, 1), 1, owner.hex() + enough + hash + hash));
}

TEST_F(StorageRpcTest, TakesOneExpiryForEachMessage) {
  const std::string first = stored("first");
  const std::string second = stored("second");
  const std::uint64_t one = world.now_ms + 100'000;
  const std::uint64_t two = world.now_ms + 200'000;
  const std::string text = std::to_string(one) + std::to_string(two) + first + second;
  const Answer answer =
      world.call(0, "expire",
                 owner.signed_params("expire" + text, {{"messages", json::array{first, second}},
                                                       {"expiry", json::array{one, two}}}));
  ASSERT_EQ(answer.status, Status::ok) << json::serialize(answer.body);
  EXPECT_EQ(member(answer, 0).at("expiry").as_array().size(), 2U);
  EXPECT_FALSE(member(answer, 0).contains("unchanged"));
}

TEST_F(StorageRpcTest, HidesWhatExpiredAtTheMillisecond) {
  const json::object params = owner.store("soon gone", world.now_ms, 0, 10'000);
  world.call(0, "store", params);
  world.now_ms = kStartMs + 9'990;
  EXPECT_EQ(data_in(world.call(1, "retrieve", owner.retrieve(world.now_ms))).size(), 1U);
  world.now_ms = kStartMs + 10'000;
  EXPECT_TRUE(data_in(world.call(1, "retrieve", owner.retrieve(world.now_ms))).empty());
}

TEST_F(StorageRpcTest, ShortensAllButNeverLengthens) {
  const std::string hash = stored("hello");
  const std::uint64_t later = world.now_ms + 7'200'000;
  Answer answer =
      world.call(0, "expire_all",
                 owner.signed_params("expire_all" + std::to_string(later), {{"expiry", later}}));
  EXPECT_TRUE(member(answer, 1).at("updated").as_array().empty());
  const std::uint64_t now = world.now_ms;
  answer = world.call(0, "expire_all",
                      owner.signed_params("expire_all" + std::to_string(now), {{"expiry", now}}));
  EXPECT_EQ(member(answer, 1).at("updated"), json::array{hash});
  EXPECT_TRUE(data_in(world.call(1, "retrieve", owner.retrieve(world.now_ms))).empty());
}

TEST_F(StorageRpcTest, AnswersForOtherSwarmsWithTheirMembers) {
  world.assign({7, 7, std::uint64_t{1} << 63});
  int misdirected = 0;
  for (std::uint8_t n = 1; n <= 20; ++n) {
    const TestAccount account(3, n);
    const Answer answer = world.call(0, "store", account.store("x", world.now_ms));
    const Answer swarm = world.call(0, "get_swarm", {{"pubkey", account.hex()}});
    if (answer.status == Status::misdirected) {
      ++misdirected;
      EXPECT_EQ(body(answer).at("snodes"), body(swarm).at("snodes"));
      EXPECT_EQ(body(answer).at("swarm"), "8000000000000000");
      const json::object& node = body(answer).at("snodes").as_array()[0].as_object();
      EXPECT_EQ(node.at("pubkey_ed25519"), json::value(to_hex(world.node(2).key())));
      EXPECT_EQ(node.at("port"), "22021");
      EXPECT_EQ(node.at("port_omq"), 22020);
      EXPECT_EQ(node.at("ip"), "10.0.0.3");
    } else {
      EXPECT_EQ(body(swarm).at("swarm"), "7");
    }
  }
  EXPECT_GT(misdirected, 2);
  EXPECT_LT(misdirected, 18);
}

TEST_F(StorageRpcTest, RevokedSubaccountsReadNothingButTheUnrevocable) {
  const TestAccount group(3, 9);
  const TestAccount person(3, 10);
  std::string token(4, '\0');
  token[0] = 3;
  token[1] = 3;  // read and write
  token += text_of(person.key().public_key());
  const auto as_person = [&](json::object params, std::string_view text) {
    params["pubkey"] = group.hex();
    params["signature"] = to_base64(person.key().sign(bytes_of(text)));
    params["subaccount"] = to_base64(bytes_of(token));
    params["subaccount_sig"] = to_base64(group.key().sign(bytes_of(token)));
    return params;
  };
  const auto read = [&](int space) {
    return world.call(1, "retrieve",
                      as_person({{"namespace", space}, {"timestamp", world.now_ms}},
                                "retrieve" + std::to_string(space) + std::to_string(world.now_ms)));
  };
  EXPECT_EQ(read(11).status, Status::ok);
  const std::string now = std::to_string(world.now_ms);
  const Answer deleted =
      world.call(0, "delete_all", as_person({{"timestamp", world.now_ms}}, "delete_all" + now));
  EXPECT_EQ(deleted.status, Status::unauthorised) << "it may not delete";

  const Answer revoked = world.call(
      0, "revoke_subaccount",
      group.signed_params("revoke_subaccount" + now + token,
                          {{"revoke", to_hex(bytes_of(token))}, {"timestamp", world.now_ms}}));
  ASSERT_EQ(revoked.status, Status::ok) << json::serialize(revoked.body);
  EXPECT_TRUE(receipt_holds(member(revoked, 2), 2, group.hex() + now + token));
  expect(read(11), Status::unauthorised, "retrieve signature verification failed");
  EXPECT_EQ(read(-11).status, Status::ok);
  const std::string then = std::to_string(world.now_ms);
  const Answer list =
      world.call(2, "revoked_subaccounts",
                 group.signed_params("revoked_subaccounts" + then, {{"timestamp", world.now_ms}}));
  EXPECT_EQ(body(list).at("revoked_subaccounts"), json::array{to_base64(bytes_of(token))});

  const std::string later = std::to_string(world.now_ms);
  const Answer back = world.call(
      1, "unrevoke_subaccount",
      group.signed_params(
          "unrevoke_subaccount" + later + token,
          {{"unrevoke", json::array{to_base64(bytes_of(token))}}, {"timestamp", world.now_ms}}));
  EXPECT_EQ(member(back, 0).at("count"), 1);
  EXPECT_EQ(read(11).status, Status::ok);
}

TEST_F(StorageRpcTest, TakesBackMoreTokensThanItTakesAtOnce) {
  const auto answer_to = [this](const std::string& name) {
    std::string text = name + "_subaccount" + std::to_string(world.now_ms);
    json::array tokens;
    for (std::uint8_t number = 0; number < 61; ++number) {
      std::string token("\3\3\0\0", 4);
      token += text_of(TestAccount(3, number).key().public_key());
      text += token;
      tokens.emplace_back(to_base64(bytes_of(token)));
    }
    return world.call(0, name + "_subaccount",
                      owner.signed_params(text, {{name, tokens}, {"timestamp", world.now_ms}}));
  };
  const Answer answer = answer_to("unrevoke");
  ASSERT_EQ(answer.status, Status::ok) << json::serialize(answer.body);
  EXPECT_EQ(member(answer, 1).at("count"), 0);
  expect(answer_to("revoke"), Status::bad_request,
         "invalid request: invalid revoke: cannot revoke more than 50 subaccounts at once");
}

TEST_F(StorageRpcTest, RunsABatchInWhateverOrderAndASequenceUntilItFails) {
  const json::object store_one = {{"method", "store"}, {"params", owner.store("1", world.now_ms)}};
  const json::object bad = {{"method", "retrieve"}, {"params", {{"pubkey", owner.hex()}}}};
  const json::object info = {{"method", "info"}, {"params", json::object{}}};
  Answer answer = world.call(0, "batch", {{"requests", json::array{bad, store_one, info}}});
  const json::array& results = body(answer).at("results").as_array();
  EXPECT_EQ(body(answer).size(), 1U);
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].at("code"), 401);
  EXPECT_EQ(results[1].at("code"), 200);
  EXPECT_EQ(results[2].at("body").at("version"), (json::array{2, 8, 0}));
  answer = world.call(0, "sequence", {{"requests", json::array{info, bad, store_one}}});
  EXPECT_EQ(body(answer).at("results").as_array().size(), 2U) << "the failure is the last";
}

TEST_F(StorageRpcTest, GivesEveryPartOfASequenceItsOwnTime) {
  world.call(0, "store", owner.store("short", world.now_ms, 0, 3'000));
  world.node(1).is_up = false;
  const json::object slow = {{"method", "store"}, {"params", owner.store("1", world.now_ms)}};
  json::object all = owner.retrieve(world.now_ms);
  const json::object read = {{"method", "retrieve"}, {"params", all}};
  const std::uint64_t begin_ms = world.now_ms;
  const Answer answer = world.call(0, "sequence", {{"requests", json::array{slow, read}}});
  const json::value& last = body(answer).at("results").as_array().back().at("body");
  EXPECT_GT(last.at("t").to_number<std::uint64_t>(), begin_ms + 3'000) << "a member was waited for";
  EXPECT_EQ(last.at("messages").as_array().size(), 1U) << "the other is over";
}

TEST_F(StorageRpcTest, RunsNoneOfABatchWhereOneCannotBeRead) {
  const json::object good = {{"method", "store"}, {"params", owner.store("1", world.now_ms)}};
  const json::object bad = {{"method", "delete"}, {"params", {{"pubkey", owner.hex()}}}};
  for (const std::string_view method : {"batch", "sequence"}) {
    expect(world.call(0, method, {{"requests", json::array{good, bad, json::object{}}}}),
           Status::bad_request, "invalid request: Required field 'signature' missing");
  }
  EXPECT_TRUE(data_in(world.call(0, "retrieve", owner.retrieve(world.now_ms))).empty());
}

TEST_F(StorageRpcTest, LooksIntoTheBranchAloneThatItTakes) {
  const json::object info = {{"method", "info"}, {"params", json::object{}}};
  const json::object bad = {{"method", "store"}, {"params", json::object{}}};
  json::object params = {{"if", {{"v_at_least", {2}}}}, {"then", info}, {"else", bad}};
  EXPECT_EQ(body(world.call(0, "ifelse", params)).at("result").at("code"), 200);
  params["then"] = bad;
  EXPECT_EQ(body(world.call(0, "ifelse", params)).at("result").at("code"), 400);
}

TEST_F(StorageRpcTest, RefusesBatchesThatAreNone) {
  const json::object info = {{"method", "info"}, {"params", json::object{}}};
  const auto refused = [this](json::value requests, std::string_view text) {
    expect(world.call(0, "batch", {{"requests", std::move(requests)}}), Status::bad_request, text);
  };
  refused(json::array(21, info),
          "invalid request: Invalid batch request: subrequest limit exceeded");
  refused(json::array(), "invalid request: Invalid batch request: no valid \"requests\" field");
  refused(json::array{json::object{{"method", "batch"}, {"params", json::object{}}}},
          "invalid request: Invalid batch subrequest: subrequests may not contain meta-requests");
  refused(json::array{json::object{{"method", "x"}, {"params", json::object{}}}},
          "invalid request: Invalid batch subrequest: invalid method \"x\"");
  refused(json::array{json::object{{"method", "info"}}},
          "invalid request: Invalid batch request: subrequests must have method/params keys");
}

TEST_F(StorageRpcTest, ChoosesByCondition) {
  const json::object info = {{"method", "info"}, {"params", json::object{}}};
  Answer answer = world.call(
      0, "ifelse", {{"if", {{"hf_at_least", {19, 4}}, {"v_before", {2, 9}}}}, {"then", info}});
  EXPECT_EQ(body(answer).at("condition"), json::value(true));
  EXPECT_EQ(body(answer).at("result").at("code"), 200);
  EXPECT_FALSE(body(answer).contains("t"));
  answer = world.call(0, "ifelse", {{"if", {{"hf_before", {19}}}}, {"then", info}});
  EXPECT_EQ(body(answer).at("condition"), json::value(false));
  EXPECT_FALSE(body(answer).contains("result"));
  expect(world.call(0, "ifelse", {{"if", json::object{}}, {"then", info}}), Status::bad_request,
         "invalid request: Invalid ifelse request: must specify at least one \"if\" condition");
}

TEST_F(StorageRpcTest, RefusesNestingWithoutEnd) {
  const auto nested = [this](int levels) {
    json::object request = {{"method", "info"}, {"params", json::object{}}};
    for (int i = 0; i < levels; ++i) {
      request = {{"method", "ifelse"},
                 {"params", {{"if", {{"height_at_least", 0}}}, {"then", request}}}};
    }
    return world.call(0, "ifelse", request.at("params").as_object());
  };
  EXPECT_EQ(nested(8).status, Status::ok);
  for (const int levels : {9, 30}) {
    expect(nested(levels), Status::bad_request,
           "invalid request: Invalid ifelse request: nested too deep");
  }
}

TEST_F(StorageRpcTest, GivesTheListOfNodesAsOxendDoes) {
  const Answer answer = world.call(
      0, "oxend_request",
      {{"endpoint", "get_service_nodes"}, {"params", {{"fields", {{"public_ip", true}}}}}});
  const auto& states = body(answer).at("result").at("service_node_states").as_array();
  EXPECT_EQ(states.size(), 3U);
  EXPECT_EQ(states[0].as_object().size(), 1U);
  EXPECT_EQ(world.call(0, "oxend_request", {{"endpoint", "ons_resolve"}}).status,
            Status::bad_request);
  expect(world.call(0, "oxend_request", {{"endpoint", "stop"}}), Status::bad_request,
         "invalid request: Invalid oxend endpoint 'stop'");
}

TEST_F(StorageRpcTest, PacksTheNodesOfSwarmsThatHaveAnIpv4Address) {
  std::vector<ServiceNode> nodes(3);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    nodes[i].ed25519 = world.node(i).key();
    nodes[i].ip = i == 1 ? "fd00::1" : "10.1.2.255";
    nodes[i].https_port = 22021;
    nodes[i].omq_port = 22020;
    nodes[i].swarm = i == 2 ? kNoSwarm : 0x0102030405060708;
  }
  world.node(0).membership.update(std::make_shared<const ServiceNodes>(nodes), 1);
  std::string expected(text_of(world.node(0).key()));
  expected += std::string("\1\2\3\4\5\6\7\10\12\1\2\377\126\5\126\4\2\10\0", 19);
  ASSERT_EQ(expected.size(), 51U);

  const Answer answer = world.call(0, "active_nodes_bin", {});
  EXPECT_EQ(answer.status, Status::ok);
  EXPECT_EQ(body_text(answer, Format::json), expected);
  EXPECT_EQ(body_text(answer, Format::bt), expected);
  EXPECT_EQ(content_type(answer), "application/octet-stream");
  const json::object part = {{"method", "active_nodes_bin"}, {"params", json::object{}}};
  for (const Format format : {Format::json, Format::bt}) {
    const std::string inside = format == Format::bt ? expected : to_base64(bytes_of(expected));
    for (const std::string_view method : {"batch", "sequence"}) {
      const Answer many = world.call(0, method, {{"requests", json::array{part}}}, format);
      EXPECT_EQ(body(many).at("results").at(0).at("body"), json::value(inside));
    }
    const Answer chosen =
        world.call(0, "ifelse", {{"if", {{"v_at_least", json::array{2}}}}, {"then", part}}, format);
    EXPECT_EQ(body(chosen).at("result").at("body"), json::value(inside));
  }
}

TEST_F(StorageRpcTest, ForwardsNothingThatAMemberHandsIn) {
  const Answer answer =
      world.call(0, "store", owner.store("hello", world.now_ms), Format::json, RpcSource::peer);
  EXPECT_FALSE(body(answer).contains("swarm"));
  EXPECT_EQ(body(answer).at("hash").as_string().size(), 43U);
  EXPECT_TRUE(data_in(world.call(1, "retrieve", owner.retrieve(world.now_ms))).empty());
  expect(world.call(0, "info", {}, Format::json, RpcSource::peer), Status::bad_request,
         "invalid request: received invalid forwarded non-forwardable request");
}

TEST_F(StorageRpcTest, ReadsRequestsAsClientsWriteThem) {
  const auto answer_to = [this](std::string_view text) {
    Answer answer;
    world.node(0).rpc().call_json(text, RpcSource::client, [&](Answer given) { answer = given; });
    return answer;
  };
  expect(answer_to("{"), Status::bad_request, "invalid json");
  expect(answer_to("7"), Status::bad_request, "invalid json: no `method` field");
  expect(answer_to(R"({"params":{}})"), Status::bad_request, "invalid json: no `method` field");
  expect(answer_to(R"({"method":"info"})"), Status::bad_request, "invalid json: no `params` field");
  expect(answer_to(R"({"method":"info","params":[]})"), Status::bad_request,
         "invalid json: no `params` field");
  expect(answer_to(R"({"method":"fly","params":{}})"), Status::bad_request, "no method fly");
  EXPECT_EQ(answer_to(R"({"method":"info","params":{},"id":1})").status, Status::ok);
  expect(answer_to("[" + std::string(200'000, ',')), Status::bad_request, "invalid json");
  expect(answer_to(std::string(10'000, '[')), Status::bad_request, "invalid json");
  expect(answer_to("{\"method\":\"\u20ac" + std::string(61, '.') + "\u20ac\u20ac\",\"params\":{}}"),
         Status::bad_request, "no method \u20ac" + std::string(61, '.'));
}

TEST_F(StorageRpcTest, BoundsTheValuesOfARequestHoweverTheyLieInEachOther) {
  const auto status_of = [this](std::size_t count) {
    std::string nested = "{}";
    for (int depth = 0; depth < 9; ++depth) {
      nested = "{\"\":" + nested + "}";
    }
    std::string text = R"({"method":"info","params":{"a":[)" + nested;
    for (std::size_t i = 1; i < count; ++i) {
      text += "," + nested;
    }
    Answer answer;
    world.node(0).rpc().call_json(text + "]}}", RpcSource::client,
                                  [&](Answer given) { answer = std::move(given); });
    return answer.status;
  };
  EXPECT_EQ(status_of(9'000), Status::ok);
  EXPECT_EQ(status_of(10'000), Status::bad_request);
}

TEST_F(StorageRpcTest, BoundsTheValuesOfARequestInBtToo) {
  Answer answer;
  std::string empty_lists;
  for (int i = 0; i < 120'000; ++i) {
    empty_lists += "le";
  }
  world.node(0).rpc().call_params("info", "d1:al" + empty_lists + "ee", RpcSource::client,
                                  [&](Answer given, Format) { answer = std::move(given); });
  EXPECT_EQ(answer.status, Status::bad_request);
}

TEST_F(StorageRpcTest, IsNotReadyBeforeItKnowsAnyNode) {
  world.node(0).membership.update(std::make_shared<const ServiceNodes>(), 0);
  EXPECT_EQ(world.call(0, "info", {}).status, Status::unavailable);
}

}  // namespace
}  // namespace allium::control::test
