// SPDX-License-Identifier: Apache-2.0

// Thousands of random operations on a few accounts: RocksStore, opened again now and then, answers as MemoryStore does.

#include <future>
#include <memory>
#include <random>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "tests/unit/storage/store_under_test.hpp"

namespace allium::storage::testing {
namespace {

// Answers as text, so that they can be compared and shown.

std::ostream& operator<<(std::ostream& out, const Message& message) {
  return out << message.hash << '/' << message.space << '/' << message.timestamp_ms << '/'
             << message.expiry_ms << '/' << message.data.size();
}

std::string text(const Stored& stored) {
  return std::to_string(static_cast<int>(stored.effect)) + " " + std::to_string(stored.expiry_ms) +
         (stored.is_changed ? " changed" : "");
}

std::string text(const std::vector<Hash>& hashes) {
  std::string all;
  for (const Hash& hash : hashes) {
    all += hash + ",";
  }
  return all;
}

std::string text(const HashesBySpace& by_space) {
  std::string all;
  for (const auto& [space, hashes] : by_space) {
    all += std::to_string(space) + ":" + text(hashes);
  }
  return all;
}

std::string text(const std::vector<HashExpiry>& expiries) {
  std::string all;
  for (const HashExpiry& one : expiries) {
    all += one.hash + "=" + std::to_string(one.expiry_ms) + ",";
  }
  return all;
}

std::string text(const ExpiriesChanged& changed) {
  return text(changed.updated) + "|" + text(changed.unchanged);
}

std::string text(std::uint64_t number) {
  return std::to_string(number);
}

template <typename T>
std::string text(const Result<T>& result) {
  return result ? text(*result) : "error " + std::to_string(static_cast<int>(result.error().code));
}

constexpr std::uint64_t kLimit = 30'000;

/// One random operation, drawn before it is done, so that both stores get the same.
class Operation {
 public:
  Operation(std::mt19937_64& random, std::uint64_t now_ms) : now_ms_(now_ms), when_(now_ms) {
    const auto below = [&random](std::uint64_t bound) { return random() % bound; };
    kind_ = below(40);
    account_ = account_of(static_cast<std::uint8_t>(below(3)), below(2));
    for (std::uint64_t i = 0; i < 1 + below(3); ++i) {
      hashes_.push_back("h" + std::to_string(below(12)));
      expiries_ms_.push_back(now_ms + below(400) - 50);
      tokens_.push_back(token_of(static_cast<std::uint8_t>(below(80))));
      records_.emplace_back(below(200), 'r');
    }
    if (below(2) == 0) {
      expiries_ms_.resize(1);
    }
    space_ = static_cast<Namespace>(static_cast<int>(below(4)) - 2);
    if (below(3) > 0) {
      only_ = space_;
    }
    message_ = message_of(hashes_[0], space_, expiries_ms_[0], now_ms - below(100));
    message_.data.resize(below(900));
    number_ = below(400);
    if (below(3) == 0) {
      when_.asked = stamp_of(now_ms - below(120));
    }
    change_ = static_cast<ExpiryChange>(below(3));
  }

  [[nodiscard]] std::string apply(MessageStore& to) const { return begin(to, to).get(); }

  /// Without waiting for the answer. `numbers` has what `to` will have when the operation's turn comes.
  [[nodiscard]] std::future<std::string> begin(MessageStore& to,
                                               const MessageStore& numbers) const {
    switch (kind_) {
      case 0:
        return ask<std::vector<Hash>>(
            [&](auto done) { to.remove(account_, hashes_, when_, std::move(done)); });
      case 1:
        return ask<HashesBySpace>([&](auto done) {
          to.remove_before(account_, only_, now_ms_ - number_ % 120, when_, std::move(done));
        });
      case 2:
        return ask<HashesBySpace>(
            [&](auto done) { to.remove_all(account_, only_, when_, std::move(done)); });
      case 3:
      case 4:
      case 5:
        return ask<ExpiriesChanged>([&](auto done) {
          to.change_expiry(account_, hashes_, expiries_ms_, change_, when_, std::move(done));
        });
      case 6:
        return ask<HashesBySpace>([&](auto done) {
          to.shorten_all(account_, only_, expiries_ms_[0], when_, std::move(done));
        });
      case 7:
      case 8:
        return ask<std::size_t>([&](auto done) {
          to.revoke(account_, tokens_, now_ms_ - number_, when_, std::move(done));
        });
      case 9:
        return ask<std::size_t>(
            [&](auto done) { to.unrevoke(account_, tokens_, when_, std::move(done)); });
      case 10:
        return ask<std::uint64_t>(
            [&](auto done) { to.enqueue_missed(peer(), records_, std::move(done)); });
      case 11:
        return ask<std::size_t>(
            [&](auto done) { to.drop_missed(peer(), last_number(numbers), std::move(done)); });
      case 12:
        return ask<std::size_t>([&](auto done) { to.reclaim(now_ms_, std::move(done)); });
      case 13:
        return ask<std::size_t>([&](auto done) {
          to.forget(account_, hashes_, stamp_of(now_ms_ - number_ % 120), std::move(done));
        });
      default:
        return ask<Stored>([&](auto done) {
          to.store(account_, message_, kind_ % 2 == 0 ? Origin::client : Origin::replica,
                   space_ == -1, when_, std::move(done));
        });
    }
  }

