// SPDX-License-Identifier: Apache-2.0
#include "control/network/record_book.hpp"

#include <algorithm>
#include <utility>

namespace allium::control {

void RecordBook::set_document(std::shared_ptr<const NetworkDocument> document) {
  document_ = std::move(document);
  entries_.clear();
  for (const RelayEntry& relay : document_->relays) {
    entries_.emplace(relay.identity, &relay);
  }
  std::erase_if(pages_, [this](const auto& page) {
    const RelayEntry* const relay = entry(page.first);
    return relay == nullptr || relay->endpoints != page.second.record.endpoints;
  });
}

const RelayEntry* RecordBook::entry(const IdentityKey& identity) const noexcept {
  const auto found = entries_.find(identity);
  return found == entries_.end() ? nullptr : found->second;
}

Result<RecordNews> RecordBook::take(const SignedNodeRecord& record, std::uint64_t now_s) {
  const Result<NodeRecord> claimed = parse_node_record(record.text);
  if (!claimed) {
    return tl::unexpected(claimed.error());
  }
  const RelayEntry* const relay = entry(claimed->identity);
  if (relay == nullptr) {
    return fail(Errc::not_found, "the network document has no such relay");
  }
  const auto known = pages_.find(claimed->identity);
  const std::uint64_t number = known == pages_.end() ? 0 : known->second.record.number;
  // Before the signature: what everybody sends all the time costs nothing.
  if (claimed->number < number) {
    return RecordNews::older;
  }
  if (claimed->number == number && record.text == known->second.text.text) {
    return RecordNews::known;
  }
  Result<NodeRecord> verified = verify(record, claimed->identity, now_s, number);
  if (!verified) {
    return tl::unexpected(verified.error());
  }
  if (verified->number == number) {
    return fail(Errc::refused, "relay " + identity_key_text(claimed->identity).substr(0, 8) +
                                   " has signed two records with one number: the first one counts");
  }
  if (verified->endpoints != relay->endpoints) {
    return fail(Errc::refused, "a record with other endpoints than the network document's");
  }
  pages_[claimed->identity] = {*std::move(verified), record, relay->id()};
  return RecordNews::newer;
}

const NodeRecord* RecordBook::find(const IdentityKey& identity) const noexcept {
  const auto found = pages_.find(identity);
  return found == pages_.end() ? nullptr : &found->second.record;
}

RecordBook::Numbers RecordBook::numbers() const {
  Numbers numbers;
  for (const auto& [identity, page] : pages_) {
    numbers.emplace(page.id, page.record.number);
  }
  return numbers;
}

std::vector<SignedNodeRecord> RecordBook::newer_than(const Numbers& theirs,
                                                     std::size_t bytes_max) const {
  std::vector<SignedNodeRecord> newer;
  std::size_t byte_count = 0;
  for (const auto& [identity, page] : pages_) {
    const auto known = theirs.find(page.id);
    if (known != theirs.end() && known->second >= page.record.number) {
      continue;
    }
    byte_count += page.text.text.size();
    if (byte_count > bytes_max) {
      break;
    }
    newer.push_back(page.text);
  }
  return newer;
}

std::vector<SignedNodeRecord> RecordBook::all() const {
  std::vector<SignedNodeRecord> records;
  for (const auto& [identity, page] : pages_) {
    records.push_back(page.text);
  }
  std::sort(records.begin(), records.end(),
            [](const auto& left, const auto& right) { return left.text < right.text; });
  return records;
}

std::size_t RecordBook::missing(std::uint64_t hour) const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [&](const auto& relay) {
        const NodeRecord* const record = find(relay.first);
        return record == nullptr || record->key_of(hour) == nullptr;
      }));
}

}  // namespace allium::control
