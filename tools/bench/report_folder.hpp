// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a report is written: report.json and report.html, both or neither, over nothing but an earlier report.
//
//   Ownership  a folder that open() made is taken away again where nothing was written.
//   Errors     Errc::refused where there are files that are no report; Errc::io.
//   Threads    one.

#include <string>
#include <utility>

#include "crypto_accel/base/result.hpp"

namespace allium::bench {

class ReportFolder {
 public:
  /// Makes the folder where there is none, and finds out now whether it can be written.
  [[nodiscard]] static Result<ReportFolder> open(const std::string& path);
  ~ReportFolder();
  ReportFolder(ReportFolder&& other) noexcept;
  ReportFolder& operator=(ReportFolder&&) = delete;

  /// Each file is whole on disk before it takes its name.
  [[nodiscard]] Result<void> write(const std::string& json_text, const std::string& html_text);

  [[nodiscard]] std::string json_path() const { return path_ + "/report.json"; }

  [[nodiscard]] std::string html_path() const { return path_ + "/report.html"; }

 private:
  ReportFolder(std::string path, bool is_new) : path_(std::move(path)), is_new_(is_new) {}

  std::string path_;
  bool is_new_;  ///< made by us, and empty
};

}  // namespace allium::bench
