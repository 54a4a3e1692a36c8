// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/store_verbs.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/manage/configuration.hpp"
#include "control/manage/local_socket.hpp"
#include "tools/cli/output.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kBackupSchema = "allium.backup/1";
constexpr std::uint64_t kBackupMs = 600'000;

struct BackupOptions {
  std::string directory;
  std::string socket = control::Configuration().control_socket;
  bool json = false;
};

/// The daemon has a working directory of its own.
std::string from_the_root(const std::string& directory) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(directory, error).lexically_normal();
  if (error || path.find('\n') != std::string::npos ||
      path.size() >= control::kLocalLineBytesMax - std::string_view("backup \n").size()) {
    std::fputs("error: DIRECTORY: no name that alliumd could be told\n", stderr);
    throw CLI::RuntimeError(kExitUsage);
  }
  return path;
}

std::string text_of(const json::object& backup) {
  const auto of = [&backup](std::string_view name) {
    return backup.at(name).to_number<std::int64_t>();
  };
  return fmt::format("backup   {}\nstore    {} messages of {} accounts, {} MiB\n",
                     std::string_view(backup.at("directory").as_string()), of("messages"),
                     of("accounts"), of("used_bytes") >> 20);
}

/// Whole, before any of it is printed.
std::string text_of_answer(const json::object& answer, const BackupOptions& options) {
  if (const json::value* error = answer.if_contains("error");
      error != nullptr && error->is_string()) {
    std::fprintf(stderr, "error: %s\n", error->get_string().c_str());
    finish_with(answer.contains("unauthorised") ? kExitUnauthorised
                : answer.contains("conflict")   ? kExitConflict
                                                : kExitRefused);
  }
  try {
    if (answer.at("schema") == json::value(kBackupSchema)) {
      const std::string text = text_of(answer);
      return options.json ? json::serialize(answer) + '\n' : text;
    }
  } catch (const std::exception&) {  // a key that is not there, a value of another kind
  }
  finish_with(
      Error{Errc::malformed, options.socket +
                                 ": the answer is of another version of alliumd; install both from "
                                 "one build, then restart alliumd"});
}

void back_up(const BackupOptions& options) {
  const auto answer =
      control::ask_local(options.socket, "backup " + from_the_root(options.directory), kBackupMs);
  if (!answer) {
    finish_with(answer.error());
  }
  std::fputs(text_of_answer(*answer, options).c_str(), stdout);
  std::fputs(
      "Copy it to another machine, then remove it here: it shares the node's disk, and keeps there "
      "what the node deletes.\n"
      "The identity is not in it: allium key export.\n",
      stderr);
}

}  // namespace

void add_store_verbs(CLI::App& program) {
  CLI::App* store = program.add_subcommand("store", "The messages of this machine's node");
  store->require_subcommand(1);
  const auto options = std::make_shared<BackupOptions>();
  CLI::App* backup = store->add_subcommand(
      "backup", "Copy the message store of the running node, as root or as its user");
  backup
      ->add_option("DIRECTORY", options->directory,
                   "Is made; on the file system of the store, not within it")
      ->required();
  backup->add_option("--socket", options->socket, "Where alliumd answers")->capture_default_str();
  backup->add_flag("--json", options->json, "One JSON object");
  backup->footer(
      "  allium store backup /var/lib/allium/backup\n"
      "To restore: stop alliumd, move the data directory's 'messages' away, move the backup to its "
      "place, start alliumd.");
  backup->callback([options] { back_up(*options); });
}

}  // namespace allium::cli
