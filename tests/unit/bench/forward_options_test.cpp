// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/forward_options.hpp"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/bench/parsed_words.hpp"

namespace allium::bench {
namespace {

std::optional<ForwardOptions> parse(std::vector<std::string> words) {
  return test::parsed_words(parse_forward_options, std::move(words));
}

TEST(ForwardOptions, ReadsEveryWord) {
  const auto options =
      parse({"--class",   "v",  "--ip",          "6",   "--sessions",        "7",
             "--packets", "96", "--repeats",     "5",   "--passes",          "2",
             "--burst",   "12", "--bad-tags",    "30",  "--backend",         "ring",
             "--workers", "2",  "--replay-mpps", "2.5", "--same-replay-key", "--no-huge"});

  ASSERT_TRUE(options);
  EXPECT_EQ(options->packet_class, onion::PacketClass::v);
  EXPECT_TRUE(options->is_v6);
  EXPECT_EQ(options->sessions, 7U);
  EXPECT_EQ(options->packets, 96U);
  EXPECT_EQ(options->repeats, 5U);
  EXPECT_EQ(options->passes, 2U);
  EXPECT_EQ(options->burst, 12U);
  EXPECT_EQ(options->bad_tags, 30U);
  EXPECT_EQ(options->backend, Backend::ring);
  EXPECT_EQ(options->workers, 2U);
  EXPECT_EQ(options->replay_mpps, 2.5);
  EXPECT_TRUE(options->same_replay_key);
  EXPECT_EQ(options->pages, dataplane::Pages::small);
}

TEST(ForwardOptions, ComparesWithAsManyAsAreNamed) {
  const auto options =
      parse({"--compare-kernels", "onion=ipsec-mb", "--compare-kernels", "x25519=libsodium",
             "--compare-burst", "1", "--compare-burst", "8", "--compare-bad-tags", "100",
             "--compare-bad-tags", "0", "--backend", "ring", "--compare-workers", "2"});

  ASSERT_TRUE(options);
  EXPECT_EQ(options->compare_kernels,
            (std::vector<std::string>{"onion=ipsec-mb", "x25519=libsodium"}));
  EXPECT_EQ(options->compare_bursts, (std::vector<std::size_t>{1, 8}));
  EXPECT_EQ(options->compare_workers, (std::vector<std::size_t>{2}));
  EXPECT_EQ(bad_tag_inputs(*options), (std::vector<std::size_t>{0, 100}));
  EXPECT_EQ(packet_step(*options), 64U);
}

TEST(ForwardOptions, RefusesWhatIsNotOneOfThem) {
  const std::vector<std::vector<std::string>> wrong = {{"--class", "x"},
                                                       {"--ip", "5"},
                                                       {"--sessions", "0"},
                                                       {"--burst", "0"},
                                                       {"--burst", "33"},
                                                       {"--packets", "33"},
                                                       {"--packets", "32x"},
                                                       {"--repeats", ""},
                                                       {"--passes", "-1"},
                                                       {"--packets", "99999968"},
                                                       {"--packets"},
                                                       {"--bad-tags", "101"},
                                                       {"--backend", "memif"},
                                                       {"--workers", "17"},
                                                       {"--replay-mpps", "0"},
                                                       {"--replay-mpps", "65"},
                                                       {"--replay-mpps", "nan"},
                                                       {"--compare-burst", "0"},
                                                       {"--compare-bad-tags", "-1"},
                                                       {"--compare-workers", "0"},
                                                       {"word"},
                                                       {"--unknown"}};
  for (const auto& words : wrong) {
    EXPECT_FALSE(parse(words)) << words.front() << " " << words.back();
  }
}

TEST(ForwardOptions, RefusesWhatDoesNotGoTogether) {
  EXPECT_FALSE(parse({"--workers", "2"}));
  EXPECT_FALSE(parse({"--backend", "ring", "--workers", "2", "--stages"}));
  EXPECT_TRUE(parse({"--backend", "ring", "--stages"})->stages);
  EXPECT_FALSE(parse({"--compare-workers", "2"}));
  EXPECT_FALSE(parse({"--packets", "32", "--compare-burst", "7"}));
  EXPECT_FALSE(parse({"--packets", "32", "--backend", "ring", "--workers", "2"}));
  EXPECT_FALSE(parse({"--burst", "31", "--compare-burst", "29", "--compare-burst", "27",
                      "--compare-burst", "25"}));
  EXPECT_TRUE(parse({"--packets", "224", "--compare-burst", "7"}));
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

  options.compare_bursts = {4};
  EXPECT_EQ(loop_packets(options, 1232, 1), 28U);
  options.compare_bad_tags = {100};
  EXPECT_LE(loop_packets(options, 1232, 1'000'000) * 2 * kPacketBufferBytes, 500'000U);
  options.packets = 28;
  EXPECT_EQ(loop_packets(options, 1232, 1), 28U);
}

}  // namespace
}  // namespace allium::bench
