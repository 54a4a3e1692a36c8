// SPDX-License-Identifier: Apache-2.0

// store and retrieve.

#include "control/service/internal/message_hash.hpp"
#include "control/service/internal/rpc_call.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

constexpr std::uint64_t kDayMs = 86'400'000;
constexpr std::uint64_t kLifeMsMin = 10'000;
constexpr std::uint64_t kInboxLifeMsMax = 14 * kDayMs;
constexpr std::uint64_t kStoreToleranceMs = 10'000;
constexpr std::uint64_t kForwardedStoreToleranceMs = 20'000;
constexpr std::int64_t kRetrieveFraction = -5;

struct StoreRequest {
  Authentication who;
  storage::Message message;
  std::uint64_t signed_ms = 0;
};

StoreRequest read_store(RpcFields& fields) {
  StoreRequest request;
  storage::Message& message = request.message;
  std::optional<std::string> data = fields.data("data");
  const std::optional<std::uint64_t> expiry = fields.timestamp("expiry");
  message.space = fields.space("namespace").value_or(0);
  const std::optional<std::uint64_t> signed_ms = fields.timestamp("sig_timestamp");
  const std::optional<std::uint64_t> timestamp = fields.loose_number("timestamp");
  const std::optional<std::uint64_t> ttl = fields.loose_number("ttl");
  message.timestamp_ms = fields.required("timestamp", timestamp);
  if (expiry && ttl) {
    fields.refuse("Cannot specify both 'expiry' and 'ttl'");
  } else if (!expiry && !ttl) {
    fields.refuse("Required field 'expiry' or 'ttl' missing");
  }
  // Both summands are below 2^63.
  message.expiry_ms = expiry ? *expiry : message.timestamp_ms + ttl.value_or(0);
  if (fields.has("signature")) {
    request.who = fields.authentication(true);
    request.signed_ms = signed_ms.value_or(message.timestamp_ms);
  } else {
    request.who.account = fields.account(true);
  }
  message.data = fields.required("data", std::move(data));
  message.hash = message_hash(request.who.account, message.space, message.data);
  return request;
}

bool is_life_legal(const storage::Message& message) {
  const std::uint64_t life_ms_max =
      is_public_inbox(message.space) ? kInboxLifeMsMax : storage::kLifeMsMax;
  return message.expiry_ms >= message.timestamp_ms + kLifeMsMin &&
         message.expiry_ms - message.timestamp_ms <= life_ms_max;
}

/// Answers where the store is not allowed.
bool refuses_store(const RpcCall& call, const StoreRequest& request) {
  const storage::Message& message = request.message;
  if (!is_life_legal(message)) {
    call.refuse(Status::forbidden, "Provided expiry/TTL is not valid.");
    return true;
  }
  const std::uint64_t tolerance_ms =
      call.is_from_client() ? kStoreToleranceMs : kForwardedStoreToleranceMs;
  if (message.timestamp_ms > call.now_ms + tolerance_ms ||
      message.expiry_ms + tolerance_ms < call.asked_ms()) {
    call.refuse(Status::not_acceptable, "Timestamp error: check your clock");
    return true;
  }
  if (is_public_inbox(message.space)) {
    return false;
  }
  if (!request.who.signature) {
    call.refuse(Status::unauthorised,
                "store: signature required to store to namespace " + std::to_string(message.space));
    return true;
  }
  if (!call.is_timely(request.signed_ms, call.tolerance_ms())) {
    call.refuse(Status::not_acceptable, "store signature timestamp too far from current time");
    return true;
  }
  // A store into an outbox deletes what was there.
  const Access wanted =
      is_public_outbox(message.space) ? Access::write | Access::remove : Access::write;
  const std::string text = "store" + signed_text(message.space) + std::to_string(request.signed_ms);
  if (call.is_badly_signed(request.who, text, wanted, "store signature verification failed")) {
    return true;
  }
  return false;
}

/// A message that a newer one in the outbox keeps out is answered as if it had come first and been replaced: the client's
/// command was obeyed, and a failure would have it try again for ever. It is not `already` there.
bool was_there(storage::StoreEffect effect) {
  return effect != storage::StoreEffect::inserted && effect != storage::StoreEffect::outdated;
}

json::object stored_body(const RpcCall& call, const storage::Hash& hash,
                         const storage::Stored& stored) {
  json::object mine;
  mine["hash"] = hash;
  mine["signature"] = call.receipt(hash);
  mine["expiry"] = stored.expiry_ms;
  if (was_there(stored.effect)) {
    mine["already"] = true;
  }
  if (call.is_from_client()) {
    mine["t"] = call.now_ms;
  }
  if (call.is_late() && stored.is_changed) {
    mine["updated"] = array_of_texts({hash});
  }
  return mine;
}

/// What clients may ask for, as limits of the store.
storage::PageLimits page_limits(std::int64_t count, std::int64_t size) {
  storage::PageLimits limits;
  if (count > 0) {
    limits.messages_max = static_cast<std::size_t>(count);
  }
  if (count == 0 && size == 0) {
    size = kRetrieveFraction;
  }
  constexpr auto kMost = static_cast<std::int64_t>(kRetrieveBytesMax);
  if (size < 0) {
    // -size would overflow for the smallest number.
    size = size < -kMost ? 1 : kMost / -size;
  } else if (size == 0 || size > kMost) {
    size = kMost;
  }
  limits.bytes_max = static_cast<std::size_t>(size);
  return limits;
}

struct RetrieveRequest {
  Authentication who;
  Namespace space = 0;
  std::string last_hash;
  storage::PageLimits limits;
  std::uint64_t signed_ms = 0;
  bool has_signature = false;
};

