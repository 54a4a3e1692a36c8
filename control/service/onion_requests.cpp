// SPDX-License-Identifier: Apache-2.0
#include "control/service/onion_requests.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <boost/json/serialize.hpp>

#include "control/service/encoding.hpp"
#include "control/service/omq/omq_message.hpp"
#include "crypto_accel/primitives.hpp"

namespace allium::control {
namespace json = boost::json;
using crypto_accel::kLanesMax;

struct OnionRequests::Waiting {
  OnionEnvelope envelope;
  OnionReply reply;
};

/// A request whose shared secret is known, as long as its answer is due.
struct OnionRequests::Opened {
  Channel channel;
  EncryptType type = EncryptType::aes_gcm;
  OnionReply reply;
};

namespace {

OnionAnswer refusal(Status status, std::string text) {
  return {status, std::move(text)};
}

/// The answer inside: status and body, the body as a text or as it is; bytes are base64 in either case.
std::string inner_answer(const Answer& answer, bool body_as_json) {
  json::object inner;
  inner["status"] = static_cast<int>(answer.status);
  json::value body = body_value(answer, Format::json);
  if (body_as_json || body.is_string()) {
    inner["body"] = std::move(body);
  } else {
    inner["body"] = json::serialize(body);
  }
  return json::serialize(inner);
}

/// One that other nodes pass on: as long as their messages are, in base64 or not.
std::string sealable_answer(const Answer& answer, bool body_as_json, bool as_base64) {
  constexpr std::size_t kSealedBytesMax = kOmqMessageBytesMax - 1024;
  std::string inner = inner_answer(answer, body_as_json);
  if (inner.size() <= (as_base64 ? kSealedBytesMax / 4 * 3 : kSealedBytesMax)) {
    return inner;
  }
  return inner_answer(refuse(Status::payload_too_large, "the answer is too long"), false);
}

OnionAnswer unreachable(const NodeKey& next) {
  return refusal(Status::bad_gateway, "Next node is currently unreachable: " + to_hex(next));
}

/// What the next node said: status text and body.
OnionAnswer answer_of_node(const NodeKey& next, Result<std::vector<std::string>> parts) {
  // Refused: it does not know this node, or not yet.
  if (!parts && (parts.error().code == Errc::unavailable || parts.error().code == Errc::refused)) {
    return unreachable(next);
  }
  if (!parts && parts.error().code == Errc::full) {
    return refusal(Status::unavailable, "too many onion requests on their way: try again");
  }
  if (!parts) {
    return refusal(Status::gateway_timeout, "Request time out");
  }
  if (parts->size() < 2) {
    return refusal(Status::internal, "Invalid response from snode");
  }
  const std::string& code = parts->front();
  int status = 0;
  const auto [stop, error] = std::from_chars(code.data(), code.data() + code.size(), status);
  const bool is_status =
      error == std::errc{} && stop == code.data() + code.size() && status >= 100 && status < 600;
  return {is_status ? static_cast<Status>(status) : Status::internal, std::move((*parts)[1])};
}

}  // namespace

OnionRequests::OnionRequests(OnionSurroundings surroundings, crypto_accel::PrivateKey key)
    : around_(std::move(surroundings)),
      key_(std::move(key)),
      public_key_(crypto_accel::x25519_public(key_)) {}

OnionRequests::~OnionRequests() {
  *is_alive_ = false;
}

void OnionRequests::from_client(std::string_view body, OnionReply reply) {
  take(parse_client_envelope(body), std::move(reply));
}

void OnionRequests::from_node(std::string_view part, OnionReply reply) {
  take(parse_node_envelope(part), std::move(reply));
}

void OnionRequests::take(Result<OnionEnvelope> envelope, OnionReply reply) {
  ++counters_.received;
  if (!envelope) {
    ++counters_.refused;
    reply(refusal(Status::bad_request, "Error parsing onion request: " + envelope.error().text));
    return;
  }
  // In the open, and by the node that is one too many: who sent it here cannot say so to the client within its layer.
  if (envelope->hop > kHopsMax) {
    ++counters_.refused;
    reply(refusal(Status::bad_request, "onion request max path length exceeded"));
    return;
  }
  if (!around_.membership.is_ready()) {
    ++counters_.refused;
    reply(refusal(Status::unavailable, "Snode not ready: " + to_hex(around_.membership.own())));
    return;
  }
  waiting_.push_back({*std::move(envelope), std::move(reply)});
  if (waiting_.size() == kLanesMax) {
    open_waiting();
  } else if (waiting_.size() == 1) {
    around_.post([this, is_alive = is_alive_] {
      if (*is_alive) {
        open_waiting();
      }
    });
  }
}

void OnionRequests::open_waiting() {
  std::vector<Waiting> waiting;
  std::swap(waiting, waiting_);
  if (waiting.empty()) {
    return;
  }
  ++counters_.batches;
  const std::vector<std::shared_ptr<Opened>> opened = share_secrets(waiting);
  std::vector<SealedBlob> blobs;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    blobs.push_back(
        {&opened[i]->channel, opened[i]->type, &waiting[i].envelope.blob, std::nullopt});
  }
  open_batch(around_.aead, blobs);
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    take_plaintext(blobs[i].plaintext, waiting[i].envelope.hop, opened[i]);
    waiting[i] = {};  // may be 10 MiB
  }
}

