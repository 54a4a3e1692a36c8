// SPDX-License-Identifier: Apache-2.0
#include "control/node/identity_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

class IdentityFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "allium-identity-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    path = directory + "/identity";
    seed.bytes().fill(0x5a);
  }

  void TearDown() override { std::filesystem::remove_all(directory); }

  [[nodiscard]] std::string text() const {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void overwrite(const std::string& content) const {
    std::ofstream(path, std::ios::trunc) << content;
  }

  std::string directory;
  std::string path;
  Seed seed;
};

TEST_F(IdentityFileTest, IsReadAsItWasWritten) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  const auto read = read_identity_file(path, nullptr);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->seed.bytes(), seed.bytes());
  EXPECT_FALSE(read->is_sealed);

  struct stat about {};

  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
}

TEST_F(IdentityFileTest, SealedHasNothingOfTheSeedAndOpensWithThePassphraseOnly) {
  const Passphrase passphrase("correct horse");
  ASSERT_TRUE(write_identity_file(path, seed, &passphrase, system_random()));
  EXPECT_EQ(text().find("5a5a5a5a5a5a"), std::string::npos);
  const auto read = read_identity_file(path, &passphrase);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->seed.bytes(), seed.bytes());
  EXPECT_TRUE(read->is_sealed);
  const Passphrase wrong("correct hors");
  EXPECT_EQ(read_identity_file(path, &wrong).error().code, Errc::bad_signature);
  EXPECT_EQ(read_identity_file(path, nullptr).error().code, Errc::refused);
}

TEST_F(IdentityFileTest, IsNeverReplaced) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  const std::string before = text();
  const auto again = write_identity_file(path, Seed(), nullptr, system_random());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::refused);
  EXPECT_EQ(text(), before);
}

TEST_F(IdentityFileTest, IsRefusedWhereOthersMayReadIt) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  for (const mode_t mode : {0640U, 0604U, 0660U, 0644U}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const auto read = read_identity_file(path, nullptr);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Errc::refused);
    EXPECT_NE(read.error().text.find("chmod 600"), std::string::npos);
  }
}

TEST_F(IdentityFileTest, SaysWhatIsWrongWithAFileAndNothingOfTheKey) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  const std::string whole = text();
  for (const std::string& bad :
       {std::string(), whole.substr(0, whole.size() - 1), whole.substr(0, whole.size() - 2) + "\n",
        "x" + whole, whole + "x", std::string("allium-identity 1\nsealed 00\n"),
        std::string(2000, 'a')}) {
    overwrite(bad);
    const auto read = read_identity_file(path, nullptr);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().text.find("5a5a"), std::string::npos);
  }
  EXPECT_EQ(read_identity_file(directory + "/none", nullptr).error().code, Errc::not_found);
}

