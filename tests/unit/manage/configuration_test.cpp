// SPDX-License-Identifier: Apache-2.0
#include "control/manage/configuration.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

const std::string kAuthority = std::string(63, '0') + "1";

/// Line 1 is the schema, 2 to 4 the network, 5 and 6 the endpoints; what is added begins at line 7.
std::string text_with(const std::string& more) {
  return "schema = 1\n[network]\ndocument = \"/n\"\nauthorities = [\"" + kAuthority +
         "\"]\nhttps.listen = [\"0.0.0.0:22021\"]\nomq.listen = [\"[::]:22020\"]\n" + more;
}

/// Endpoints have tables of their own; dotted keys above would lie in [network].
std::string good(const std::string& more = "") {
  return "schema = 1\nnetwork.document = \"/n\"\nnetwork.authorities = [\"" + kAuthority +
         "\"]\nhttps.listen = [\"0.0.0.0:22021\", \"[::1]:22021\"]\nomq.listen = "
         "[\"[::]:22020\"]\n" +
         more;
}

std::string error_of(const std::string& text) {
  const auto parsed = parse_configuration(text, "allium.toml");
  return parsed ? "none" : parsed.error().text;
}

TEST(Configuration, HasDefaultsForAllThatNeedNotBeSaid) {
  const auto parsed = parse_configuration(good(), "allium.toml");
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->network_file, "/n");
  EXPECT_EQ(parsed->authorities.keys.size(), 1U);
  EXPECT_EQ(parsed->authorities.threshold, 1U);
  EXPECT_EQ(parsed->https_listen.size(), 2U);
  EXPECT_TRUE(parsed->https_listen[1].address().is_loopback());
  EXPECT_TRUE(parsed->omq_listen[0].address().is_v6());
  EXPECT_EQ(parsed->store_bytes_max, std::uint64_t{10} << 30);
  EXPECT_EQ(parsed->per_address.burst, 600U);
  EXPECT_FALSE(parsed->may_exit_to_private);
}

TEST(Configuration, ReadsEverythingThatCanBeSaid) {
  const auto parsed = parse_configuration(good(R"(
[node]
identity = "file:/k"
passphrase = "/p"
data = "/d"
[storage]
max_bytes = "20GiB"
[limits]
address_burst = 5
account_per_second = 7
[onion]
exit_to_private_addresses = true
[control]
socket = "/s"
[log]
level = "debug"
format = "json"
)"),
                                          "allium.toml");
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->identity_file, "/k");
  EXPECT_EQ(parsed->passphrase_file, "/p");
  EXPECT_EQ(parsed->data_directory, "/d");
  EXPECT_EQ(parsed->store_bytes_max, std::uint64_t{20} << 30);
  EXPECT_EQ(parsed->per_address.burst, 5U);
  EXPECT_EQ(parsed->per_account.per_second, 7U);
  EXPECT_TRUE(parsed->may_exit_to_private);
  EXPECT_EQ(parsed->control_socket, "/s");
  EXPECT_EQ(parsed->log_level, LogLevel::debug);
  EXPECT_EQ(parsed->log_format, LogFormat::json);
}

TEST(Configuration, KnowsTheDataplaneAndDocumentsByUrl) {
  const auto parsed =
      parse_configuration(good("dataplane.socket = \"/dp\"\ndataplane.packets_per_second = 20000\n"
                               "dataplane.ipv6_clients = 10\n"),
                          "allium.toml");
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->dataplane_socket, "/dp");
  EXPECT_EQ(parsed->packets_per_second, 20000U);
  EXPECT_EQ(parsed->ipv6_clients_max, 10U);
  EXPECT_TRUE(parse_configuration(good(), "x")->dataplane_socket.empty());
  EXPECT_EQ(error_of(good("dataplane.packets_per_second = 5\n")),
            "allium.toml:6: 'packets_per_second' should be a number of 1000 to 100000000");
  std::string by_url = good();
  by_url.replace(by_url.find("\"/n\""), 4, "\"https://example.org/n\"");
  EXPECT_EQ(parse_configuration(by_url, "x")->network_file, "https://example.org/n");
  by_url.replace(by_url.find("https:"), 6, "ftp:");
  EXPECT_NE(error_of(by_url).find("'document' should be"), std::string::npos);
}

