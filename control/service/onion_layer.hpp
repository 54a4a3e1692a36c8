// SPDX-License-Identifier: Apache-2.0
#pragma once

// The layers of an onion request (session onion requests v2, "Wire form"): a length, a blob and a JSON object that says
// what the blob is.
//
//   Ownership  values.
//   Errors     Errc::malformed, with the words that a client gets.
//   Threads    reentrant.
//   Limits     kHopsMax; the JSON of a layer kLayerJsonBytesMax.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "control/network/service_nodes.hpp"
#include "control/service/channel_cipher.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

inline constexpr int kHopsMax = 15;
inline constexpr std::size_t kLayerJsonBytesMax = 4096;

/// What arrives at a node: a blob for its key.
struct OnionEnvelope {
  std::string blob;
  crypto_accel::PublicKey client{};  ///< the client's ephemeral key for this layer
  EncryptType type = EncryptType::aes_gcm;
  int hop = 0;  ///< at most kHopsMax + 1, which whoever gets it has to refuse
};

/// From a client: the body of POST /onion_req/v2.
[[nodiscard]] Result<OnionEnvelope> parse_client_envelope(std::string_view body);

/// From a node: the part of sn.onion_request.
[[nodiscard]] Result<OnionEnvelope> parse_node_envelope(std::string_view part);
[[nodiscard]] std::string serialise_node_envelope(const OnionEnvelope& envelope);

/// This node is meant: a storage RPC.
struct OnionForUs {
  std::string request;
  bool body_as_json = false;
  bool answer_as_base64 = true;
};

/// Another node is next.
struct OnionForNode {
  NodeKey next{};
  OnionEnvelope envelope;
};

/// A server outside is next; it gets the whole layer.
struct OnionForServer {
  std::string scheme;
  std::string host;
  std::uint16_t port = 0;
  std::string target;
  std::string layer;
};

using OnionLayer = std::variant<OnionForUs, OnionForNode, OnionForServer>;

/// An opened layer. `hop` is the one of the envelope it was in.
[[nodiscard]] Result<OnionLayer> parse_onion_layer(std::string_view plaintext, int hop);

/// Where an exit may post to: /loki/.../lsrpc and /oxen/.../lsrpc, without a query, over http or https.
[[nodiscard]] bool is_server_allowed(const OnionForServer& server) noexcept;

}  // namespace allium::control
