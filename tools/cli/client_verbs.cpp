// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/client_verbs.hpp"

#include <map>
#include <memory>
#include <string>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include "crypto_accel/base/memory_privacy.hpp"
#include "tools/client/echo.hpp"
#include "tools/client/ping.hpp"
#include "tools/client/rpc.hpp"

namespace allium::cli {
namespace {

void finish_with(int exit_code) {
  if (exit_code != 0) {
    throw CLI::RuntimeError(exit_code);
  }
}

/// --network, --authority, --path, --hops, --trace and --json: the same for all verbs.
template <typename Options>
void add_shared_options(CLI::App& verb, Options& options) {
  CLI::Option* const path =
      verb.add_option("--path", options.path.names, "The relays of the path, entry first: n1,n5,n9")
          ->delimiter(',');
  verb.add_option("--hops", options.path.hop_count, "How many relays, taken by chance")
      ->check(CLI::Range(1, 4))
      ->capture_default_str()
      ->excludes(path);
  CLI::Option* const network = verb.add_option(
      "--network", options.network_file,
      "A network document, with the nodes' records beside it; else the running devnet");
  CLI::Option* const authority =
      verb.add_option("--authority", options.authority, "The authority's public key, in hex");
  network->needs(authority);
  authority->needs(network);
  verb.add_flag("--trace", options.trace, "Tell what happens packet by packet, with times");
  verb.add_flag("--json", options.json, "One JSON object on standard output");
}

void add_ping(CLI::App& client) {
  CLI::App* const verb =
      client.add_subcommand("ping", "Send packets through a path to ECHO and back");
  const auto options = std::make_shared<client::PingOptions>();
  add_shared_options(*verb, *options);
  verb->add_option_function<std::string>(
          "--class",
          [options](const std::string& name) {
            options->packet_class = name == "v" ? onion::PacketClass::v : onion::PacketClass::d;
          },
          "d: packets of 1232 bytes, up to 4 hops; v: of 256 bytes, up to 3")
      ->check(CLI::IsMember({"d", "v"}))
      ->default_str("d");
  verb->add_option("--count", options->count, "How many packets")->capture_default_str();
  verb->add_option("--interval", options->interval_ms, "Milliseconds between two packets")
      ->capture_default_str();
  verb->add_option("--timeout", options->timeout_ms,
                   "Milliseconds after which a packet counts as lost")
      ->capture_default_str();
  verb->footer(
      "Examples:\n"
      "  allium client ping --hops 3 --count 10\n"
      "  allium client ping --path n1,n5,n9 --class v --trace\n"
      "  allium client ping --json | jq .rtt_us_median");
  verb->callback([options] { finish_with(client::run_client_ping(*options)); });
}

void add_echo(CLI::App& client) {
  CLI::App* const verb = client.add_subcommand(
      "echo", "Send a file through a path to ECHO and back, and compare what comes");
  const auto options = std::make_shared<client::EchoOptions>();
  verb->add_option("FILE", options->file, "The file, up to 1 GiB")->required();
  add_shared_options(*verb, *options);
  verb->add_option("--out", options->out, "Where to write the copy that came back");
  verb->add_option("--give-up", options->give_up_s,
                   "Seconds without any answer after which to end; a path is not left before")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  verb->footer(
      "Examples:\n"
      "  allium client echo README.md\n"
      "  allium client echo big.iso --path n1,n5,n9 --out copy.iso\n"
      "  allium client echo big.iso --json | jq .goodput_mbyte_s");
  verb->callback([options] { finish_with(client::run_client_echo(*options)); });
}

}  // namespace

void add_rpc_verb(CLI::App& program) {
  CLI::App* const verb = program.add_subcommand(
      "rpc", "Ask a service node for a storage RPC, over a path through relays");
  const auto options = std::make_shared<client::RpcOptions>();
  verb->add_option("METHOD", options->method, "store, retrieve, delete, info, ...")->required();
  verb->add_option(
          "PARAMS", options->params,
          "A JSON object, with data and signatures in base64, as Session's clients send it")
      ->capture_default_str();
  verb->add_option_function<std::string>(
          "--lane",
          [options](const std::string& name) {
            options->lane = name == "fast" ? client::Lane::fast : client::Lane::compat;
          },
          "fast: one onion packet there, and packets back; compat: an onion request v2 over HTTPS")
      ->check(CLI::IsMember({"fast", "compat"}))
      ->default_str("fast");
  add_shared_options(*verb, *options);
  CLI::Option* const account = verb->add_option(
      "--account", options->account_file,
      "The account's key, as `allium key init` makes it: fills in pubkey, time and signature");
  verb->add_option("--passphrase-file", options->passphrase_file, "Opens a sealed key")
      ->needs(account);
  verb->add_option("--data-file", options->data_file,
                   "A file that becomes \"data\"; - is standard input");
  verb->footer(
      "Without --path the last hop is a node of the account's swarm, by chance.\n"
      "Examples:\n"
      "  allium key init --file alice.key --unsealed\n"
      "  echo hello | allium rpc store --account alice.key --data-file -\n"
      "  allium rpc retrieve --account alice.key --lane compat\n"
      "  allium rpc info --path n1,n5,n9 --json | jq .round_trip_us\n"
      "Exit codes: 0 status 200, 1 another status, 2 usage, 4 no answer.");
  verb->callback([options] {
    forbid_memory_dumps();
    finish_with(client::run_rpc(*options));
  });
}

void add_client_verbs(CLI::App& program) {
  CLI::App* const client =
      program.add_subcommand("client", "The reference client: packets over real paths");
  client->require_subcommand(1);
  add_ping(*client);
  add_echo(*client);
}

}  // namespace allium::cli
