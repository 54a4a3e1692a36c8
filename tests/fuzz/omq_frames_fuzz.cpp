// SPDX-License-Identifier: Apache-2.0

// Frames of an OMQ message: what is found lies in the frames, within its bounds. Each frame is a
// length byte and so many bytes; 255 stands for 8 times that.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "control/service/omq/omq_message.hpp"
#include "crypto_accel/base/check.hpp"

namespace {

using allium::control::OmqKind;
using allium::control::OmqMessage;

std::vector<std::string> frames_of(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> frames;
  for (std::size_t at = 0; at < size;) {
    const std::size_t wanted = data[at] == 255 ? 255 * 8 : data[at];
    ++at;
    const std::size_t length = std::min(wanted, size - at);
    frames.emplace_back(reinterpret_cast<const char*>(data) + at, length);
    at += length;
  }
  return frames;
}

bool lies_in(std::string_view text, const std::vector<std::string>& frames) {
  return text.empty() || std::any_of(frames.begin(), frames.end(), [&](const std::string& frame) {
           return text.data() == frame.data() && text.size() == frame.size();
         });
}

void check_reply(const OmqMessage& message, const std::vector<std::string>& frames) {
  ALLIUM_CHECK(frames.size() >= 2 && frames[0] == "REPLY" && message.parts_begin == 2);
  ALLIUM_CHECK(!message.tag.empty() && message.tag.size() <= allium::control::kOmqTagBytesMax);
}

void check(const OmqMessage& message, const std::vector<std::string>& frames) {
  ALLIUM_CHECK(lies_in(message.name, frames) && lies_in(message.tag, frames) &&
               lies_in(message.refused_command, frames));
  if (message.kind == OmqKind::malformed) {
    return;
  }
  ALLIUM_CHECK(message.name == frames[0] && !message.name.empty());
  ALLIUM_CHECK(message.name.size() <= allium::control::kOmqNameBytesMax);
  ALLIUM_CHECK(frames.size() <= allium::control::kOmqFramesMax);
  ALLIUM_CHECK(message.parts_begin <= frames.size());
  if (message.kind == OmqKind::reply) {
    check_reply(message, frames);
  }
  if (message.kind == OmqKind::refusal) {
    ALLIUM_CHECK(message.tag.empty() || message.refused_command.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::string> frames = frames_of(data, size);
  check(allium::control::parse_omq(frames), frames);
  const std::string_view tag = allium::control::omq_request_tag(frames);
  ALLIUM_CHECK(tag.size() <= allium::control::kOmqTagBytesMax && lies_in(tag, frames));
  return 0;
}
