// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/transaction.hpp"

#include <memory>

#include "storage/internal/rocks_status.hpp"

namespace allium::storage::internal {

Transaction::Transaction(rocksdb::DB& db, const Totals& totals)
    : db_(db),
      batch_(rocksdb::BytewiseComparator(), 0, /*overwrite_key=*/true),
      totals_(totals),
      totals_before_(totals) {}

void Transaction::begin_change() {
  totals_before_ = totals_;
  error_.reset();
  batch_.SetSavePoint();
}

std::optional<Error> Transaction::end_change(std::uint64_t bytes_allowed) {
  if (!error_ && totals_.bytes_used > totals_before_.bytes_used &&
      totals_.bytes_used > bytes_allowed) {
    error_ = Error{Errc::full, "the message store has reached its size limit"};
  }
  if (!error_) {
    batch_.PopSavePoint().PermitUncheckedError();
    return std::nullopt;
  }
  batch_.RollbackToSavePoint().PermitUncheckedError();
  totals_ = totals_before_;
  return std::exchange(error_, std::nullopt);
}

std::optional<std::string> Transaction::get(std::string_view key) {
  std::string value;
  const rocksdb::Status status =
      batch_.GetFromBatchAndDB(&db_, rocksdb::ReadOptions(), rocksdb::Slice(key), &value);
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
  const rocksdb::Slice bound(end);
  const std::unique_ptr<rocksdb::Iterator> it(
      batch_.NewIteratorWithBase(db_.NewIterator(rocksdb::ReadOptions())));
  for (it->Seek(rocksdb::Slice(from));
       it->Valid() && found.size() < count_max && it->key().compare(bound) < 0; it->Next()) {
    found.emplace_back(it->key().ToString(), it->value().ToString());
  }
  note(it->status(), "reading");
  return found;
}

std::vector<KeyValue> Transaction::scan(std::string_view prefix) {
  return scan(prefix, end_of_prefix(prefix), SIZE_MAX);
}

void Transaction::put(std::string_view key, std::string_view value) {
  note(batch_.Put(rocksdb::Slice(key), rocksdb::Slice(value)), "changing");
}

void Transaction::erase(std::string_view key) {
  note(batch_.Delete(rocksdb::Slice(key)), "changing");
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
  if (batch_.GetWriteBatch()->Count() == 0) {
    return {};
  }
  put(kTotalsKey, encode_totals(totals_));
  rocksdb::WriteOptions options;
  options.sync = true;
  rocksdb::WriteBatch ordered = in_order_of_keys();
  const rocksdb::Status status = db_.Write(options, &ordered);
  if (!status.ok()) {
    return tl::unexpected(error_of(status, "writing"));
  }
  return {};
}

rocksdb::WriteBatch Transaction::in_order_of_keys() {
  rocksdb::WriteBatch ordered(batch_.GetWriteBatch()->GetDataSize());
  const std::unique_ptr<rocksdb::WBWIIterator> it(batch_.NewIterator());
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const rocksdb::WriteEntry entry = it->Entry();
    const rocksdb::Status status = entry.type == rocksdb::kPutRecord
                                       ? ordered.Put(entry.key, entry.value)
                                       : ordered.Delete(entry.key);
    note(status, "changing");
  }
  return ordered;
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
