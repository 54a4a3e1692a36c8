// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/verdict.hpp"

#include "crypto_accel/base/check.hpp"

namespace allium::onion {
namespace {

struct Words {
  std::string_view name;
  std::string_view explanation;
};

constexpr std::array<Words, kVerdictCount> kWords = {{
    {"pending", "Not decided yet."},
    {"forward", "Sent on, one layer further."},
    {"deliver", "Ended here, at a service of this node."},
    {"parked", "A setup packet that waits for the delay that its sender asked for."},
    {"length", "The datagram has a size that no packet has: not ours, or cut on the way."},
    {"version", "Not version 1 of the protocol: a stray datagram or a newer sender."},
    {"type", "An unknown packet type, or one that a client may not send."},
    {"ll_key",
     "No link key for that neighbour and key id: its onion key is missing, or a clock is wrong."},
    {"ll_tag", "The link tag is wrong: a forged source address, or damage on the way."},
    {"slot",
     "Too old or too new: a clock is off, the packet was held back, or the replay set was lost."},
    {"cookie", "A setup packet without a valid cookie; its sender was sent one and tries again."},
    {"rate", "A local limit was reached: too many setups of one source, or a full queue or table."},
    {"fs_type", "The forwarding segment is not ours: another relay's, an old key's, or noise."},
    {"fs_expired",
     "The path is over: its segment has expired and the client should have renewed it."},
    {"s_key",
     "No onion key of the hour that the setup packet states: a stale document or a wrong clock."},
    {"s_dh", "The setup packet's public key has low order: made to be so."},
    {"header_mac",
     "The header MAC is wrong: the packet was changed on the way or was not made for this relay."},
    {"rt", "The routing block of a setup packet is malformed: a broken client or a wrong depth."},
    {"r_block", "The return block was not made by this relay, or was changed."},
    {"r_expired", "The answer came more than two minutes after its setup packet."},
    {"replay", "Seen before: an exact or link-level duplicate."},
    {"handle", "No room for another IPv6 client, or the one that was meant is gone."},
    {"svc_unknown", "The path ends here at a service that this version does not know."},
    {"svc_malformed", "The service could not read the request or its reply block."},
    {"svc_cookie", "No live bridge leg is registered under that cookie."},
    {"no_route", "The next relay is unknown, is this one, or shares no link key with it."},
    {"tx_full", "It could not be sent: numbers of the link used up, or the port was full."},
}};

const Words& words_of(Verdict verdict) noexcept {
  const auto index = static_cast<std::size_t>(verdict);
  ALLIUM_CHECK(index < kWords.size());
  return kWords[index];
}

}  // namespace

std::string_view verdict_name(Verdict verdict) noexcept {
  return words_of(verdict).name;
}

std::string_view verdict_explanation(Verdict verdict) noexcept {
  return words_of(verdict).explanation;
}

}  // namespace allium::onion
