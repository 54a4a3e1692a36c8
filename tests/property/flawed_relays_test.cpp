// SPDX-License-Identifier: Apache-2.0

// Canaries: relays and clients that are wrong on purpose. Each breaks the property it should break, measured by the
// very function that finds nothing on good ones, and breaks it while packets are still carried: a property test that
// cannot see them would be worth nothing.

#include <gtest/gtest.h>

#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketType;

WorldOptions with(Flaw flaw) {
  WorldOptions options;
  options.flaw = flaw;
  return options;
}

/// Found out, at least `violations_min` times, and not for want of a network that works.
void expect_found(const Report& report, std::uint64_t violations_min) {
  EXPECT_GE(report.violations, violations_min);
  EXPECT_EQ(report.setup_failures, 0) << report.first;
}

TEST(FlawedRelay, ThatDecryptsBackwardIsFoundByFlippedBits) {
  for (const PacketType type : {PacketType::vb, PacketType::db}) {
    expect_found(backward_flips(with(Flaw::decrypts_backward), type, 24), 20);
  }
}

TEST(FlawedRelay, ThatTakesAnyHeaderMacIsFoundByTaggedPackets) {
  for (const PacketType type : {PacketType::df, PacketType::vf}) {
    // The first changed packet with the same T is taken, and uses up what later ones and the honest one would
    // need: they are replays. So not every flip is a violation here.
    EXPECT_GE(forward_flips(with(Flaw::any_header_mac), type, Attacker::peer, 8).violations, 10U);
    EXPECT_GE(forward_flips_at_entry(with(Flaw::any_header_mac), type, 8).violations, 1U);
  }
}

TEST(FlawedRelay, ThatLeavesTheHeaderBareIsFoundByLinking) {
  expect_found(linking(with(Flaw::header_not_masked), 2), 2);
}

TEST(FlawedRelay, ThatForgetsPacketsIsFoundByReplays) {
  expect_found(replays(with(Flaw::replay_not_kept), Between::nothing, 1), 16);
  expect_found(replays(with(Flaw::replay_not_kept), Between::same_burst, 1), 16);
}

TEST(FlawedRelay, WithASetForEachWorkerIsFoundByReplaysAcrossWorkers) {
  expect_found(replays(with(Flaw::replay_per_worker), Between::other_worker, 1), 16);
}

TEST(FlawedRelay, WithTheReplayKeyOfTheClockIsFoundAtAChangeOfEpoch) {
  expect_found(replays(with(Flaw::replay_key_by_clock), Between::epoch_change, 1), 16);
}

TEST(FlawedRelay, ThatLosesItsSetIsFoundByACrash) {
  expect_found(replays(with(Flaw::replay_lost_in_crash), Between::crash, 1), 16);
}

TEST(FlawedRelay, WhoseFloorFallsIsFoundByClockSteps) {
  expect_found(replays(with(Flaw::floor_falls), Between::clock_steps, 1), 16);
}

TEST(FlawedRelay, WithTheReplayTagOfItsPayloadIsFoundByChangedCopies) {
  expect_found(one_capture_one_use(with(Flaw::replay_of_payload), 9), 3);
}

TEST(FlawedRelay, ThatCopiesTheSlotBackwardIsFoundByStamps) {
  expect_found(stamps(with(Flaw::slot_copied_backward), 300), 1);
}

TEST(FlawedRelay, ThatRewritesTheSlotForwardIsFoundByStamps) {
  expect_found(stamps(with(Flaw::slot_rewritten_forward), 300), 1);
}

TEST(FlawedRelay, ThatForwardsOldStackBytesIsFoundByMarks) {
  expect_found(marks_in_setup(with(Flaw::stack_bytes_forwarded), 4), 4);
  expect_found(marks_in_return(with(Flaw::stack_bytes_forwarded), 4), 4);
}

TEST(FlawedRelay, ThatSendsNoClientTagIsFoundByItsClients) {
  expect_found(spoofing_at_last_link(with(Flaw::no_client_tag), 7), 5);
}

TEST(FlawedRelay, ThatChecksNoLinkTagIsFoundByForgeries) {
  const Report report = link_forgeries(with(Flaw::link_tag_unchecked), 4);

  EXPECT_GE(report.violations, 8U) << report.first;
}

TEST(FlawedRelay, ThatAsksForNoCookieIsFoundByStrangers) {
  WorldOptions options = with(Flaw::cookie_not_required);
  options.cookie_required = true;

  expect_found(cookies(options, 4), 4);
}

TEST(FlawedClient, WithoutTheClientTagIsFoundBySpoofing) {
  expect_found(spoofing_at_last_link(with(Flaw::client_tag_unchecked), 14), 50);
}

TEST(FlawedClient, WithConstantSpareBlocksIsFoundByItsHeaders) {
  expect_found(position_data(with(Flaw::constant_spare), 64), 100);
  expect_found(position_setup(with(Flaw::constant_spare), 64), 100);
}

TEST(FlawedClient, WithOneKeyForBothClassesIsFoundByKeyStreams) {
  expect_found(key_streams(with(Flaw::shared_class_keys), 4), 4);
}

}  // namespace
}  // namespace allium::property