std::vector<std::shared_ptr<OnionRequests::Opened>> OnionRequests::share_secrets(
    std::span<Waiting> waiting) {
  std::array<crypto_accel::PublicKey, kLanesMax> points;
  std::array<crypto_accel::SharedSecret, kLanesMax> secrets;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    points[i] = waiting[i].envelope.client;
  }
  const crypto_accel::LaneMask good = around_.x25519.run(
      key_, std::span(points).first(waiting.size()), std::span(secrets).first(waiting.size()));
  std::vector<std::shared_ptr<Opened>> all;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if ((good >> i & 1U) == 0) {
      waiting[i].envelope.blob.clear();  // the secret is known to everybody: nothing opens with it
    }
    auto opened = std::make_shared<Opened>();
    opened->channel.client = waiting[i].envelope.client;
    opened->channel.node = public_key_;
    opened->channel.shared = Secret<32>(secrets[i]);
    opened->type = waiting[i].envelope.type;
    opened->reply = std::move(waiting[i].reply);
    all.push_back(std::move(opened));
  }
  wipe(secrets.data(), sizeof secrets);
  return all;
}

void OnionRequests::take_plaintext(std::optional<std::string_view> plaintext, int hop,
                                   std::shared_ptr<Opened> opened) {
  if (!plaintext) {
    ++counters_.refused;
    opened->reply(refusal(Status::bad_request, "Invalid ciphertext"));
    return;
  }
  Result<OnionLayer> layer = parse_onion_layer(*plaintext, hop);
  if (!layer) {
    ++counters_.refused;
    const Answer inner = refuse(Status::bad_request, "Invalid json");
    opened->reply(
        {Status::ok, to_base64(bytes_of(seal(around_.aead, opened->channel, opened->type,
                                             inner_answer(inner, false), around_.random)))});
    return;
  }
  if (const auto* ours = std::get_if<OnionForUs>(&*layer)) {
    answer(*ours, std::move(opened));
  } else if (auto* node = std::get_if<OnionForNode>(&*layer)) {
    relay(std::move(*node), opened);
  } else {
    post_out(std::get<OnionForServer>(*layer), opened);
  }
}

void OnionRequests::answer(const OnionForUs& layer, std::shared_ptr<Opened> opened) {
  ++counters_.for_us;
  around_.rpc.call_json(
      layer.request, RpcSource::onion,
      [&aead = around_.aead, random = around_.random, opened = std::move(opened),
       as_json = layer.body_as_json, as_base64 = layer.answer_as_base64](const Answer& inner) {
        std::string sealed = seal(aead, opened->channel, opened->type,
                                  sealable_answer(inner, as_json, as_base64), random);
        opened->reply({Status::ok, as_base64 ? to_base64(bytes_of(sealed)) : std::move(sealed)});
      });
}

void OnionRequests::relay(OnionForNode layer, const std::shared_ptr<Opened>& opened) {
  const auto nodes = around_.membership.nodes();
  const ServiceNode* next = nodes->find_ed25519(layer.next);
  if (next == nullptr || around_.links.is_unreachable(*next)) {
    ++counters_.refused;
    opened->reply(next == nullptr
                      ? refusal(Status::bad_gateway, "Next node not found: " + to_hex(layer.next))
                      : unreachable(layer.next));
    return;
  }
  ++counters_.to_nodes;
  around_.links.to_node(
      *next, serialise_node_envelope(layer.envelope),
      [reply = opened->reply, key = layer.next](Result<std::vector<std::string>> parts) {
        reply(answer_of_node(key, std::move(parts)));
      });
}

void OnionRequests::post_out(const OnionForServer& layer, const std::shared_ptr<Opened>& opened) {
  if (!is_server_allowed(layer)) {
    ++counters_.refused;
    const Answer inner = refuse(Status::bad_request, "Invalid url");
    opened->reply(
        {Status::ok, to_base64(bytes_of(seal(around_.aead, opened->channel, opened->type,
                                             inner_answer(inner, false), around_.random)))});
    return;
  }
  ++counters_.to_servers;
  around_.links.to_server(layer, [reply = opened->reply](Result<OnionAnswer> answer) {
    if (answer) {
      reply(*std::move(answer));
      return;
    }
    const bool is_late = answer.error().code == Errc::timeout;
    reply(refusal(is_late ? Status::gateway_timeout : Status::bad_gateway, answer.error().text));
  });
}

}  // namespace allium::control
