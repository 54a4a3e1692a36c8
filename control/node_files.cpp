// SPDX-License-Identifier: Apache-2.0
#include "control/node_files.hpp"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

namespace allium::control {
namespace {

bool is_open_to_others(const std::string& directory) {
  using std::filesystem::perms;
  std::error_code ignored;
  const perms mode = std::filesystem::status(directory, ignored).permissions();
  return (mode & (perms::group_all | perms::others_all)) != perms::none;
}

}  // namespace

Result<Seed> load_seed(const Configuration& configuration, const EventLog& log) {
  std::optional<Passphrase> passphrase;
  if (!configuration.passphrase_file.empty()) {
    Result<Passphrase> read = Passphrase::read(configuration.passphrase_file);
    if (!read) {
      return tl::unexpected(read.error());
    }
    passphrase = *std::move(read);
  }
  Result<IdentityFile> file =
      read_identity_file(configuration.identity_file, passphrase ? &*passphrase : nullptr);
  if (!file) {
    const bool is_missing = file.error().code == Errc::not_found;
    return fail(file.error().code,
                file.error().text + (is_missing ? "; make one: allium key init" : ""));
  }
  if (!file->is_sealed) {
    log.warn("identity.unsealed",
             {{"file", configuration.identity_file},
              {"advice", "whoever copies this file is this node; seal it with a passphrase"}});
  }
  return std::move(file->seed);
}

Result<void> make_data_directory(const std::string& directory, const EventLog& log) {
  std::error_code error;
  const std::string messages = directory + "/messages";
  std::filesystem::create_directories(messages, error);  // under main's umask
  if (!error && is_open_to_others(messages)) {
    std::filesystem::permissions(messages, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return fail(Errc::io, messages + ": " + error.message());
  }
  if (is_open_to_others(directory)) {
    log.warn("data.is_open", {{"directory", directory},
                              {"advice", "others may look into it; say: chmod 700 " + directory}});
  }
  return {};
}

}  // namespace allium::control
