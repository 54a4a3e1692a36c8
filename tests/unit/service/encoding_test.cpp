// SPDX-License-Identifier: Apache-2.0
#include "control/service/encoding.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

TEST(Hex, IsLowerCaseAndTakesBoth) {
  EXPECT_EQ(to_hex(bytes_of("\x01\xab\xff")), "01abff");
  EXPECT_EQ(from_hex("01ABff"), "\x01\xab\xff");
  EXPECT_EQ(from_hex(""), "");
}

TEST(Hex, RefusesWhatIsNone) {
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
  EXPECT_FALSE(from_hex("01 2"));
}

TEST(Base64, PadsOrNot) {
  EXPECT_EQ(to_base64(bytes_of("f")), "Zg==");
  EXPECT_EQ(to_base64(bytes_of("f"), Padding::without), "Zg");
  EXPECT_EQ(to_base64(bytes_of("fo")), "Zm8=");
  EXPECT_EQ(to_base64(bytes_of("foo")), "Zm9v");
  EXPECT_EQ(to_base64(bytes_of("")), "");
}

TEST(Base64, TakesBothPaddings) {
  for (const std::string_view text : {"Zg", "Zg=="}) {
    EXPECT_EQ(from_base64(text), "f");
  }
  for (const std::string_view text : {"Zm8", "Zm8="}) {
    EXPECT_EQ(from_base64(text), "fo");
  }
  EXPECT_EQ(from_base64(""), "");
}

TEST(Base64, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"Z", "Zg=", "Z===", "Zm9v=", "Zm9v====", "Zm9 ", "Zm-_", "Z-", "Zm_", "Zh=", "Zm9vZ"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

// libsodium 1.0.18 takes them for the last digit of the alphabet.
TEST(Base64, RefusesWhatIsNotAscii) {
  for (int byte = 0x80; byte < 0x100; ++byte) {
    const std::string text = "Zm9" + std::string(1, static_cast<char>(byte));
    EXPECT_FALSE(from_base64(text)) << byte;
    EXPECT_FALSE(from_base64(text + "v")) << byte;
    EXPECT_FALSE(from_base64(text + "Zm9v")) << byte;
  }
}

TEST(Base64, PassesByTheBitsThatBelongToNoByte) {
  for (const std::string_view text : {"Zh", "Zh==", "Zv=="}) {
    EXPECT_EQ(from_base64(text), "f") << text;
  }
  EXPECT_EQ(from_base64("YWJ="), "ab");
  EXPECT_EQ(from_base64("YWL"), "ab");
  EXPECT_EQ(from_base64(std::string(43, '/')), std::string(32, '\xff'));
}

TEST(Base64, GoesRoundForAllLengths) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    for (const Padding padding : {Padding::with, Padding::without}) {
      EXPECT_EQ(from_base64(to_base64(bytes_of(bytes), padding)), bytes);
    }
    bytes += static_cast<char>(i * 7);
  }
}

}  // namespace
}  // namespace allium::control
