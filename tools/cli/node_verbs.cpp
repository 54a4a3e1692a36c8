// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/node_verbs.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/manage/local_socket.hpp"
#include "control/network/network_view.hpp"
#include "control/network/service_nodes.hpp"
#include "control/node/identity_file.hpp"
#include "control/node/private_file.hpp"
#include "crypto_accel/base/memory_privacy.hpp"
#include "tools/cli/output.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

constexpr const char* kDefaultIdentity = "/var/lib/allium/identity";
constexpr const char* kDefaultSocket = "/run/allium/alliumd";
constexpr std::string_view kStatusSchema = "allium.status/1";
constexpr std::size_t kSeedTextMax = 256;

struct KeyOptions {
  std::string file = kDefaultIdentity;
  std::string passphrase_file;
  bool unsealed = false;
  bool reveal = false;
  bool json = false;
};

struct StatusOptions {
  std::string socket = kDefaultSocket;
  bool json = false;
};

using KeyVerb = void (*)(const KeyOptions& options);

[[noreturn]] void usage(const std::string& what) {
  std::fprintf(stderr, "error: %s\n", what.c_str());
  throw CLI::RuntimeError(kExitUsage);
}

std::optional<control::Passphrase> passphrase_of(const KeyOptions& options) {
  if (options.passphrase_file.empty()) {
    return std::nullopt;
  }
  auto passphrase = control::Passphrase::read(options.passphrase_file);
  if (!passphrase) {
    finish_with(passphrase.error());
  }
  return *std::move(passphrase);
}

control::IdentityFile load(const KeyOptions& options) {
  const auto passphrase = passphrase_of(options);
  auto file = control::read_identity_file(options.file, passphrase ? &*passphrase : nullptr);
  if (!file) {
    finish_with(file.error());
  }
  return *std::move(file);
}

void show(const KeyOptions& options, const control::Seed& seed, bool is_sealed) {
  const control::IdentitySecret identity = control::IdentitySecret::from_seed(seed);
  const std::string key = control::identity_key_text(identity.public_key());
  const std::string x25519 =
      control::identity_key_text(control::x25519_of(identity.public_key()).value());
  const std::string address = control::snode_address(identity.public_key());
  if (options.json) {
    print_json({{"schema", "allium.key/1"},
                {"file", options.file},
                {"sealed", is_sealed},
                {"ed25519", key},
                {"x25519", x25519},
                {"legacy", key},
                {"address", address}});
    return;
  }
  std::printf("file     %s (%s)\ned25519  %s\nx25519   %s\naddress  %s\n", options.file.c_str(),
              is_sealed ? "sealed by a passphrase" : "NOT sealed: whoever reads it is this node",
              key.c_str(), x25519.c_str(), address.c_str());
}

void show_file(const KeyOptions& options) {
  const control::IdentityFile file = load(options);
  show(options, file.seed, file.is_sealed);
}

/// What a new file will be sealed by; asked before anything is changed or read.
std::optional<control::Passphrase> seal_of(const KeyOptions& options) {
  if (!options.passphrase_file.empty() && options.unsealed) {
    usage("--passphrase-file seals, --unsealed does not: say one of them");
  }
  if (options.passphrase_file.empty() && !options.unsealed) {
    usage("an identity is sealed by a passphrase: --passphrase-file FILE, or say --unsealed");
  }
  return passphrase_of(options);
}

void write_new(const KeyOptions& options, const std::optional<control::Passphrase>& passphrase,
               const control::Seed& seed) {
  const auto written = control::write_identity_file(
      options.file, seed, passphrase ? &*passphrase : nullptr, system_random());
  if (!written) {
    finish_with(written.error());
  }
  show(options, seed, passphrase.has_value());
}

control::Seed new_seed() {
  control::Seed seed;
  system_random()(seed.bytes());
  return seed;
}

void init(const KeyOptions& options) {
  write_new(options, seal_of(options), new_seed());
}

void rotate(const KeyOptions& options) {
  const auto passphrase = seal_of(options);
  static_cast<void>(load(options));  // only who can open it may replace it
  const control::Seed seed = new_seed();
  const auto kept = control::rotate_identity_file(
      options.file, seed, passphrase ? &*passphrase : nullptr, system_random());
  if (!kept) {
    finish_with(kept.error());
  }
  std::fprintf(stderr, "the old identity is now %s; register the new one, then restart alliumd\n",
               kept->c_str());
  show(options, seed, passphrase.has_value());
}

