// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/enter.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <boost/json.hpp>

#include "tools/devnet/runtime_directory.hpp"

namespace allium::devnet {
namespace {

namespace json = boost::json;

constexpr std::size_t kAnswerBytesMax = std::size_t{4} << 20;

tl::unexpected<Error> not_running() {
  return fail(Errc::not_found, "no devnet is running; start one: allium devnet up --nodes 12");
}

// Field 22 of /proc/PID/stat: with it a pid names one process for good.
std::string start_time_of(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string state;
  fields >> state;
  std::string field;
  for (int i = 4; i <= 22; ++i) {
    fields >> field;
  }
  // A process that is dead and waits for its parent is none.
  return fields && state != "Z" && state != "X" ? field : std::string();
}

bool is_same_namespace(const std::string& path, const char* own) {
  struct stat theirs {};

  struct stat ours {};

  return stat(path.c_str(), &theirs) == 0 && stat(own, &ours) == 0 &&
         theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

Result<void> join(const std::string& path, int kind) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool joined = descriptor >= 0 && setns(descriptor, kind) == 0;
  const int error = errno;
  if (descriptor >= 0) {
    close(descriptor);
  }
  if (!joined) {
    return fail(Errc::unavailable, "cannot enter the devnet (" + path +
                                       "): " + std::strerror(error) + "; is it another user's?");
  }
  return {};
}

}  // namespace

std::optional<int> running_supervisor() {
  std::ifstream file(runtime_directory().state());
  int pid = 0;
  std::string start_time;
  if (!(file >> pid >> start_time) || start_time_of(pid) != start_time) {
    return std::nullopt;
  }
  return pid;
}

Result<void> enter_devnet(std::optional<std::string_view> node) {
  const auto pid = running_supervisor();
  if (!pid) {
    return not_running();
  }
  // In the namespace the user has another id, which must not lead commands there to another folder.
  setenv("ALLIUM_DEVNET_DIR", runtime_directory().path.c_str(), 1);
  const std::string process = "/proc/" + std::to_string(*pid);
  std::string network = process + "/ns/net";
  if (node) {
    const auto answer = ask_supervisor(json::serialize(json::object{
        {"verb", "namespace"}, {"node", json::string_view(node->data(), node->size())}}));
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    network = process + "/fd/" + std::to_string(json::parse(*answer).at("descriptor").as_int64());
  }
  if (!is_same_namespace(process + "/ns/user", "/proc/self/ns/user")) {
    if (auto joined = join(process + "/ns/user", CLONE_NEWUSER); !joined) {
      return joined;
    }
  }
  return join(network, CLONE_NEWNET);
}

Result<std::string> ask_supervisor(const std::string& request, int timeout_ms) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = runtime_directory().socket();
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::out_of_range, path + " is too long for a socket; set ALLIUM_DEVNET_DIR");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::string line = request + "\n";
  if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      send(connection, line.data(), line.size(), MSG_NOSIGNAL) < 0) {
    close(connection);
    return not_running();
  }
  std::string answer;
  std::array<char, 16384> buffer{};
  for (;;) {
    pollfd wait{connection, POLLIN, 0};
    if (poll(&wait, 1, timeout_ms) <= 0) {
      close(connection);
      return fail(Errc::timeout,
                  "the devnet's supervisor does not answer; see: allium devnet status");
    }
    const ssize_t count = recv(connection, buffer.data(), buffer.size(), 0);
    if (count <= 0 || answer.size() > kAnswerBytesMax) {
      break;
    }
    answer.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(connection);
  boost::system::error_code error;
  const json::value parsed = json::parse(answer, error);
  if (error || !parsed.is_object()) {
    return fail(Errc::unavailable, "the devnet's supervisor went away; see: allium devnet status");
  }
  if (const json::value* text = parsed.as_object().if_contains("error")) {
    return fail(static_cast<Errc>(parsed.at("code").as_int64()), std::string(text->as_string()));
  }
  return answer;
}

}  // namespace allium::devnet
