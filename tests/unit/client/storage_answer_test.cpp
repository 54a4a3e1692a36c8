// SPDX-License-Identifier: Apache-2.0
#include "tools/client/storage_answer.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include <boost/json/object.hpp>
#include <gtest/gtest.h>

#include "control/service/bt.hpp"

namespace allium::client {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kId = 0xdeadbeef;
constexpr std::size_t kDataBytes = 1056;

std::vector<std::uint8_t> piece(std::size_t index, std::size_t count, std::string_view text,
                                std::uint32_t id = kId, std::uint8_t kind = 2) {
  std::vector<std::uint8_t> data(kDataBytes);
  data[0] = kind;
  store_be(data.data() + 2, text.size() + 4, 2);
  store_be(data.data() + 4, id, 4);
  store_be(data.data() + 8, index, 2);
  store_be(data.data() + 10, count, 2);
  std::copy(text.begin(), text.end(), data.begin() + 12);
  return data;
}

std::string answer_text(std::size_t body_bytes) {
  return control::serialise_bt(
      json::object{{"code", 200}, {"body", json::object{{"x", std::string(body_bytes, 'y')}}}});
}

std::vector<std::vector<std::uint8_t>> pieces_of(const std::string& text, std::size_t count) {
  std::vector<std::vector<std::uint8_t>> pieces;
  const std::size_t each = (text.size() + count - 1) / count;
  for (std::size_t i = 0; i < count; ++i) {
    pieces.push_back(piece(i, count, std::string_view(text).substr(i * each, each)));
  }
  return pieces;
}

TEST(StorageAnswer, IsOnePacket) {
  StorageAnswer answer(kId);
  EXPECT_TRUE(answer.add(piece(0, 1, answer_text(10))));
  const auto content = answer.content();
  ASSERT_TRUE(content) << content.error().text;
  EXPECT_EQ(content->status, 200);
  EXPECT_EQ(content->body.at("x").as_string(), "yyyyyyyyyy");
}

class StorageAnswerInPieces : public ::testing::TestWithParam<std::size_t> {};

TEST_P(StorageAnswerInPieces, ComesInAnyOrderAndEachPieceOnce) {
  std::mt19937 shuffle(static_cast<unsigned>(GetParam()));
  for (int round = 0; round < 10; ++round) {
    auto pieces = pieces_of(answer_text(GetParam() * 700), GetParam());
    std::shuffle(pieces.begin(), pieces.end(), shuffle);
    StorageAnswer answer(kId);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      EXPECT_EQ(answer.add(pieces[i]), i + 1 == pieces.size());
      if (i + 1 < pieces.size()) {
        EXPECT_FALSE(answer.add(pieces[i])) << "the same again";
      }
    }
    EXPECT_EQ(answer.refused(), pieces.size() - 1);
    ASSERT_TRUE(answer.content());
    EXPECT_EQ(answer.content()->body.at("x").as_string().size(), GetParam() * 700);
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, StorageAnswerInPieces, ::testing::Values(2, 3, 63, 64));

TEST(StorageAnswer, LeavesOutWhatDoesNotFit) {
  StorageAnswer answer(kId);
  EXPECT_FALSE(answer.add({}));
  EXPECT_FALSE(answer.add(piece(0, 2, "d", kId + 1))) << "another request's";
  EXPECT_FALSE(answer.add(piece(0, 2, "d", kId, 1))) << "a request";
  EXPECT_FALSE(answer.add(piece(0, 0, "d")));
  EXPECT_FALSE(answer.add(piece(2, 2, "d")));
  EXPECT_FALSE(answer.add(piece(0, 65, "d")));
  EXPECT_FALSE(answer.add(piece(65535, 65535, "d")));
  std::vector<std::uint8_t> beyond = piece(0, 1, "d");
  store_be(beyond.data() + 2, 1049, 2);
  EXPECT_FALSE(answer.add(beyond)) << "longer than the packet";
  std::vector<std::uint8_t> headless = piece(0, 1, "");
  store_be(headless.data() + 2, 3, 2);
  EXPECT_FALSE(answer.add(headless));
  EXPECT_EQ(answer.refused(), 9U);
  EXPECT_FALSE(answer.add(piece(0, 2, "d")));
  EXPECT_FALSE(answer.add(piece(1, 3, "e"))) << "a piece of another count";
  EXPECT_EQ(answer.pieces(), 1U);
}

TEST(StorageAnswer, IsNoneWithoutCodeAndBody) {
  for (const std::string text :
       {"", "d", "i5e", "de", "d4:codei200ee", "d4:body1:xe", "d4:body1:x4:codei99ee",
        "d4:body1:x4:codei600ee", "d4:body1:x4:code3:200e"}) {
    StorageAnswer answer(kId);
    EXPECT_TRUE(answer.add(piece(0, 1, text)));
    EXPECT_FALSE(answer.content()) << text;
  }
}

}  // namespace
}  // namespace allium::client
