// SPDX-License-Identifier: Apache-2.0
#include "control/service/onion_layer.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/json_fields.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

using internal::number_in;
using internal::text_in;

struct Framed {
  std::string_view blob;
  json::object control;
};

/// Length (4 bytes, little-endian), blob, JSON.
Result<Framed> parse_frame(std::string_view text) {
  if (text.size() < 4) {
    return fail(Errc::malformed, "Unexpected payload size; expected ciphertext size");
  }
  std::uint32_t length = 0;
  for (std::size_t i = 4; i-- > 0;) {
    length = length << 8 | static_cast<std::uint8_t>(text[i]);
  }
  text.remove_prefix(4);
  if (length > text.size()) {
    return fail(Errc::malformed, "Unexpected payload size " + std::to_string(text.size()) +
                                     ", expected >= " + std::to_string(length));
  }
  const std::string_view rest = text.substr(length);
  json::error_code error;
  json::value control = rest.size() > kLayerJsonBytesMax ? json::value() : json::parse(rest, error);
  if (error || !control.is_object()) {
    return fail(Errc::malformed, "no JSON object behind the blob");
  }
  return Framed{text.substr(0, length), std::move(control.get_object())};
}

/// Absent: `otherwise`; of another type: nullopt.
std::optional<bool> flag_in(const json::object& object, std::string_view name, bool otherwise) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) {
    return otherwise;
  }
  return value->is_bool() ? std::optional(value->get_bool()) : std::nullopt;
}

std::optional<NodeKey> key_in(const json::object& object, std::string_view name) {
  const std::optional<std::string_view> text = text_in(object, name);
  const std::optional<std::string> bytes = text ? from_hex(*text) : std::nullopt;
  return bytes ? array_of<32>(*bytes) : std::nullopt;
}

std::optional<EncryptType> encrypt_type_in(const json::object& object) {
  if (!object.contains("enc_type")) {
    return EncryptType::aes_gcm;
  }
  const std::optional<std::string_view> name = text_in(object, "enc_type");
  return name ? parse_encrypt_type(*name) : std::nullopt;
}

Result<OnionEnvelope> envelope_of(std::string_view blob, const json::object& control, int hop) {
  const std::optional<NodeKey> client = key_in(control, "ephemeral_key");
  if (!client) {
    return fail(Errc::malformed, "ephemeral_key is not 64 hex digits");
  }
  const std::optional<EncryptType> type = encrypt_type_in(control);
  if (!type) {
    return fail(Errc::malformed, "unknown enc_type");
  }
  return OnionEnvelope{std::string(blob), *client, *type, hop};
}

int hop_in(const json::object& object) {
  return static_cast<int>(
      std::clamp<std::int64_t>(number_in(object, "hop_no").value_or(0), 0, kHopsMax + 1));
}

Result<OnionLayer> for_us(const Framed& frame) {
  const std::optional<bool> body_as_json = flag_in(frame.control, "json", false);
  const std::optional<bool> answer_as_base64 = flag_in(frame.control, "base64", true);
  if (!body_as_json || !answer_as_base64) {
    return fail(Errc::malformed, "json and base64 are booleans");
  }
  return OnionForUs{std::string(frame.blob), *body_as_json, *answer_as_base64};
}

Result<OnionLayer> for_server(const Framed& frame, std::string_view plaintext) {
  const std::optional<std::string_view> host = text_in(frame.control, "host");
  const std::optional<std::string_view> target = text_in(frame.control, "target");
  const bool has_scheme = frame.control.contains("protocol");
  const std::optional<std::string_view> scheme = text_in(frame.control, "protocol");
  const json::value* port = frame.control.if_contains("port");
  if (!host || !target || (has_scheme && !scheme) ||
      (port != nullptr &&
       (!port->is_int64() || port->get_int64() < 1 || port->get_int64() > 65535))) {
    return fail(Errc::malformed, "host, target, port or protocol is not what it should be");
  }
  OnionForServer server;
  server.scheme = scheme.value_or("https");
  server.host = *host;
  server.port = port == nullptr ? 443 : static_cast<std::uint16_t>(port->get_int64());
  server.target = *target;
  server.layer = plaintext;
  return server;
}

Result<OnionLayer> for_node(const Framed& frame, int hop) {
  const std::optional<NodeKey> next = key_in(frame.control, "destination");
  if (!next) {
    return fail(Errc::malformed, "destination is not 64 hex digits");
  }
  Result<OnionEnvelope> envelope = envelope_of(frame.blob, frame.control, hop + 1);
  if (!envelope) {
    return tl::unexpected(envelope.error());
  }
  return OnionForNode{*next, *std::move(envelope)};
}

}  // namespace

Result<OnionEnvelope> parse_client_envelope(std::string_view body) {
  const Result<Framed> frame = parse_frame(body);
  if (!frame) {
    return tl::unexpected(frame.error());
  }
  return envelope_of(frame->blob, frame->control, hop_in(frame->control));
}

Result<OnionEnvelope> parse_node_envelope(std::string_view part) {
  Result<json::value> value = parse_bt(part);
  const auto* dict = value ? value->if_object() : nullptr;
  if (dict == nullptr) {
    return fail(Errc::malformed, "no bt dict");
  }
  const std::optional<std::string_view> blob = text_in(*dict, "data");
  const std::optional<std::string_view> key = text_in(*dict, "ephemeral_key");
  const std::optional<NodeKey> client = key ? array_of<32>(*key) : std::nullopt;
  const std::optional<EncryptType> type = encrypt_type_in(*dict);
  if (!blob || !client || !type) {
    return fail(Errc::malformed, "data, ephemeral_key or enc_type is not what it should be");
  }
  return OnionEnvelope{std::string(*blob), *client, *type, hop_in(*dict)};
}

std::string serialise_node_envelope(const OnionEnvelope& envelope) {
  json::object dict;
  dict["data"] = envelope.blob;
  dict["enc_type"] = encrypt_type_name(envelope.type);
  dict["ephemeral_key"] = text_of(envelope.client);
  dict["hop_no"] = envelope.hop;
  return serialise_bt(dict);
}

Result<OnionLayer> parse_onion_layer(std::string_view plaintext, int hop) {
  const Result<Framed> frame = parse_frame(plaintext);
  if (!frame) {
    return tl::unexpected(frame.error());
  }
  if (frame->control.contains("headers")) {
    return for_us(*frame);
  }
  return frame->control.contains("host") ? for_server(*frame, plaintext) : for_node(*frame, hop);
}

bool is_server_allowed(const OnionForServer& server) noexcept {
  const std::string_view target = server.target;
  const bool is_visible = std::all_of(target.begin(), target.end(),
                                      [](char c) { return c > ' ' && c < 0x7f && c != '?'; });
  const bool is_name =
      !server.host.empty() && server.host.size() <= 253 &&
      std::all_of(server.host.begin(), server.host.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == ':';
      });
  return is_name && (server.scheme == "http" || server.scheme == "https") &&
         (target.starts_with("/loki/") || target.starts_with("/oxen/")) &&
         target.ends_with("/lsrpc") && is_visible;
}

}  // namespace allium::control
