// SPDX-License-Identifier: Apache-2.0
#pragma once

// The network as a node or a client sees it: a verified network document, and with each relay its
// verified record. SPEC.md says "network document" for both together. One file, the bundle, carries
// both (FORMAT.md).
//
//   Ownership  values; the view owns everything it shows.
//   Errors     as the document and the records: Errc::malformed, bad_signature, stale; Errc::io where
//              the file cannot be read or written. A record that does not hold costs its relay the
//              record and nothing else: it is counted in refused_records().
//   Threads    reentrant; const after it was made.
//   Limits     kBundleBytesMax a file.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/durable_file.hpp"
#include "control/network/network_document.hpp"
#include "control/network/node_record.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

inline constexpr std::size_t kBundleBytesMax = std::size_t{8} << 20;

/// Document and records as they travel: nothing is checked but the form.
struct NetworkBundle {
  SignedNetworkDocument document;
  std::vector<SignedNodeRecord> records;  ///< by text, rising: that is by identity
};

/// The canonical text. Errc::malformed beyond a bound.
[[nodiscard]] Result<std::string> serialise(const NetworkBundle& bundle);

/// Accepts exactly what serialise() gives.
[[nodiscard]] Result<NetworkBundle> parse_network_bundle(std::string_view text);

/// What a caller has seen before, against rollback.
struct KnownNetwork {
  std::uint64_t serial = 0;
  std::map<IdentityKey, std::uint64_t> record_numbers;
};

struct RelayInView {
  RelayEntry entry;
  std::uint32_t id = 0;
  std::optional<NodeRecord> record;  ///< none: no record that holds

  [[nodiscard]] const onion::Endpoint& endpoint() const noexcept { return entry.endpoints.front(); }

  /// Null where no key of that hour is known.
  [[nodiscard]] const crypto_accel::PublicKey* key_of(std::uint64_t hour) const noexcept {
    return record ? record->key_of(hour) : nullptr;
  }
};

class NetworkView {
 public:
  /// Checks everything in `bundle` at `now_s`. Records of identities that are not in the document, with
  /// other endpoints than the document's, or that do not hold, are counted and left out.
  [[nodiscard]] static Result<NetworkView> verify(const NetworkBundle& bundle,
                                                  const Authorities& authorities,
                                                  std::uint64_t now_s, const KnownNetwork& known);

  /// Reads and verifies the file at `path`.
  [[nodiscard]] static Result<NetworkView> load(const std::string& path,
                                                const Authorities& authorities, std::uint64_t now_s,
                                                const KnownNetwork& known);

  [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

  [[nodiscard]] std::uint64_t valid_until_s() const noexcept { return valid_until_s_; }

  /// In the document's order.
  [[nodiscard]] std::span<const RelayInView> relays() const noexcept { return relays_; }

  /// Null: not in the document.
  [[nodiscard]] const RelayInView* find(std::uint32_t id) const noexcept;

  /// By name, or by a prefix of the id in hex (1 to 8 digits) that fits one relay only.
  [[nodiscard]] const RelayInView* find(std::string_view name_or_id_prefix) const noexcept;

  [[nodiscard]] std::size_t refused_records() const noexcept { return refused_records_; }

  /// What to pass as `known` the next time.
  [[nodiscard]] KnownNetwork known() const;

 private:
  NetworkView() = default;

  std::uint64_t serial_ = 0;
  std::uint64_t valid_until_s_ = 0;
  std::vector<RelayInView> relays_;
  std::size_t refused_records_ = 0;
};

/// Reads the file at `path`; nothing is checked but the form.
[[nodiscard]] Result<NetworkBundle> read_bundle_file(const std::string& path);

/// Replaces the file at `path` whole (a reader sees the old one or the new one), mode 0644. Errc::io.
[[nodiscard]] Result<void> write_bundle_file(const std::string& path, const NetworkBundle& bundle,
                                             Sync sync = Sync::yes);

/// 64 hex digits, as --authority takes them. Errc::malformed.
[[nodiscard]] Result<IdentityKey> parse_identity_key(std::string_view hex);
[[nodiscard]] std::string identity_key_text(const IdentityKey& key);

}  // namespace allium::control
