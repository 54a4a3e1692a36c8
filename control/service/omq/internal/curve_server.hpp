// SPDX-License-Identifier: Apache-2.0
#pragma once

// The server's end of CurveZMQ (RFC 26, https://rfc.zeromq.org/spec/26): proves who the client is, then opens and seals what the two say.
// No more of it than one connection: its cookie is a number that this end remembers.
//
//   Ownership  owns the keys of this connection, which it wipes; borrows the server's long-term keys.
//   Errors     nullopt: not what an honest client sends. The connection is to be ended.
//   Threads    the owner's.
//   Cost       two X25519 for each of HELLO and INITIATE.
//   Limits     kCurveInitiateBytesMax; a message's are the frames'.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "control/service/omq/internal/omq_identity.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {

/// Of INITIATE, with the client's metadata. Nothing of that is kept: who it is says its key.
inline constexpr std::size_t kCurveInitiateBytesMax = 2048;

/// What a message takes more than its text.
inline constexpr std::size_t kCurveMessageOverhead = 8 + 8 + 16 + 1;  // name, nonce, MAC, flags

struct CurveMessage {
  bool has_more = false;
  bool is_command = false;
  Bytes text;  ///< lies in what was opened
};

class CurveServer {
 public:
  explicit CurveServer(const OmqIdentity& server) : server_(server) {}

  CurveServer(const CurveServer&) = delete;
  CurveServer& operator=(const CurveServer&) = delete;

  /// WELCOME for this HELLO.
  [[nodiscard]] std::optional<std::string> welcome(Bytes hello);

  /// Whose INITIATE this is. Requires a WELCOME before. Afterwards messages can be sealed.
  [[nodiscard]] std::optional<X25519Key> initiated_by(std::span<std::uint8_t> initiate);

  /// READY, as a ROUTER.
  [[nodiscard]] std::string ready();

  /// Opens a MESSAGE in place.
  [[nodiscard]] std::optional<CurveMessage> open(std::span<std::uint8_t> message);

  /// Appends a MESSAGE to `to`.
  void seal(std::string_view text, bool has_more, bool is_command, std::string& to);

 private:
  static constexpr std::size_t kCookieBytes = 96;

  [[nodiscard]] bool is_next(std::uint64_t nonce) noexcept;

  const OmqIdentity& server_;
  X25519Key client_{};  ///< the client's, of this connection
  Secret<32> own_;      ///< the server's, of this connection
  Secret<32> shared_;   ///< of these two
  std::array<std::uint8_t, kCookieBytes> cookie_{};
  std::uint64_t received_nonce_ = 0;
  std::uint64_t sent_nonce_ = 0;
};

}  // namespace allium::control