TEST_F(IdentityFileTest, IsRotatedAndTheOldOneStaysUnderTheFirstFreeNumber) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  std::ofstream(path + ".old1") << "not ours";
  Seed next;
  next.bytes().fill(0x11);

  const auto kept = rotate_identity_file(path, next, nullptr, system_random());

  ASSERT_TRUE(kept) << kept.error().text;
  EXPECT_EQ(*kept, path + ".old2");
  EXPECT_EQ(read_identity_file(path, nullptr)->seed.bytes(), next.bytes());
  EXPECT_EQ(read_identity_file(*kept, nullptr)->seed.bytes(), seed.bytes());
  EXPECT_EQ(std::filesystem::file_size(path + ".old1"), 8U);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(IdentityFileTest, IsRotatedWhereASymbolicLinkLeads) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  const std::string link = directory + "/link";
  std::filesystem::create_symlink("identity", link);
  Seed next;
  next.bytes().fill(0x11);

  const auto kept = rotate_identity_file(link, next, nullptr, system_random());

  ASSERT_TRUE(kept) << kept.error().text;
  EXPECT_EQ(std::filesystem::canonical(*kept), std::filesystem::canonical(path + ".old1"));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_identity_file(path, nullptr)->seed.bytes(), next.bytes());
  EXPECT_EQ(read_identity_file(*kept, nullptr)->seed.bytes(), seed.bytes());

  std::filesystem::remove(path);
  const auto none = rotate_identity_file(link, seed, nullptr, system_random());
  EXPECT_EQ(none.error().code, Errc::not_found);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(IdentityFileTest, IsNotRotatedWhereAnotherRotationIsOrWasUnderWay) {
  ASSERT_TRUE(write_identity_file(path, seed, nullptr, system_random()));
  const std::string before = text();
  std::ofstream(path + ".new") << "of another";

  const auto kept = rotate_identity_file(path, Seed(), nullptr, system_random());

  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, Errc::refused);
  EXPECT_NE(kept.error().text.find(path + ".new: another rotation"), std::string::npos);
  EXPECT_EQ(text(), before);
  EXPECT_EQ(std::filesystem::file_size(path + ".new"), 10U);
  EXPECT_FALSE(std::filesystem::exists(path + ".old1"));
}

TEST_F(IdentityFileTest, ARotationThatFailsLeavesNothing) {
  const auto none = rotate_identity_file(path, seed, nullptr, system_random());
  ASSERT_FALSE(none);
  EXPECT_TRUE(std::filesystem::is_empty(directory));

  // There is something of that name, but nothing that a file could replace or that could have a second name.
  std::filesystem::create_directory(path);
  EXPECT_FALSE(rotate_identity_file(path, seed, nullptr, system_random()));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_FALSE(std::filesystem::exists(path + ".old1"));
}

TEST_F(IdentityFileTest, SaysWithoutAPassphraseWhetherOneIsNeeded) {
  const Passphrase passphrase("correct horse");
  ASSERT_TRUE(write_identity_file(path, seed, &passphrase, system_random()));
  ASSERT_TRUE(write_identity_file(directory + "/open", seed, nullptr, system_random()));
  EXPECT_TRUE(is_identity_sealed(path).value());
  EXPECT_FALSE(is_identity_sealed(directory + "/open").value());
  overwrite("something else\n");
  EXPECT_EQ(is_identity_sealed(path).error().code, Errc::malformed);
}

TEST_F(IdentityFileTest, IsNoPipe) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(read_identity_file(path, nullptr).error().code, Errc::refused);
  EXPECT_EQ(Passphrase::read(path).error().code, Errc::refused);
}

TEST_F(IdentityFileTest, PassphrasesComeFromTheFirstLineOfAPrivateFile) {
  overwrite("two words\nmore\n");
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(Passphrase::read(path)->text(), "two words");
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(Passphrase::read(path).error().code, Errc::refused);
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  overwrite("\n");
  EXPECT_EQ(Passphrase::read(path).error().code, Errc::malformed);
}

TEST(ParseSeed, TakesASeedOrAWholeSecretKey) {
  const std::string half(64, '5');
  const Seed seed = parse_seed(half).value();
  const IdentitySecret identity = IdentitySecret::from_seed(seed);
  std::string whole = half;
  for (const std::uint8_t byte : identity.public_key()) {
    constexpr char kDigits[] = "0123456789abcdef";
    whole += kDigits[byte >> 4];
    whole += kDigits[byte & 15];
  }
  EXPECT_EQ(parse_seed(whole).value().bytes(), seed.bytes());
  whole.back() = whole.back() == '0' ? '1' : '0';
  EXPECT_FALSE(parse_seed(whole)) << "the halves do not belong together";
  EXPECT_FALSE(parse_seed("55"));
  EXPECT_FALSE(parse_seed(std::string(64, '0'))) << "everybody knows that one";
  EXPECT_FALSE(parse_seed(std::string(64, 'g')));
}

}  // namespace
}  // namespace allium::control