TEST(Configuration, SaysWhereAndWhyInOneLine) {
  EXPECT_EQ(error_of(good("[storage]\nmax_bytes = \"1MiB\"\n")),
            "allium.toml:7: 'max_bytes' should be a size such as \"10GiB\", at least 64MiB, at "
            "most 1048576TiB");
  EXPECT_EQ(error_of(good("[storage]\nmax_bytes = 7\n")),
            "allium.toml:7: 'max_bytes' should be a size such as \"10GiB\", at least 64MiB, at "
            "most 1048576TiB");
  for (const char* more : {"1048577TiB", "16777215TiB", "18446744073709551615"}) {
    EXPECT_NE(error_of(good("[storage]\nmax_bytes = \"" + std::string(more) + "\"\n"))
                  .find("allium.toml:7: 'max_bytes' should be"),
              std::string::npos)
        << more;
  }
  EXPECT_EQ(
      parse_configuration(good("[storage]\nmax_bytes = \"1048576TiB\"\n"), "x")->store_bytes_max,
      std::uint64_t{1} << 60);
  EXPECT_EQ(error_of(good("[limits]\n\naddress_burst = 0\n")),
            "allium.toml:8: 'address_burst' should be a number of 1 to 1000000");
  EXPECT_EQ(error_of(good("[log]\nlevel = \"loud\"\n")),
            "allium.toml:7: 'level' should be one of \"debug\", \"info\", \"warn\", \"error\"");
  EXPECT_EQ(error_of(good("[node]\ndata = \"here\"\n")),
            "allium.toml:7: 'data' should be a path that begins with /");
  EXPECT_EQ(error_of(good("node = 7\n")), "allium.toml:6: 'node' is a table: write [node]");
}

TEST(Configuration, GuessesWhatAnUnknownKeyWasMeantToBe) {
  EXPECT_EQ(error_of(good("[storage]\nmax_byte = \"1GiB\"\n")),
            "allium.toml:7: unknown key 'max_byte' in [storage]: did you mean 'max_bytes'?");
  EXPECT_EQ(error_of(good("[fruit]\n")), "allium.toml:6: unknown key 'fruit'");
}

TEST(Configuration, RefusesEndpointsAndKeysThatAreNone) {
  EXPECT_NE(error_of("schema = 1\nhttps.listen = [\"22021\"]\n").find("allium.toml:2: 'listen'"),
            std::string::npos);
  EXPECT_NE(error_of("schema = 1\nnetwork.authorities = [\"ab\"]\n")
                .find("allium.toml:2: 'authorities' should be Ed25519 keys"),
            std::string::npos);
  EXPECT_NE(error_of("schema = 1\nnetwork.authorities = \"ab\"\n").find("a list of"),
            std::string::npos);
}

/// good() with another line in the place of one of its own.
std::string with_line(const std::string& key, const std::string& line) {
  std::string text = good();
  const std::size_t begin = text.find(key + " = ");
  return text.replace(begin, text.find('\n', begin) - begin, line);
}

TEST(Configuration, RefusesEndpointsThatCannotBeListenedAt) {
  EXPECT_EQ(error_of(with_line("https.listen", "https.listen = [\"0.0.0.0:0\"]")),
            "allium.toml:4: 'listen' 0.0.0.0:0: port 0 is any port: nobody would know which; say "
            "one of 1 to 65535");
  EXPECT_EQ(error_of(with_line("omq.listen", "omq.listen = [\n  \"0.0.0.0:22021\"\n]")),
            "allium.toml:6: 'listen' 0.0.0.0:22021: [https] in line 4 listens there already");
  EXPECT_EQ(error_of(with_line("omq.listen", "omq.listen = [\"10.0.0.1:1\", \"10.0.0.1:1\"]")),
            "allium.toml:5: 'listen' 10.0.0.1:1: [omq] in line 5 listens there already");
  EXPECT_NE(error_of(with_line("omq.listen", "omq.listen = [\"10.0.0.1:22021\"]"))
                .find("[https] in line 4 listens there already"),
            std::string::npos)
      << "0.0.0.0 has it";
  EXPECT_EQ(error_of(with_line("omq.listen", "omq.listen = [\"10.0.0.1:1\", \"10.0.0.2:1\"]")),
            "none");
}

