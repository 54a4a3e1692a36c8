// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/keys.hpp"

#include <algorithm>
#include <array>

#include "crypto_accel/base/bytes.hpp"

namespace allium::storage::internal {
namespace {

constexpr std::size_t kAccountKeyBytes = 1 + 8 + 33;
constexpr std::size_t kMessageKeyBytes = kAccountKeyBytes + 2 + 8;
constexpr std::size_t kExpiryPrefixBytes = 1 + 8;
constexpr std::size_t kMissedKeyBytes = 1 + 32 + 8;

void append(std::string& key, std::uint64_t value, std::size_t byte_count) {
  std::array<std::uint8_t, 8> bytes{};
  store_be(bytes.data(), value, byte_count);
  key.append(reinterpret_cast<const char*>(bytes.data()), byte_count);
}

template <std::size_t N>
void append(std::string& key, const std::array<std::uint8_t, N>& bytes) {
  key.append(reinterpret_cast<const char*>(bytes.data()), N);
}

std::uint64_t number_at(std::string_view key, std::size_t offset, std::size_t byte_count) {
  return load_be(reinterpret_cast<const std::uint8_t*>(key.data()) + offset, byte_count);
}

template <std::size_t N>
std::array<std::uint8_t, N> bytes_at(std::string_view key, std::size_t offset) {
  std::array<std::uint8_t, N> bytes{};
  std::copy_n(reinterpret_cast<const std::uint8_t*>(key.data()) + offset, N, bytes.begin());
  return bytes;
}

/// So that -1 sorts before 0.
std::uint16_t ordered(Namespace space) {
  return static_cast<std::uint16_t>(static_cast<std::uint16_t>(space) ^ 0x8000U);
}

bool is_kind(std::string_view key, Kind kind) {
  return !key.empty() && static_cast<std::uint8_t>(key[0]) == static_cast<std::uint8_t>(kind);
}

}  // namespace

std::string account_key(Kind kind, const Account& account) {
  std::string key;
  key.reserve(kMessageKeyBytes);
  append(key, static_cast<std::uint8_t>(kind), 1);
  append(key, point_of(account), 8);
  append(key, account);
  return key;
}

std::string hash_key(Kind kind, const Account& account, const Hash& hash) {
  return account_key(kind, account) + hash;
}

std::string space_prefix(Kind kind, const Account& account, Namespace space) {
  std::string key = account_key(kind, account);
  append(key, ordered(space), 2);
  return key;
}

std::string message_key(Kind kind, const Account& account, const Place& place) {
  std::string key = space_prefix(kind, account, place.space);
  append(key, place.sequence, 8);
  return key;
}

std::string mark_key(Kind kind, const Account& account, std::optional<Namespace> space) {
  std::string key = account_key(kind, account);
  if (space) {
    append(key, ordered(*space), 2);
  }
  return key;
}

std::string revocation_key(const Account& account, const Token& token) {
  std::string key = account_key(Kind::revocation, account);
  append(key, token);
  return key;
}

std::string missed_prefix(const PeerKey& peer) {
  std::string key;
  append(key, static_cast<std::uint8_t>(Kind::missed), 1);
  append(key, peer);
  return key;
}

std::string missed_key(const PeerKey& peer, std::uint64_t number) {
  std::string key = missed_prefix(peer);
  append(key, number, 8);
  return key;
}

std::string expiry_key(std::uint64_t expiry_ms, std::string_view expiring) {
  std::string key;
  key.reserve(kExpiryPrefixBytes + expiring.size());
  append(key, static_cast<std::uint8_t>(Kind::expiry), 1);
  append(key, expiry_ms, 8);
  key.append(expiring);
  return key;
}

std::string start_of_points(Kind kind, std::uint64_t first) {
  std::string key;
  append(key, static_cast<std::uint8_t>(kind), 1);
  append(key, first, 8);
  return key;
}

std::string end_of_points(Kind kind, std::uint64_t last) {
  if (last < UINT64_MAX) {
    return start_of_points(kind, last + 1);
  }
  std::string key;
  append(key, static_cast<std::uint64_t>(kind) + 1, 1);
  return key;
}

std::optional<Kind> kind_of(std::string_view key) {
  if (key.empty() ||
      static_cast<std::uint8_t>(key[0]) > static_cast<std::uint8_t>(Kind::outbox_marks)) {
    return std::nullopt;
  }
  return static_cast<Kind>(key[0]);
}

std::optional<MessageKey> parse_message_key(std::string_view key) {
  if (key.size() != kMessageKeyBytes ||
      (!is_kind(key, Kind::header) && !is_kind(key, Kind::data))) {
    return std::nullopt;
  }
  MessageKey parsed;
  parsed.account = bytes_at<33>(key, 9);
  parsed.place.space = static_cast<Namespace>(number_at(key, kAccountKeyBytes, 2) ^ 0x8000U);
  parsed.place.sequence = number_at(key, kAccountKeyBytes + 2, 8);
  return number_at(key, 1, 8) == point_of(parsed.account) ? std::optional(parsed) : std::nullopt;
}

std::optional<ExpiryKey> parse_expiry_key(std::string_view key) {
  if (key.size() <= kExpiryPrefixBytes || !is_kind(key, Kind::expiry)) {
    return std::nullopt;
  }
  return ExpiryKey{number_at(key, 1, 8), key.substr(kExpiryPrefixBytes)};
}

std::optional<MissedKey> parse_missed_key(std::string_view key) {
  if (key.size() != kMissedKeyBytes || !is_kind(key, Kind::missed)) {
    return std::nullopt;
  }
  return MissedKey{bytes_at<32>(key, 1), number_at(key, 33, 8)};
}

std::optional<RevocationKey> parse_revocation_key(std::string_view key) {
  if (key.size() != kAccountKeyBytes + 36 || !is_kind(key, Kind::revocation)) {
    return std::nullopt;
  }
  return RevocationKey{bytes_at<33>(key, 9), bytes_at<36>(key, kAccountKeyBytes)};
}

std::optional<Account> parse_mark_key(std::string_view key) {
  const bool is_long_enough = key.size() == kAccountKeyBytes || key.size() == kAccountKeyBytes + 2;
  const bool is_mark = is_kind(key, Kind::removal_marks) || is_kind(key, Kind::shorten_marks) ||
                       is_kind(key, Kind::outbox_marks);
  return is_long_enough && is_mark ? std::optional(bytes_at<33>(key, 9)) : std::nullopt;
}

std::optional<Hash> parse_hash_key(std::string_view key) {
  if (key.size() <= kAccountKeyBytes || key.size() > kAccountKeyBytes + kHashCharsMax ||
      !is_kind(key, Kind::trace)) {
    return std::nullopt;
  }
  return Hash(key.substr(kAccountKeyBytes));
}

}  // namespace allium::storage::internal
