// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/transaction.hpp"

#include <array>
#include <cstring>
#include <utility>

namespace allium::storage::internal {
namespace {

// Of a rocksdb::WriteBatch, and of each of its records besides key and value.
constexpr std::size_t kBatchHeadBytes = 12;
constexpr std::size_t kRecordHeadBytesMax = 1 + 2 * 5;

}  // namespace

/// The changes of a range, in order; null: none.
class Transaction::Layer {
 public:
  Layer(const Changes* changes, std::string_view from, std::string_view end) {
    if (changes != nullptr) {
      next_ = changes->by_key.lower_bound(from);
      end_ = changes->by_key.lower_bound(end);
    }
  }

  [[nodiscard]] std::optional<std::string_view> key() const {
    return next_ == end_ ? std::nullopt : std::optional<std::string_view>(next_->first);
  }

  [[nodiscard]] const std::optional<std::string_view>& value() const { return next_->second; }

  void skip(bool is_used) {
    if (is_used) {
      ++next_;
    }
  }

 private:
  ByKey::const_iterator next_;
  ByKey::const_iterator end_;
};

std::string_view Transaction::Changes::keep(std::string_view bytes) {
  if (bytes.empty()) {
    return {};
  }
  void* kept = memory.allocate(bytes.size(), 1);
  std::memcpy(kept, bytes.data(), bytes.size());
  return {static_cast<const char*>(kept), bytes.size()};
}

Transaction::Transaction(rocksdb::DB& db, const Totals& totals, const rocksdb::Snapshot* snapshot)
    : db_(db), totals_(totals), totals_before_(totals) {
  read_options_.snapshot = snapshot;
}

std::unique_ptr<Transaction> Transaction::behind(const Transaction& before) {
  auto next = std::make_unique<Transaction>(before.db_, before.totals_);
  next->before_ = before.changes_;
  return next;
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
      last.where->second = last.before;
    } else {
      changes_->by_key.erase(last.where);
    }
  }
}

void Transaction::set(std::string_view key, std::optional<std::string_view> value) {
  if (value) {
    value = changes_->keep(*value);
  }
  ByKey& by_key = changes_->by_key;
  const auto place = by_key.lower_bound(key);
  if (place != by_key.end() && place->first == key) {
    undo_.push_back({place, true, std::exchange(place->second, value)});
  } else {
    const auto made = by_key.emplace_hint(place, changes_->keep(key), value);
    undo_.push_back({made, false, std::nullopt});
  }
}

const std::optional<std::string_view>* Transaction::changed(std::string_view key) const {
  const std::array<const Changes*, 2> latest_first = {changes_.get(), before_.get()};
  for (const Changes* changes : latest_first) {
    if (changes != nullptr) {
      if (const auto found = changes->by_key.find(key); found != changes->by_key.end()) {
        return &found->second;
      }
    }
  }
  return nullptr;
}

std::optional<std::string> Transaction::get(std::string_view key) {
  if (const std::optional<std::string_view>* value = changed(key)) {
    return *value ? std::optional<std::string>(**value) : std::nullopt;
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
  // What was changed lies over what the database has, and what was changed last over that.
  Layer own(changes_.get(), from, end);
  Layer before(before_.get(), from, end);
  while (found.size() < count_max) {
    const bool is_there = there->Valid() && there->key().ToStringView() < end;
    std::optional<std::string_view> key;
    for (const std::optional<std::string_view> candidate :
         {is_there ? std::optional(there->key().ToStringView()) : std::nullopt, own.key(),
          before.key()}) {
      key = candidate && (!key || *candidate < *key) ? candidate : key;
    }
    if (!key) {
      break;
    }
    const bool is_own = own.key() == key;
    const bool is_before = before.key() == key;
    const bool is_stored = is_there && there->key().ToStringView() == *key;
    if (is_own || is_before) {
      if (const auto& value = is_own ? own.value() : before.value()) {
        found.emplace_back(*key, *value);
      }
    } else {
      found.emplace_back(*key, there->value().ToString());
    }
    own.skip(is_own);
    before.skip(is_before);
    if (is_stored) {
      there->Next();
    }
  }
  note(there->status(), "reading");
  return found;
}

std::vector<KeyValue> Transaction::scan(std::string_view prefix) {
  return scan(prefix, end_of_prefix(prefix), SIZE_MAX);
}

void Transaction::put(std::string_view key, std::string_view value) {
  set(key, value);
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

void Transaction::seal() {
  if (!changes_->by_key.empty()) {
    put(kTotalsKey, encode_totals(totals_));
  }
  undo_.clear();
  std::size_t bytes = kBatchHeadBytes;
  for (const auto& [key, value] : changes_->by_key) {
    bytes += kRecordHeadBytesMax + key.size() + (value ? value->size() : 0);
  }
  batch_ = rocksdb::WriteBatch(bytes);
  for (const auto& [key, value] : changes_->by_key) {
    note(value ? batch_.Put(rocksdb::Slice(key), rocksdb::Slice(*value))
               : batch_.Delete(rocksdb::Slice(key)),
         "changing");
  }
}

Result<void> Transaction::commit() {
  if (error_) {
    return tl::unexpected(*error_);
  }
  if (batch_.Count() == 0) {
    return {};
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = db_.Write(options, &batch_);
  if (!status.ok()) {
    lack_ = lack_of(status);
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
