// SPDX-License-Identifier: Apache-2.0
#pragma once

// The client's end of CurveZMQ (RFC 26), for what libzmq's does not do when a test wants it. Commands without their frames.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control::test {

class CurveClient {
 public:
  /// `own`: the long-term keys, which need not belong together.
  CurveClient(const X25519Key& server, const KeyPair& own);

  [[nodiscard]] std::string hello();

  /// False: it is not for this client.
  [[nodiscard]] bool take_welcome(const std::string& command);

  /// As a DEALER; `metadata` stands behind that.
  [[nodiscard]] std::string initiate(std::string_view metadata = {});

  [[nodiscard]] bool take_ready(const std::string& command) const;

  /// In the order in which they are sent.
  [[nodiscard]] std::string message(std::string_view text, bool has_more, bool is_command);

  /// The flags and the text of a message.
  [[nodiscard]] std::optional<std::string> open(const std::string& message) const;

 private:
  [[nodiscard]] std::string next_nonce();

  X25519Key server_;
  const KeyPair& own_;
  KeyPair session_;             ///< of this connection
  X25519Key server_session_{};  ///< the server's
  std::string cookie_;
  std::uint64_t nonce_ = 0;
};

}  // namespace allium::control::test
