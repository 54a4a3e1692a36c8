// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/program_run.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "crypto_accel/base/check.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kOutputBytesMax = 16'000'000;

double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string system_error_text(const char* what) {
  return std::string(what) + ": " + std::generic_category().message(errno);
}

/// One end of what a program writes to.
class Stream {
 public:
  Stream() {
    if (pipe2(ends_, O_CLOEXEC) != 0) {
      ends_[0] = ends_[1] = -1;
    }
  }

  ~Stream() {
    close_end(0);
    close_end(1);
  }

  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] int source() const { return ends_[0]; }

  [[nodiscard]] int target() const { return ends_[1]; }

  void close_target() { close_end(1); }

  void read_some() {
    char buffer[16384];
    const ssize_t count = read(ends_[0], buffer, sizeof buffer);
    if (count > 0) {
      const std::size_t room = kOutputBytesMax - std::min(kOutputBytesMax, text.size());
      text.append(buffer, std::min(static_cast<std::size_t>(count), room));
    } else if (count == 0 || errno != EINTR) {
      close_end(0);
    }
  }

  std::string text;

 private:
  void close_end(int end) {
    if (ends_[end] >= 0) {
      close(std::exchange(ends_[end], -1));
    }
  }

  int ends_[2] = {-1, -1};
};

/// The child's part: never comes back.
[[noreturn]] void become(const std::string& program, std::vector<char*>& arguments,
                         const std::string& kernels, const sigset_t& mask, const Stream& output,
                         const Stream& talk) {
  // A group of its own: whatever it starts can be ended with it.
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  if (!kernels.empty()) {
    setenv("ALLIUM_KERNEL", kernels.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): the only thread
  }
  dup2(output.target(), STDOUT_FILENO);
  dup2(talk.target(), STDERR_FILENO);
  execv(program.c_str(), arguments.data());
  const std::string text =
      "error: " + program + ": " + std::generic_category().message(errno) + "\n";
  static_cast<void>(!write(STDERR_FILENO, text.data(), text.size()));
  _exit(127);
}

void end_group(pid_t leader) {
  ALLIUM_CHECK(leader > 1);
  kill(-leader, SIGKILL);
}

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

ProgramRuns::ProgramRuns(std::string program, std::string name)
    : program_(std::move(program)), name_(std::move(name)) {
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGTERM);
  sigprocmask(SIG_BLOCK, &ours, &former_mask_);
  signals_ = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

ProgramRuns::~ProgramRuns() {
  if (signals_ >= 0) {
    close(signals_);
  }
  sigprocmask(SIG_SETMASK, &former_mask_, nullptr);
}

Result<ProgramEnd> ProgramRuns::run(const std::vector<std::string>& words,
                                    const std::string& kernels, double seconds_max) {
  Stream output;
  Stream talk;
  if (signals_ < 0 || output.source() < 0 || talk.source() < 0) {
    return fail(Errc::io, system_error_text("pipe"));
  }
  std::vector<std::string> texts = words;
  texts.insert(texts.begin(), name_);
  std::vector<char*> arguments;
  for (std::string& text : texts) {
    arguments.push_back(text.data());
  }
  arguments.push_back(nullptr);
  const double end = seconds_now() + seconds_max;
  const pid_t child = fork();
  if (child < 0) {
    return fail(Errc::io, system_error_text("fork"));
  }
  if (child == 0) {
    become(program_, arguments, kernels, former_mask_, output, talk);
  }
  setpgid(child, child);  // both sides do: whoever comes first
  output.close_target();
  talk.close_target();
  ProgramEnd ended;
  while ((output.source() >= 0 || talk.source() >= 0) && interrupted_by_ == 0 &&
         !ended.is_overdue) {
    // poll leaves out what is closed: a negative descriptor.
    pollfd waits[] = {
        {output.source(), POLLIN, 0}, {talk.source(), POLLIN, 0}, {signals_, POLLIN, 0}};
    const double left = end - seconds_now();
    poll(waits, std::size(waits), static_cast<int>(std::clamp(left, 0.0, 1000.0) * 1000) + 1);
    if (waits[0].revents != 0) {
      output.read_some();
    }
    if (waits[1].revents != 0) {
      talk.read_some();
    }
    signalfd_siginfo signal{};
    if (waits[2].revents != 0 && read(signals_, &signal, sizeof signal) == sizeof signal) {
      interrupted_by_ = static_cast<int>(signal.ssi_signo);
    }
    ended.is_overdue = left <= 0;
  }
  if (interrupted_by_ != 0 || ended.is_overdue) {
    end_group(child);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (interrupted_by_ != 0) {
    return fail(Errc::refused, std::string("interrupted by ") + sigabbrev_np(interrupted_by_));
  }
  ended.exit_code = exit_code_of(status);
  ended.output = std::move(output.text);
  ended.talk = std::move(talk.text);
  return ended;
}

}  // namespace allium::bench
