// SPDX-License-Identifier: Apache-2.0
// The transfer alone, over a pipe that delays, loses, repeats and reorders, on a clock of its own.
#include "tools/client/echo_transfer.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace allium::client {
namespace {

constexpr std::size_t kPayloadBytes = 912;

std::vector<std::uint8_t> make_file(std::size_t byte_count) {
  std::mt19937_64 generator(byte_count);
  std::vector<std::uint8_t> file(byte_count);
  for (std::uint8_t& byte : file) {
    byte = static_cast<std::uint8_t>(generator());
  }
  return file;
}

struct Pipe {
  double loss = 0;
  double repeat = 0;
  std::uint64_t delay_us = 2000;
  std::uint64_t jitter_us = 0;
  std::uint64_t down_from_us = kNever;
  std::uint64_t down_to_us = 0;
};

/// Runs a transfer to its end over a pipe; returns the tick of the end.
class PipedRun {
 public:
  PipedRun(Bytes file, const Pipe& pipe) : transfer(file, kPayloadBytes, 0xfeed), pipe_(pipe) {}

  std::uint64_t to_end(std::uint64_t limit_us = 600'000'000) {
    std::uint64_t now_us = 1'000'000;
    while (!transfer.done() && now_us < limit_us) {
      while (const auto payload = transfer.next(now_us)) {
        const std::uint64_t seq = ++seq_;
        transfer.sent(1, seq, now_us);
        in_flight_max = std::max(in_flight_max, pending_.size() + 1);
        carry(seq, *payload, now_us);
      }
      if (transfer.stalled()) {
        stall_seen = true;
        sent_while_stalled = transfer.counts().packets_sent - sent_before_stall_;
      } else {
        sent_before_stall_ = transfer.counts().packets_sent;
      }
      std::uint64_t next_us = transfer.deadline_us(now_us);
      if (!pending_.empty()) {
        next_us = std::min(next_us, pending_.begin()->first);
      }
      if (next_us == kNever) {
        ADD_FAILURE() << "nothing left to wait for";
        return now_us;
      }
      now_us = std::max(now_us + 1, next_us);
      while (!pending_.empty() && pending_.begin()->first <= now_us) {
        const auto node = pending_.extract(pending_.begin());
        transfer.arrived(1, node.mapped().first, node.mapped().second, now_us);
      }
    }
    return now_us;
  }

  EchoTransfer transfer;
  bool stall_seen = false;
  std::uint64_t sent_while_stalled = 0;
  std::size_t in_flight_max = 0;

 private:
  void carry(std::uint64_t seq, const std::vector<std::uint8_t>& payload, std::uint64_t now_us) {
    std::uniform_real_distribution<double> chance(0, 1);
    const bool down = now_us >= pipe_.down_from_us && now_us < pipe_.down_to_us;
    if (down || chance(generator_) < pipe_.loss) {
      return;
    }
    const int copies = chance(generator_) < pipe_.repeat ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      const std::uint64_t jitter_us = pipe_.jitter_us == 0 ? 0 : generator_() % pipe_.jitter_us;
      std::vector<std::uint8_t> padded = payload;
      padded.resize(kPayloadBytes);  // X_R comes back whole
      pending_.emplace(now_us + pipe_.delay_us + jitter_us, std::pair(seq, padded));
    }
  }

  Pipe pipe_;
  std::mt19937_64 generator_{7};
  std::uint64_t seq_ = 0;
  std::uint64_t sent_before_stall_ = 0;
  std::multimap<std::uint64_t, std::pair<std::uint64_t, std::vector<std::uint8_t>>> pending_;
};

bool same(const EchoTransfer& transfer, const std::vector<std::uint8_t>& file) {
  return std::equal(file.begin(), file.end(), transfer.received().begin(),
                    transfer.received().end());
}

TEST(EchoTransfer, EverySizeAroundAChunkComesBack) {
  for (const std::size_t byte_count : {0U, 1U, 895U, 896U, 897U, 1792U, 100'000U}) {
    const auto file = make_file(byte_count);
    PipedRun run(file, {});
    run.to_end();
    EXPECT_TRUE(run.transfer.done());
    EXPECT_TRUE(same(run.transfer, file)) << byte_count;
    EXPECT_EQ(run.transfer.counts().retransmitted, 0U);
  }
}

TEST(EchoTransfer, FillsItsWindowAndNoMore) {
  const auto file = make_file(3'000'000);
  PipedRun run(file, {});
  run.to_end();
  EXPECT_TRUE(same(run.transfer, file));
  EXPECT_EQ(run.in_flight_max, EchoTransfer::kWindowMax);
}

TEST(EchoTransfer, SurvivesLossRepetitionAndReordering) {
  const auto file = make_file(1'000'000);
  PipedRun run(file, {.loss = 0.1, .repeat = 0.1, .delay_us = 3000, .jitter_us = 2000});
  run.to_end();
  EXPECT_TRUE(run.transfer.done());
  EXPECT_TRUE(same(run.transfer, file));
  EXPECT_GT(run.transfer.counts().retransmitted, 50U);
  EXPECT_LT(run.transfer.window(), EchoTransfer::kWindowMax);
}

TEST(EchoTransfer, WaitsOutAPauseWithFewPackets) {
  const auto file = make_file(10'000'000);
  PipedRun run(file, {.down_from_us = 1'050'000, .down_to_us = 31'000'000});
  const std::uint64_t end_us = run.to_end();
  EXPECT_TRUE(run.transfer.done());
  EXPECT_TRUE(same(run.transfer, file));
  EXPECT_TRUE(run.stall_seen);
  EXPECT_EQ(run.transfer.counts().stalls, 1U);
  // Twice a second for 30 s, and the first few quicker.
  EXPECT_LT(run.sent_while_stalled, 80U);
  EXPECT_LT(end_us, 33'000'000U);  // it goes on at once
}

TEST(EchoTransfer, SmallFileLostInAPauseComesBack) {
  const auto file = make_file(500);
  PipedRun run(file, {.down_from_us = 0, .down_to_us = 20'000'000});
  run.to_end();
  EXPECT_TRUE(same(run.transfer, file));
}

TEST(EchoTransfer, IgnoresWhatIsNotItsOwn) {
  const auto file = make_file(2000);
  EchoTransfer transfer(file, kPayloadBytes, 1);
  const auto payload = transfer.next(0);
  ASSERT_TRUE(payload);
  transfer.sent(1, 1, 0);
  for (std::size_t at = 0; at < EchoTransfer::kHeaderBytes - 2; ++at) {
    std::vector<std::uint8_t> changed = *payload;
    changed[at] ^= 0x80;
    transfer.arrived(1, 1, changed, 10);
  }
  for (std::size_t byte_count = 0; byte_count < payload->size(); ++byte_count) {
    transfer.arrived(1, 1, Bytes(*payload).first(byte_count), 10);
  }
  EXPECT_EQ(transfer.bytes_back(), 0U);
  EXPECT_EQ(transfer.counts().packets_received, 0U);
  transfer.arrived(1, 1, *payload, 10);
  transfer.arrived(1, 1, *payload, 11);
  EXPECT_EQ(transfer.bytes_back(), 896U);
  EXPECT_EQ(transfer.counts().repeated, 1U);
}

}  // namespace
}  // namespace allium::client
