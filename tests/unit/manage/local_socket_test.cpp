// SPDX-License-Identifier: Apache-2.0
#include "control/manage/local_socket.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gtest/gtest.h>

namespace allium::control {
namespace {

namespace asio = boost::asio;

class LocalSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "allium-local-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    path = directory + "/socket";
  }

  void TearDown() override {
    asio::post(io, [this] { socket.reset(); });
    work.reset();
    thread.join();
    EXPECT_FALSE(std::filesystem::exists(path)) << "the socket is removed";
    std::filesystem::remove_all(directory);
  }

  Result<void> open() {
    auto opened = LocalSocket::open(
        io, path, [this](std::string_view question, const LocalSocket::Asker& asker) {
          if (question == "later") {
            asio::post(io, [give = asker.give] { give({{"asked", "later"}}); });
          } else if (question == "in 6 s") {
            asker.wait(std::chrono::seconds(60));
            late.expires_after(std::chrono::seconds(6));
            late.async_wait([give = asker.give](const boost::system::error_code& error) {
              give({{"asked", error ? "never" : "in 6 s"}});
            });
          } else {
            asker.give({{"asked", question}, {"is_owner", asker.is_owner}});
          }
        });
    if (!opened) {
      return tl::unexpected(opened.error());
    }
    socket = *std::move(opened);
    return {};
  }

  asio::io_context io;
  asio::steady_timer late{io};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
  std::string directory;
  std::string path;
  std::unique_ptr<LocalSocket> socket;
  std::thread thread{[this] { io.run(); }};
};

TEST_F(LocalSocketTest, AnswersOneQuestionAConnection) {
  ASSERT_TRUE(open());
  for (int i = 0; i < 3; ++i) {
    const auto answer = ask_local(path, "status");
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(answer->at("asked"), "status");
    EXPECT_EQ(answer->at("is_owner"), true) << "asked by the user of this process";
  }

  struct stat about {};

  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0660U);
}

TEST_F(LocalSocketTest, WaitsForAnswersThatComeLater) {
  ASSERT_TRUE(open());
  const auto answer = ask_local(path, "later");
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->at("asked"), "later");
}

TEST_F(LocalSocketTest, RefusesToPushAnotherDaemonAside) {
  ASSERT_TRUE(open());
  const auto second = LocalSocket::open(
      io, path, [](std::string_view, const LocalSocket::Asker& asker) { asker.give({}); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::refused);
  EXPECT_TRUE(ask_local(path, "still there"));
}

TEST_F(LocalSocketTest, TakesThePlaceOfWhatACrashLeft) {
  {
    asio::io_context other;
    asio::local::stream_protocol::acceptor left(other,
                                                asio::local::stream_protocol::endpoint(path));
  }
  ASSERT_TRUE(std::filesystem::exists(path)) << "the file stays";
  ASSERT_TRUE(open());
  EXPECT_TRUE(ask_local(path, "x"));
}

TEST_F(LocalSocketTest, WaitsLongerWhereTheAnswerAsksForIt) {
  ASSERT_TRUE(open());
  const auto answer = ask_local(path, "in 6 s", 60'000);
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->at("asked"), "in 6 s");
}

TEST_F(LocalSocketTest, GivesNothingToQuestionsWithoutEnd) {
  ASSERT_TRUE(open());
  const auto answer = ask_local(path, std::string(kLocalLineBytesMax + 1, 'x'));
  EXPECT_FALSE(answer);
  EXPECT_TRUE(ask_local(path, "next"));
}

TEST_F(LocalSocketTest, SaysThatItPerhapsHangsWhereNobodyAnswers) {
  asio::io_context other;  // which nobody runs
  asio::local::stream_protocol::acceptor silent(other,
                                                asio::local::stream_protocol::endpoint(path));
  const auto answer = ask_local(path, "status", 20);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::timeout);
  EXPECT_NE(
      answer.error().text.find(path + ": somebody listens there and does not answer within 20 ms"),
      std::string::npos)
      << answer.error().text;
  std::filesystem::remove(path);
}

TEST_F(LocalSocketTest, IsUnavailableWhereNobodyIs) {
  const auto answer = ask_local(path, "status");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
}

}  // namespace
}  // namespace allium::control
