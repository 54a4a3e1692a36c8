// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/output.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <CLI/Error.hpp>
#include <boost/json.hpp>

#include "crypto_accel/base/secret.hpp"
#include "tools/devnet/enter.hpp"

namespace allium::cli {
namespace {

int exit_code_of(Errc code) noexcept {
  switch (code) {
    case Errc::not_found:
    case Errc::unavailable:
    case Errc::timeout:
      return kExitUnreachable;
    case Errc::unauthorised:
      return kExitUnauthorised;
    case Errc::internal:
      return kExitInternal;
    case Errc::malformed:
    case Errc::out_of_range:
    case Errc::bad_signature:
    case Errc::stale:
    case Errc::refused:
    case Errc::full:
    case Errc::io:
      return kExitRefused;
  }
  return kExitInternal;
}

/// The system's error, or 0.
int write_to_standard_output(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return errno;
    }
    text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  return 0;
}

std::string output_problem(const char* why) {
  return std::string("standard output does not take everything: ") + why;
}

}  // namespace

void finish_with(int exit_code) {
  if (exit_code != kExitDone) {
    throw CLI::RuntimeError(exit_code);
  }
}

void finish_with(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.text.c_str());
  throw CLI::RuntimeError(exit_code_of(error.code));
}

void print_json(const boost::json::object& object) {
  std::printf("%s\n", boost::json::serialize(object).c_str());
}

void print_secret(std::string& text) {
  std::fflush(stdout);
  const int error = write_to_standard_output(text);
  wipe(text.data(), text.size());
  if (error != 0) {
    finish_with(Error{Errc::io, output_problem(std::strerror(error))});
  }
}

int finish_output(int exit_code) {
  // A write that failed earlier leaves its mark, and not its reason.
  const bool was_good = std::ferror(stdout) == 0;
  const bool is_flushed = std::fflush(stdout) == 0;
  const char* const why = is_flushed ? "some of it is lost" : std::strerror(errno);
  if (was_good && is_flushed) {
    return exit_code;
  }
  std::fprintf(stderr, "error: %s\n", output_problem(why).c_str());
  return exit_code == kExitDone ? kExitRefused : exit_code;
}

boost::json::object ask(const boost::json::object& request) {
  auto answer = devnet::ask_supervisor(boost::json::serialize(request));
  if (!answer) {
    finish_with(answer.error());
  }
  return boost::json::parse(*answer).as_object();
}

}  // namespace allium::cli
