// SPDX-License-Identifier: Apache-2.0
#pragma once

// The newest record of every relay of the network document, as a node collects them from other nodes.
//
//   Units      now_s is Unix time in seconds.
//   Ownership  values.
//   Errors     take(): Errc::malformed, bad_signature, stale, not_found (no such relay in the document), refused (other endpoints
//              than the document's, or two records of one number: its node contradicts itself).
//   Threads    one.
//   Limits     one record a relay; relays as the document has them.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/network/network_document.hpp"
#include "control/network/network_view.hpp"
#include "control/network/node_record.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// What a record is to who knows another one.
enum class RecordNews : std::uint8_t { newer, known, older };

class RecordBook {
 public:
  /// The highest number known of each relay that has a record, by relay id.
  using Numbers = std::map<std::uint32_t, std::uint64_t>;

  /// Records of relays that it does not have, or has elsewhere, are dropped.
  void set_document(std::shared_ptr<const NetworkDocument> document);

  /// Kept where it is newer; one that is not is looked at no further, nor is its signature.
  [[nodiscard]] Result<RecordNews> take(const SignedNodeRecord& record, std::uint64_t now_s);

  /// None: no record of that relay.
  [[nodiscard]] const NodeRecord* find(const IdentityKey& identity) const noexcept;

  [[nodiscard]] Numbers numbers() const;

  /// What somebody lacks who has `theirs`, at most so many bytes of text: who asks again gets the rest.
  [[nodiscard]] std::vector<SignedNodeRecord> newer_than(const Numbers& theirs,
                                                         std::size_t bytes_max) const;

  /// In the order of a bundle.
  [[nodiscard]] std::vector<SignedNodeRecord> all() const;

  /// Relays of the document without a key for the hour.
  [[nodiscard]] std::size_t missing(std::uint64_t hour) const;

  [[nodiscard]] const NetworkDocument* document() const noexcept { return document_.get(); }

 private:
  struct Page {
    NodeRecord record;
    SignedNodeRecord text;
    std::uint32_t id = 0;
  };

  [[nodiscard]] const RelayEntry* entry(const IdentityKey& identity) const noexcept;

  std::shared_ptr<const NetworkDocument> document_;
  std::map<IdentityKey, const RelayEntry*> entries_;
  std::map<IdentityKey, Page> pages_;
};

}  // namespace allium::control
