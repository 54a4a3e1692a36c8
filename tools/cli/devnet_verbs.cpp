// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/devnet_verbs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <boost/json.hpp>

#include "tools/cli/output.hpp"
#include "tools/devnet/capture.hpp"
#include "tools/devnet/enter.hpp"
#include "tools/devnet/runtime_directory.hpp"
#include "tools/devnet/supervisor.hpp"
#include "tools/devnet/topology.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

double monotonic_s() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string program_beside_this_one(const char* name) {
  std::error_code error;
  return (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / name).string();
}

struct UpOptions {
  devnet::DevnetOptions devnet;
  std::optional<std::uint64_t> seed;
  bool json = false;
};

std::string pid_text(const json::value& pid) {
  return pid.is_null() ? "-" : std::to_string(pid.as_int64());
}

void print_status(const json::object& status) {
  std::printf("%-5s %-9s %-9s %7s %6s  %s\n", "NODE", "ID", "STATE", "PID", "STARTS", "ADDRESSES");
  for (const json::value& item : status.at("nodes").as_array()) {
    const json::object& node = item.as_object();
    std::string addresses;
    for (const json::value& address : node.at("endpoints").as_array()) {
      addresses += (addresses.empty() ? "" : "  ") + std::string(address.as_string());
    }
    std::printf("%-5s %-9s %-9s %7s %6lld  %s\n", node.at("name").as_string().c_str(),
                node.at("id").as_string().c_str(), node.at("state").as_string().c_str(),
                pid_text(node.at("pid")).c_str(),
                static_cast<long long>(node.at("starts").as_int64()), addresses.c_str());
  }
  std::printf("%lld of %lld nodes up, for %lld s\n",
              static_cast<long long>(status.at("nodes_up").as_int64()),
              static_cast<long long>(status.at("nodes_total").as_int64()),
              static_cast<long long>(status.at("uptime_s").as_int64()));
  std::printf("network file  %s\nauthority     %s\nregistry      %s\n",
              status.at("network_file").as_string().c_str(),
              status.at("authority").as_string().c_str(),
              status.at("registry").as_string().c_str());
}

void up(const UpOptions& options) {
  const double begin_s = monotonic_s();
  devnet::DevnetOptions wanted = options.devnet;
  wanted.seed = options.seed;
  wanted.dataplane_program = program_beside_this_one("allium-dp");
  wanted.service_program = program_beside_this_one("alliumd");
  const bool is_terminal = isatty(STDERR_FILENO) == 1;
  const auto started = devnet::start_devnet(wanted, [&](const std::string& line) {
    std::fprintf(stderr, is_terminal ? "\r%s relays up" : "%s relays up\n", line.c_str());
  });
  if (is_terminal) {
    std::fprintf(stderr, "\n");
  }
  if (!started) {
    std::fprintf(stderr, "error: %s\n", started.error().text.c_str());
    finish_with(started.error().code == Errc::refused ? kExitConflict : kExitUnreachable);
  }
  const double ready_s = monotonic_s() - begin_s;
  json::object status = ask({{"verb", "status"}});
  if (options.json) {
    status["schema"] = "allium.devnet.up/1";
    status["ready_s"] = ready_s;
    print_json(status);
    return;
  }
  std::printf("%zu nodes ready in %.1f s\n", wanted.node_count, ready_s);
  std::printf("network file  %s\nauthority     %s\nregistry      %s\n",
              status.at("network_file").as_string().c_str(),
              status.at("authority").as_string().c_str(),
              status.at("registry").as_string().c_str());
  std::printf(
      "next          allium client ping --hops 3\n"
      "              allium client echo FILE\n"
      "              allium show counters all\n"
      "              allium devnet down\n");
}

void down(bool as_json) {
  const auto stopped = devnet::stop_devnet();
  if (!stopped) {
    finish_with(stopped.error());
  }
  if (as_json) {
    print_json({{"schema", "allium.devnet.down/1"}, {"was_running", *stopped}});
  } else {
    std::puts(*stopped ? "devnet ended; nothing of it is left" : "no devnet was running");
  }
}

