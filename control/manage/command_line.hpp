// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is said of a command line that nobody understands. A word of it may be a secret in the wrong place, and errors go to logs and
// terminals: no value is repeated.
//
//   Threads  reentrant.

#include <string>
#include <vector>

namespace allium::control {

/// Of the words that are left over: names the unknown options, otherwise says that an argument is too many.
[[nodiscard]] std::string unexpected_words(const std::vector<std::string>& words);

/// Of an error "name = value", as CLI11 has it where a value cannot be read, what is before the value.
[[nodiscard]] std::string without_value(const std::string& error);

}  // namespace allium::control