std::string read_last_hash(RpcFields& fields) {
  std::optional<std::string_view> hash = fields.text("last_hash");
  if (fields.has("lastHash")) {
    if (hash) {
      fields.refuse("Cannot specify both 'last_hash' and 'lastHash'");
    }
    hash = fields.text("lastHash");
  }
  if (!hash || hash->empty()) {
    return {};
  }
  if (hash->size() != kMessageHashChars) {
    fields.refuse("Invalid last_hash: expected base64 (43 chars)");
  } else if (!from_base64(*hash)) {
    fields.refuse("Invalid last_hash: not base64");
  }
  return std::string(*hash);
}

RetrieveRequest read_retrieve(RpcFields& fields) {
  RetrieveRequest request;
  request.last_hash = read_last_hash(fields);
  const std::int64_t count = fields.integer("max_count").value_or(0);
  const std::int64_t size = fields.integer("max_size").value_or(0);
  request.limits = page_limits(count, size);
  const std::optional<Namespace> space = fields.space("namespace");
  request.space = space.value_or(0);
  const std::optional<std::uint64_t> timestamp = fields.timestamp("timestamp");
  request.has_signature = fields.has("pubkey_ed25519") || fields.has("signature") || timestamp ||
                          (space && !is_read_by_anyone(*space));
  if (request.has_signature) {
    request.who = fields.authentication(true);
    request.signed_ms = fields.required("timestamp", timestamp);
  } else {
    request.who.account = fields.account(true);
  }
  return request;
}

/// Answers where the reader is not allowed to.
bool refuses_retrieve(const RpcCall& call, const RetrieveRequest& request) {
  if (!request.has_signature) {
    if (!is_read_by_anyone(request.space)) {
      call.refuse(Status::unauthorised, "retrieve: request signature required");
      return true;
    }
    return false;
  }
  if (!call.is_timely(request.signed_ms, call.tolerance_ms())) {
    call.refuse(Status::not_acceptable, "retrieve timestamp too far from current time");
    return true;
  }
  const std::string text =
      "retrieve" + signed_text(request.space) + std::to_string(request.signed_ms);
  if (call.is_badly_signed(request.who, text, Access::read,
                           "retrieve signature verification failed",
                           !is_unrevocable(request.space))) {
    return true;
  }
  return false;
}

void run_store(const RpcCall& call, StoreRequest request) {
  const Asker asker = is_public_inbox(request.message.space) ? Asker::anybody : Asker::owner;
  if (call.turned_away(request.who.account, asker) || refuses_store(call, request)) {
    return;
  }
  json::object more;
  more["timestamp"] = request.message.timestamp_ms;
  more["expiry"] = request.message.expiry_ms;
  more["data"] = request.message.data;
  if (request.who.signature) {
    more["sig_timestamp"] = request.signed_ms;
  }
  if (request.message.space != 0) {
    more["namespace"] = request.message.space;
  }
  const auto round = SwarmRound::start(call, "store", {}, std::move(more));
  const bool replaces = is_public_outbox(request.message.space);
  const Account account = request.who.account;
  storage::Message copy;  // with its data only where somebody wants to hear of it
  copy.hash = request.message.hash;
  if (call.around.on_stored) {
    copy = request.message;
  }
  auto done = [round, call, account,
               copy = std::move(copy)](const Result<storage::Stored>& stored) {
    json::object top;
    top["hash"] = copy.hash;
    if (!stored) {
      round->own_failure(stored.error(), std::move(top));
      return;
    }
    if (stored->effect == storage::StoreEffect::inserted && call.around.on_stored) {
      call.around.on_stored(account, copy);
    }
    round->own_result(stored_body(call, copy.hash, *stored), std::move(top));
  };
  call.around.store.store(account, std::move(request.message), storage::Origin::client, replaces,
                          call.when(),
                          on_service_thread<storage::Stored>(call.around, std::move(done)));
}

/// Of a page, as it is counted towards its limit.
std::size_t bytes_of_page(const storage::Page& page) {
  std::size_t bytes = 0;
  for (const storage::Message& message : page.messages) {
    bytes += storage::page_bytes(message.hash.size(), message.data.size());
  }
  return bytes;
}

void run_retrieve(const RpcCall& call, const RetrieveRequest& request) {
  const Asker asker = request.has_signature ? Asker::owner : Asker::anybody;
  if (call.turned_away(request.who.account, asker) || refuses_retrieve(call, request)) {
    return;
  }
  // A page has a message at least, for which there is room whatever others of the batch have taken.
  std::size_t& left = *call.retrieve_bytes_left;
  storage::PageLimits limits = request.limits;
  limits.bytes_max = left < kLongestPageBytes ? 1 : std::min(limits.bytes_max, left);
  const Result<storage::Page> page = call.around.store.retrieve(
      request.who.account, request.space, request.last_hash, limits, call.now_ms);
  if (!page) {
    call.refuse(Status::internal, "Internal Server Error. Could not retrieve messages");
    return;
  }
  const std::size_t bytes = bytes_of_page(*page);
  left -= std::min(left, bytes);
  if (call.source == RpcSource::onion && call.around.on_given) {
    call.around.on_given(request.who.account, asker, bytes);
  }
  json::array messages;
  for (const storage::Message& message : page->messages) {
    json::object one;
    one["hash"] = message.hash;
    one["timestamp"] = message.timestamp_ms;
    one["expiration"] = message.expiry_ms;
    one["data"] = call.bytes(bytes_of(message.data));
    messages.emplace_back(std::move(one));
  }
  json::object body;
  body["messages"] = std::move(messages);
  body["more"] = page->more;
  call.add_clock(body);
  call.reply({Status::ok, std::move(body)});
}

}  // namespace

Run store_message(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(read_store(fields), run_store);
}

Run retrieve_messages(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(read_retrieve(fields), run_retrieve);
}

}  // namespace allium::control::internal