void status(bool as_json) {
  if (!devnet::running_supervisor()) {
    if (as_json) {
      print_json({{"schema", "allium.devnet.status/1"}, {"running", false}});
    } else {
      std::puts("no devnet is running; start one: allium devnet up --nodes 12");
    }
    finish_with(kExitNegative);
    return;
  }
  const json::object answer = ask({{"verb", "status"}});
  if (as_json) {
    print_json(answer);
  } else {
    print_status(answer);
  }
  finish_with(answer.at("nodes_up") == answer.at("nodes_total") ? kExitDone : kExitNegative);
}

void kill_node(const std::string& node, bool as_json) {
  const json::object answer = ask({{"verb", "kill"}, {"node", node}});
  if (as_json) {
    print_json(answer);
  } else {
    std::printf("%s (pid %lld) killed; start it again: allium devnet start %s\n",
                answer.at("node").as_string().c_str(),
                static_cast<long long>(answer.at("pid").as_int64()),
                answer.at("node").as_string().c_str());
  }
}

void start_node(const std::string& node, bool as_json) {
  const json::object answer = ask({{"verb", "start"}, {"node", node}});
  if (as_json) {
    print_json(answer);
  } else {
    std::printf("%s up after %lld ms (pid %lld); its replay set is the one it had\n",
                answer.at("node").as_string().c_str(),
                static_cast<long long>(answer.at("start_ms").as_int64()),
                static_cast<long long>(answer.at("pid").as_int64()));
  }
}

struct CaptureOptions {
  std::string node;
  devnet::CaptureLimits limits;
  std::string file;
  bool json = false;
};

