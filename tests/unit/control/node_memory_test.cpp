// SPDX-License-Identifier: Apache-2.0
#include "control/node/node_memory.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

constexpr std::size_t kReplayBytes = 65536;
constexpr std::size_t kHandleBytes = 4096;

NodeKeys::State state_of(std::uint8_t filled_with) {
  NodeKeys::State state;
  state.bytes().fill(filled_with);
  return state;
}

std::uint8_t first_byte(const NodeMemory& memory) {
  NodeKeys::State state;
  memory.load(state);
  return state.bytes()[0];
}

/// A process that inherits `kept` as a service manager hands descriptors over. Its exit code.
int in_child(const std::array<int, 3>& kept, const std::function<int()>& what) {
  const pid_t child = fork();
  if (child == 0) {
    std::array<int, 3> high{};
    for (std::size_t i = 0; i < kept.size(); ++i) {
      high[i] = fcntl(kept[i], F_DUPFD, 64);
    }
    for (std::size_t i = 0; i < kept.size(); ++i) {
      dup2(high[i], 3 + static_cast<int>(i));
    }
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "allium-keys:allium-replay:allium-handles", 1);
    _exit(what());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(NodeMemory, KeepsTheNewestState) {
  auto memory = NodeMemory::open(kReplayBytes, kHandleBytes);
  ASSERT_TRUE(memory) << memory.error().text;
  EXPECT_EQ(first_byte(*memory), 0) << "nothing yet";
  for (std::uint8_t number = 1; number < 6; ++number) {
    memory->keep(state_of(number));
    EXPECT_EQ(first_byte(*memory), number);
  }
}

TEST(NodeMemory, IsThereForTheNextProcess) {
  const auto kept = NodeMemory::create(kReplayBytes, kHandleBytes);
  ASSERT_TRUE(kept);
  EXPECT_EQ(in_child(*kept,
                     [] {
                       auto memory = NodeMemory::open(kReplayBytes, kHandleBytes);
                       memory->keep(state_of(1));
                       memory->keep(state_of(7));
                       static_cast<void>(!write(memory->replay(), "set", 3));
                       return 0;
                     }),
            0);
  EXPECT_EQ(in_child(*kept,
                     [] {
                       auto memory = NodeMemory::open(kReplayBytes, kHandleBytes);
                       std::array<char, 3> text{};
                       const bool is_set = pread(memory->replay(), text.data(), 3, 0) == 3 &&
                                           std::string(text.begin(), text.end()) == "set";
                       return is_set ? first_byte(*memory) : 100;
                     }),
            7);
  EXPECT_EQ(in_child(*kept,
                     [] {
                       // Another size is another set; the keys stay.
                       auto memory = NodeMemory::open(2 * kReplayBytes, kHandleBytes);
                       std::array<char, 1> byte{};
                       return pread(memory->replay(), byte.data(), 1, 0) == 1 && byte[0] == 0
                                  ? first_byte(*memory)
                                  : 100;
                     }),
            7);
  for (const int descriptor : *kept) {
    close(descriptor);
  }
}

TEST(NodeMemory, ErasesWhatIsNotTheNewestAndTakesNothingThatIsTorn) {
  const auto kept = NodeMemory::create(kReplayBytes, kHandleBytes);
  ASSERT_TRUE(kept);
  ASSERT_EQ(in_child(*kept,
                     [] {
                       auto memory = NodeMemory::open(kReplayBytes, kHandleBytes);
                       memory->keep(state_of(0x51));
                       memory->keep(state_of(0x52));
                       return 0;
                     }),
            0);
  std::string all(16384, '\0');
  ASSERT_EQ(pread((*kept)[0], all.data(), all.size(), 0), 16384);
  EXPECT_EQ(all.find(std::string(16, 0x51)), std::string::npos) << "keys that were erased";
  const std::size_t place = all.find(std::string(16, 0x52));
  ASSERT_NE(place, std::string::npos);
  ASSERT_EQ(pwrite((*kept)[0], "x", 1, static_cast<off_t>(place + 5)), 1);
  EXPECT_EQ(in_child(*kept,
                     [] {
                       auto memory = NodeMemory::open(kReplayBytes, kHandleBytes);
                       return static_cast<int>(first_byte(*memory));
                     }),
            0)
      << "a state with one byte changed is none";
  for (const int descriptor : *kept) {
    close(descriptor);
  }
}

}  // namespace
}  // namespace allium::control
