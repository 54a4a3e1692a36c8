// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was said about the expiry of a message, and what it comes to in whatever order it arrives: what sets an expiry overrides all
// that was asked for before; a store and what extends it raise it, what shortens it lowers it, each in its place.
//
//   Units      Unix milliseconds, stamps (message_store.hpp).
//   Limits     of each kind the latest stamp and the strongest word are kept, not all that was ever said: where two of one kind lie on
//              both sides of another's stamp and arrive in another order, what is kept can be a little more or less.

#include <algorithm>
#include <cstdint>
#include <optional>

#include "storage/message_store.hpp"

namespace allium::storage {

/// A replica brings an expiry that was said at some time: it counts as older than whatever a client says here.
inline constexpr Stamp kReplicaStamp = 1;

class ExpiryHistory {
 public:
  struct Said {
    Stamp asked = 0;  ///< 0: nothing
    std::uint64_t expiry_ms = 0;

    bool operator==(const Said&) const = default;
  };

  ExpiryHistory() = default;

  ExpiryHistory(Said set, Said raised, Said lowered)
      : set_(set), raised_(raised), lowered_(lowered) {}

  bool operator==(const ExpiryHistory&) const = default;

  void add(ExpiryChange change, std::uint64_t expiry_ms, Stamp asked) {
    const Said said{asked, expiry_ms};
    if (asked < set_.asked) {
      return;
    }
    switch (change) {
      case ExpiryChange::set:
        set_ = said;
        forget(raised_);
        forget(lowered_);
        break;
      case ExpiryChange::extend:
        settle(lowered_, asked);
        raised_ = is_open(raised_)
                      ? Said{std::max(raised_.asked, asked), std::max(raised_.expiry_ms, expiry_ms)}
                      : said;
        break;
      case ExpiryChange::shorten:
        settle(raised_, asked);
        lowered_ = is_open(lowered_) ? Said{std::max(lowered_.asked, asked),
                                            std::min(lowered_.expiry_ms, expiry_ms)}
                                     : said;
        break;
    }
  }

  /// 0 where nothing was stored or set.
  [[nodiscard]] std::uint64_t expiry_ms() const {
    std::optional<std::uint64_t> expiry =
        set_.asked == 0 ? std::nullopt : std::optional(set_.expiry_ms);
    const bool raises_first = raised_.asked <= lowered_.asked;
    const auto raise = [&] {
      if (is_open(raised_)) {
        expiry = std::max(expiry.value_or(0), raised_.expiry_ms);
      }
    };
    if (raises_first) {
      raise();
    }
    if (is_open(lowered_) && expiry) {
      expiry = std::min(*expiry, lowered_.expiry_ms);
    }
    if (!raises_first) {
      raise();
    }
    return expiry.value_or(0);
  }

  [[nodiscard]] Stamp latest() const {
    return std::max({set_.asked, raised_.asked, lowered_.asked});
  }

  [[nodiscard]] const Said& set() const noexcept { return set_; }

  [[nodiscard]] const Said& raised() const noexcept { return raised_; }

  [[nodiscard]] const Said& lowered() const noexcept { return lowered_; }

 private:
  /// Not overridden.
  [[nodiscard]] bool is_open(const Said& said) const noexcept {
    return said.asked != 0 && said.asked >= set_.asked;
  }

  void forget(Said& said) const noexcept {
    if (said.asked <= set_.asked) {
      said = {};
    }
  }

  /// What it came to up to `other`, before what is asked for after that.
  void settle(const Said& other, Stamp asked) {
    const std::uint64_t expiry = expiry_ms();
    if (is_open(other) && asked >= latest() && expiry != 0) {
      set_ = {latest(), expiry};
      raised_ = {};
      lowered_ = {};
    }
  }

  Said set_;
  Said raised_;
  Said lowered_;
};

}  // namespace allium::storage
