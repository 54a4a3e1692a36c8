// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys of the database (FORMAT.md, "Keys"): building them, and taking apart those that are found by scanning.
//
//   Errors     a parser gives nullopt for a key that is not of its kind or length.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/message_store.hpp"

namespace allium::storage::internal {

/// First byte of every key.
enum class Kind : std::uint8_t {
  meta = 0,
  header = 1,
  data = 2,
  place = 3,
  trace = 4,
  removal_marks = 5,
  revocation = 6,
  expiry = 7,
  missed = 8,
  mailbox = 9,
  shorten_marks = 10,
  outbox_marks = 11,
};

/// Where a message lies within its account. Sequences rise with every insertion into the store.
struct Place {
  Namespace space = 0;
  std::uint64_t sequence = 0;

  bool operator==(const Place&) const = default;
};

/// The two keys of Kind::meta.
inline constexpr std::string_view kFormatKey{"\0format", 7};
inline constexpr std::string_view kTotalsKey{"\0totals", 7};

[[nodiscard]] std::string account_key(Kind kind, const Account& account);
[[nodiscard]] std::string hash_key(Kind kind, const Account& account, const Hash& hash);
[[nodiscard]] std::string space_prefix(Kind kind, const Account& account, Namespace space);
[[nodiscard]] std::string message_key(Kind kind, const Account& account, const Place& place);
/// `kind` is removal_marks, shorten_marks or outbox_marks.
[[nodiscard]] std::string mark_key(Kind kind, const Account& account,
                                   std::optional<Namespace> space);
[[nodiscard]] std::string revocation_key(const Account& account, const Token& token);
[[nodiscard]] std::string missed_prefix(const PeerKey& peer);
[[nodiscard]] std::string missed_key(const PeerKey& peer, std::uint64_t number);

/// `expiring` is the key of what ends then.
[[nodiscard]] std::string expiry_key(std::uint64_t expiry_ms, std::string_view expiring);

/// The first key behind all that begin with `kind` and a point <= last.
[[nodiscard]] std::string end_of_points(Kind kind, std::uint64_t last);
[[nodiscard]] std::string start_of_points(Kind kind, std::uint64_t first);

struct MessageKey {
  Account account{};
  Place place;
};

struct ExpiryKey {
  std::uint64_t expiry_ms = 0;
  std::string_view expiring;  ///< into the key that was parsed
};

struct RevocationKey {
  Account account{};
  Token token{};
};

struct MissedKey {
  PeerKey peer{};
  std::uint64_t number = 0;
};

[[nodiscard]] std::optional<Kind> kind_of(std::string_view key);
[[nodiscard]] std::optional<MessageKey> parse_message_key(std::string_view key);
[[nodiscard]] std::optional<ExpiryKey> parse_expiry_key(std::string_view key);
[[nodiscard]] std::optional<MissedKey> parse_missed_key(std::string_view key);
[[nodiscard]] std::optional<RevocationKey> parse_revocation_key(std::string_view key);

/// Of a key that mark_key() makes.
[[nodiscard]] std::optional<Account> parse_mark_key(std::string_view key);

/// The hash at the end of a key of Kind::trace.
[[nodiscard]] std::optional<Hash> parse_hash_key(std::string_view key);

}  // namespace allium::storage::internal
