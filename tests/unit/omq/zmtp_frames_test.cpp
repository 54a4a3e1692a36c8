// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/zmtp_frames.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

constexpr std::size_t kMax = 100'000;

Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string text_of(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(ZmtpGreeting, IsThatOfRfc37) {
  const std::string greeting = zmtp_greeting();
  ASSERT_EQ(greeting.size(), kZmtpGreetingBytes);
  EXPECT_EQ(greeting.substr(0, 12), std::string("\xff\0\0\0\0\0\0\0\0\x7f\x03\x01", 12));
  EXPECT_EQ(greeting.substr(12, 20), "CURVE" + std::string(15, '\0'));
  EXPECT_EQ(greeting.substr(32), '\1' + std::string(31, '\0'));
}

TEST(ZmtpGreeting, IsTakenOfAnyZmtp3WithCurveAlone) {
  const auto changed = [](std::size_t at, char to) {
    std::string greeting = zmtp_greeting();
    greeting[at] = to;
    return greeting;
  };
  for (const std::string& good : {zmtp_greeting(), changed(8, '\1'), changed(10, '\4'),
                                  changed(11, '\0'), changed(32, '\0'), changed(63, 'x')}) {
    EXPECT_TRUE(is_zmtp_greeting(bytes_of(good)));
  }
  for (const std::string& bad : {changed(0, '\1'), changed(9, '\0'), changed(10, '\2'),
                                 changed(12, 'X'), changed(17, 'X'), changed(31, 'X')}) {
    EXPECT_FALSE(is_zmtp_greeting(bytes_of(bad)));
  }
}

TEST(ZmtpReader, FindsFramesHoweverTheyCome) {
  const std::vector<std::string> bodies = {
      "", "a", std::string(255, 'b'), std::string(256, 'c'), std::string(kMax, 'd'), "e"};
  std::string wire = zmtp_greeting();
  for (const std::string& body : bodies) {
    wire += zmtp_frame_header(body.size(), body.size() == 1) + body;
  }
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, wire.size()}) {
    ZmtpReader reader;
    std::vector<std::string> found;
    bool has_greeting = false;
    for (std::size_t at = 0; at < wire.size(); at += piece) {
      const std::string part = wire.substr(at, piece);
      reader.put(bytes_of(part));
      has_greeting = has_greeting || reader.take_greeting().has_value();
      while (has_greeting) {
        const auto frame = reader.take_frame(kMax);
        if (!frame) {
          break;
        }
        EXPECT_EQ(frame->is_command, frame->body.size() == 1);
        found.push_back(text_of(frame->body));
      }
      EXPECT_LE(reader.held(), 2 * kMax + 2 * piece);
    }
    EXPECT_EQ(found, bodies);
    EXPECT_TRUE(reader.is_empty() && !reader.is_broken());
  }
}

TEST(ZmtpReader, KeepsNoMoreThanHasComeOfWhatIsAnnounced) {
  ZmtpReader reader;
  const std::string header = zmtp_frame_header(kMax, false);
  reader.put(bytes_of(header + "x"));
  EXPECT_FALSE(reader.take_frame(kMax));
  EXPECT_EQ(reader.missing(), kMax - 1);
  EXPECT_LT(reader.held(), 100U);
  reader.put(bytes_of(std::string(kMax - 1, 'x')));
  EXPECT_LE(reader.held(), kMax + header.size());
  EXPECT_EQ(reader.take_frame(kMax)->body.size(), kMax);
  EXPECT_FALSE(reader.take_frame(kMax));
  EXPECT_LE(reader.held(), 1024U) << "a quiet one keeps little";
}

TEST(ZmtpReader, IsBrokenByWhatIsTooLongOrOfNoKind) {
  for (const std::string& bad : {zmtp_frame_header(kMax + 1, false), std::string("\x08\x01x"),
                                 std::string("\xff\x01x"), "\x02" + std::string(8, '\xff')}) {
    ZmtpReader reader;
    reader.put(bytes_of(bad));
    EXPECT_FALSE(reader.take_frame(kMax));
    EXPECT_TRUE(reader.is_broken());
    reader.put(bytes_of(zmtp_frame_header(1, false) + "x"));
    EXPECT_FALSE(reader.take_frame(kMax));
  }
}

}  // namespace
}  // namespace allium::control
