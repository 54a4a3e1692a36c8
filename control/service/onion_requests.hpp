// SPDX-License-Identifier: Apache-2.0
#pragma once

// Onion requests as a node serves them: opens a layer, and answers, hands on to the next node, or posts to a server
// outside (session onion requests v2).
//
//   Ownership  borrows what OnionSurroundings names; owns the node's X25519 key.
//   Errors     every request ends in one answer.
//   Threads    the service thread.
//   Cost       one X25519 and one AEAD opening a request; those that arrive in one turn of the loop go through both
//              kernels together, up to crypto_accel::kLanesMax. Blobs are opened in place: no second copy of them.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/service/membership.hpp"
#include "control/service/onion_layer.hpp"
#include "control/service/storage_rpc.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::control {

struct OnionAnswer {
  Status status = Status::ok;
  std::string body;
};

using OnionReply = std::function<void(OnionAnswer)>;

/// How requests leave this node.
class OnionLinks {
 public:
  OnionLinks() = default;
  OnionLinks(const OnionLinks&) = delete;
  OnionLinks& operator=(const OnionLinks&) = delete;
  virtual ~OnionLinks() = default;

  /// Known not to answer at the moment.
  [[nodiscard]] virtual bool is_unreachable(const ServiceNode& node) const = 0;

  /// sn.onion_request; gives the parts of the reply, status text and body. Errc::timeout where none came, Errc::unavailable where the
  /// node was found dead meanwhile.
  virtual void to_node(const ServiceNode& node, std::string part,
                       std::function<void(Result<std::vector<std::string>>)> done) = 0;

  /// POSTs the layer; gives the server's own answer. Errc::timeout, Errc::unavailable.
  virtual void to_server(const OnionForServer& server,
                         std::function<void(Result<OnionAnswer>)> done) = 0;
};

struct OnionSurroundings {
  const Membership& membership;
  StorageRpc& rpc;
  OnionLinks& links;
  const crypto_accel::X25519Kernel& x25519;
  const crypto_accel::AeadKernel& aead;
  Random random;
  std::function<void(std::function<void()>)> post;  ///< to the end of the service thread's queue
};

struct OnionCounters {
  std::uint64_t received = 0;
  std::uint64_t for_us = 0;
  std::uint64_t to_nodes = 0;
  std::uint64_t to_servers = 0;
  std::uint64_t refused = 0;
  std::uint64_t batches = 0;  ///< calls of the X25519 kernel, and of the AEAD kernel
};

class OnionRequests {
 public:
  OnionRequests(OnionSurroundings surroundings, crypto_accel::PrivateKey key);
  ~OnionRequests();
  OnionRequests(const OnionRequests&) = delete;
  OnionRequests& operator=(const OnionRequests&) = delete;

  /// The body of POST /onion_req/v2.
  void from_client(std::string_view body, OnionReply reply);

  /// The part of sn.onion_request.
  void from_node(std::string_view part, OnionReply reply);

  [[nodiscard]] const OnionCounters& counters() const noexcept { return counters_; }

 private:
  struct Waiting;
  struct Opened;

  void take(Result<OnionEnvelope> envelope, OnionReply reply);
  void open_waiting();
  std::vector<std::shared_ptr<Opened>> share_secrets(std::span<Waiting> waiting);
  void take_plaintext(std::optional<std::string_view> plaintext, int hop,
                      std::shared_ptr<Opened> opened);
  void answer(const OnionForUs& layer, std::shared_ptr<Opened> opened);
  void relay(OnionForNode layer, const std::shared_ptr<Opened>& opened);
  void post_out(const OnionForServer& layer, const std::shared_ptr<Opened>& opened);

  OnionSurroundings around_;
  crypto_accel::PrivateKey key_;
  crypto_accel::PublicKey public_key_;
  std::vector<Waiting> waiting_;
  OnionCounters counters_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
