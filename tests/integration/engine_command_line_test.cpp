// SPDX-License-Identifier: Apache-2.0
// What allium-dp says when it is called wrongly: one line, and an exit code.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace {

constexpr const char* kFixed = " --address 10.0.0.1 --next-hop 02:00:00:00:00:01";

struct Said {
  int exit_code = -1;
  std::string text;
};

// Standard output and standard error together.
Said run(const std::string& arguments) {
  const std::string command = std::string(ALLIUM_DP_PROGRAM) + " " + arguments + " 2>&1";
  Said said;
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::array<char, 512> piece{};
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) {
    said.text += piece.data();
  }
  said.exit_code = WEXITSTATUS(pclose(pipe));
  return said;
}

struct Wrong {
  const char* name;
  std::string arguments;
  int exit_code;
  const char* word;  ///< that the line must have
};

class AlliumDpCalledWrongly : public testing::TestWithParam<Wrong> {};

TEST_P(AlliumDpCalledWrongly, SaysOneLine) {
  const Said said = run(GetParam().arguments);
  EXPECT_EQ(said.exit_code, GetParam().exit_code) << said.text;
  EXPECT_EQ(std::count(said.text.begin(), said.text.end(), '\n'), 1) << said.text;
  EXPECT_EQ(said.text.rfind("allium-dp: ", 0), 0U) << said.text;
  EXPECT_NE(said.text.find(GetParam().word), std::string::npos) << said.text;
}

INSTANTIATE_TEST_SUITE_P(
    Each, AlliumDpCalledWrongly,
    testing::Values(
        Wrong{"Nothing", "", 2, "--help"}, Wrong{"UnknownOption", "--bogus", 2, "--bogus"},
        Wrong{"NoValue", "--vdev", 2, "--vdev"},
        Wrong{"NoInterface", "--vdev net_af_packet0 --control x", 2, "iface="},
        Wrong{"UnknownInterface", "--vdev net_af_packet0,iface=nosuch0 --control x", 2, "nosuch0"},
        Wrong{"MemifWithoutAnEnd", "--vdev net_memif0,socket=/x --control x", 2, "role="},
        Wrong{"MemifWithoutAPlace", "--vdev net_memif0,role=client --control x", 2, "socket="},
        Wrong{"MemifWithoutAMac", "--vdev net_memif0,role=client,socket=/x --control x", 2, "mac="},
        Wrong{"NoAddress", "--vdev net_null0 --control x", 2, "--address"},
        Wrong{"UnknownDevice", std::string("--vdev net_nosuch0 --control x --no-huge") + kFixed, 1,
              "net_nosuch0"},
        Wrong{"WrongDeviceArgument",
              std::string("--vdev net_null0,foo=1 --control x --no-huge") + kFixed, 1, "net_null0"},
        Wrong{"NoSuchFile",
              std::string("--vdev net_pcap0,rx_pcap=/nosuch.pcap --control x --no-huge") + kFixed,
              1, "nosuch.pcap"},
        Wrong{"NoFolderForTheSocket",
              std::string("--vdev net_null0 --no-huge --control /nosuch/x.sock") + kFixed, 1,
              "/nosuch/x.sock"},
        Wrong{"PortZero", "--port 0", 2, "--port"},
        Wrong{"NoSuchCpu", "--lcores 5000", 2, "--lcores"},
        Wrong{"TooManyWorkers", "--workers 17", 2, "--workers"},
        Wrong{"NoShareForSetups", "--setup-share 0", 2, "--setup-share"},
        Wrong{"NotAnAddress", "--address 10.0.0.300", 2, "--address"},
        Wrong{"NotAMac", "--next-hop 02:00", 2, "--next-hop"},
        Wrong{
            "TooLittleMemory",
            std::string("--vdev net_null0 --control x --no-huge --memory 16 --workers 16") + kFixed,
            1, "--memory"}),
    [](const auto& wrong) { return wrong.param.name; });

TEST(AlliumDp, ExplainsItself) {
  const Said help = run("--help");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* word :
       {"--vdev", "--control", "--workers", "--lcores", "--no-huge", "SIGTERM"}) {
    EXPECT_NE(help.text.find(word), std::string::npos) << word;
  }
  const Said version = run("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.text.rfind("allium-dp ", 0), 0U);
  const Said kernels = run("--kernels");
  EXPECT_EQ(kernels.exit_code, 0) << kernels.text;
  EXPECT_NE(kernels.text.find("onion="), std::string::npos);
}

/// The hard limit of what a process may dump.
std::string core_limit(int process) {
  std::ifstream limits("/proc/" + std::to_string(process) + "/limits");
  std::string line;
  while (std::getline(limits, line) && line.rfind("Max core file size", 0) != 0) {
  }
  std::istringstream words(line.substr(std::min<std::size_t>(line.size(), 18)));
  std::string soft;
  std::string hard;
  words >> soft >> hard;
  return hard;
}

TEST(AlliumDp, LeavesABusySocketAlone) {
  std::string directory = "/tmp/allium-test.XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string socket = directory + "/dp.sock";
  const std::string arguments = "--vdev net_null0 --no-huge --control " + socket + kFixed;
  const std::string first =
      std::string("exec ") + ALLIUM_DP_PROGRAM + " " + arguments + " 2>&1 & echo $!";
  FILE* pipe = popen(first.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  int process = 0;
  ASSERT_EQ(std::fscanf(pipe, "%d", &process), 1);
  std::array<char, 512> line{};
  std::string talk;
  while (talk.find("control") == std::string::npos &&
         std::fgets(line.data(), line.size(), pipe) != nullptr) {
    talk += line.data();
  }
  const std::filesystem::perms mode = std::filesystem::status(socket).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(core_limit(process), "0") << "a dump would have keys";

  struct stat memory {};

  ASSERT_EQ(stat(("/proc/" + std::to_string(process) + "/mem").c_str(), &memory), 0);
  EXPECT_EQ(memory.st_uid, 0U) << "another process of its user may read its memory";

  const Said second = run(arguments);
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.text.find("another allium-dp listens there"), std::string::npos) << second.text;

  EXPECT_EQ(kill(process, SIGKILL), 0);
  pclose(pipe);
  EXPECT_TRUE(std::filesystem::exists(socket));
  const std::string third =
      std::string("timeout -s TERM 3 ") + ALLIUM_DP_PROGRAM + " " + arguments + " 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(third.c_str())), 124);  // it took the dead one's socket and ran
  EXPECT_FALSE(std::filesystem::exists(socket));
  std::filesystem::remove_all(directory);
}

}  // namespace
