// SPDX-License-Identifier: Apache-2.0

// Records and keys of the message store: what decodes is canonical, and everything else is refused.
// The first byte chooses the kind, the rest is the record.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "crypto_accel/base/check.hpp"
#include "storage/internal/keys.hpp"
#include "storage/internal/record_codec.hpp"

namespace {

namespace internal = allium::storage::internal;

template <typename Decoded, typename Encode>
void check_canonical(const Decoded& decoded, Encode encode, std::string_view record) {
  if (decoded) {
    ALLIUM_CHECK(encode(*decoded) == record);
  }
}

void check_keys(std::string_view key) {
  const auto message = internal::parse_message_key(key);
  const auto kind = internal::kind_of(key);
  if (message) {
    ALLIUM_CHECK(kind && internal::message_key(*kind, message->account, message->place) == key);
  }
  if (const auto expiry = internal::parse_expiry_key(key)) {
    ALLIUM_CHECK(internal::expiry_key(expiry->expiry_ms, expiry->expiring) == key);
  }
  if (const auto missed = internal::parse_missed_key(key)) {
    ALLIUM_CHECK(internal::missed_key(missed->peer, missed->number) == key);
  }
  if (const auto hash = internal::parse_hash_key(key)) {
    ALLIUM_CHECK(key.ends_with(*hash) && hash->size() <= allium::storage::kHashCharsMax);
  }
  if (const auto account = internal::parse_mark_key(key)) {
    ALLIUM_CHECK(kind && internal::account_key(*kind, *account).substr(9) == key.substr(9, 33));
  }
  if (const auto revoked = internal::parse_revocation_key(key)) {
    ALLIUM_CHECK(
        key.ends_with(internal::revocation_key(revoked->account, revoked->token).substr(9)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view record(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 13) {
    case 0:
      check_canonical(internal::decode_format(record), internal::encode_format, record);
      break;
    case 1:
      check_canonical(internal::decode_header(record), internal::encode_header, record);
      break;
    case 2:
      check_canonical(internal::decode_place(record), internal::encode_place, record);
      break;
    case 3:
      check_canonical(internal::decode_revocation(record), internal::encode_revocation, record);
      break;
    case 4:
      check_canonical(internal::decode_totals(record), internal::encode_totals, record);
      break;
    case 5:
      check_canonical(internal::decode_mailbox(record), internal::encode_mailbox, record);
      break;
    case 6:
      check_canonical(internal::decode_bytes(record), internal::encode_bytes, record);
      break;
    case 8:
      check_canonical(internal::decode_trace(record), internal::encode_trace, record);
      break;
    case 9:
      check_canonical(internal::decode_outbox_marks(record), internal::encode_outbox_marks, record);
      break;
    case 10:
      check_canonical(
          internal::decode_shorten_marks(record),
          [](const auto& decoded) { return internal::encode_marks(decoded.marks()); }, record);
      break;
    case 11:
      check_canonical(
          internal::decode_removal_marks(record),
          [](const auto& decoded) { return internal::encode_marks(decoded.marks()); }, record);
      break;
    default:
      check_keys(record);
      break;
  }
  return 0;
}
