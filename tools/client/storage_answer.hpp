// SPDX-License-Identifier: Apache-2.0
#pragma once

// The answer to a storage request by packet, put together from the R packets that bring it (control/service/fast_lane.hpp has
// the bytes): pieces in any order, each once.
//
//   Ownership  values.
//   Errors     pieces that do not fit are left out and counted.
//   Threads    one.
//   Limits     kPiecesMax pieces of at most the data of an R packet. Any bytes may come in.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/json/value.hpp>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::client {

class StorageAnswer {
 public:
  static constexpr std::size_t kPiecesMax = 64;

  explicit StorageAnswer(std::uint32_t request_id) : id_(request_id) {}

  /// X_R of an R packet. True: all pieces are there.
  bool add(Bytes x_r);

  [[nodiscard]] std::size_t pieces() const noexcept { return have_; }

  [[nodiscard]] std::size_t refused() const noexcept { return refused_; }

  struct Content {
    int status = 0;
    boost::json::value body;  ///< strings are bytes: bt knows no other
  };

  /// Requires that add() was true. Errc::malformed: it is no answer of a node.
  [[nodiscard]] Result<Content> content() const;

 private:
  std::uint32_t id_;
  std::size_t count_ = 0;  ///< 0: not known yet
  std::size_t have_ = 0;
  std::size_t refused_ = 0;
  std::array<std::optional<std::string>, kPiecesMax> pieces_;
};

}  // namespace allium::client
