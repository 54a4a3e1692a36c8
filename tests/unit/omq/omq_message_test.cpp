// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/omq_message.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

using Frames = std::vector<std::string>;

TEST(OmqMessage, KnowsTheWordsOfTheHandshake) {
  EXPECT_EQ(parse_omq(Frames{"HI"}).kind, OmqKind::hi);
  EXPECT_EQ(parse_omq(Frames{"HELLO"}).kind, OmqKind::hello);
  EXPECT_EQ(parse_omq(Frames{"BYE"}).kind, OmqKind::bye);
  EXPECT_EQ(parse_omq(Frames{"hi"}).kind, OmqKind::command);
}

TEST(OmqMessage, FindsTheTagAndThePartsOfAReply) {
  const Frames frames = {"REPLY", "tag", "one", "two"};
  const OmqMessage message = parse_omq(frames);

  EXPECT_EQ(message.kind, OmqKind::reply);
  EXPECT_EQ(message.tag, "tag");
  EXPECT_EQ(message.parts_begin, 2U);
  EXPECT_EQ(parse_omq(Frames{"REPLY"}).kind, OmqKind::malformed);
  EXPECT_EQ(parse_omq(Frames{"REPLY", ""}).kind, OmqKind::malformed);
  EXPECT_EQ(parse_omq(Frames{"REPLY", std::string(65, 't')}).kind, OmqKind::malformed);
}

TEST(OmqMessage, ReadsRefusalsWithTagAndWithCommand) {
  const Frames with_tag = {"FORBIDDEN_SN", "REPLY", "tag"};
  const Frames with_command = {"UNKNOWNCOMMAND", "sn.nothing"};

  EXPECT_EQ(parse_omq(with_tag).kind, OmqKind::refusal);
  EXPECT_EQ(parse_omq(with_tag).tag, "tag");
  EXPECT_EQ(parse_omq(with_command).kind, OmqKind::refusal);
  EXPECT_EQ(parse_omq(with_command).refused_command, "sn.nothing");
  EXPECT_EQ(parse_omq(Frames{"FORBIDDEN"}).kind, OmqKind::malformed);
  EXPECT_EQ(parse_omq(Frames{"FORBIDDEN", "reply", "tag"}).kind, OmqKind::malformed);
}

TEST(OmqMessage, BoundsFramesAndNames) {
  Frames frames(kOmqFramesMax, "x");
  EXPECT_EQ(parse_omq(frames).kind, OmqKind::command);
  frames.emplace_back("x");
  EXPECT_EQ(parse_omq(frames).kind, OmqKind::malformed);

  EXPECT_EQ(parse_omq(Frames{}).kind, OmqKind::malformed);
  EXPECT_EQ(parse_omq(Frames{""}).kind, OmqKind::malformed);
  EXPECT_EQ(parse_omq(Frames{std::string(kOmqNameBytesMax, 'n')}).kind, OmqKind::command);
  EXPECT_EQ(parse_omq(Frames{std::string(kOmqNameBytesMax + 1, 'n')}).kind, OmqKind::malformed);
}

TEST(OmqMessage, SeesWhetherACommandHasATag) {
  EXPECT_EQ(omq_request_tag(Frames{"sn.ping", "tag"}), "tag");
  EXPECT_EQ(omq_request_tag(Frames{"sn.ping"}), "");
  EXPECT_EQ(omq_request_tag(Frames{"sn.ping", ""}), "");
  EXPECT_EQ(omq_request_tag(Frames{"sn.ping", std::string(kOmqTagBytesMax + 1, 't')}), "");
}

}  // namespace
}  // namespace allium::control
