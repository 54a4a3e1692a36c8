// SPDX-License-Identifier: Apache-2.0
#pragma once

// The words of the canonical texts (FORMAT.md): lines of fields parted by one space. The reader is a
// bounded cursor that takes a little more than the canonical spelling; the parsers above it serialise
// what they read and compare, so that nothing else than the canonical text gets through.
//
//   Ownership  the reader borrows its text.
//   Errors     the reader remembers the first thing that was wrong; after it every read gives zero.
//   Limits     kLineCharsMax a line.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::control::internal {

inline constexpr std::size_t kLineCharsMax = 512;

[[nodiscard]] std::string hex_text(Bytes bytes);

/// False where `hex` is not exactly 2 * target.size() lower-case digits.
[[nodiscard]] bool parse_hex(std::string_view hex, MutableBytes target) noexcept;

class TextReader {
 public:
  /// `what` names the text in errors, e.g. "network document".
  TextReader(std::string_view text, std::string_view what) : rest_(text), what_(what) {}

  /// Goes to the next line, which must begin with `keyword`; its other fields are then read in order.
  void line(std::string_view keyword);

  /// True where the next line begins with `keyword`.
  [[nodiscard]] bool next_is(std::string_view keyword) const noexcept;

  [[nodiscard]] std::string_view word();
  [[nodiscard]] std::uint64_t number();
  [[nodiscard]] std::size_t count(std::size_t count_max);
  void hex(MutableBytes target);
  [[nodiscard]] onion::Endpoint endpoint();

  /// The fields of the line are used up.
  void end_line();

  /// Everything from here up to, not with, the first line that is `keyword` or begins with it and a space.
  [[nodiscard]] std::string_view text_before(std::string_view keyword);

  void refuse(std::string_view why);

  [[nodiscard]] bool good() const noexcept { return why_.empty(); }

  /// Good, and nothing is left.
  [[nodiscard]] Result<void> finish();

 private:
  std::string_view rest_;
  std::string_view what_;
  std::string_view line_;
  std::size_t line_number_ = 0;
  std::string why_;
};

[[nodiscard]] tl::unexpected<Error> not_canonical(std::string_view what);

/// At least one, at most kEndpointsMax, ports not 0 and all the same, no address twice. An empty answer:
/// they are in order.
[[nodiscard]] std::string_view endpoint_fault(std::span<const onion::Endpoint> endpoints) noexcept;

[[nodiscard]] Bytes bytes_of(std::string_view text) noexcept;

}  // namespace allium::control::internal
