// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/omq_message.hpp"

#include <algorithm>
#include <array>

namespace allium::control {

namespace {

constexpr std::array<std::string_view, 5> kReasons = {"UNKNOWNCOMMAND", "FORBIDDEN", "FORBIDDEN_SN",
                                                      "NOT_A_SERVICE_NODE", "NO_REPLY_TAG"};

bool is_tag(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kOmqTagBytesMax;
}

OmqMessage parse_reply(std::span<const std::string> frames) noexcept {
  if (frames.size() < 2 || !is_tag(frames[1])) {
    return {};
  }
  return {.kind = OmqKind::reply, .name = frames[0], .tag = frames[1], .parts_begin = 2};
}

OmqMessage parse_refusal(std::span<const std::string> frames) noexcept {
  if (frames.size() == 2 && frames[1].size() <= kOmqNameBytesMax) {
    return {.kind = OmqKind::refusal, .name = frames[0], .refused_command = frames[1]};
  }
  if (frames.size() == 3 && frames[1] == "REPLY" && is_tag(frames[2])) {
    return {.kind = OmqKind::refusal, .name = frames[0], .tag = frames[2]};
  }
  return {};
}

}  // namespace

OmqMessage parse_omq(std::span<const std::string> frames) noexcept {
  if (frames.empty() || frames.size() > kOmqFramesMax || frames[0].empty() ||
      frames[0].size() > kOmqNameBytesMax) {
    return {};
  }
  const std::string_view name = frames[0];
  if (name == "HI") {
    return {.kind = OmqKind::hi, .name = name};
  }
  if (name == "HELLO") {
    return {.kind = OmqKind::hello, .name = name};
  }
  if (name == "BYE") {
    return {.kind = OmqKind::bye, .name = name};
  }
  if (name == "REPLY") {
    return parse_reply(frames);
  }
  if (std::find(kReasons.begin(), kReasons.end(), name) != kReasons.end()) {
    return parse_refusal(frames);
  }
  return {.kind = OmqKind::command, .name = name, .parts_begin = 1};
}

std::string_view omq_request_tag(std::span<const std::string> frames) noexcept {
  return frames.size() >= 2 && is_tag(frames[1]) ? std::string_view(frames[1]) : std::string_view();
}

}  // namespace allium::control
