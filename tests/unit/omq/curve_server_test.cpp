// SPDX-License-Identifier: Apache-2.0

// The server's end of CurveZMQ against a client's of the tests' own. That libzmq's understands it is omq_endpoint_test's to see.

#include "control/service/omq/internal/curve_server.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/omq/curve_client.hpp"

namespace allium::control {
namespace {

using test::CurveClient;
using test::key_pair;

std::span<std::uint8_t> bytes_of(std::string& text) {
  return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

std::string text_of(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

class CurveServerTest : public testing::Test {
 protected:
  std::optional<X25519Key> initiate(std::string command) {
    return server.initiated_by(bytes_of(command));
  }

  void welcome() {
    std::string hello = client.hello();
    const auto answer = server.welcome(bytes_of(hello));
    ASSERT_TRUE(answer.has_value());
    ASSERT_TRUE(client.take_welcome(*answer));
  }

  std::optional<std::string> opened(std::string message) {
    const auto open = server.open(bytes_of(message));
    return open ? std::optional(text_of(open->text)) : std::nullopt;
  }

  OmqIdentity identity{key_pair(1).secret};
  test::KeyPair own = key_pair(78);
  CurveClient client{identity.key, own};
  CurveServer server{identity};
};

TEST_F(CurveServerTest, KnowsWhoIsThereAndWhatIsSaid) {
  welcome();
  EXPECT_EQ(initiate(client.initiate()), own.key);
  EXPECT_TRUE(client.take_ready(server.ready()));

  EXPECT_EQ(opened(client.message("first", false, false)), "first");
  std::string more = client.message("", true, false);
  const auto part = server.open(bytes_of(more));
  ASSERT_TRUE(part);
  EXPECT_TRUE(part->has_more && !part->is_command && part->text.empty());
  std::string ping = client.message("ping", false, true);
  EXPECT_TRUE(server.open(bytes_of(ping))->is_command);

  for (const std::string& text : {std::string(), std::string("x"), std::string(100'000, 'y')}) {
    std::string sealed = "what stands before";
    server.seal(text, !text.empty(), false, sealed);
    EXPECT_EQ(sealed.size(), 18 + kCurveMessageOverhead + text.size());
    EXPECT_EQ(client.open(sealed.substr(18)), static_cast<char>(!text.empty()) + text);
  }
}

TEST_F(CurveServerTest, TakesNoMessageTwiceOrOutOfTurnOrChanged) {
  welcome();
  ASSERT_TRUE(initiate(client.initiate()));
  const std::string first = client.message("first", false, false);
  const std::string second = client.message("second", false, false);
  EXPECT_EQ(opened(second), "second");
  EXPECT_FALSE(opened(second));
  EXPECT_FALSE(opened(first));
  const std::string third = client.message("third", false, false);
  for (std::size_t at = 0; at < third.size(); ++at) {
    std::string changed = third;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(opened(changed)) << at;
  }
  for (std::size_t size = 0; size < third.size(); ++size) {
    EXPECT_FALSE(opened(third.substr(0, size))) << size;
  }
  EXPECT_EQ(opened(third), "third");
}

TEST_F(CurveServerTest, TakesNoHelloThatIsNotForIt) {
  std::string good = client.hello();
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const bool is_padding = at >= 8 && at < 80;
    EXPECT_EQ(CurveServer(identity).welcome(bytes_of(changed)).has_value(), is_padding) << at;
  }
  std::string shorter = good.substr(1);
  EXPECT_FALSE(server.welcome(bytes_of(shorter)));
  const OmqIdentity other(key_pair(2).secret);
  EXPECT_FALSE(CurveServer(other).welcome(bytes_of(good)));
}

TEST_F(CurveServerTest, TakesNoInitiateThatIsChangedOrTooLong) {
  welcome();
  const std::string good = client.initiate();
  for (std::size_t at = 0; at < good.size(); ++at) {
    CurveServer again(identity);
    CurveClient same(identity.key, own);
    std::string hello = same.hello();
    ASSERT_TRUE(same.take_welcome(*again.welcome(bytes_of(hello))));
    std::string mine = same.initiate();
    mine[at] = static_cast<char>(mine[at] ^ 1);
    EXPECT_FALSE(again.initiated_by(bytes_of(mine))) << at;
  }
  EXPECT_FALSE(initiate(client.initiate(std::string(kCurveInitiateBytesMax, 'x'))));
  EXPECT_EQ(initiate(client.initiate(std::string(1'000, 'x'))), own.key);
}

TEST_F(CurveServerTest, BelievesNobodyWhoHasNotTheKeyThatHeNames) {
  welcome();
  // The thief names the key of another one, and vouches with his own.
  test::KeyPair thief = key_pair(79);
  thief.key = own.key;
  CurveClient false_client(identity.key, thief);
  CurveServer fresh(identity);
  std::string hello = false_client.hello();
  ASSERT_TRUE(false_client.take_welcome(*fresh.welcome(bytes_of(hello))));
  std::string command = false_client.initiate();
  EXPECT_FALSE(fresh.initiated_by(bytes_of(command)));
}

TEST_F(CurveServerTest, TakesNoKeyThatEverybodyCouldHave) {
  std::string hello = client.hello();
  std::fill_n(hello.begin() + 80, 32, '\0');
  EXPECT_FALSE(server.welcome(bytes_of(hello)));
}

}  // namespace
}  // namespace allium::control
