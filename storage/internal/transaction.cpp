// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/transaction.hpp"

#include <memory>

#include "storage/internal/rocks_status.hpp"

namespace allium::storage::internal {

Transaction::Transaction(rocksdb::DB& db, const Totals& totals, const rocksdb::Snapshot* snapshot)
    : db_(db), totals_(totals), totals_before_(totals) {
  read_options_.snapshot = snapshot;
}

void Transaction::begin_change() {
  totals_before_ = totals_;
  error_.reset();
  undo_.clear();
}

std::optional<Error> Transaction::end_change(std::uint64_t bytes_allowed) {
  if (!error_ && totals_.bytes_used > totals_before_.bytes_used &&
      totals_.bytes_used > bytes_allowed) {
    error_ = Error{Errc::full, "the message store has reached its size limit"};
  }
  if (error_) {
    take_back();
    totals_ = totals_before_;
  }
  return std::exchange(error_, std::nullopt);
}

void Transaction::take_back() {
  for (; !undo_.empty(); undo_.pop_back()) {
    Undo& last = undo_.back();
    if (last.was_there) {
      last.where->second = std::move(last.before);
    } else {
      changes_.erase(last.where);
    }
  }
}

void Transaction::set(std::string_view key, std::optional<std::string> value) {
  const auto place = changes_.lower_bound(key);
  if (place != changes_.end() && place->first == key) {
    undo_.push_back({place, true, std::exchange(place->second, std::move(value))});
  } else {
    const auto made = changes_.emplace_hint(place, key, std::move(value));
    undo_.push_back({made, false, std::nullopt});
  }
}

std::optional<std::string> Transaction::get(std::string_view key) {
  if (const auto changed = changes_.find(key); changed != changes_.end()) {
    return changed->second;
  }
  std::string value;
  const rocksdb::Status status = db_.Get(read_options_, rocksdb::Slice(key), &value);
  if (!status.ok()) {
    if (!status.IsNotFound()) {
      note(status, "reading");
    }
    return std::nullopt;
  }
  return value;
}

std::vector<KeyValue> Transaction::scan(std::string_view from, std::string_view end,
                                        std::size_t count_max) {
  std::vector<KeyValue> found;
  const std::unique_ptr<rocksdb::Iterator> there(db_.NewIterator(read_options_));
  there->Seek(rocksdb::Slice(from));
  auto changed = changes_.lower_bound(from);
  while (found.size() < count_max) {
    const bool is_there = there->Valid() && there->key().ToStringView() < end;
    const bool is_changed = changed != changes_.end() && changed->first < end;
    if (is_changed && (!is_there || changed->first <= there->key().ToStringView())) {
      if (is_there && changed->first == there->key().ToStringView()) {
        there->Next();
      }
      if (changed->second) {
        found.emplace_back(changed->first, *changed->second);
      }
      ++changed;
    } else if (is_there) {
      found.emplace_back(there->key().ToString(), there->value().ToString());
      there->Next();
    } else {
      break;
    }
  }
  note(there->status(), "reading");
  return found;
}

std::vector<KeyValue> Transaction::scan(std::string_view prefix) {
  return scan(prefix, end_of_prefix(prefix), SIZE_MAX);
}

void Transaction::put(std::string_view key, std::string value) {
  set(key, std::move(value));
}

void Transaction::erase(std::string_view key) {
  set(key, std::nullopt);
}

void Transaction::mark(Error error) {
  if (!error_) {
    error_ = std::move(error);
  }
}

void Transaction::note(const rocksdb::Status& status, std::string_view doing) {
  if (!status.ok()) {
    mark(error_of(status, doing));
  }
}

Result<void> Transaction::commit() {
  if (changes_.empty()) {
    return {};
  }
  put(kTotalsKey, encode_totals(totals_));
  rocksdb::WriteBatch batch;
  for (const auto& [key, value] : changes_) {
    note(value ? batch.Put(key, *value) : batch.Delete(key), "changing");
  }
  if (error_) {
    return tl::unexpected(*error_);
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = db_.Write(options, &batch);
  if (!status.ok()) {
    found_no_room_ = status.IsNoSpace();
    return tl::unexpected(error_of(status, "writing"));
  }
  return {};
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) {
    end.pop_back();
  }
  if (!end.empty()) {
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  }
  return end;
}

}  // namespace allium::storage::internal
