// SPDX-License-Identifier: Apache-2.0
#include "control/configuration_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "control/node/identity_file.hpp"

namespace allium::control {
namespace {

Result<void> check_identity(const Configuration& configuration) {
  const Result<bool> is_sealed = is_identity_sealed(configuration.identity_file);
  if (!is_sealed) {
    const bool is_missing = is_sealed.error().code == Errc::not_found;
    return fail(is_sealed.error().code,
                is_sealed.error().text + (is_missing ? "; make one: allium key init" : ""));
  }
  if (*is_sealed && configuration.passphrase_file.empty()) {
    return fail(Errc::refused, configuration.identity_file +
                                   ": it is sealed: [node] needs passphrase = \"/path\"");
  }
  return {};
}

Result<void> check_passphrase(const Configuration& configuration) {
  if (configuration.passphrase_file.empty()) {
    return {};
  }
  return Passphrase::read(configuration.passphrase_file).map([](const Passphrase&) {});
}

/// One that is not there is made at start.
Result<void> check_directory(const std::string& path) {
  struct stat about {};

  if (stat(path.c_str(), &about) != 0) {
    return errno == ENOENT ? Result<void>() : fail(Errc::io, path + ": " + std::strerror(errno));
  }
  if (!S_ISDIR(about.st_mode)) {
    return fail(Errc::refused, path + ": no directory; move it out of the way");
  }
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return fail(Errc::io, path + ": " + std::strerror(errno));
  }
  return {};
}

Result<void> check_data(const Configuration& configuration) {
  auto checked = check_directory(configuration.data_directory);
  return checked ? check_directory(configuration.data_directory + "/messages") : checked;
}

bool is_same_file(const std::string& left, const std::string& right) {
  std::error_code ignored;
  return std::filesystem::equivalent(left, right, ignored);
}

Result<void> check_document(const Configuration& configuration) {
  const std::string& path = configuration.network_file;
  if (path.find("://") != std::string::npos) {
    return {};
  }

  struct stat about {};

  if (stat(path.c_str(), &about) != 0 || access(path.c_str(), R_OK) != 0) {
    return fail(errno == ENOENT ? Errc::not_found : Errc::io, path + ": " + std::strerror(errno));
  }
  if (!S_ISREG(about.st_mode)) {
    return fail(Errc::refused, path + ": no regular file");
  }
  // Any node gives the document to whoever asks.
  for (const std::string& secret : {configuration.identity_file, configuration.passphrase_file}) {
    if (is_same_file(path, secret)) {
      return fail(
          Errc::refused,
          path + ": [node] names this file as a secret; the network document is another one");
    }
  }
  return {};
}

/// What a crash left may be in the place of the socket, and nothing else.
bool is_taken(const std::string& path) {
  struct stat about {};

  return lstat(path.c_str(), &about) == 0 && !S_ISSOCK(about.st_mode);
}

/// A folder below /run may be made only at start, by who starts services.
Result<void> check_control_socket(const Configuration& configuration) {
  const std::string& path = configuration.control_socket;
  if (is_taken(path)) {
    return fail(Errc::refused, path + ": there is something else of that name, no socket");
  }
  if (path.starts_with("/run/")) {
    return {};
  }
  const std::string folder = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));

  struct stat about {};

  if (stat(folder.c_str(), &about) != 0) {
    return fail(errno == ENOENT ? Errc::not_found : Errc::io, folder + ": " + std::strerror(errno));
  }
  if (!S_ISDIR(about.st_mode)) {
    return fail(Errc::refused, folder + ": no directory");
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return fail(Errc::io, folder + ": " + std::strerror(errno));
  }
  return {};
}

}  // namespace

Result<void> check_configuration_files(const Configuration& configuration,
                                       const std::string& name) {
  struct Check {
    std::uint32_t line;
    Result<void> (*run)(const Configuration&);
  };

  const KeyLines& lines = configuration.lines;
  const Check checks[] = {{lines.identity, check_identity},
                          {lines.passphrase, check_passphrase},
                          {lines.data, check_data},
                          {lines.document, check_document},
                          {lines.control_socket, check_control_socket}};
  for (const Check& check : checks) {
    if (const Result<void> good = check.run(configuration); !good) {
      return fail(good.error().code,
                  name + ':' + std::to_string(check.line) + ": " + good.error().text);
    }
  }
  return {};
}

}  // namespace allium::control
