// SPDX-License-Identifier: Apache-2.0
#include "control/node/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

class PrivateFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "allium-private-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    path = directory + "/file";
  }

  void TearDown() override { std::filesystem::remove_all(directory); }

  [[nodiscard]] mode_t mode() const {
    struct stat about {};

    return stat(path.c_str(), &about) == 0 ? about.st_mode & 0777 : 0;
  }

  std::string directory;
  std::string path;
};

TEST_F(PrivateFileTest, IsReadAsItWasCreatedUpToTheBound) {
  ASSERT_TRUE(create_private_file(path, "four"));
  EXPECT_EQ(mode(), 0600U);
  EXPECT_EQ(read_private_file(path, 4).value(), "four");
  EXPECT_EQ(read_private_file(path, 3).error().code, Errc::malformed);
  EXPECT_EQ(create_private_file(path, "more").error().code, Errc::refused);
  EXPECT_EQ(read_private_file(path, 4).value(), "four");
}

TEST_F(PrivateFileTest, IsReplacedWholeAlsoWhereACrashLeftADraft) {
  ASSERT_TRUE(replace_private_file(path, "old"));
  std::ofstream(path + ".new") << "torn";
  ASSERT_EQ(chmod((path + ".new").c_str(), 0644), 0);

  ASSERT_TRUE(replace_private_file(path, "new"));

  EXPECT_EQ(read_private_file(path, 10).value(), "new");
  EXPECT_EQ(mode(), 0600U);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(PrivateFileTest, StaysAsItIsWhereItCannotBeReplaced) {
  std::filesystem::create_directory(path);
  const auto replaced = replace_private_file(path, "new");
  ASSERT_FALSE(replaced);
  EXPECT_EQ(replaced.error().code, Errc::io);
  EXPECT_TRUE(std::filesystem::is_directory(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(PrivateFileTest, IsNoPipeWhichWouldHangAndNoDirectory) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  for (const std::string& other : {path, directory, std::string("/dev/zero")}) {
    const auto read = read_private_file(other, 10);
    ASSERT_FALSE(read) << other;
    EXPECT_EQ(read.error().code, Errc::refused);
    EXPECT_NE(read.error().text.find(other + ": no regular file"), std::string::npos);
  }
}

TEST_F(PrivateFileTest, IsMadePrivateOnce) {
  EXPECT_EQ(make_file_private(path).error().code, Errc::not_found);
  ASSERT_TRUE(create_private_file(path, "x"));
  EXPECT_FALSE(make_file_private(path).value());
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(read_private_file(path, 10).error().code, Errc::refused);
  EXPECT_TRUE(make_file_private(path).value());
  EXPECT_EQ(mode(), 0600U);
}

TEST(ReadToEnd, TakesWhatAPipeGivesInPieces) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::thread writer([&] {
    for (const char* piece : {"one ", "two ", "three"}) {
      EXPECT_GT(write(ends[1], piece, std::string_view(piece).size()), 0);
      std::this_thread::yield();
    }
    close(ends[1]);
  });
  EXPECT_EQ(read_to_end(ends[0], 100, "pipe").value(), "one two three");
  writer.join();
  close(ends[0]);
}

TEST(ReadToEnd, HasABound) {
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const auto read = read_to_end(zeros, 100, "zeros");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().text, "zeros: too long");
  close(zeros);
  EXPECT_EQ(read_to_end(-1, 100, "nothing").error().code, Errc::io);
}

}  // namespace
}  // namespace allium::control
