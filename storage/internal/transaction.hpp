// SPDX-License-Identifier: Apache-2.0
#pragma once

// Many changes on their way to one synced write. Reads see the database and everything the earlier changes of the same
// batch did to it.
//
//   Ownership  borrows the database; holds the changes, together with the next one.
//   Errors     sticky: a read that fails or a record that is damaged marks the change that needed it, reads then give
//              nothing, and end_change() takes all of that change back and says why. So the code of a change reads
//              straight on.
//   Threads    one, until it is sealed; then commit() in another, while the first has the next one, behind it.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "storage/internal/record_codec.hpp"
#include "storage/internal/rocks_status.hpp"

namespace allium::storage::internal {

using KeyValue = std::pair<std::string, std::string>;

class Transaction {
 public:
  /// `snapshot`: what is read of the database; null: what it has.
  Transaction(rocksdb::DB& db, const Totals& totals, const rocksdb::Snapshot* snapshot = nullptr);

  /// The next one: to it, what `before` changed is there, be it written by now or not.
  static std::unique_ptr<Transaction> behind(const Transaction& before);

  void begin_change();

  /// Keeps what was written since begin_change(); or takes it back and gives the reason: a read that failed, or
  /// Errc::full, where the change added bytes beyond `bytes_allowed`.
  [[nodiscard]] std::optional<Error> end_change(std::uint64_t bytes_allowed);

  [[nodiscard]] std::optional<std::string> get(std::string_view key);

  template <typename T>
  [[nodiscard]] std::optional<T> get(std::string_view key, Result<T> (*decode)(std::string_view)) {
    const std::optional<std::string> value = get(key);
    return value ? decoded(decode(*value)) : std::nullopt;
  }

  /// Marks the change when there is no value.
  template <typename T>
  [[nodiscard]] std::optional<T> decoded(Result<T> value) {
    if (!value) {
      mark(std::move(value.error()));
      return std::nullopt;
    }
    return std::move(*value);
  }

  /// Everything in [from, end), at most `count_max`.
  [[nodiscard]] std::vector<KeyValue> scan(std::string_view from, std::string_view end,
                                           std::size_t count_max);
  [[nodiscard]] std::vector<KeyValue> scan(std::string_view prefix);

  void put(std::string_view key, std::string_view value);
  void erase(std::string_view key);
  void mark(Error error);

  [[nodiscard]] Totals& totals() noexcept { return totals_; }

  /// The end of its changes.
  void seal();

  /// Writes what was sealed, and waits until it is on disk.
  [[nodiscard]] Result<void> commit();

  /// What commit() failed of, where it can be had again.
  [[nodiscard]] Lack lack() const noexcept { return lack_; }

 private:
  /// In order of keys, because the memtable then finds each place from the one before. nullopt: erased. A map of our own and not
  /// rocksdb::WriteBatchWithIndex: that takes a fourth of the writer's time, because it reads its keys anew from the batch for each
  /// comparison. Keys and values are in its memory, which is given back in one: a store makes some twenty of them.
  struct Changes {
    [[nodiscard]] std::string_view keep(std::string_view bytes);

    std::pmr::monotonic_buffer_resource memory{std::size_t{64} << 10};
    std::pmr::map<std::string_view, std::optional<std::string_view>, std::less<>> by_key{&memory};
  };

  using ByKey = decltype(Changes::by_key);
  class Layer;

  /// How it was before the change that is being made.
  struct Undo {
    ByKey::iterator where;
    bool was_there = false;
    std::optional<std::string_view> before;
  };

  /// What this transaction, or the one before it, has of a key; null: nothing.
  [[nodiscard]] const std::optional<std::string_view>* changed(std::string_view key) const;
  void set(std::string_view key, std::optional<std::string_view> value);
  void take_back();
  void note(const rocksdb::Status& status, std::string_view doing);

  rocksdb::DB& db_;
  rocksdb::ReadOptions read_options_;
  std::shared_ptr<Changes> changes_ = std::make_shared<Changes>();
  std::shared_ptr<const Changes>
      before_;  ///< of the transaction before, where it may not be written; null: none
  std::vector<Undo> undo_;
  rocksdb::WriteBatch batch_;  ///< what was sealed
  Totals totals_;
  Totals totals_before_;
  std::optional<Error> error_;
  Lack lack_ = Lack::nothing;
};

/// The first key behind all that begin with `prefix`.
[[nodiscard]] std::string end_of_prefix(std::string_view prefix);

}  // namespace allium::storage::internal
