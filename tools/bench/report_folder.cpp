// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "tools/bench/json_lookup.hpp"
#include "tools/bench/report.hpp"

namespace allium::bench {
namespace {

namespace fs = std::filesystem;

Error io_error(const std::string& path) {
  return {Errc::io, path + ": " + std::generic_category().message(errno)};
}

bool is_report(const std::string& path) {
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  return !error && text_at(value, "/schema") == kReportSchema;
}

/// A file that has no name of its own yet; goes away with the object unless it was given one.
class UnnamedFile {
 public:
  explicit UnnamedFile(std::string target)
      : target_(std::move(target)), path_(target_ + ".XXXXXX") {
    fd_ = mkostemp(path_.data(), O_CLOEXEC);
  }

  ~UnnamedFile() {
    if (fd_ >= 0) {
      close(fd_);
      unlink(path_.c_str());
    }
  }

  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  bool write_all(const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t count = ::write(fd_, text.data() + done, text.size() - done);
      if (count < 0 && errno != EINTR) {
        return false;
      }
      done += count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    return fchmod_as_usual() && fsync(fd_) == 0;
  }

  bool take_name() {
    if (rename(path_.c_str(), target_.c_str()) != 0) {
      return false;
    }
    close(std::exchange(fd_, -1));
    return true;
  }

 private:
  // mkostemp makes files for the owner alone; a report is for whoever the umask lets read.
  bool fchmod_as_usual() {
    const mode_t mask = umask(0);
    umask(mask);
    return fchmod(fd_, 0666 & ~mask) == 0;
  }

  std::string target_;
  std::string path_;
  int fd_ = -1;
};

}  // namespace

Result<ReportFolder> ReportFolder::open(const std::string& path) {
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  if (error || !fs::is_directory(path, error)) {
    return fail(Errc::io, path + ": " + (error ? error.message() : "not a directory"));
  }
  ReportFolder folder(path, is_new);
  const bool is_empty = fs::is_empty(path, error);
  if (error) {
    return fail(Errc::io, path + ": " + error.message());
  }
  if (!is_empty && !is_report(folder.json_path())) {
    return fail(Errc::refused, path +
                                   " has files, and report.json of an earlier report is none of "
                                   "them; name another directory");
  }
  if (!UnnamedFile(folder.json_path()).is_open()) {
    return tl::unexpected(io_error(path));
  }
  return folder;
}

ReportFolder::ReportFolder(ReportFolder&& other) noexcept
    : path_(std::move(other.path_)), is_new_(std::exchange(other.is_new_, false)) {}

ReportFolder::~ReportFolder() {
  if (is_new_) {
    rmdir(path_.c_str());
  }
}

Result<void> ReportFolder::write(const std::string& json_text, const std::string& html_text) {
  UnnamedFile json_file(json_path());
  UnnamedFile html_file(html_path());
  if (!json_file.is_open() || !html_file.is_open() || !json_file.write_all(json_text) ||
      !html_file.write_all(html_text)) {
    return tl::unexpected(io_error(path_));
  }
  is_new_ = false;
  // The page first: report.json is what a later run knows a report by.
  if (!html_file.take_name() || !json_file.take_name()) {
    return tl::unexpected(io_error(path_));
  }
  return {};
}

}  // namespace allium::bench
