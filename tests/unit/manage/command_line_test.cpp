// SPDX-License-Identifier: Apache-2.0
#include "control/manage/command_line.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

TEST(UnexpectedWords, NamesTheOptionThatNobodyKnows) {
  EXPECT_EQ(unexpected_words({"--seed", "9d61b1"}), "there is no option --seed");
  EXPECT_EQ(unexpected_words({"hunter2", "--passphrase"}), "there is no option --passphrase");
}

TEST(UnexpectedWords, RepeatsNoValue) {
  for (const char* word :
       {"hunter2", "--passphrase=hunter2", "-phunter2", "--hunter2", "-2hunter2", "--", "-", ""}) {
    EXPECT_EQ(unexpected_words({word}).find("hunter2"), std::string::npos) << word;
  }
  EXPECT_EQ(unexpected_words({"--passphrase=hunter"}), "there is no option --passphrase");
  EXPECT_EQ(unexpected_words({"-phunter"}), "there is no option -p");
  EXPECT_EQ(unexpected_words({"--hunter2"}), "there is no option of such a name");
}

TEST(UnexpectedWords, SaysThatAnArgumentIsTooMany) {
  for (const char* word : {"hunter", "-", "--"}) {
    EXPECT_TRUE(unexpected_words({word}).starts_with("there is an argument too many")) << word;
  }
}

TEST(WithoutValue, KeepsTheNameAlone) {
  EXPECT_EQ(without_value("Could not convert: --flag = hunter2 = 3"), "Could not convert: --flag");
  EXPECT_EQ(without_value("--flag: too many"), "--flag: too many");
}

}  // namespace
}  // namespace allium::control
