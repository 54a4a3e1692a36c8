// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_folder.hpp"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReport = R"({"schema":"allium.bench.report/1"})";

class ReportFolderTest : public testing::Test {
 protected:
  ReportFolderTest() : top_(testing::TempDir() + "report.XXXXXX") {
    EXPECT_NE(mkdtemp(top_.data()), nullptr);
    path_ = top_ + "/report";
  }

  ~ReportFolderTest() override { fs::remove_all(top_); }

  void put(const std::string& name, const std::string& text) const {
    fs::create_directories(path_);
    std::ofstream(path_ + "/" + name) << text;
  }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  [[nodiscard]] std::size_t file_count() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

  std::string top_;
  std::string path_;
};

TEST_F(ReportFolderTest, IsMadeAndWritten) {
  auto folder = ReportFolder::open(path_);
  ASSERT_TRUE(folder) << folder.error().text;
  EXPECT_EQ(file_count(), 0U);
  ASSERT_TRUE(folder->write(kReport, "page"));
  EXPECT_EQ(read("report.json"), kReport);
  EXPECT_EQ(read("report.html"), "page");
  EXPECT_EQ(file_count(), 2U);
}

TEST_F(ReportFolderTest, WithoutAReportNothingIsLeft) {
  { ASSERT_TRUE(ReportFolder::open(path_)); }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ReportFolderTest, OneThatWasThereStays) {
  fs::create_directory(path_);
  { ASSERT_TRUE(ReportFolder::open(path_)); }
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(ReportFolderTest, AnEarlierReportIsReplacedAndOtherFilesStay) {
  put("report.json", kReport);
  put("report.html", "old");
  put("notes", "mine");
  auto folder = ReportFolder::open(path_);
  ASSERT_TRUE(folder);
  EXPECT_EQ(read("report.html"), "old") << "until there is a new one";
  ASSERT_TRUE(folder->write(kReport, "new"));
  EXPECT_EQ(read("report.html"), "new");
  EXPECT_EQ(read("notes"), "mine");
}

TEST_F(ReportFolderTest, WhatIsNoReportIsNotTouched) {
  put("report.html", "my page");
  auto folder = ReportFolder::open(path_);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, Errc::refused);
  put("report.json", R"({"schema":"somebody.else/1"})");
  EXPECT_FALSE(ReportFolder::open(path_));
  put("report.json", "no JSON");
  EXPECT_FALSE(ReportFolder::open(path_));
  EXPECT_EQ(read("report.html"), "my page");
  EXPECT_EQ(file_count(), 2U);
}

TEST_F(ReportFolderTest, AFileInItsPlaceIsAnError) {
  std::ofstream(path_) << "a file";
  auto folder = ReportFolder::open(path_);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, Errc::io);
}

}  // namespace
}  // namespace allium::bench
