// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/store_requests.hpp"

#include <array>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <sodium.h>

#include "control/service/encoding.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

/// BLAKE2b-256 of account, namespace ("" for 0) and data, in base64 without padding: written here a second time, so that the
/// node's word is not taken for it.
std::string message_hash(const storage::Account& account, std::string_view data) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, 32);
  crypto_generichash_update(&state, account.data(), account.size());
  crypto_generichash_update(&state, control::bytes_of(data).data(), data.size());
  std::array<std::uint8_t, 32> hash{};
  crypto_generichash_final(&state, hash.data(), hash.size());
  return control::to_base64(hash, control::Padding::without);
}

bool is_text(const json::value* value, std::string_view text) {
  const json::string* found = value == nullptr ? nullptr : value->if_string();
  return found != nullptr && std::string_view(*found) == text;
}

}  // namespace

StoreRequest store_request(const storage::Account& account, std::size_t size, std::uint64_t now_ms,
                           const Random& random) {
  std::string data(size, '\0');
  random(std::span(reinterpret_cast<std::uint8_t*>(data.data()), data.size()));
  const json::object params = {{"pubkey", control::to_hex(account)},
                               {"timestamp", now_ms},
                               {"ttl", kMessageLifeMs},
                               {"data", control::to_base64(control::bytes_of(data))}};
  return {json::serialize(json::object{{"method", "store"}, {"params", params}}),
          message_hash(account, data)};
}

std::string wrong_in_store_answer(std::string_view body, std::string_view hash,
                                  std::span<const RunningNode> members) {
  json::error_code error;
  const json::value answer = json::parse(body, error);
  const json::object* object = error ? nullptr : answer.if_object();
  if (object == nullptr) {
    return "no JSON object";
  }
  if (!is_text(object->if_contains("hash"), hash)) {
    return "not the message's hash";
  }
  const json::value* swarm = object->if_contains("swarm");
  const json::object* entries = swarm == nullptr ? nullptr : swarm->if_object();
  if (entries == nullptr || entries->size() != members.size()) {
    return "not as many members as the swarm has, " + std::to_string(members.size());
  }
  for (const RunningNode& member : members) {
    const json::value* entry = entries->if_contains(control::to_hex(member.node.ed25519));
    const json::object* held = entry == nullptr ? nullptr : entry->if_object();
    if (held == nullptr || held->contains("failed") || !is_text(held->if_contains("hash"), hash)) {
      return member.name + " does not hold the message";
    }
  }
  return "";
}

}  // namespace allium::bench
