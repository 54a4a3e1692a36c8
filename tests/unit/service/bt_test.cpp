// SPDX-License-Identifier: Apache-2.0
#include "control/service/bt.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

namespace json = boost::json;

TEST(Bt, ReadsEveryKindOfValue) {
  const json::value value = parse_bt(
                                "d4:listli-7e0:3:a\xff"
                                "be6:numberi18446744073709551615ee")
                                .value();
  const json::object& dict = value.as_object();
  EXPECT_EQ(dict.at("number").as_uint64(), std::numeric_limits<std::uint64_t>::max());
  const json::array& list = dict.at("list").as_array();
  EXPECT_EQ(list[0].as_int64(), -7);
  EXPECT_EQ(list[1].as_string(), "");
  EXPECT_EQ(list[2].as_string(),
            "a\xff"
            "b");
}

TEST(Bt, WritesKeysSortedAndBooleansAsNumbers) {
  const json::object dict = {{"b", true}, {"a", {1, "x", false}}, {"Z", nullptr}, {"c", -1}};
  EXPECT_EQ(serialise_bt(dict), "d1:ali1e1:xi0ee1:bi1e1:ci-1ee");
}

TEST(Bt, SortsKeysByTheirBytes) {
  json::object dict;
  dict["\xc3\xa9"] = 1;
  dict["z"] = 2;
  dict["@"] = 3;
  EXPECT_EQ(serialise_bt(dict), "d1:@i3e1:zi2e2:\xc3\xa9i1ee");
}

TEST(Bt, GoesRound) {
  const std::string text = "d1:ad1:bli1eli2eee1:c0:e1:zi-9223372036854775808ee";
  EXPECT_EQ(serialise_bt(parse_bt(text).value()), text);
}

TEST(Bt, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "i", "ie", "i1", "i1x", "l", "li1e", "d", "d1:a", "di1ei2ee", "3:ab", "-1:a", "x",
        "i1ei2e", "i99999999999999999999e", "99999999999999999999:a", "1a", "l1:ae1:b"}) {
    const auto value = parse_bt(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, Errc::malformed);
  }
}

TEST(Bt, SplitsAListWithoutReadingIt) {
  const auto parts = split_bt_list("ld1:ai1eeli2ee1:xi3ee", 4);
  ASSERT_TRUE(parts);
  EXPECT_EQ(*parts, (std::vector<std::string_view>{"d1:ai1ee", "li2ee", "1:x", "i3e"}));
  const auto too_many = split_bt_list("ld1:ai1eeli2ee1:xi3ee", 3);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code, Errc::full);
  EXPECT_EQ(split_bt_list("le", 0)->size(), 0U);
  for (const std::string_view text : {"", "l", "de", "i1e", "lde", "lee", "ld1:aee", "lixee"}) {
    EXPECT_FALSE(split_bt_list(text, 10)) << text;
  }
  const std::string deep = std::string(kBtDepthMax + 2, 'l') + std::string(kBtDepthMax + 2, 'e');
  EXPECT_FALSE(split_bt_list(deep, 10));
}

TEST(Bt, ReadsTheSmallMessagesOfNineMillionBytes) {
  const std::string message = "d1:d1:x1:ei1700000000000e1:h10:abcdefghij1:ni0e1:ti1700000000000ee";
  std::string many = "l";
  std::size_t count = 0;
  for (; many.size() + message.size() < 9'000'000; ++count) {
    many += message;
  }
  const auto value = parse_bt(many + "e");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->as_array().size(), count);
}

TEST(Bt, HasBounds) {
  const std::string deep = std::string(kBtDepthMax + 2, 'l') + std::string(kBtDepthMax + 2, 'e');
  EXPECT_FALSE(parse_bt(deep));
  std::string many = "l";
  for (std::size_t i = 0; i <= kBtElementsMax; ++i) {
    many += "le";
  }
  EXPECT_FALSE(parse_bt(many + "e"));
  EXPECT_TRUE(parse_bt("l" + std::string(kBtDepthMax, 'l') + std::string(kBtDepthMax, 'e') + "e"));
}

}  // namespace
}  // namespace allium::control
