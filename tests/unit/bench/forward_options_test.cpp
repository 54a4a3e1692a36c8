// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/forward_options.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

std::optional<ForwardOptions> parse(std::vector<std::string> words) {
  words.insert(words.begin(), "allium-bench-dp");
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  const auto count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  return parse_forward_options(count, arguments.data());
}

TEST(ForwardOptions, ReadsEveryWord) {
  const auto options =
      parse({"--class", "v", "--sessions", "7", "--packets", "96", "--repeats", "5", "--passes",
             "2", "--burst", "12", "--same-replay-key", "--no-huge"});

  ASSERT_TRUE(options);
  EXPECT_EQ(options->packet_class, onion::PacketClass::v);
  EXPECT_EQ(options->sessions, 7U);
  EXPECT_EQ(options->packets, 96U);
  EXPECT_EQ(options->repeats, 5U);
  EXPECT_EQ(options->passes, 2U);
  EXPECT_EQ(options->burst, 12U);
  EXPECT_TRUE(options->same_replay_key);
  EXPECT_EQ(options->pages, dataplane::Pages::small);
}

TEST(ForwardOptions, RefusesWhatIsNotOneOfThem) {
  const std::vector<std::vector<std::string>> wrong = {
      {"--class", "s"},          {"--sessions", "0"},  {"--burst", "0"},  {"--burst", "33"},
      {"--packets", "33"},       {"--packets", "32x"}, {"--repeats", ""}, {"--passes", "-1"},
      {"--packets", "99999968"}, {"--packets"},        {"word"},          {"--unknown"}};
  for (const auto& words : wrong) {
    EXPECT_FALSE(parse(words)) << words.front();
  }
}

TEST(ForwardOptions, TheLoopHasWholeBurstsAndFitsInMemory) {
  ForwardOptions options;
  options.burst = 7;
  const std::size_t full = loop_packets(options, 1232, 0);
  EXPECT_EQ(full % 7, 0U);
  EXPECT_LE(full * 1232, kLoopBytes);
  EXPECT_GT((full + 7) * 1232, kLoopBytes);

  const std::size_t small = loop_packets(options, 1232, 1'000'000);
  EXPECT_EQ(small % 7, 0U);
  EXPECT_LE(small * kPacketBufferBytes, 500'000U);
  EXPECT_EQ(loop_packets(options, 1232, 1), 7U);

  options.packets = 14;
  EXPECT_EQ(loop_packets(options, 1232, 1), 14U);
}

}  // namespace
}  // namespace allium::bench
