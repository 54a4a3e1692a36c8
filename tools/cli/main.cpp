// SPDX-License-Identifier: Apache-2.0

// allium: the command. Data go to standard output, talk to standard error; exit codes are a contract.

#include <cstdio>
#include <exception>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>

#include "control/manage/command_line.hpp"
#include "tools/cli/bench_verbs.hpp"
#include "tools/cli/client_verbs.hpp"
#include "tools/cli/devnet_verbs.hpp"
#include "tools/cli/node_verbs.hpp"
#include "tools/cli/output.hpp"
#include "tools/cli/store_verbs.hpp"

namespace {

/// What is on a command line, everybody on the machine can read: no option takes a secret.
int refuse_words(const CLI::App& program) {
  std::fprintf(stderr, "error: %s\n",
               allium::control::unexpected_words(program.remaining(true)).c_str());
  if (program.got_subcommand("key")) {
    std::fputs(
        "A seed goes to the standard input of 'allium key import', a passphrase to a file: "
        "--passphrase-file FILE.\n",
        stderr);
  }
  std::fputs("Run with --help for more information.\n", stderr);
  return allium::cli::kExitUsage;
}

int parse_and_run(int argc, char** argv) {
  CLI::App program{
      "Allium: an onion relay box. Its node, a local network, a client and a benchmark of it."};
  program.name("allium");
  program.require_subcommand(0, 1);
  program.set_help_all_flag("--help-all", "Help of every verb");
  program.footer(
      "Start here:\n"
      "  allium devnet up --nodes 12     a local network of real relays\n"
      "  allium client ping --hops 3     round trips through three of them\n"
      "  allium bench forward --class d  packets per second of one relay on one core\n"
      "  allium bench report --out DIR   everything that is measured of one, as a page\n"
      "Exit codes: 0 done, 1 negative answer, 2 usage, 3 refused, 4 cannot reach, 5 not authorised, 6 conflict.");
  allium::cli::add_devnet_verbs(program);
  allium::cli::add_show_verbs(program);
  allium::cli::add_client_verbs(program);
  allium::cli::add_rpc_verb(program);
  allium::cli::add_bench_verbs(program);
  allium::cli::add_node_verbs(program);
  allium::cli::add_store_verbs(program);
  program.add_subcommand("version", "Which version this is")->callback([] {
    std::puts("allium " ALLIUM_VERSION);
  });
  try {
    program.parse(argc, argv);
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::ExtrasError&) {
    return refuse_words(program);
  } catch (const CLI::ConversionError& error) {
    program.exit(CLI::ConversionError(allium::control::without_value(error.what())));
    return allium::cli::kExitUsage;
  } catch (const CLI::ParseError& error) {
    const int code = program.exit(error);
    return code == 0 ? 0 : allium::cli::kExitUsage;
  }
  if (program.get_subcommands().empty()) {
    std::fputs(program.help().c_str(), stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return allium::cli::finish_output(parse_and_run(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s; this is a defect of allium, please report it\n", error.what());
    return allium::cli::kExitInternal;
  }
}
