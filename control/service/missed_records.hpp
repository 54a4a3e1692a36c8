// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a member of the swarm missed, as its queue on disk has it: a command of a client, whole and with its signature; or messages,
// as members push them. And messages as they are pushed (session storage RPC, "Swarm internals").
//
//   Units      Unix milliseconds.
//   Ownership  values.
//   Errors     nullopt, or Errc::malformed: not that form.
//   Threads    reentrant.
//   Limits     kPushedBytesMax a payload that payloads_of() makes.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/service/swarm_members.hpp"
#include "crypto_accel/base/result.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

inline constexpr std::size_t kPushedBytesMax = 1'000'000;

/// A message and whose it is.
using OwnedMessage = std::pair<storage::Account, storage::Message>;

/// sn.data: 0x01, then a bt list of [account, hash, timestamp, expiry, data, namespace].
[[nodiscard]] std::string serialise_pushed(const std::vector<OwnedMessage>& messages);

/// For members of our kind: 0x02, and each entry ends with a list of its life's steps, [stamp, expiry, kind, timestamp] (storage/FORMAT.md).
[[nodiscard]] std::string serialise_replicas(const std::vector<OwnedMessage>& messages);

/// Of either form, or Errc::malformed. Namespaces are missing in what old peers send; then they are 0.
[[nodiscard]] Result<std::vector<OwnedMessage>> parse_pushed(std::string_view payload);

/// Whether a message is as it could have been stored: under the hash of its own account and data, and with a life that a client may
/// ask for. No member's word is taken for it: one that lies could give others' accounts what their clients choke on.
[[nodiscard]] bool is_possible(const OwnedMessage& message, std::uint64_t now_ms);

/// Replicas of at most kPushedBytesMax together; one alone may be larger.
[[nodiscard]] std::vector<std::string> payloads_of(const std::vector<OwnedMessage>& messages);

struct MissedRecord {
  SwarmCommand command;
  std::string payload;        ///< not empty: messages, and no command
  bool is_passed_on = false;  ///< by a member that had got it late itself
};

[[nodiscard]] std::string command_record(const SwarmCommand& command);
[[nodiscard]] std::string passed_on_record(const SwarmCommand& command);
[[nodiscard]] std::string data_record(std::string_view payload);
[[nodiscard]] std::optional<MissedRecord> parse_record(std::string_view text);

/// What a queue has, as sn.allium_late takes it: a bt list of records.
[[nodiscard]] std::string records_in(const std::vector<storage::Missed>& missed);

/// What a queue has of messages, for a member that takes nothing else: as they are pushed.
[[nodiscard]] std::string messages_in(const std::vector<storage::Missed>& missed);

/// When a client asked for the command; nullopt: it does not say, or the record is no command.
[[nodiscard]] std::optional<storage::Stamp> asked_for(const MissedRecord& record);

/// Whose account the command is about; nullopt: it does not say, or the record is no command.
[[nodiscard]] std::optional<storage::Account> account_of(const MissedRecord& record);

/// Of which messages the command may extend the lives.
[[nodiscard]] std::vector<storage::Hash> extended_hashes(const MissedRecord& record);

/// The messages that somebody who gets the record has then; none where it is a command about others.
[[nodiscard]] std::vector<OwnedMessage> messages_of(const MissedRecord& record);

}  // namespace allium::control
