// SPDX-License-Identifier: Apache-2.0
#include "control/network/file_registry.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

const IdentitySecret kAuthority = test::key_of(100);
const IdentitySecret kStranger = test::key_of(101);

class FileRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "allium-registry-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    memory = directory + "/serial";
  }

  void TearDown() override {
    registry.reset();
    std::filesystem::remove_all(directory);
  }

  void publish(std::uint64_t serial, std::uint8_t nodes = 3,
               const IdentitySecret& authority = kAuthority, std::int64_t lives_s = 1000,
               std::int64_t from_s = -10) {
    NetworkDocument document;
    document.serial = serial;
    const auto now = std::int64_t{std::time(nullptr)};
    // Fixed validity: what is published twice is the same text.
    document.valid_from_s = static_cast<std::uint64_t>(began + from_s);
    document.valid_until_s =
        static_cast<std::uint64_t>(lives_s < 0 ? now + lives_s : began + lives_s);
    for (std::uint8_t n = 1; n <= nodes; ++n) {
      RelayEntry& relay = document.relays.emplace_back(test::relay_entry(n));
      relay.service = ServiceEntry{7, 22021, 22020};
    }
    NetworkBundle bundle;
    bundle.document.text = serialise(document).value();
    sign(bundle.document, authority);
    ASSERT_TRUE(write_bundle_file(directory + "/network", bundle));
  }

  void start() {
    registry.reset();
    FileRegistryOptions options;
    options.path = directory + "/network";
    options.memory_path = memory;
    options.authorities = {{kAuthority.public_key()}, 1};
    options.interval = std::chrono::milliseconds(5);
    registry = std::make_unique<FileRegistry>(io, options);
    registry->start(
        [this](const RegistryState& now) {
          state = now;
          ++updates;
        },
        [this](const Error& error) { problems.push_back(error); });
  }

  /// Lets it look a few times.
  void run() {
    io.restart();
    io.run_for(std::chrono::milliseconds(60));
  }

  boost::asio::io_context io;
  std::string directory;
  std::string memory;
  std::unique_ptr<FileRegistry> registry;
  std::optional<RegistryState> state;
  int updates = 0;
  std::vector<Error> problems;
  std::int64_t began = std::int64_t{std::time(nullptr)};
};

TEST_F(FileRegistryTest, TellsOfEveryNewDocumentOnce) {
  publish(1);
  start();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->height, 1U);
  EXPECT_EQ(state->nodes->all().size(), 3U);
  run();
  EXPECT_EQ(updates, 1);
  publish(1);
  run();
  EXPECT_EQ(updates, 1) << "the same document in a new file";
  publish(2, 5);
  run();
  EXPECT_EQ(updates, 2);
  EXPECT_EQ(state->nodes->all().size(), 5U);
  EXPECT_TRUE(problems.empty());
}

TEST_F(FileRegistryTest, GoesOnWhenTheSerialCannotBeRememberedAndSaysItOnce) {
  memory = directory + "/later/serial";
  publish(1);
  start();
  run();
  EXPECT_EQ(updates, 1) << "the document is good";
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].text.find("/later/serial"), std::string::npos) << problems[0].text;
  publish(1);
  run();
  EXPECT_EQ(updates, 1) << "an equal document in a new file";
  EXPECT_EQ(problems.size(), 1U);

  std::filesystem::create_directory(directory + "/later");
  run();
  EXPECT_EQ(updates, 2) << "all is good again";
  EXPECT_EQ(problems.size(), 1U);
  publish(2);
  run();
  EXPECT_EQ(updates, 3);
  publish(1);
  start();
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[1].code, Errc::stale) << "the serial was remembered";
}

TEST_F(FileRegistryTest, WaitsForAFileThatIsNotThereYet) {
  start();
  run();
  ASSERT_EQ(problems.size(), 1U) << "said once";
  EXPECT_FALSE(state);
  publish(1);
  run();
  EXPECT_TRUE(state);
}

TEST_F(FileRegistryTest, TakesADocumentWhenItsTimeHasCome) {
  publish(1, 3, kAuthority, 1000, std::int64_t{kClockSkewSeconds} + 2);
  start();
  run();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, Errc::stale) << problems[0].text;
  EXPECT_EQ(updates, 0);
  for (int tries = 0; updates == 0 && tries < 100; ++tries) {
    run();
  }
  EXPECT_EQ(updates, 1) << "nobody has touched the file";
  EXPECT_EQ(problems.size(), 1U);
}

TEST_F(FileRegistryTest, SaysWhenWhatItHadIsGoodAgain) {
  publish(2);
  start();
  publish(3, 3, kStranger);
  run();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(updates, 1);
  publish(2);
  run();
  EXPECT_EQ(updates, 2);
  run();
  EXPECT_EQ(updates, 2) << "said once";
  publish(3, 3, kStranger);
  run();
  EXPECT_EQ(problems.size(), 2U) << "and the refusal too";
}

TEST_F(FileRegistryTest, DoesNotWaitForAPipe) {
  const std::string pipe = directory + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(read_bundle_file(pipe).error().text, "cannot read " + pipe + ": no regular file");
}

TEST_F(FileRegistryTest, ChecksADocumentThatIsNotInItsFile) {
  publish(5);
  start();
  const auto check = [this] {
    const auto bundle = read_bundle_file(directory + "/network");
    return bundle ? registry->check(*bundle) : tl::unexpected(bundle.error());
  };
  EXPECT_TRUE(check());
  publish(6);
  EXPECT_TRUE(check());
  publish(4);
  EXPECT_EQ(check().error().code, Errc::stale);
  publish(6, 3, kStranger);
  EXPECT_EQ(check().error().code, Errc::bad_signature);
  publish(5, 4);
  EXPECT_EQ(check().error().code, Errc::refused);
  EXPECT_EQ(updates, 1) << "checking takes nothing";
}

TEST_F(FileRegistryTest, KeepsTheOldOneWhereTheNewOneDoesNotHold) {
  publish(5);
  start();
  const auto refused = [this](Errc code, std::string_view word) {
    run();
    ASSERT_FALSE(problems.empty());
    EXPECT_EQ(problems.back().code, code) << problems.back().text;
    EXPECT_NE(problems.back().text.find(word), std::string::npos) << problems.back().text;
    EXPECT_EQ(updates, 1);
    problems.clear();
  };
  publish(6, 3, kStranger);
  refused(Errc::bad_signature, "signatures");
  publish(4);
  refused(Errc::stale, "rolled back");
  publish(5, 4);
  refused(Errc::refused, "contradict");
  publish(7, 3, kAuthority, -1);
  refused(Errc::stale, "not valid any more");
  std::ofstream(directory + "/network") << "nonsense\n";
  refused(Errc::malformed, "malformed");
}

TEST_F(FileRegistryTest, RemembersTheSerialOverARestart) {
  publish(5);
  start();
  registry.reset();
  publish(4);
  start();
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, Errc::stale);
  publish(5, 4);
  start();
  EXPECT_EQ(problems.back().code, Errc::refused) << "another document of the serial it knows";
  publish(5);
  start();
  EXPECT_EQ(updates, 2);
}

TEST_F(FileRegistryTest, TrustsNothingWhereItsMemoryIsDamaged) {
  publish(5);
  std::ofstream(directory + "/serial").close();
  start();
  run();
  EXPECT_EQ(updates, 0);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].code, Errc::refused);
  std::filesystem::remove(directory + "/serial");
  start();
  EXPECT_EQ(updates, 1);
}

}  // namespace
}  // namespace allium::control