void capture(const CaptureOptions& options) {
  // Opened with the user's own rights, before those of the namespace; emptied only when the capture can begin.
  const int descriptor = open(options.file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

  struct stat about {};

  std::FILE* file = descriptor < 0 ? nullptr : fdopen(descriptor, "wb");
  if (file == nullptr || fstat(descriptor, &about) != 0) {
    finish_with(Error{Errc::io, options.file + ": " + std::strerror(errno)});
  }
  if (auto entered = devnet::enter_devnet(options.node); !entered) {
    std::fclose(file);
    if (about.st_size == 0 && S_ISREG(about.st_mode)) {
      unlink(options.file.c_str());
    }
    finish_with(entered.error());
  }
  if (S_ISREG(about.st_mode) && ftruncate(descriptor, 0) != 0) {
    finish_with(Error{Errc::io, options.file + ": " + std::strerror(errno)});
  }
  std::fprintf(stderr, "capturing on %s for at most %u s or %llu packets; Ctrl-C ends it\n",
               options.node.c_str(), options.limits.seconds_max,
               static_cast<unsigned long long>(options.limits.packets_max));
  const auto captured = devnet::capture("eth0", options.limits, file);
  if (!captured) {
    finish_with(captured.error());
  }
  if (options.json) {
    print_json({{"schema", "allium.devnet.pcap/1"},
                {"node", options.node},
                {"file", options.file},
                {"packets", *captured}});
  } else {
    std::printf("%llu packets in %s\n", static_cast<unsigned long long>(*captured),
                options.file.c_str());
  }
}

// `allium devnet exec [--node N] -- COMMAND`
void exec_inside(const std::string& node, const std::vector<std::string>& command) {
  const auto entered =
      devnet::enter_devnet(node.empty() ? std::nullopt : std::optional<std::string_view>(node));
  if (!entered) {
    finish_with(entered.error());
  }
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  finish_with(Error{Errc::not_found, command[0] + ": " + std::strerror(errno)});
}

void add_json_flag(CLI::App* verb, bool& target) {
  verb->add_flag("--json", target, "One JSON object on standard output");
}

void add_up(CLI::App& devnet_verbs) {
  CLI::App* verb = devnet_verbs.add_subcommand("up", "Start a local network of real relays");
  auto options = std::make_shared<UpOptions>();
  verb->add_option("--nodes", options->devnet.node_count, "How many relays")
      ->check(CLI::Range(std::size_t{1}, devnet::kNodesMax))
      ->capture_default_str();
  verb->add_option("--seed", options->seed,
                   "The same identities again for the same number; for tests only")
      ->check([](const std::string& text) {
        std::uint64_t number = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool is_good = error == std::errc{} && stop == text.data() + text.size();
        return is_good ? std::string() : "expected a number of 0 to 18446744073709551615";
      });
  verb->add_option("--workers", options->devnet.worker_count, "Poll-mode workers a relay")
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  verb->add_flag("--no-huge", options->devnet.no_huge, "Leave huge pages alone");
  add_json_flag(verb, options->json);
  verb->footer(
      "Examples:\n  allium devnet up --nodes 12\n  allium devnet up --nodes 3 --seed 42 --json\n"
      "A node is an allium-dp and an alliumd; swarms have about five of them.\n"
      "Needs root or user namespaces; all of it lives in namespaces of its own.");
  verb->callback([options] { up(*options); });
}

void add_node_verb(CLI::App& devnet_verbs, const char* name, const char* description,
                   void (*action)(const std::string&, bool)) {
  CLI::App* verb = devnet_verbs.add_subcommand(name, description);
  auto node = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  verb->add_option("NODE", *node, "n1, n2, ... or the start of an id")->required();
  add_json_flag(verb, *as_json);
  verb->callback([=] { action(*node, *as_json); });
}

void add_plain_verb(CLI::App& devnet_verbs, const char* name, const char* description,
                    void (*action)(bool)) {
  CLI::App* verb = devnet_verbs.add_subcommand(name, description);
  auto as_json = std::make_shared<bool>(false);
  add_json_flag(verb, *as_json);
  verb->callback([=] { action(*as_json); });
}

void add_pcap(CLI::App& devnet_verbs) {
  CLI::App* verb =
      devnet_verbs.add_subcommand("pcap", "Write what crosses a node's wire to a file");
  auto options = std::make_shared<CaptureOptions>();
  verb->add_option("NODE", options->node, "n1, n2, ... or the start of an id")->required();
  verb->add_option("-w", options->file, "The file, in pcap format")->required();
  verb->add_option("--count", options->limits.packets_max, "At most this many packets")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000'000}))
      ->capture_default_str();
  verb->add_option("--seconds", options->limits.seconds_max, "At most this long")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  add_json_flag(verb, options->json);
  verb->footer("Example:\n  allium devnet pcap n3 -w n3.pcap --count 20");
  verb->callback([options] { capture(*options); });
}

void add_exec(CLI::App& devnet_verbs) {
  CLI::App* verb = devnet_verbs.add_subcommand(
      "exec", "Run a command inside the devnet's network, or inside a node's");
  auto node = std::make_shared<std::string>();
  auto command = std::make_shared<std::vector<std::string>>();
  verb->add_option("--node", *node, "Inside this node instead of beside the bridge");
  verb->add_option("COMMAND", *command, "The command and its arguments, after --")->required();
  verb->footer("Example:\n  allium devnet exec --node n3 -- ip address");
  verb->callback([=] { exec_inside(*node, *command); });
}

}  // namespace

void add_devnet_verbs(CLI::App& program) {
  CLI::App* verbs = program.add_subcommand("devnet", "A local network of real relays");
  verbs->require_subcommand(1);
  add_up(*verbs);
  add_plain_verb(*verbs, "down", "End it, and remove also what a crash left", down);
  add_plain_verb(*verbs, "status", "Which relays are up; exit code 1 unless all are", status);
  add_node_verb(*verbs, "kill", "SIGKILL a relay, as a crash would; it stays down until started",
                kill_node);
  add_node_verb(*verbs, "start", "Start a relay that was killed", start_node);
  add_pcap(*verbs);
  add_exec(*verbs);
}

}  // namespace allium::cli
