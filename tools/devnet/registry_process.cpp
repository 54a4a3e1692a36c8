// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/registry_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "control/network/file_registry.hpp"
#include "control/network/oxend_shape.hpp"
#include "control/service/https/https_server.hpp"
#include "control/service/storage_rpc.hpp"
#include "crypto_accel/base/random.hpp"

namespace allium::devnet {
namespace {

namespace asio = boost::asio;

constexpr int kStartTimeoutMs = 5000;

class Registry {
 public:
  Registry(const std::string& document_path, const control::IdentityKey& authority)
      : document_path_(document_path), documents_(io_, {document_path, "", {{authority}, 1}}) {}

  Result<void> listen() {
    auto server = control::HttpsServer::create(
        io_, {}, system_random(),
        [this](const control::HttpRequest& request, const control::Respond& respond) {
          respond(answer(request));
        });
    if (!server) {
      return tl::unexpected(server.error());
    }
    server_ = std::make_unique<control::HttpsServer>(*std::move(server));
    for (const char* const address : {kRegistryAddress, "fd88::1"}) {
      const auto bound = server_->listen({asio::ip::make_address(address), kRegistryPort});
      if (!bound) {
        return tl::unexpected(bound.error());
      }
    }
    documents_.start(
        [this](const control::RegistryState& now) { state_ = now; },
        [](const Error& problem) { std::fprintf(stderr, "registry: %s\n", problem.text.c_str()); });
    return {};
  }

  void run() { io_.run(); }

 private:
  [[nodiscard]] control::HttpResponse answer(const control::HttpRequest& request) const {
    if (request.method == "GET" && request.target == "/document") {
      std::ifstream file(document_path_);
      return {200, "text/plain", std::string(std::istreambuf_iterator<char>(file), {}), {}};
    }
    if (request.method != "POST" || request.target != "/json_rpc") {
      return {404, "text/plain", "POST /json_rpc, GET /document\n", {}};
    }
    control::ChainState chain;
    chain.height = state_.height;
    chain.hardfork = control::kHardfork;
    chain.storage_version = control::kStorageVersion;
    const control::ServiceNodes none;
    return {200,
            "application/json",
            control::json_rpc_answer(request.body, state_.nodes ? *state_.nodes : none, chain,
                                     system_random()),
            {}};
  }

  asio::io_context io_{1};
  std::string document_path_;
  control::FileRegistry documents_;
  std::unique_ptr<control::HttpsServer> server_;
  control::RegistryState state_;
};

[[noreturn]] void live(const std::string& document_path, const control::IdentityKey& authority,
                       int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "devnet-registry");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_IGN);
  Registry registry(document_path, authority);
  const Result<void> listening = registry.listen();
  const std::string word = listening ? "R" : "E" + listening.error().text;
  static_cast<void>(!write(report, word.data(), word.size()));
  close(report);
  if (listening) {
    registry.run();
  }
  _exit(1);
}

}  // namespace

Result<void> RegistryProcess::start(const std::string& document_path,
                                    const control::IdentityKey& authority) {
  std::array<int, 2> report{};
  if (pipe2(report.data(), O_CLOEXEC) != 0) {
    return fail(Errc::unavailable, std::string("no pipe: ") + std::strerror(errno));
  }
  pid_ = fork();
  if (pid_ == 0) {
    close(report[0]);
    live(document_path, authority, report[1]);
  }
  close(report[1]);
  std::array<char, 512> word{};
  pollfd wait{report[0], POLLIN, 0};
  const ssize_t count = pid_ > 0 && poll(&wait, 1, kStartTimeoutMs) == 1
                            ? read(report[0], word.data(), word.size())
                            : 0;
  close(report[0]);
  if (count == 1 && word[0] == 'R') {
    return {};
  }
  stop();
  return fail(
      Errc::unavailable,
      "the registry does not start: " +
          std::string(word.data() + 1, count > 1 ? static_cast<std::size_t>(count) - 1 : 0));
}

void RegistryProcess::stop() noexcept {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

}  // namespace allium::devnet
