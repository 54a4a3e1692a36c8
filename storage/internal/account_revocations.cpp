// SPDX-License-Identifier: Apache-2.0

// AccountChange: the subaccounts that an account has revoked, and those that it has not any more.

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/internal/account_change.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage::internal {

std::vector<AccountChange::Revoked> AccountChange::revocations() {
  std::vector<Revoked> found;
  for (const auto& [key, value] : transaction_.scan(account_key(Kind::revocation, account_))) {
    const auto parsed = parse_revocation_key(key);
    const auto revocation = transaction_.decoded(decode_revocation(value));
    if (!parsed || !revocation) {
      transaction_.mark({Errc::io, "a revocation of the store is damaged: restore a backup"});
      return {};
    }
    found.push_back({parsed->token, *revocation});
  }
  return found;
}

void AccountChange::put_revocation(const Revoked& revoked) {
  const std::string key = revocation_key(account_, revoked.token);
  transaction_.put(key, encode_revocation(revoked.revocation));
  if (revoked.revocation.is_lifted) {
    transaction_.put(expiry_key(end_of_lateness(revoked.revocation.asked), key), encode_bytes({}));
  }
  transaction_.totals().bytes_used += kRevocationBytes;
}

void AccountChange::erase_revocation(const Revoked& revoked) {
  const std::string key = revocation_key(account_, revoked.token);
  transaction_.erase(key);
  if (revoked.revocation.is_lifted) {
    transaction_.erase(expiry_key(end_of_lateness(revoked.revocation.asked), key));
  }
  transaction_.totals().bytes_used -= kRevocationBytes;
}

void AccountChange::keep_newest_revocations() {
  std::vector<Revoked> all = revocations();
  std::sort(all.begin(), all.end(), [](const Revoked& left, const Revoked& right) {
    const auto age = [](const Revoked& of) {
      const Revocation& said = of.revocation;
      return std::tuple(said.is_lifted, said.is_lifted ? said.asked : said.timestamp_ms, said.asked,
                        of.token);
    };
    return age(left) > age(right);
  });
  std::size_t kept[2] = {0, 0};
  for (const Revoked& revoked : all) {
    if (++kept[revoked.revocation.is_lifted ? 1 : 0] > kRevocationsKept) {
      erase_revocation(revoked);
    }
  }
}

std::size_t AccountChange::say_of_tokens(const std::vector<Token>& tokens,
                                         std::uint64_t timestamp_ms, bool is_lifted) {
  std::size_t count = 0;
  for (const Token& token : tokens) {
    Revoked said{token, {timestamp_ms, asked_, is_lifted}};
    const auto known = transaction_.get(revocation_key(account_, token), decode_revocation);
    const auto rank = [](const Revocation& of) { return std::pair(of.asked, of.is_lifted); };
    if (known && rank(*known) > rank(said.revocation)) {
      continue;
    }
    if (known) {
      erase_revocation({token, *known});
    }
    const bool was_revoked = known && !known->is_lifted;
    if (was_revoked && !is_lifted) {
      said.revocation.timestamp_ms = std::max(timestamp_ms, known->timestamp_ms);
    }
    count += was_revoked == is_lifted ? 1U : 0U;
    put_revocation(said);
  }
  keep_newest_revocations();
  return count;
}

std::size_t AccountChange::revoke(const std::vector<Token>& tokens, std::uint64_t timestamp_ms) {
  return say_of_tokens(tokens, timestamp_ms, false);
}

std::size_t AccountChange::unrevoke(const std::vector<Token>& tokens) {
  return say_of_tokens(tokens, 0, true);
}

}  // namespace allium::storage::internal
