// SPDX-License-Identifier: Apache-2.0
#pragma once

// A test of both stores: TYPED_TEST_SUITE(AnyStore, Kinds).

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/storage/store_under_test.hpp"

namespace allium::storage::testing {

struct OnDisk {
  static std::unique_ptr<MessageStore> make(const ScratchDirectory& scratch, std::uint64_t limit) {
    RocksStoreOptions options;
    options.directory = scratch.path("store");
    options.bytes_limit = limit;
    return open_store(std::move(options));
  }
};

struct InMemory {
  static std::unique_ptr<MessageStore> make(const ScratchDirectory&, std::uint64_t limit) {
    return std::make_unique<MemoryStore>(limit);
  }
};

template <typename Kind>
class AnyStore : public ::testing::Test {
 protected:
  void make(std::uint64_t limit) {
    owned_.reset();
    owned_ = Kind::make(scratch_, limit);
  }

  MessageStore& in() {
    if (owned_ == nullptr) {
      make(std::uint64_t{1} << 30);
    }
    return *owned_;
  }

  StoreEffect put(Message message, Origin origin = Origin::client, bool replaces = false,
                  std::uint64_t now_ms = kNow) {
    return store(in(), account_, std::move(message), origin, replaces, now_ms).value().effect;
  }

  HashesBySpace remove_before(std::optional<Namespace> space, std::uint64_t before_ms) {
    return answer<HashesBySpace>([&](Done<HashesBySpace> done) {
             in().remove_before(account_, space, before_ms, kNow, std::move(done));
           })
        .value();
  }

  HashesBySpace remove_all(std::optional<Namespace> space) {
    return answer<HashesBySpace>([&](Done<HashesBySpace> done) {
             in().remove_all(account_, space, kNow, std::move(done));
           })
        .value();
  }

  HashesBySpace shorten_all(std::optional<Namespace> space, std::uint64_t expiry_ms,
                            const When& when = kNow) {
    return answer<HashesBySpace>([&](Done<HashesBySpace> done) {
             in().shorten_all(account_, space, expiry_ms, when, std::move(done));
           })
        .value();
  }

  Result<ExpiriesChanged> change(std::vector<Hash> hashes, std::vector<std::uint64_t> expiries_ms,
                                 ExpiryChange how, const When& when = kNow) {
    return answer<ExpiriesChanged>([&](Done<ExpiriesChanged> done) {
      in().change_expiry(account_, std::move(hashes), std::move(expiries_ms), how, when,
                         std::move(done));
    });
  }

  std::size_t revoke(std::vector<Token> tokens, std::uint64_t timestamp_ms,
                     const When& when = kNow) {
    return answer<std::size_t>([&](Done<std::size_t> done) {
             in().revoke(account_, std::move(tokens), timestamp_ms, when, std::move(done));
           })
        .value();
  }

  std::size_t unrevoke(std::vector<Token> tokens, const When& when = kNow) {
    return answer<std::size_t>([&](Done<std::size_t> done) {
             in().unrevoke(account_, std::move(tokens), when, std::move(done));
           })
        .value();
  }

  ScratchDirectory scratch_;
  std::unique_ptr<MessageStore> owned_;
  Account account_ = account_of(1, 7);
};

using Kinds = ::testing::Types<OnDisk, InMemory>;

}  // namespace allium::storage::testing
