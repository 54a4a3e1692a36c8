// SPDX-License-Identifier: Apache-2.0
#include "tools/client/session_onion.hpp"

#include <optional>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "control/service/encoding.hpp"
#include "control/service/onion_layer.hpp"
#include "crypto_accel/primitives.hpp"

namespace allium::client {
namespace {

namespace json = boost::json;
using control::Channel;
using control::EncryptType;

static_assert(kSessionHopsMax == control::kHopsMax);

/// Length (4 bytes, little-endian), blob, JSON.
std::string frame(std::string_view blob, const json::object& control) {
  const std::string text = json::serialize(control);
  std::string framed;
  framed.reserve(4 + blob.size() + text.size());
  for (unsigned shift = 0; shift < 32; shift += 8) {
    framed += static_cast<char>(blob.size() >> shift & 0xff);
  }
  return framed.append(blob).append(text);
}

/// An ephemeral key, and what it shares with the node's.
Result<Channel> open_channel(const SessionHop& hop, const Random& random) {
  Secret<32> secret;
  random(secret.bytes());
  Channel channel;
  channel.client = crypto_accel::x25519_public(secret);
  channel.node = hop.x25519;
  if (!crypto_accel::x25519(secret, hop.x25519, channel.shared.bytes())) {
    return fail(Errc::malformed, "the X25519 key of node " + control::to_hex(hop.ed25519) +
                                     " is of low order; leave that node out");
  }
  return channel;
}

/// What the node before has to know to hand the blob on.
json::object control_of(const Channel& channel, EncryptType type) {
  return {{"ephemeral_key", control::to_hex(channel.client)},
          {"enc_type", control::encrypt_type_name(type)}};
}

}  // namespace

Result<SessionHop> session_hop(const control::IdentityKey& ed25519) {
  const auto x25519 = control::x25519_of(ed25519);
  if (!x25519) {
    return fail(Errc::malformed, "the Ed25519 key " + control::to_hex(ed25519) +
                                     " is of low order; leave that node out");
  }
  return SessionHop{ed25519, *x25519};
}

Result<SessionOnion> build_session_onion(std::span<const SessionHop> path,
                                         std::string_view request_json, EncryptType type,
                                         const Random& random) {
  if (path.empty() || path.size() > kSessionHopsMax) {
    return fail(Errc::out_of_range, "a path of " + std::to_string(path.size()) +
                                        " nodes: use 1 to " + std::to_string(kSessionHopsMax));
  }
  if (request_json.size() > kSessionBodyBytesMax) {
    return fail(Errc::out_of_range, "the request is larger than nodes accept, 10 MiB");
  }
  SessionOnion onion;
  onion.type = type;
  json::object control = {{"headers", json::object{}}};
  std::string_view blob = request_json;
  std::string sealed;
  for (std::size_t i = path.size(); i-- > 0;) {
    Result<Channel> channel = open_channel(path[i], random);
    if (!channel) {
      return tl::unexpected(std::move(channel.error()));
    }
    sealed = control::seal(*channel, type, frame(blob, control), random);
    blob = sealed;
    control = control_of(*channel, type);
    if (i > 0) {
      control["destination"] = control::to_hex(path[i].ed25519);
    }
    if (i + 1 == path.size()) {
      onion.end = *std::move(channel);
    }
  }
  onion.body = frame(blob, control);
  if (onion.body.size() > kSessionBodyBytesMax) {
    return fail(Errc::out_of_range,
                "with its layers the request is larger than nodes accept, 10 MiB");
  }
  return onion;
}

Result<SessionAnswer> open_session_answer(const SessionOnion& onion, std::string_view http_body) {
  const std::optional<std::string> sealed = control::from_base64(http_body);
  if (!sealed) {
    return fail(Errc::malformed, "the answer is not base64");
  }
  const std::optional<std::string> plain = control::open(onion.end, onion.type, *sealed);
  if (!plain) {
    return fail(Errc::bad_signature, "the answer does not open with the last node's key");
  }
  json::error_code error;
  const json::value inner = json::parse(*plain, error);
  const json::object* object = error ? nullptr : inner.if_object();
  const json::value* status = object == nullptr ? nullptr : object->if_contains("status");
  const json::value* body = object == nullptr ? nullptr : object->if_contains("body");
  if (status == nullptr || body == nullptr || !status->is_int64() || status->get_int64() < 100 ||
      status->get_int64() > 599) {
    return fail(Errc::malformed, "the answer has no status and body inside");
  }
  SessionAnswer answer;
  answer.status = static_cast<int>(status->get_int64());
  // Servers of the peers' kind may give the body as a value, asked or not.
  const json::string* text = body->if_string();
  answer.body = text == nullptr ? json::serialize(*body) : std::string(*text);
  return answer;
}

}  // namespace allium::client
