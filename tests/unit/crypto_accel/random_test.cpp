// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/random.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace allium {
namespace {

using ByteVector = std::vector<std::uint8_t>;

ByteVector draw(const Random& random, std::size_t byte_count) {
  ByteVector bytes(byte_count);
  random(bytes);
  return bytes;
}

std::string_view memory_of(const WorkerRandom& worker) {
  return {reinterpret_cast<const char*>(&worker), sizeof worker};
}

std::string_view view(const std::uint8_t* bytes, std::size_t byte_count) {
  return {reinterpret_cast<const char*>(bytes), byte_count};
}

TEST(SystemRandom, GivesOtherBytesEveryTime) {
  const Random random = system_random();
  EXPECT_NE(draw(random, 32), draw(random, 32));
}

TEST(SystemRandom, DrawsNothingWhereNothingIsAsked) {
  system_random()(std::span<std::uint8_t>{});
}

TEST(WorkerRandom, NeverRepeatsABlockAcrossRefills) {
  WorkerRandom worker;
  WorkerRandom other;
  std::set<ByteVector> seen;
  for (int i = 0; i < 2000; ++i) {
    EXPECT_TRUE(seen.insert(draw(worker.source(), 16)).second);
    EXPECT_TRUE(seen.insert(draw(other.source(), 16)).second);
  }
}

TEST(WorkerRandom, FillsRequestsOfEverySize) {
  WorkerRandom worker;
  for (const std::size_t byte_count : {1U, 31U, 4063U, 4064U, 4065U, 4096U, 20000U}) {
    ByteVector bytes(byte_count + 1, 0);
    worker.source()(std::span(bytes).first(byte_count));
    EXPECT_EQ(bytes[byte_count], 0) << byte_count;
    // 16 zero bytes in a row mean a hole, not chance.
    EXPECT_EQ(std::search_n(bytes.begin(), bytes.end() - 1, 16, 0), bytes.end() - 1) << byte_count;
  }
}

TEST(WorkerRandom, GivesEveryByteValueAboutAsOften) {
  WorkerRandom worker;
  constexpr int kMean = 1000;
  std::array<int, 256> count{};
  for (const std::uint8_t byte : draw(worker.source(), count.size() * kMean)) {
    ++count[byte];
  }
  // 8 standard deviations of a count with mean 1000.
  for (const int times : count) {
    EXPECT_NEAR(times, kMean, 8 * 32);
  }
}

TEST(WorkerRandom, ForgetsWhatItHandedOut) {
  WorkerRandom worker;
  const Random source = worker.source();
  for (int i = 0; i < 300; ++i) {
    const ByteVector bytes = draw(source, 100);
    EXPECT_EQ(memory_of(worker).find(view(bytes.data(), 16)), std::string_view::npos);
    EXPECT_EQ(memory_of(worker).find(view(bytes.data() + 84, 16)), std::string_view::npos);
  }
}

TEST(WorkerRandom, HasInItsPoolWhatItHandsOutNext) {
  WorkerRandom worker;
  draw(worker.source(), 16);
  const std::string before(memory_of(worker));
  const ByteVector next = draw(worker.source(), 16);
  EXPECT_NE(before.find(view(next.data(), next.size())), std::string::npos);
}

}  // namespace
}  // namespace allium