TEST(Configuration, CountsEachAuthorityOnceAndTheThresholdAgainstThem) {
  const std::string upper = "F" + std::string(63, '0');
  const std::string lower = "f" + std::string(63, '0');
  EXPECT_EQ(error_of(with_line("network.authorities",
                               "network.authorities = [\"" + upper + "\",\n\"" + lower + "\"]")),
            "allium.toml:4: 'authorities' has this key twice: each authority signs once");
  EXPECT_EQ(error_of(good("\n[network]\nthreshold = 2\n")).substr(0, 14), "allium.toml:7:")
      << "a table that dotted keys have made";
  EXPECT_EQ(error_of(good("network.threshold = 2\n")),
            "allium.toml:6: 'threshold' is more than there are authorities, of which there are 1");
}

TEST(Configuration, RefusesUrlsThatNobodyCouldFetch) {
  for (const std::string url : {"https://", "http:///n", "https://host:0/n", "https://[::1/n"}) {
    EXPECT_EQ(error_of(with_line("network.document", "network.document = \"" + url + "\"")),
              "allium.toml:2: 'document' should be a URL with a host, such as "
              "\"https://example.org/network\"");
  }
}

TEST(Configuration, RefusesPathsThatNoSocketCanHave) {
  const std::string longest = "/" + std::string(106, 's');
  for (const std::string key : {"dataplane.socket", "control.socket"}) {
    EXPECT_EQ(error_of(good(key + " = \"" + longest + "\"\n")), "none");
    EXPECT_EQ(error_of(good(key + " = \"" + longest + "s\"\n")),
              "allium.toml:6: 'socket' is longer than the 107 characters that a socket's path may "
              "have");
  }
}

TEST(Configuration, RemembersWhereItNamesOtherFiles) {
  const auto parsed = parse_configuration(
      good("[node]\ndata = \"/d\"\nidentity = \"/i\"\n\npassphrase = \"/p\"\n"), "x");
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->lines.document, 2U);
  EXPECT_EQ(parsed->lines.data, 7U);
  EXPECT_EQ(parsed->lines.identity, 8U);
  EXPECT_EQ(parsed->lines.passphrase, 10U);
  EXPECT_EQ(parse_configuration(good(), "x")->lines.identity, 1U);
}

TEST(Configuration, IsNoDirectory) {
  const auto loaded = load_configuration("/tmp");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().text, "/tmp:1: is a directory");
}

TEST(Configuration, IsNotEndless) {
  const std::string path = testing::TempDir() + "allium-long-" + std::to_string(getpid());
  std::ofstream(path).close();
  std::filesystem::resize_file(path, (std::size_t{1} << 20) + 1);
  const auto loaded = load_configuration(path);
  std::filesystem::remove(path);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().text, path + ":1: longer than 1 MiB");
}

TEST(Configuration, IsARegularFile) {
  const auto loaded = load_configuration("/dev/zero");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().text, "/dev/zero:1: no regular file");
}

TEST(Configuration, SaysWhatIsMissing) {
  EXPECT_NE(error_of("").find("schema = 1 is missing"), std::string::npos);
  EXPECT_NE(error_of("schema = 2\n").find("allium.toml:1: 'schema' should be"), std::string::npos);
  EXPECT_NE(error_of("schema = 1\n").find("document"), std::string::npos);
  EXPECT_NE(error_of("schema = 1\nnetwork.document = \"/n\"\n").find("authorities"),
            std::string::npos);
  EXPECT_NE(error_of(good("network.threshold = 2\n")).find("threshold"), std::string::npos);
}

TEST(Configuration, RefusesWhatIsNotToml) {
  EXPECT_EQ(error_of("schema = 1\n[node\n").substr(0, 14), "allium.toml:2:");
  EXPECT_NE(error_of(text_with("")).find("unknown key"), std::string::npos);
}

TEST(Configuration, TakesTheOneThatTheDocumentShows) {
  std::ifstream file(ALLIUM_CONTROL_README);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::size_t begin = text.find("```toml\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string shown = text.substr(begin + 8, text.find("```", begin + 8) - begin - 8);
  const auto parsed = parse_configuration(shown, "control/README.md");
  ASSERT_TRUE(parsed) << parsed.error().text;
  EXPECT_EQ(parsed->store_bytes_max, std::uint64_t{20} << 30);
}

TEST(Configuration, SaysWhichFileIsNotThere) {
  const auto loaded = load_configuration("/nowhere/allium.toml");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Errc::not_found);
  EXPECT_EQ(loaded.error().text, "/nowhere/allium.toml:1: No such file or directory");
}

}  // namespace
}  // namespace allium::control
