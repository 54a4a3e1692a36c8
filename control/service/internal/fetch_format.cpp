// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/fetch_format.hpp"

#include <array>
#include <set>

#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/json_fields.hpp"

namespace allium::control::internal {
namespace {

namespace json = boost::json;

std::optional<std::uint64_t> point_in(const json::object& dict, std::string_view name) {
  const auto text = text_in(dict, name);
  const auto bytes = text ? array_of<8>(*text) : std::nullopt;
  return bytes ? std::optional(load_be(bytes->data(), bytes->size())) : std::nullopt;
}

}  // namespace

bool is_fetch_page(const PeerParts& reply) {
  return reply.size() >= 3 && (reply.front() == kFetchWhole || reply.front() == kFetchInPart ||
                               reply.front() == kFetchNothing);
}

std::string point_text(std::uint64_t point) {
  std::array<std::uint8_t, 8> bytes;
  store_be(bytes.data(), point, bytes.size());
  return std::string(text_of(bytes));
}

std::optional<FetchRequest> parse_fetch_request(std::string_view text) {
  const Result<json::value> value = parse_bt(text);
  const auto* dict = value ? value->if_object() : nullptr;
  if (dict == nullptr) {
    return std::nullopt;
  }
  const auto first = point_in(*dict, "f");
  const auto last = point_in(*dict, "t");
  if (!first || !last || *first > *last) {
    return std::nullopt;
  }
  FetchRequest request{number_in(*dict, "g").value_or(0),
                       {*first, *last},
                       std::string(text_in(*dict, "k").value_or("")),
                       std::string(text_in(*dict, "m").value_or("")),
                       std::string(text_in(*dict, "r").value_or(""))};
  if (dict->contains("a")) {
    const auto account = array_of<33>(text_in(*dict, "a").value_or(""));
    const bool wants_revocations = request.kind == "r";
    const auto hash = wants_revocations ? std::string_view() : text_in(*dict, "h");
    const bool is_hash =
        wants_revocations || (hash && !hash->empty() && hash->size() <= storage::kHashCharsMax);
    if (!account || !is_hash) {
      return std::nullopt;
    }
    const std::uint64_t point = storage::point_of(*account);
    if (point < *first || point > *last) {
      return std::nullopt;
    }
    request.scan.after = storage::MessageId{*account, std::string(*hash)};
  }
  return request;
}

json::array revoked_entry(const OwnedRevocation& revoked) {
  const auto& [account, one] = revoked;
  return {text_of(account), text_of(one.token), one.timestamp_ms, one.asked};
}

std::vector<OwnedRevocation> parse_revoked(std::string_view text) {
  std::vector<OwnedRevocation> revoked;
  const Result<json::value> list = parse_bt(text);
  const auto* entries = list ? list->if_array() : nullptr;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* entry = (*entries)[i].if_array();
    if (entry == nullptr || entry->size() != 4 || !(*entry)[0].is_string() ||
        !(*entry)[1].is_string() || !(*entry)[2].is_int64() || !(*entry)[3].is_int64()) {
      continue;
    }
    const auto account = array_of<33>(std::string_view((*entry)[0].get_string()));
    const auto token = array_of<36>(std::string_view((*entry)[1].get_string()));
    const std::int64_t timestamp = (*entry)[2].get_int64();
    const std::int64_t asked = (*entry)[3].get_int64();
    if (account && token && timestamp >= 0 && asked >= 0) {
      revoked.emplace_back(*account,
                           storage::RevokedToken{*token, static_cast<std::uint64_t>(timestamp),
                                                 static_cast<storage::Stamp>(asked)});
    }
  }
  return revoked;
}

std::string place_text(const storage::Account& account, const storage::Hash& hash) {
  return serialise_bt(json::object{{"a", text_of(account)}, {"h", hash}});
}

std::optional<storage::MessageId> place_in(const std::string& text) {
  const Result<json::value> place = parse_bt(text);
  const auto* dict = place ? place->if_object() : nullptr;
  const auto account =
      dict == nullptr ? std::nullopt : array_of<33>(text_in(*dict, "a").value_or(""));
  if (!account) {
    return std::nullopt;
  }
  return storage::MessageId{*account, std::string(text_in(*dict, "h").value_or(""))};
}

std::vector<std::size_t> places_in(std::string_view text, std::size_t count) {
  std::set<std::size_t> places;
  const Result<json::value> list = parse_bt(text);
  const auto* entries = list ? list->if_array() : nullptr;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* place = (*entries)[i].if_int64();
    if (place != nullptr && *place >= 0 && static_cast<std::size_t>(*place) < count) {
      places.insert(static_cast<std::size_t>(*place));
    }
  }
  return {places.begin(), places.end()};
}

std::vector<NodeKey> keys_in(std::string_view text) {
  std::vector<NodeKey> keys;
  const Result<json::value> list = parse_bt(text);
  const auto* entries = list ? list->if_array() : nullptr;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* entry = (*entries)[i].if_string();
    if (const auto key = entry == nullptr ? std::nullopt : array_of<32>(*entry)) {
      keys.push_back(*key);
    }
  }
  return keys;
}

}  // namespace allium::control::internal
