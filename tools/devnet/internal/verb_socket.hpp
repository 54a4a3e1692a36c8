// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the supervisor hears verbs (ask_supervisor() in enter.hpp is the other end): a Unix socket that takes one request, a JSON
// object in a line, and gives one answer, another, a connection. From root and the supervisor's own user alone.
//
//   Ownership  owns the listening descriptor; the file goes with the runtime directory.
//   Errors     Errc::out_of_range: a path too long; Errc::io.
//   Threads    one; who asks and says nothing holds it for half a second at most.

#include <functional>
#include <string>

#include <boost/json/object.hpp>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

class VerbSocket {
 public:
  using Answer = std::function<boost::json::object(const boost::json::object& request)>;

  VerbSocket() = default;
  ~VerbSocket();
  VerbSocket(const VerbSocket&) = delete;
  VerbSocket& operator=(const VerbSocket&) = delete;

  [[nodiscard]] Result<void> open(const std::string& path);

  /// For poll(): readable when somebody asks.
  [[nodiscard]] int descriptor() const noexcept { return listener_; }

  /// Serves one who asks; who sends no request gets no answer.
  void serve(const Answer& answer) const;

 private:
  int listener_ = -1;
};

}  // namespace allium::devnet
