// SPDX-License-Identifier: Apache-2.0
#include "control/manage/slow_answer.hpp"

#include <future>
#include <optional>
#include <string>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

namespace allium::control {
namespace {

namespace asio = boost::asio;

TEST(SlowAnswer, LeavesTheServiceThreadFreeAndTakesOneAtATime) {
  asio::io_context io;
  const auto work = asio::make_work_guard(io);
  SlowAnswer slow(io);
  std::promise<void> may_end;
  int given = 0;
  const auto give = [&given](const boost::json::object& answer) {
    given += answer.contains("made") ? 1 : 0;
  };
  const auto wait = [&may_end] {
    may_end.get_future().wait();
    return boost::json::object{{"made", true}};
  };

  ASSERT_TRUE(slow.start(wait, give));
  bool has_turned = false;
  asio::post(io, [&has_turned] { has_turned = true; });
  io.run_one();
  EXPECT_TRUE(has_turned) << "something else is done meanwhile";
  EXPECT_FALSE(slow.start([]() -> boost::json::object { return {}; }, give));
  EXPECT_EQ(given, 0);

  may_end.set_value();
  io.run_one();
  EXPECT_EQ(given, 1);
  EXPECT_TRUE(slow.start([] { return boost::json::object{{"made", true}}; }, give));
  io.run_one();
  EXPECT_EQ(given, 2);
}

TEST(SlowAnswer, GivesNothingOnceItIsGone) {
  asio::io_context io;
  std::optional<SlowAnswer> slow(std::in_place, io);
  bool is_made = false;
  ASSERT_TRUE(slow->start(
      [&is_made]() -> boost::json::object {
        is_made = true;
        return {};
      },
      [](const boost::json::object&) { FAIL() << "nobody is there"; }));

  slow.reset();

  EXPECT_TRUE(is_made) << "it waits for what borrows from its owner";
  EXPECT_EQ(io.run(), 1U) << "what the thread posted";
}

}  // namespace
}  // namespace allium::control
