// SPDX-License-Identifier: Apache-2.0

// alliumd: the control process of a node.

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <sodium.h>

#include "control/configuration_files.hpp"
#include "control/daemon.hpp"
#include "control/manage/command_line.hpp"
#include "control/manage/configuration.hpp"
#include "crypto_accel/base/memory_privacy.hpp"

namespace {

constexpr const char* kDefaultConfiguration = "/etc/allium/allium.toml";

enum Exit : int { kDone = 0, kNegative = 1, kUsage = 2, kRefused = 3 };

/// Keys are in this process, and messages in its files.
void shut_the_windows() {
  allium::forbid_memory_dumps();
  umask(077);
  std::signal(SIGPIPE, SIG_IGN);
}

/// Connections are descriptors, and the usual soft limit is 1,024 of them.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/// What is as large as an answer comes from the kernel and goes back to it at once. Otherwise, glibc raises this threshold with the
/// first large piece that is freed, and keeps what stood between later ones.
void return_large_memory() {
  constexpr int kLargeBytes = 128 * 1024;
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
}

int check(const std::string& path, const allium::control::Configuration& configuration) {
  const auto checked = allium::control::check_configuration_files(configuration, path);
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().text.c_str());
    return kNegative;
  }
  std::printf("%s: OK (schema %d)\n", path.c_str(), allium::control::kConfigurationSchema);
  return kDone;
}

int run(const std::string& path, bool check_only) {
  const auto configuration = allium::control::load_configuration(path);
  if (!configuration) {
    std::fprintf(stderr, "%s\n", configuration.error().text.c_str());
    return check_only ? kNegative : kRefused;
  }
  if (check_only) {
    return check(path, *configuration);
  }
  allium::control::Daemon daemon(*configuration);
  if (const auto started = daemon.start(); !started) {
    std::fprintf(stderr, "error: %s\n", started.error().text.c_str());
    return kRefused;
  }
  daemon.run();
  return kDone;
}

/// Secrets have files of their own; on a command line, everybody on the machine can read them.
int refuse_words(const CLI::App& program) {
  std::fprintf(stderr,
               "error: %s\nA passphrase is in the file that [node] passphrase names, the seed in "
               "the one of [node] identity.\n"
               "Run with --help for more information.\n",
               allium::control::unexpected_words(program.remaining(true)).c_str());
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  shut_the_windows();
  raise_descriptor_limit();
  return_large_memory();
  CLI::App program{
      "alliumd: the service node of an Allium box: storage for its swarm, onion requests."};
  std::string path = kDefaultConfiguration;
  bool check_only = false;
  program.add_option("--config", path, "The configuration")
      ->capture_default_str()
      ->check([](const std::string& file) { return file.empty() ? "a name is wanted" : ""; });
  program.add_flag("--check-config", check_only,
                   "Only say whether the configuration and the files that it names are good");
  program.set_version_flag("--version", "alliumd " ALLIUM_VERSION);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    return refuse_words(program);
  } catch (const CLI::ConversionError& error) {
    program.exit(CLI::ConversionError(allium::control::without_value(error.what())));
    return kUsage;
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? kDone : kUsage;
  }
  if (sodium_init() < 0) {
    std::fputs("error: libsodium cannot start: no source of randomness\n", stderr);
    return kRefused;
  }
  try {
    return run(path, check_only);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s; this is a defect of alliumd, please report it\n",
                 error.what());
    return 70;
  }
}
