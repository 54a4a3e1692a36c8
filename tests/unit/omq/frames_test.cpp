// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/frames.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

TEST(OmqFrames, PutWhatIsFirstBeforeTheParts) {
  EXPECT_EQ(frames_of({"REPLY", "tag"}, {"a", ""}), (OmqParts{"REPLY", "tag", "a", ""}));
}

TEST(OmqFrames, AreSendableUpToTheBoundsOfAMessage) {
  const std::string command(kOmqNameBytesMax, 'c');
  const std::size_t room = kOmqMessageBytesMax - kOmqTagBytesMax - command.size();

  EXPECT_TRUE(is_sendable(command, {std::string(room, 'x')}));
  EXPECT_FALSE(is_sendable(command, {std::string(room, 'x'), "x"}));
  EXPECT_FALSE(is_sendable(command + 'c', {}));
  EXPECT_FALSE(is_sendable("", {}));
  EXPECT_TRUE(is_sendable("a.b", OmqParts(kOmqPartsMax)));
  EXPECT_FALSE(is_sendable("a.b", OmqParts(kOmqPartsMax + 1)));
}

}  // namespace
}  // namespace allium::control
