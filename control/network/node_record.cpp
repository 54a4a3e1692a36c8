// SPDX-License-Identifier: Apache-2.0
#include "control/network/node_record.hpp"

#include "control/network/internal/canonical_text.hpp"
#include "dataplane/onion/endpoint_text.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace {

constexpr std::string_view kWhat = "node record";

// Empty: it is in order.
std::string_view record_fault(const NodeRecord& record) noexcept {
  if (record.number == 0 || record.valid_from_s >= record.valid_until_s) {
    return "it needs a number above 0 and a validity that ends after it begins";
  }
  if (record.keys.empty() || record.keys.size() > kRecordHoursMax) {
    return "it needs the onion keys of 1 to 8 hours";
  }
  for (std::size_t i = 1; i < record.keys.size(); ++i) {
    if (record.keys[i].hour != record.keys[0].hour + i) {
      return "the hours of its keys do not follow each other";
    }
  }
  return internal::endpoint_fault(record.endpoints);
}

Result<void> check(const NodeRecord& record) {
  if (const std::string_view fault = record_fault(record); !fault.empty()) {
    return fail(Errc::malformed, "the node record is malformed: " + std::string(fault));
  }
  return {};
}

NodeRecord read_record(internal::TextReader& in) {
  NodeRecord record;
  const auto number_line = [&in](std::string_view keyword) {
    in.line(keyword);
    const std::uint64_t value = in.number();
    in.end_line();
    return value;
  };
  in.line("allium-node 1");
  in.end_line();
  in.line("identity");
  in.hex(record.identity);
  in.end_line();
  record.number = number_line("number");
  record.valid_from_s = number_line("valid-from");
  record.valid_until_s = number_line("valid-until");
  while (in.good() && in.next_is("endpoint") && record.endpoints.size() < kEndpointsMax) {
    in.line("endpoint");
    record.endpoints.push_back(in.endpoint());
    in.end_line();
  }
  while (in.good() && in.next_is("key") && record.keys.size() < kRecordHoursMax) {
    in.line("key");
    OnionKey& key = record.keys.emplace_back();
    key.hour = in.number();
    in.hex(key.public_key);
    in.end_line();
  }
  return record;
}

}  // namespace

const crypto_accel::PublicKey* NodeRecord::key_of(std::uint64_t hour) const noexcept {
  for (const OnionKey& key : keys) {
    if (key.hour == hour) {
      return &key.public_key;
    }
  }
  return nullptr;
}

Result<std::string> serialise(const NodeRecord& record) {
  if (const auto checked = check(record); !checked) {
    return tl::unexpected(checked.error());
  }
  std::string text = "allium-node 1\nidentity " + internal::hex_text(record.identity) +
                     "\nnumber " + std::to_string(record.number) + "\nvalid-from " +
                     std::to_string(record.valid_from_s) + "\nvalid-until " +
                     std::to_string(record.valid_until_s) + '\n';
  for (const onion::Endpoint& endpoint : record.endpoints) {
    text += "endpoint " + onion::endpoint_text(endpoint) + '\n';
  }
  for (const OnionKey& key : record.keys) {
    text += "key " + std::to_string(key.hour) + ' ' + internal::hex_text(key.public_key) + '\n';
  }
  return text;
}

Result<NodeRecord> parse_node_record(std::string_view text) {
  internal::TextReader in(text, kWhat);
  NodeRecord record = read_record(in);
  if (const auto finished = in.finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  const auto canonical = serialise(record);
  if (!canonical) {
    return tl::unexpected(canonical.error());
  }
  if (*canonical != text) {
    return internal::not_canonical(kWhat);
  }
  return record;
}

Result<SignedNodeRecord> sign(const NodeRecord& record, const IdentitySecret& identity) {
  if (record.identity != identity.public_key()) {
    return fail(Errc::refused, "a node record is signed by its own identity only");
  }
  auto text = serialise(record);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const Signature signature = identity.sign(internal::bytes_of(*text));
  return SignedNodeRecord{std::move(*text), signature};
}

Result<NodeRecord> verify(const SignedNodeRecord& record, const IdentityKey& identity,
                          std::uint64_t now_s, std::uint64_t known_number) {
  if (!signature_holds(identity, internal::bytes_of(record.text), record.signature)) {
    return fail(Errc::bad_signature, "the node record is not signed by the node's identity");
  }
  auto parsed = parse_node_record(record.text);
  if (!parsed) {
    return parsed;
  }
  if (parsed->identity != identity) {
    return fail(Errc::bad_signature, "the node record is that of another identity");
  }
  if (now_s + kClockSkewSeconds < parsed->valid_from_s || now_s >= parsed->valid_until_s) {
    return fail(Errc::stale,
                "the node record is not valid now: get a newer one, or check the clock");
  }
  if (parsed->keys.back().hour < onion::hour_of(now_s * 1000)) {
    return fail(Errc::stale, "the node record has no key that is of use: its hours are past");
  }
  if (parsed->number < known_number) {
    return fail(Errc::stale, "the node record is rolled back: number " +
                                 std::to_string(parsed->number) + ", and " +
                                 std::to_string(known_number) + " is known");
  }
  return parsed;
}

}  // namespace allium::control