  /// What can be read about the account, and of the whole store.
  [[nodiscard]] std::string look(const MessageStore& in) const {
    std::ostringstream out;
    const auto page = in.retrieve(account_, space_, hashes_[0], {number_ % 4, 0}, now_ms_);
    for (const Message& message : page->messages) {
      out << message << '\n';
    }
    out << page->more << text(in.expiries(account_, hashes_, now_ms_)) << '\n';
    out << static_cast<int>(in.try_store(account_, message_,
                                         number_ % 2 == 0 ? Origin::client : Origin::replica,
                                         space_ == -1, when_)
                                .value())
        << '\n';
    const auto tokens = in.revoked(account_);
    for (const Token& token : *tokens) {
      out << int{token[0]} << ' ';
    }
    std::set<std::pair<Token, Stamp>> lifted;
    const auto taken_back = in.lifted(account_);
    for (const RevokedToken& one : *taken_back) {
      lifted.emplace(one.token, one.asked);
    }
    for (const auto& [token, asked] : lifted) {
      out << int{token[0]} << '@' << asked << ' ';
    }
    const auto records = in.missed(peer(), 0, number_);
    for (const Missed& missed : *records) {
      out << missed.number << ':' << missed.record.size() << ' ';
    }
    out << in.peers_with_missed()->size() << '\n';
    const StoreStatus status = in.status();
    out << status.messages << ' ' << status.accounts << ' ' << status.bytes_used << '\n';
    return out.str() + dump(in, {number_ % 2, number_ % 3, MessageId{account_, hashes_[0]}});
  }

  [[nodiscard]] std::string dump(const MessageStore& in, const Scan& scan = {}) const {
    std::ostringstream out;
    const auto visited =
        in.for_each(scan, now_ms_, [&out](const Account& account, const Message& message) {
          out << int{account[1]} << '/' << point_of(account) << '/' << message << '\n';
          return true;
        });
    const auto revoked =
        in.for_each_revoked({}, [&out](const Account& account, const RevokedToken& one) {
          out << int{account[1]} << '/' << int{one.token[0]} << '/' << one.asked << '\n';
          return true;
        });
    return out.str() + (visited && revoked ? "" : "cannot be read");
  }

 private:
  template <typename T, typename Change>
  static std::future<std::string> ask(Change change) {
    auto answer = std::make_shared<std::promise<std::string>>();
    change(Done<T>([answer](const Result<T>& result) { answer->set_value(text(result)); }));
    return answer->get_future();
  }

  [[nodiscard]] PeerKey peer() const { return PeerKey{account_[1]}; }

  [[nodiscard]] std::uint64_t last_number(const MessageStore& in) const {
    const auto records = in.missed(peer(), 0, number_).value();
    return records.empty() ? number_ : records.back().number;
  }

  std::uint64_t now_ms_;
  When when_;
  std::uint64_t kind_ = 0;
  Account account_{};
  std::vector<Hash> hashes_;
  std::vector<std::uint64_t> expiries_ms_;
  std::vector<Token> tokens_;
  std::vector<std::string> records_;
  Namespace space_ = 0;
  std::optional<Namespace> only_;
  Message message_;
  std::uint64_t number_ = 0;
  ExpiryChange change_{};
};

class StoreDifferential : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(StoreDifferential, BothStoresAnswerAlike) {
  const ScratchDirectory scratch;
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.bytes_limit = kLimit;
  auto disk = open_store(options);
  MemoryStore memory(kLimit);
  std::mt19937_64 random(GetParam());
  std::uint64_t now_ms = kNow;
  std::size_t full_count = 0;
  for (int i = 0; i < 4000; ++i) {
    // Traces are kept for long, and would fill the store.
    now_ms += random() % 400 == 0 ? kLifeMsMax - 200 : random() % 4;
    const Operation operation(random, now_ms);
    const std::string expected = operation.apply(memory);
    full_count += expected == "error 7" ? 1U : 0U;
    ASSERT_EQ(operation.apply(*disk), expected) << "operation " << i;
    ASSERT_EQ(operation.look(*disk), operation.look(memory)) << "after operation " << i;
    if (i % 500 == 499) {
      ASSERT_EQ(operation.dump(*disk), operation.dump(memory)) << "after operation " << i;
      disk.reset();
      disk = open_store(options);
    }
  }
  EXPECT_GT(full_count, 10U) << "the limit was hardly met";
}

// What is on its way to the disk is there for those that come behind it.
TEST_P(StoreDifferential, WhatIsAskedWithoutWaitingIsAnsweredInItsOrder) {
  const ScratchDirectory scratch;
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.bytes_limit = kLimit;
  options.batch_changes_max = 3;
  const auto disk = open_store(options);
  MemoryStore memory(kLimit);
  std::mt19937_64 random(GetParam());
  std::uint64_t now_ms = kNow;
  std::size_t full_count = 0;
  for (int i = 0; i < 1000; ++i) {
    std::vector<Operation> operations;
    std::vector<std::string> expected;
    std::vector<std::future<std::string>> answers;
    for (std::uint64_t count = 1 + random() % 12; count > 0; --count) {
      now_ms += random() % 1200 == 0 ? kLifeMsMax - 200 : random() % 4;
      operations.emplace_back(random, now_ms);
      answers.push_back(operations.back().begin(*disk, memory));
      expected.push_back(operations.back().apply(memory));
      full_count += expected.back() == "error 7" ? 1U : 0U;
    }
    for (std::size_t n = 0; n < answers.size(); ++n) {
      ASSERT_EQ(answers[n].get(), expected[n]) << "operation " << n << " of round " << i;
    }
    ASSERT_EQ(operations.back().look(*disk), operations.back().look(memory)) << "round " << i;
  }
  EXPECT_GT(full_count, 10U) << "the limit was hardly met";
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreDifferential, ::testing::Values(1, 2, 3));

}  // namespace
}  // namespace allium::storage::testing
