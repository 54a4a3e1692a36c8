// SPDX-License-Identifier: Apache-2.0
#pragma once

// The values of the database (FORMAT.md, "Values"), to bytes and back.
//
//   Errors     decode_*: Errc::io with what is wrong: another record version, an encryption key that this version
//              does not have, a length or a content that cannot be. decode(encode(x)) is x, and what decodes encodes
//              to the same bytes.
//   Limits     as message_store.hpp.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "storage/account_marks.hpp"
#include "storage/internal/keys.hpp"
#include "storage/message_history.hpp"
#include "storage/message_store.hpp"

namespace allium::storage::internal {

inline constexpr std::uint32_t kFormatVersion = 1;

/// All of a message but its data, so that an expiry changes and a mailbox is listed without touching data.
struct Header {
  std::uint64_t timestamp_ms = 0;
  std::uint64_t expiry_ms = 0;
  Stamp stored = 0;  ///< the latest store of it
  MessageHistory history;
  std::uint32_t data_bytes = 0;
  Hash hash;

  bool operator==(const Header&) const = default;
};

/// How many records there are of an account. Most have no marks, and so a store need not look for them.
struct Mailbox {
  std::uint64_t messages = 0;
  std::uint64_t marks = 0;  ///< of Kind::removal_marks, Kind::shorten_marks and Kind::outbox_marks

  bool operator==(const Mailbox&) const = default;
};

/// What a client last said about a token.
struct Revocation {
  std::uint64_t timestamp_ms = 0;
  Stamp asked = 0;
  bool is_lifted = false;

  bool operator==(const Revocation&) const = default;
};

/// What was said of a message that is not here, or will soon not be: for a store or a replica of it that comes later.
struct Trace {
  MessageHistory history;
  std::uint64_t until_ms = 0;  ///< when this record ends

  bool operator==(const Trace&) const = default;
};

/// A store into an outbox, for older ones that come later.
struct OutboxMark {
  Stamp asked = 0;
  std::uint64_t timestamp_ms = 0;
  Hash hash;

  bool operator==(const OutboxMark&) const = default;
};

inline constexpr std::size_t kOutboxMarksMax = 4;

/// Counted with every batch, so that status() needs no scan.
struct Totals {
  std::uint64_t next_sequence = 1;
  std::uint64_t messages = 0;
  std::uint64_t accounts = 0;
  std::uint64_t bytes_used = 0;
  Stamp latest_asked = 0;

  bool operator==(const Totals&) const = default;
};

[[nodiscard]] std::string encode_format(std::uint32_t version);
[[nodiscard]] std::string encode_header(const Header& header);
[[nodiscard]] std::string encode_place(const Place& place);
[[nodiscard]] std::string encode_revocation(const Revocation& revocation);
[[nodiscard]] std::string encode_trace(const Trace& trace);
[[nodiscard]] std::string encode_marks(const std::vector<Mark>& marks);
[[nodiscard]] std::string encode_outbox_marks(const std::vector<OutboxMark>& marks);
[[nodiscard]] std::string encode_totals(const Totals& totals);
[[nodiscard]] std::string encode_mailbox(const Mailbox& mailbox);
/// Data of a message, a missed record, and nothing for the index of expiries.
[[nodiscard]] std::string encode_bytes(std::string_view bytes);

[[nodiscard]] Result<std::uint32_t> decode_format(std::string_view value);
[[nodiscard]] Result<Header> decode_header(std::string_view value);
[[nodiscard]] Result<Place> decode_place(std::string_view value);
[[nodiscard]] Result<Revocation> decode_revocation(std::string_view value);
[[nodiscard]] Result<Trace> decode_trace(std::string_view value);
[[nodiscard]] Result<ShortenMarks> decode_shorten_marks(std::string_view value);
[[nodiscard]] Result<RemovalMarks> decode_removal_marks(std::string_view value);
[[nodiscard]] Result<std::vector<OutboxMark>> decode_outbox_marks(std::string_view value);
[[nodiscard]] Result<Totals> decode_totals(std::string_view value);
[[nodiscard]] Result<Mailbox> decode_mailbox(std::string_view value);
[[nodiscard]] Result<std::string> decode_bytes(std::string_view value);

}  // namespace allium::storage::internal
