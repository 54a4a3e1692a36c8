// SPDX-License-Identifier: Apache-2.0
#pragma once

// The other end of the control port for tests of the controller: a listener in a folder of its own, and a
// script that runs in a thread.

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/control_port/messages.hpp"

namespace allium::control_port::test {

/// One accepted connection, blocking with a bound of five seconds.
class FakeConnection {
 public:
  explicit FakeConnection(int socket) : socket_(socket) {}

  ~FakeConnection();
  FakeConnection(const FakeConnection&) = delete;
  FakeConnection& operator=(const FakeConnection&) = delete;

  void send(const Message& message) const;
  void send_raw(Bytes bytes) const;

  /// Nothing where the controller has gone. Descriptors that came along are in `descriptors`.
  [[nodiscard]] std::optional<Message> receive();

  /// Receives Hello and answers it.
  void greet();

  std::vector<int> descriptors;  ///< closed with the connection

 private:
  int socket_;
};

class FakeDataplane {
 public:
  using Script = std::function<void(FakeConnection&)>;

  /// Listens, and runs `script` on the first connection.
  explicit FakeDataplane(Script script);
  ~FakeDataplane();
  FakeDataplane(const FakeDataplane&) = delete;
  FakeDataplane& operator=(const FakeDataplane&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string folder_;
  std::string path_;
  int listener_ = -1;
  std::thread thread_;
};

}  // namespace allium::control_port::test
