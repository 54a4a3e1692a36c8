// SPDX-License-Identifier: Apache-2.0
#pragma once

// Requests and replies of sn.allium_fetch as they are sent (replica_fetch.hpp).
//
//   Ownership  values; a page borrows what it is made with.
//   Errors     nullopt, or left out: not that form.
//   Threads    reentrant.
//   Limits     kFetchBytesMax, kFetchVisitsMax, kFetchRevokedMax a page.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>

#include "control/service/membership.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/peer_transport.hpp"
#include "storage/message_store.hpp"

namespace allium::control::internal {

inline constexpr std::size_t kFetchBytesMax = 1'000'000;
/// Messages that one request looks at, its own or not.
inline constexpr std::size_t kFetchVisitsMax = 10'000;
inline constexpr std::size_t kFetchRevokedMax = 5'000;
/// Messages that one request asks about.
inline constexpr std::size_t kOldCopyPageMax = 1'000;

/// First part of a reply.
inline constexpr const char* kFetchWhole = "OK";
inline constexpr const char* kFetchInPart = "PART";
inline constexpr const char* kFetchNothing = "NONE";

[[nodiscard]] bool is_fetch_page(const PeerParts& reply);

/// A revocation and whose it is.
using OwnedRevocation = std::pair<storage::Account, storage::RevokedToken>;

struct FetchRequest {
  std::int64_t height = 0;
  storage::Scan scan;
  std::string kind;
  std::string old_messages;
  std::string old_revocations;
};

[[nodiscard]] std::optional<FetchRequest> parse_fetch_request(std::string_view text);

/// First or last point of a request.
[[nodiscard]] std::string point_text(std::uint64_t point);

[[nodiscard]] boost::json::array revoked_entry(const OwnedRevocation& revoked);

/// Those that can be read.
[[nodiscard]] std::vector<OwnedRevocation> parse_revoked(std::string_view text);

/// Where an answer ended.
[[nodiscard]] std::string place_text(const storage::Account& account, const storage::Hash& hash);
[[nodiscard]] std::optional<storage::MessageId> place_in(const std::string& text);

/// Of a bt list of places in a page of `count`, each once.
[[nodiscard]] std::vector<std::size_t> places_in(std::string_view text, std::size_t count);

[[nodiscard]] std::vector<NodeKey> keys_in(std::string_view text);

/// Gathers what a reply has room for of revocations. It ends where an account ends.
class RevokedPage {
 public:
  explicit RevokedPage(const std::optional<storage::MessageId>& after) {
    if (after) {
      after_ = place_of(after->account);
    }
  }

  /// False: enough.
  bool visit(const OwnedRevocation& one, bool is_wanted) {
    if ((after_ && place_of(one.first) <= *after_) || !is_wanted) {
      return true;
    }
    if (revoked.size() >= kFetchRevokedMax && one.first != revoked.back().first) {
      last = revoked.back().first;
      return false;
    }
    revoked.push_back(one);
    return true;
  }

  std::vector<OwnedRevocation> revoked;
  std::optional<storage::Account> last;  ///< the account behind which to go on

 private:
  using Place = std::pair<std::uint64_t, storage::Account>;

  static Place place_of(const storage::Account& account) {
    return {storage::point_of(account), account};
  }

  std::optional<Place> after_;
};

/// Gathers what a reply has room for.
class FetchedPage {
 public:
  FetchedPage(const Membership& membership, SwarmId swarm)
      : membership_(membership), swarm_(swarm) {}

  /// False: enough.
  bool visit(const storage::Account& account, const storage::Message& message) {
    if (bytes_ >= kFetchBytesMax || ++visits_ > kFetchVisitsMax) {
      is_over_ = false;
      return false;
    }
    last_ = {account, message.hash};
    if (membership_.swarm_of(account) == swarm_) {
      bytes_ += message.data.size() + storage::kMessageOverheadBytes;
      messages_.emplace_back(account, message);
    }
    return true;
  }

  [[nodiscard]] std::string messages() const { return serialise_replicas(messages_); }

  /// Where to go on.
  [[nodiscard]] std::string next() const {
    return is_over_ ? std::string() : place_text(last_.account, last_.hash);
  }

  [[nodiscard]] std::size_t size() const noexcept { return messages_.size(); }

 private:
  const Membership& membership_;
  SwarmId swarm_;
  storage::MessageId last_;
  std::vector<OwnedMessage> messages_;
  std::size_t bytes_ = 0;
  std::size_t visits_ = 0;
  bool is_over_ = true;
};

}  // namespace allium::control::internal
