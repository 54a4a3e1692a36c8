// SPDX-License-Identifier: Apache-2.0
#pragma once

// An account of Session's network as its owner uses it: fills in and signs the parameters of storage requests (session storage
// RPC), and writes them in the spelling of either lane.
//
//   Ownership  owns and wipes its key.
//   Errors     Errc::malformed: parameters that cannot be what the method wants, said with the field's name.
//   Threads    reentrant.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "control/network/ed25519.hpp"
#include "control/node/identity_file.hpp"
#include "crypto_accel/base/result.hpp"
#include "storage/account.hpp"

namespace allium::client {

class SessionAccount {
 public:
  /// An 05 account: its id is the X25519 form of the seed's Ed25519 key.
  [[nodiscard]] static Result<SessionAccount> from_seed(const control::Seed& seed);

  /// 66 hex digits.
  [[nodiscard]] std::string id() const;

  /// `params` (as JSON has them) with what the method needs of pubkey, pubkey_ed25519, timestamp and signature, where the
  /// caller has not given it. A store without ttl and expiry lives a day.
  [[nodiscard]] Result<boost::json::object> complete(std::string_view method,
                                                     boost::json::object params,
                                                     std::uint64_t now_ms) const;

 private:
  explicit SessionAccount(control::IdentitySecret key) : key_(std::move(key)) {}

  control::IdentitySecret key_;
  storage::Account account_{};
};

/// The account that a request is for. Errc::malformed: no pubkey of 66 hex digits.
[[nodiscard]] Result<storage::Account> account_of(const boost::json::object& params);

/// Who has signed for a stored message.
struct Receipts {
  std::size_t members = 0;  ///< of the swarm, as the network document has it
  std::size_t valid = 0;    ///< of those, whose signature of the message's hash holds
};

/// `body`: of a store, as JSON has it; `members`: the Ed25519 keys of the account's swarm. A signature of anybody else counts
/// for nothing.
[[nodiscard]] Receipts check_receipts(const boost::json::value& body,
                                      std::span<const control::IdentityKey> members);

/// Parameters as JSON has them -> as bt has them: data, signatures and tokens become raw bytes. Errc::malformed: not base64.
[[nodiscard]] Result<boost::json::object> params_for_bt(std::string_view method,
                                                        boost::json::object params);

/// An answer's body as bt has it -> as JSON has it: data and signatures in base64, and so whatever else is no UTF-8, such as the list
/// of active_nodes_bin.
[[nodiscard]] boost::json::value body_from_bt(boost::json::value body);

}  // namespace allium::client