/// From standard input: what is on a command line, everybody on the machine can read.
control::Seed read_seed() {
  auto text = control::read_to_end(STDIN_FILENO, kSeedTextMax, "standard input");
  if (!text) {
    finish_with(text.error());
  }
  const std::size_t end = text->find_last_not_of(" \r\n") + 1;
  auto seed = control::parse_seed(std::string_view(*text).substr(0, end));
  wipe(text->data(), text->size());
  if (!seed) {
    finish_with(seed.error());
  }
  return *std::move(seed);
}

void import_seed(const KeyOptions& options) {
  const auto passphrase = seal_of(options);
  write_new(options, passphrase, read_seed());
}

void export_seed(const KeyOptions& options) {
  if (!options.reveal) {
    usage("this prints the secret of the node; if you mean it, say --reveal");
  }
  const control::IdentityFile file = load(options);
  std::string seed = control::identity_key_text(file.seed.bytes());
  const std::string begin = options.json
                                ? R"({"schema":"allium.key/1","file":)" +
                                      json::serialize(json::string(options.file)) + R"(,"seed":")"
                                : "";
  std::string text;
  text.reserve(begin.size() + seed.size() + 8);  // one piece of memory, which print_secret() wipes
  text.append(begin).append(seed).append(options.json ? "\"}\n" : "\n");
  wipe(seed.data(), seed.size());
  print_secret(text);
}

void add_key_verbs(CLI::App& program) {
  CLI::App* key = program.add_subcommand("key", "The identity of this machine's node");
  key->require_subcommand(1);
  const auto options = std::make_shared<KeyOptions>();
  const auto add = [&](const char* name, const char* help, KeyVerb run) {
    CLI::App* verb = key->add_subcommand(name, help);
    verb->add_option("--file", options->file, "The identity file")
        ->capture_default_str()
        ->check([](const std::string& file) { return file.empty() ? "a name is wanted" : ""; });
    verb->add_option("--passphrase-file", options->passphrase_file,
                     "Its first line is the passphrase; mode 0600");
    verb->add_flag("--json", options->json, "One JSON object");
    verb->callback([options, run] {
      forbid_memory_dumps();
      run(*options);
    });
    return verb;
  };
  const auto add_writer = [&](const char* name, const char* help, KeyVerb run) {
    CLI::App* verb = add(name, help, run);
    verb->add_flag("--unsealed", options->unsealed,
                   "Without a passphrase: the file alone is the node");
    return verb;
  };
  add_writer("init", "Make an identity", init);
  add("show", "Public keys and address", show_file);
  add_writer("rotate", "Make a new identity, and keep the old one beside it", rotate);
  add_writer("import", "Take over a seed (64 hex digits) or a secret key (128) from standard input",
             import_seed);
  add("export", "Print the seed", export_seed)
      ->add_flag("--reveal", options->reveal, "Yes, print the secret");
}

std::int64_t number(const json::object& object, std::string_view group, std::string_view name) {
  return object.at(group).as_object().at(name).to_number<std::int64_t>();
}

