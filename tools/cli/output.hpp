// SPDX-License-Identifier: Apache-2.0
#pragma once

// What all verbs share: data go to standard output, talk to standard error, and an error is one line with an
// exit code of the script contract.

#include <string>

#include <boost/json/object.hpp>

#include "crypto_accel/base/result.hpp"

namespace allium::cli {

enum Exit : int {
  kExitDone = 0,
  kExitNegative = 1,
  kExitUsage = 2,
  kExitRefused = 3,
  kExitUnreachable = 4,
  kExitUnauthorised = 5,
  kExitConflict = 6,
  kExitInternal = 70,
};

/// Ends the verb: CLI11 turns it into the program's exit code.
void finish_with(int exit_code);

/// Prints the error and ends the verb.
[[noreturn]] void finish_with(const Error& error);

void print_json(const boost::json::object& object);

/// Writes at once, past every buffer that would keep a copy, and wipes `text`. Ends the verb where that fails.
void print_secret(std::string& text);

/// The exit code of the program: `exit_code`, or where standard output did not take everything, an error line and kExitRefused.
[[nodiscard]] int finish_output(int exit_code);

/// An answer of the supervisor, parsed; ends the verb where there is none.
[[nodiscard]] boost::json::object ask(const boost::json::object& request);

}  // namespace allium::cli
