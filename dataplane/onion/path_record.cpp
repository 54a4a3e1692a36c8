// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/path_record.hpp"

#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/client_layer.hpp"

namespace allium::onion {
namespace {

// One hop's part of the record: FS_f, FS_b, s and the MAC of the hop, 16 bytes each.
constexpr std::size_t kPartBytes = 64;
constexpr std::size_t kMacOffset = 48;
constexpr std::size_t kKeptBytes = kRecordBytes - kPartBytes;

void xor_record_mask(const Block& k_rec, Record& record) noexcept {
  Block mask_key = internal::derive(k_rec, 2, Direction::forward, 0);
  crypto_accel::ctr_xor(mask_key, Block{}, record);
  wipe(mask_key.data(), mask_key.size());
}

/// The hop's own step: `record` becomes what that hop made of it.
void repeat_step(const SetupHopKeys& keys, const HopSession& hop, Record& record) noexcept {
  // The MAC covers the hop's three fields and the 192 bytes that stay.
  std::array<std::uint8_t, kMacOffset + kKeptBytes> covered;
  store_block(covered.data(), hop.segment_forward);
  store_block(covered.data() + 16, hop.segment_backward);
  store_block(covered.data() + 32, hop.secret.bytes());
  std::memcpy(covered.data() + kMacOffset, record.data(), kKeptBytes);
  Block mac_key = internal::derive(keys.k_rec.bytes(), 3, Direction::forward, 0);
  const Block mac = crypto_accel::cbcmac(mac_key, covered);
  std::memmove(record.data() + kPartBytes, record.data(), kKeptBytes);
  std::memcpy(record.data(), covered.data(), kMacOffset);
  store_block(record.data() + kMacOffset, mac);
  xor_record_mask(keys.k_rec.bytes(), record);
  wipe(covered.data(), covered.size());
  wipe(mac_key.data(), mac_key.size());
}

}  // namespace

std::optional<PathSession> open_record(std::span<const SetupHopKeys> hops, const Record& first,
                                       const Record& received) noexcept {
  ALLIUM_CHECK(!hops.empty() && hops.size() <= kHopsMax);
  std::optional<PathSession> path(std::in_place);
  path->hop_count = hops.size();
  Record record = received;
  for (std::size_t i = hops.size(); i-- > 0;) {
    xor_record_mask(hops[i].k_rec.bytes(), record);
    HopSession& hop = path->hop[i];
    hop.segment_forward = load_block(record.data());
    hop.segment_backward = load_block(record.data() + 16);
    hop.secret.bytes() = load_block(record.data() + 32);
    // What this hop pushed out at the far end is not known here; the second run checks it.
    std::memmove(record.data(), record.data() + kPartBytes, kKeptBytes);
    std::memset(record.data() + kKeptBytes, 0, kPartBytes);
  }
  record = first;
  for (std::size_t i = 0; i < hops.size(); ++i) {
    repeat_step(hops[i], path->hop[i], record);
  }
  const bool same = equal(record.data(), received.data(), kRecordBytes);
  wipe(record.data(), record.size());
  if (!same) {
    path.reset();
  }
  return path;
}

}  // namespace allium::onion
