// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/internal/start_report.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "tools/devnet/runtime_directory.hpp"

namespace allium::devnet {
namespace {

constexpr int kUpTimeoutMs = 60000;
constexpr char kProgress = 'P';
constexpr char kFailure = 'E';
constexpr char kReady = 'R';
constexpr char kTakenOver = 'K';

// From here on the devnet is complete: an interrupt can only come too late, so what is left to say is said.
void take_over(int connection) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  static_cast<void>(!send(connection, &kTakenOver, 1, MSG_NOSIGNAL));
}

}  // namespace

StartReport::~StartReport() {
  if (is_open()) {
    close(connection_);
  }
}

void StartReport::tell(const std::string& line) const {
  const std::string text = line + "\n";
  if (is_open()) {
    static_cast<void>(!send(connection_, text.data(), text.size(), MSG_NOSIGNAL));
  }
}

void StartReport::tell_progress(std::size_t up, std::size_t total) const {
  tell(kProgress + std::to_string(up) + "/" + std::to_string(total));
}

void StartReport::tell_failure(const std::string& why) const {
  tell(kFailure + why);
}

void StartReport::tell_ready() const {
  tell({kReady});
}

bool StartReport::hear_last_word() {
  char word = 0;
  const bool is_known = recv(connection_, &word, 1, MSG_DONTWAIT) == 1 && word == kTakenOver;
  close(std::exchange(connection_, -1));
  return is_known;
}

Result<void> follow_start(int connection, const std::function<void(const std::string&)>& progress) {
  std::string text;
  std::array<char, 1024> buffer{};
  for (;;) {
    pollfd wait{connection, POLLIN, 0};
    const ssize_t count =
        poll(&wait, 1, kUpTimeoutMs) == 1 ? read(connection, buffer.data(), buffer.size()) : 0;
    if (count <= 0) {
      return fail(Errc::timeout, "the devnet did not come up; see the logs in " +
                                     runtime_directory().path + ", then: allium devnet down");
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      if (line[0] == kReady) {
        take_over(connection);
        return {};
      }
      if (line[0] == kFailure) {
        return fail(Errc::unavailable, line.substr(1));
      }
      progress(line.substr(1));
    }
  }
}

}  // namespace allium::devnet
