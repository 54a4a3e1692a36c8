// SPDX-License-Identifier: Apache-2.0
#include "control/network/network_document.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "control/network/internal/canonical_text.hpp"
#include "dataplane/onion/endpoint_text.hpp"

namespace allium::control {
namespace {

constexpr std::string_view kWhat = "network document";

bool is_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kNameCharsMax && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

/// What may be there once only in a document.
struct Taken {
  std::set<IdentityKey> identities;
  std::set<std::uint32_t> ids;
  std::set<std::string_view> names;
  std::set<onion::Endpoint> endpoints;
};

// Empty: the entry is in order.
std::string_view entry_fault(const RelayEntry& entry, Taken& taken) {
  if (const std::string_view fault = internal::endpoint_fault(entry.endpoints); !fault.empty()) {
    return fault;
  }
  if (!entry.name.empty() && !is_name(entry.name)) {
    return "a name has 1 to 32 of a-z, 0-9 and '-'";
  }
  if (entry.service && (entry.service->https_port == 0 || entry.service->omq_port == 0 ||
                        entry.service->https_port == entry.service->omq_port)) {
    return "a service node needs two ports, above 0 and different";
  }
  if (!taken.identities.insert(entry.identity).second) {
    return "an identity is in it twice";
  }
  if (!taken.ids.insert(entry.id()).second) {
    return "two identities have one relay id: the later one must take a new key";
  }
  if (!entry.name.empty() && !taken.names.insert(entry.name).second) {
    return "two relays have one name";
  }
  for (const onion::Endpoint& endpoint : entry.endpoints) {
    if (!taken.endpoints.insert(endpoint).second) {
      return "two relays have one endpoint";
    }
  }
  return {};
}

Result<void> check(const NetworkDocument& document) {
  if (document.relays.size() > kRelaysMax) {
    return fail(Errc::malformed, "a network document holds at most 4096 relays");
  }
  if (document.serial == 0 || document.valid_from_s >= document.valid_until_s) {
    return fail(
        Errc::malformed,
        "a network document needs a serial above 0 and a validity that ends after it begins");
  }
  Taken taken;
  for (const RelayEntry& entry : document.relays) {
    if (const std::string_view fault = entry_fault(entry, taken); !fault.empty()) {
      return fail(Errc::malformed, "the network document is malformed: " + std::string(fault));
    }
  }
  return {};
}

std::string swarm_text(SwarmId swarm) {
  std::array<std::uint8_t, 8> bytes{};
  store_be(bytes.data(), swarm, bytes.size());
  return swarm == kNoSwarm ? "-" : internal::hex_text(bytes);
}

std::string relay_lines(const RelayEntry& entry) {
  std::string line = "relay " + internal::hex_text(entry.identity) + ' ' +
                     (entry.name.empty() ? "-" : entry.name) + ' ' +
                     std::to_string(entry.endpoints.size());
  for (const onion::Endpoint& endpoint : entry.endpoints) {
    line += ' ' + onion::endpoint_text(endpoint);
  }
  line += '\n';
  if (entry.service) {
    line += "service " + swarm_text(entry.service->swarm) + ' ' +
            std::to_string(entry.service->https_port) + ' ' +
            std::to_string(entry.service->omq_port) + '\n';
  }
  return line;
}

std::uint16_t read_port(internal::TextReader& in) {
  const std::uint64_t port = in.number();
  if (port == 0 || port > 65535) {
    in.refuse("expected a port of 1 to 65535");
  }
  return static_cast<std::uint16_t>(port);
}

ServiceEntry read_service(internal::TextReader& in) {
  ServiceEntry service;
  in.line("service");
  if (const std::string_view swarm = in.word(); swarm != "-") {
    std::array<std::uint8_t, 8> bytes{};
    if (!internal::parse_hex(swarm, bytes)) {
      in.refuse("expected a swarm of 16 hex digits, or -");
    }
    service.swarm = load_be(bytes.data(), bytes.size());
  }
  service.https_port = read_port(in);
  service.omq_port = read_port(in);
  in.end_line();
  return service;
}

RelayEntry read_relay(internal::TextReader& in) {
  RelayEntry entry;
  in.line("relay");
  in.hex(entry.identity);
  entry.name = in.word();
  if (entry.name == "-") {
    entry.name.clear();
  }
  const std::size_t endpoint_count = in.count(kEndpointsMax);
  for (std::size_t i = 0; i < endpoint_count && in.good(); ++i) {
    entry.endpoints.push_back(in.endpoint());
  }
  in.end_line();
  if (in.next_is("service")) {
    entry.service = read_service(in);
  }
  return entry;
}

std::uint64_t read_number_line(internal::TextReader& in, std::string_view keyword) {
  in.line(keyword);
  const std::uint64_t value = in.number();
  in.end_line();
  return value;
}

std::size_t count_signers(const SignedNetworkDocument& document, const Authorities& authorities) {
  std::set<IdentityKey> signers;
  for (const AuthoritySignature& signature : document.signatures) {
    const bool is_known = std::find(authorities.keys.begin(), authorities.keys.end(),
                                    signature.authority) != authorities.keys.end();
    if (is_known && signature_holds(signature.authority, internal::bytes_of(document.text),
                                    signature.signature)) {
      signers.insert(signature.authority);
    }
  }
  return signers.size();
}

Result<void> check_signers(const SignedNetworkDocument& document, const Authorities& authorities) {
  if (document.signatures.size() > kSignaturesMax) {
    return fail(Errc::malformed, "the network document carries more than 16 signatures");
  }
  if (document.signatures.empty()) {
    return fail(Errc::bad_signature,
                "the network document is unsigned: get it from its source again");
  }
  const std::size_t needed = std::max<std::size_t>(authorities.threshold, 1);
  const std::size_t signer_count = count_signers(document, authorities);
  if (signer_count < needed) {
    return fail(Errc::bad_signature,
                "the network document has good signatures of " + std::to_string(signer_count) +
                    " trusted authorities and needs " + std::to_string(needed) +
                    ": check the authority keys, or get the document again");
  }
  return {};
}

Result<void> check_time(const NetworkDocument& document, std::uint64_t now_s,
                        std::uint64_t known_serial) {
  if (now_s + kClockSkewSeconds < document.valid_from_s) {
    return fail(Errc::stale, "the network document is not valid yet: check this machine's clock");
  }
  if (now_s >= document.valid_until_s) {
    return fail(Errc::stale,
                "the network document is not valid any more: get a newer one, or check "
                "this machine's clock");
  }
  if (document.serial < known_serial) {
    return fail(Errc::stale, "the network document is rolled back: serial " +
                                 std::to_string(document.serial) + ", and " +
                                 std::to_string(known_serial) + " is known");
  }
  return {};
}

}  // namespace

Result<std::string> serialise(const NetworkDocument& document) {
  if (const auto checked = check(document); !checked) {
    return tl::unexpected(checked.error());
  }
  std::vector<const RelayEntry*> sorted;
  for (const RelayEntry& entry : document.relays) {
    sorted.push_back(&entry);
  }
  std::sort(sorted.begin(), sorted.end(), [](const RelayEntry* left, const RelayEntry* right) {
    return left->identity < right->identity;
  });
  std::string text = "allium-network 1\nserial " + std::to_string(document.serial) +
                     "\nvalid-from " + std::to_string(document.valid_from_s) + "\nvalid-until " +
                     std::to_string(document.valid_until_s) + "\nrelays " +
                     std::to_string(sorted.size()) + '\n';
  for (const RelayEntry* entry : sorted) {
    text += relay_lines(*entry);
  }
  return text;
}

Result<NetworkDocument> parse_network_document(std::string_view text) {
  internal::TextReader in(text, kWhat);
  NetworkDocument document;
  in.line("allium-network 1");
  in.end_line();
  document.serial = read_number_line(in, "serial");
  document.valid_from_s = read_number_line(in, "valid-from");
  document.valid_until_s = read_number_line(in, "valid-until");
  in.line("relays");
  const std::size_t relay_count = in.count(kRelaysMax);
  in.end_line();
  for (std::size_t i = 0; i < relay_count && in.good(); ++i) {
    document.relays.push_back(read_relay(in));
  }
  if (const auto finished = in.finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  const auto canonical = serialise(document);
  if (!canonical) {
    return tl::unexpected(canonical.error());
  }
  if (*canonical != text) {
    return internal::not_canonical(kWhat);
  }
  return document;
}

void sign(SignedNetworkDocument& document, const IdentitySecret& authority) {
  AuthoritySignature signature{authority.public_key(),
                               authority.sign(internal::bytes_of(document.text))};
  const auto place =
      std::lower_bound(document.signatures.begin(), document.signatures.end(), signature.authority,
                       [](const AuthoritySignature& other, const IdentityKey& key) {
                         return other.authority < key;
                       });
  if (place != document.signatures.end() && place->authority == signature.authority) {
    *place = signature;
  } else {
    document.signatures.insert(place, signature);
  }
}

Result<NetworkDocument> verify(const SignedNetworkDocument& document,
                               const Authorities& authorities, std::uint64_t now_s,
                               std::uint64_t known_serial) {
  if (const auto signers = check_signers(document, authorities); !signers) {
    return tl::unexpected(signers.error());
  }
  auto parsed = parse_network_document(document.text);
  if (!parsed) {
    return parsed;
  }
  if (const auto in_time = check_time(*parsed, now_s, known_serial); !in_time) {
    return tl::unexpected(in_time.error());
  }
  return parsed;
}

}  // namespace allium::control
