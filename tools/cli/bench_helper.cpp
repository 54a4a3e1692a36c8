// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/bench_helper.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <boost/json.hpp>

#include "crypto_accel/base/result.hpp"
#include "tools/cli/output.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

constexpr const char* kHelper = "allium-bench-dp";

struct Finished {
  std::string output;
  int exit_code = kExitInternal;
};

// Runs the program beside this one; its talk goes to our standard error.
Finished run_helper(const std::vector<std::string>& words) {
  std::error_code error;
  const std::string program =
      (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / kHelper).string();
  std::vector<char*> arguments = {const_cast<char*>(kHelper)};
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) {
    finish_with(Error{Errc::io, std::generic_category().message(errno)});
  }
  const pid_t child = fork();
  if (child < 0) {
    finish_with(Error{Errc::io, std::string("fork: ") + std::generic_category().message(errno)});
  }
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    execv(program.c_str(), arguments.data());
    std::fprintf(stderr, "error: %s: %s; build it: cmake --build --preset release\n",
                 program.c_str(), std::generic_category().message(errno).c_str());
    _exit(kExitUnreachable);
  }
  close(out[1]);
  Finished finished;
  std::vector<char> buffer(16384);
  ssize_t count = 0;
  while ((count = read(out[0], buffer.data(), buffer.size())) > 0 ||
         (count < 0 && errno == EINTR)) {
    finished.output.append(buffer.data(), count < 0 ? 0 : static_cast<std::size_t>(count));
  }
  close(out[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    std::fprintf(stderr, "error: %s was ended by signal %d\n", kHelper, WTERMSIG(status));
  }
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kExitInternal;
  return finished;
}

}  // namespace

void add_traffic_options(CLI::App& verb, TrafficOptions& options) {
  verb.add_option("--ip", options.ip, "Addresses of the relays: 4 or 6")
      ->check(CLI::IsMember({"4", "6"}))
      ->capture_default_str();
  verb.add_option("--sessions", options.sessions, "Sessions that the packets belong to")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--burst", options.burst, "Packets that the worker takes at once")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  verb.add_option("--replay-mpps", options.replay_mpps,
                  "Packets a second that the replay set is made for, in millions")
      ->check(CLI::Range(0.001, 64.0))
      ->capture_default_str();
  verb.add_flag("--no-huge", options.no_huge, "Leave huge pages alone");
}

std::vector<std::string> words_of(const TrafficOptions& options) {
  std::vector<std::string> words = {"--ip",          options.ip,
                                    "--sessions",    std::to_string(options.sessions),
                                    "--burst",       std::to_string(options.burst),
                                    "--replay-mpps", std::to_string(options.replay_mpps)};
  if (options.no_huge) {
    words.emplace_back("--no-huge");
  }
  return words;
}

HelperResult run_bench_helper(const std::vector<std::string>& words) {
  const Finished finished = run_helper(words);
  boost::system::error_code error;
  json::value result = json::parse(finished.output, error);
  if (error || !result.is_object()) {
    finish_with(finished.exit_code == 0 ? kExitInternal : finished.exit_code);
    return {};
  }
  return {std::move(result.as_object()), finished.exit_code};
}

double real(const json::object& object, const char* key) {
  return object.at(key).to_number<double>();
}

}  // namespace allium::cli
