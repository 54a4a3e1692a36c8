// SPDX-License-Identifier: Apache-2.0

// The security properties of SPEC.md section 12.2, measured on relays as they are. That the measuring finds what it
// looks for is the business of flawed_relays_test.cpp.

#include <tuple>

#include <gtest/gtest.h>

#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketType;

void expect_holds(const Report& report, std::uint64_t cases_min) {
  EXPECT_EQ(report.violations, 0) << report.first;
  EXPECT_EQ(report.setup_failures, 0) << report.first;
  EXPECT_GE(report.cases, cases_min);
}

/// X25519 makes setups dear: not every bit of theirs, but a bit of every byte.
std::size_t stride_of(PacketType type) {
  return type == PacketType::s0 || type == PacketType::s1 ? 7 : 1;
}

std::string name_of(PacketType type) {
  return std::string(onion::type_info(type).name);
}

class ForwardTagging : public testing::TestWithParam<PacketType> {};

TEST_P(ForwardTagging, DiesAtTheNextRelayWhenAPeerFlipsABit) {
  expect_holds(forward_flips({}, GetParam(), Attacker::peer, stride_of(GetParam())), 800);
}

TEST_P(ForwardTagging, DiesAtTheNextRelayWhenAnOutsiderFlipsABit) {
  expect_holds(forward_flips({}, GetParam(), Attacker::outsider, stride_of(GetParam())), 1400);
}

TEST_P(ForwardTagging, DiesAtTheEntryWhenAnOutsiderFlipsABit) {
  expect_holds(forward_flips_at_entry({}, GetParam(), stride_of(GetParam())), 800);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, ForwardTagging,
                         testing::Values(PacketType::df, PacketType::vf, PacketType::s0,
                                         PacketType::s1),
                         [](const auto& param) { return name_of(param.param); });

class BackwardTagging : public testing::TestWithParam<PacketType> {};

TEST_P(BackwardTagging, BecomesNoiseThatTheClientRefuses) {
  const Report report = backward_flips({}, GetParam(), GetParam() == PacketType::vb ? 1 : 3);

  expect_holds(report, 1200);
  EXPECT_NEAR(report.mean, 0.5, 0.01);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, BackwardTagging,
                         testing::Values(PacketType::db, PacketType::vb, PacketType::r),
                         [](const auto& param) { return name_of(param.param); });

TEST(Marks, InASetupPacketDoNotPassARelay) {
  expect_holds(marks_in_setup({}, 20), 40);
}

TEST(Marks, InTheFillerOfAnAnswerDoNotPassARelay) {
  expect_holds(marks_in_return({}, 20), 20);
}

TEST(Linking, FindsNoBytesOfAPacketAndNoDifferenceBehindARelay) {
  expect_holds(linking({}, 20), 20 * 16);
}

TEST(Linking, FindsFreshSpareBlocksInEveryPacket) {
  expect_holds(fresh_spare({}, 50), 200);
}

TEST(Position, ShowsInNoBitOfADataHeader) {
  expect_holds(position_data({}, 256), 20'000);
}

TEST(Position, ShowsInNoBitOfASetupHeader) {
  expect_holds(position_setup({}, 128), 20'000);
}

TEST(Replay, IsRefused) {
  expect_holds(replays({}, Between::nothing, 4), 64);
}

TEST(Replay, IsRefusedByAnotherWorker) {
  expect_holds(replays({}, Between::other_worker, 4), 64);
}

TEST(Replay, IsRefusedInTheSameBurst) {
  expect_holds(replays({}, Between::same_burst, 4), 64);
}

TEST(Replay, IsRefusedAcrossAChangeOfKeys) {
  expect_holds(replays({}, Between::epoch_change, 4), 64);
}

TEST(Replay, IsRefusedAfterACrash) {
  expect_holds(replays({}, Between::crash, 4), 64);
}

TEST(Replay, IsRefusedWhereverTheClockSteps) {
  expect_holds(replays({}, Between::clock_steps, 4), 64 * 13);
}

TEST(Replay, OfChangedCopiesUsesACaptureOnce) {
  expect_holds(one_capture_one_use({}, 65), 16);
}

TEST(LastLink, LetsNobodySpeakForTheEntry) {
  expect_holds(spoofing_at_last_link({}, 210), 9 * 210);
}

TEST(Stamps, AreOfEachNodeAndOpenWithinTwoSeconds) {
  expect_holds(stamps({}, 600), 600 * 3);
}

TEST(KeyStreams, OfDAndVHaveNothingInCommon) {
  expect_holds(key_streams({}, 40), 40);
}

TEST(Addresses, OfClientsAreNoForwardHop) {
  expect_holds(forward_addresses({}), 254 * 2);
}

TEST(Addresses, OverIpv6AreReachedByHandleWhileItLives) {
  expect_holds(handles({}), 60);
}

TEST(Addresses, AreBoundToCookies) {
  WorldOptions options;
  options.cookie_required = true;

  expect_holds(cookies(options, 12), 12 * 10);
}

TEST(Links, TakeNothingWithoutTheirKey) {
  expect_holds(link_forgeries({}, 50), 50 * 9);
}

TEST(Properties, HoldOnEverySeed) {
  for (std::uint64_t seed = 2; seed < 6; ++seed) {
    WorldOptions options;
    options.seed = seed;
    Report report = linking(options, 2);
    report.add(stamps(options, 60));
    report.add(one_capture_one_use(options, 9));
    report.add(spoofing_at_last_link(options, 21));
    report.add(replays(options, Between::clock_steps, 1));
    expect_holds(report, 300);
  }
}

}  // namespace
}  // namespace allium::property
