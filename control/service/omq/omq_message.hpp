// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the frames of one OMQ message say (session protocol 5.1). A pure function: no socket, no
// state.
//
//   Ownership  the answer points into the frames.
//   Errors     OmqKind::malformed.
//   Threads    reentrant.
//   Limits     the constants below.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace allium::control {

/// All frames of a message together.
inline constexpr std::size_t kOmqMessageBytesMax = 10 * 1024 * 1024;

/// After the name and the tag.
inline constexpr std::size_t kOmqPartsMax = 16;
inline constexpr std::size_t kOmqFramesMax = kOmqPartsMax + 2;
inline constexpr std::size_t kOmqNameBytesMax = 200;
inline constexpr std::size_t kOmqTagBytesMax = 64;

enum class OmqKind : std::uint8_t {
  hi,         ///< [HI]: wants a HELLO
  hello,      ///< [HELLO]
  bye,        ///< [BYE]
  reply,      ///< [REPLY][tag][parts...]
  refusal,    ///< [reason][REPLY][tag], or [reason][command]
  command,    ///< [command][...]: whether a tag is next depends on the command
  malformed,  ///< none of these
};

struct OmqMessage {
  OmqKind kind = OmqKind::malformed;
  std::string_view name{};  ///< command, or reason of a refusal
  std::string_view tag{};   ///< of a reply or refusal; empty: the refusal names a command
  std::string_view refused_command{};
  std::size_t parts_begin = 0;  ///< index of the first frame of a reply's or command's parts
};

/// More than kOmqFramesMax frames, a first frame that is empty or longer than kOmqNameBytesMax, and
/// replies and refusals that lack their second frame are malformed.
[[nodiscard]] OmqMessage parse_omq(std::span<const std::string> frames) noexcept;

/// The tag of a command that wants an answer. Empty: it has none, or none of at most
/// kOmqTagBytesMax.
[[nodiscard]] std::string_view omq_request_tag(std::span<const std::string> frames) noexcept;

}  // namespace allium::control