/// What other processes and nodes have a part in goes to a terminal without control characters.
std::string text_of(const json::object& object, std::string_view name) {
  std::string text(object.at(name).as_string());
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

std::string packets_text(const json::value& dataplane) {
  if (dataplane.is_null()) {
    return "packets  no dataplane\n";
  }
  const json::object& of = dataplane.as_object();
  std::string text = "packets  ";
  text += of.at("serving").as_bool() ? "serving" : "NOT served: " + text_of(of, "problem");
  if (of.at("connected").as_bool()) {
    text += fmt::format("; {} workers, {} relays known, device {}",
                        of.at("workers").to_number<std::int64_t>(),
                        of.at("relays").to_number<std::int64_t>(), text_of(of, "device"));
  }
  return text + '\n';
}

/// How it is with other nodes (they time out where this one's way to their OMQ port is shut), and whether a bound was met.
std::string omq_text(const json::object& status) {
  const auto of = [&status](std::string_view name) { return number(status, "omq", name); };
  return fmt::format(
      "omq      {} commands, {} to other nodes, {} unanswered, {} refused or cut off\n",
      of("received"), of("requested"), of("timeouts"),
      of("refused_busy") + of("refused_clients") + of("refused_address_full") + of("unsent_full") +
          of("cut_slow") + of("cut_idle") + of("cut_silent") + of("cut_unfinished") +
          of("cut_node") + of("cut_broken"));
}

/// Only where records of other nodes were refused: a node of another version, a clock, or somebody who tries.
std::string records_text(const json::object& status) {
  const std::int64_t refused = number(status, "records", "refused");
  if (refused == 0) {
    return {};
  }
  const std::string last = text_of(status.at("records").as_object(), "last_refusal");
  return fmt::format("records  {} known, {} refused{}{}\n", number(status, "records", "known"),
                     refused, last.empty() ? "" : ", last: ", last);
}

std::string node_text(const json::object& status) {
  const auto of = [&status](std::string_view name) {
    return status.at(name).to_number<std::int64_t>();
  };
  const bool is_healthy = status.at("healthy").as_bool();
  std::string text =
      fmt::format("node     {}\nversion  {}, up {} s\nstate    {}\n", text_of(status, "node"),
                  text_of(status, "version"), of("uptime_s"), is_healthy ? "ACTIVE" : "DEGRADED");
  const bool has_swarm = !status.at("swarm").is_null();
  const std::int64_t lacking = number(status, "fetch", "parts_open");
  return text + fmt::format("swarm    {}, {} members, {} of them do not answer, {} catch up{}\n",
                            has_swarm ? text_of(status, "swarm") : "none", of("members"),
                            of("members_dead"), of("members_behind"),
                            lacking > 0 ? "; this node still fetches what it lacks" : "");
}

std::string store_text(const json::object& status) {
  const auto of = [&status](std::string_view name) { return number(status, "store", name); };
  return fmt::format("store    {} messages of {} accounts, {} of {} MiB\n", of("messages"),
                     of("accounts"), of("used_bytes") >> 20, of("limit_bytes") >> 20);
}

std::string traffic_text(const json::object& status) {
  const auto of = [&status](std::string_view name) { return number(status, "requests", name); };
  return fmt::format("traffic  {} storage requests, {} onion requests, {} refused as too many\n",
                     of("rpc"), of("onion"), of("rate_limited"));
}

std::string status_text(const json::object& status) {
  std::string text = node_text(status) + store_text(status) + traffic_text(status) +
                     omq_text(status) + packets_text(status.at("dataplane")) + records_text(status);
  for (const json::value& problem : status.at("problems").as_array()) {
    text += fmt::format("problem  {}\n", std::string_view(problem.as_string()));
  }
  return text;
}

[[noreturn]] void refuse_status(const std::string& socket) {
  finish_with(
      Error{Errc::malformed,
            socket + ": the answer is of another version of alliumd; install both from one build "
                     "(allium version, alliumd --version), then restart alliumd"});
}

/// Whole, before any of it is printed: what another program of another version says may lack keys or have others.
std::string text_of_answer(const json::object& status, const StatusOptions& options) {
  const json::value* schema = status.if_contains("schema");
  if (schema == nullptr || *schema != json::value(kStatusSchema)) {
    refuse_status(options.socket);
  }
  try {
    const std::string text = status_text(status);
    return options.json ? json::serialize(status) + '\n' : text;
  } catch (const std::exception&) {  // a key that is not there, a value of another kind
    refuse_status(options.socket);
  }
}

void ask_status(const StatusOptions& options) {
  const auto answer = control::ask_local(options.socket, "status");
  if (!answer) {
    finish_with(answer.error());
  }
  std::fputs(text_of_answer(*answer, options).c_str(), stdout);
  if (!answer->at("healthy").as_bool()) {
    finish_with(kExitNegative);
  }
}

}  // namespace

void add_node_verbs(CLI::App& program) {
  add_key_verbs(program);

  const auto options = std::make_shared<StatusOptions>();
  CLI::App* status =
      program.add_subcommand("status", "Whether the node of this machine is healthy; if not, why");
  status->add_option("--socket", options->socket, "Where alliumd answers")->capture_default_str();
  status->add_flag("--json", options->json, "One JSON object");
  status->callback([options] { ask_status(*options); });
}

}  // namespace allium::cli
