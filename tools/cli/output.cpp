// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/output.hpp"

#include <cstdio>

#include <CLI/Error.hpp>
#include <boost/json.hpp>

#include "tools/devnet/enter.hpp"

namespace allium::cli {
namespace {

int exit_code_of(Errc code) noexcept {
  switch (code) {
    case Errc::not_found:
    case Errc::unavailable:
    case Errc::timeout:
      return kExitUnreachable;
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

boost::json::object ask(const boost::json::object& request) {
  auto answer = devnet::ask_supervisor(boost::json::serialize(request));
  if (!answer) {
    finish_with(answer.error());
  }
  return boost::json::parse(*answer).as_object();
}

}  // namespace allium::cli
