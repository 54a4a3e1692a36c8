// SPDX-License-Identifier: Apache-2.0
#include "control/manage/event_log.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

TEST(EventLine, IsKeysAndValues) {
  EXPECT_EQ(event_line(LogLevel::info, LogFormat::key_value, "registry.update",
                       {{"nodes", "20"}, {"swarm", "none"}}),
            "level=info ev=registry.update nodes=20 swarm=none");
}

TEST(EventLine, PutsValuesInQuotesThatWouldNotBeOneWord) {
  EXPECT_EQ(event_line(LogLevel::warn, LogFormat::key_value, "x",
                       {{"a", "two words"}, {"b", ""}, {"c", "say \"no\"\n"}, {"d", "k=v"}}),
            R"(level=warn ev=x a="two words" b="" c="say \"no\"\n" d="k=v")");
}

TEST(EventLine, IsJsonOnRequest) {
  EXPECT_EQ(event_line(LogLevel::error, LogFormat::json, "x", {{"reason", "a \"b\""}}),
            R"({"level":"error","ev":"x","reason":"a \"b\""})");
}

TEST(EventLog, WritesWhatIsLoudEnough) {
  testing::internal::CaptureStderr();
  const EventLog log(LogLevel::warn, LogFormat::key_value);
  log.info("quiet");
  log.warn("loud", {{"n", "1"}});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "level=warn ev=loud n=1\n");
}

}  // namespace
}  // namespace allium::control
