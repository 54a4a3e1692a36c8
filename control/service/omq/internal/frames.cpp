// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/frames.hpp"

#include <algorithm>
#include <iterator>

namespace allium::control {

std::size_t bytes_of(const OmqParts& parts) noexcept {
  std::size_t bytes = 0;
  for (const std::string& part : parts) {
    bytes += part.size();
  }
  return bytes;
}

bool is_sendable(const std::string& command, const OmqParts& parts) noexcept {
  return !command.empty() && command.size() <= kOmqNameBytesMax && parts.size() <= kOmqPartsMax &&
         command.size() + kOmqTagBytesMax + bytes_of(parts) <= kOmqMessageBytesMax;
}

OmqParts frames_of(std::initializer_list<std::string_view> first, OmqParts parts) {
  OmqParts frames(first.begin(), first.end());
  std::move(parts.begin(), parts.end(), std::back_inserter(frames));
  return frames;
}

}  // namespace allium::control
