// SPDX-License-Identifier: Apache-2.0
#include "control/network/network_view.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "control/network/durable_file.hpp"
#include "control/network/internal/canonical_text.hpp"

namespace allium::control {
namespace {

constexpr std::string_view kWhat = "network bundle";

// The identity that a record says it is of, before anything is checked: the fixed second line.
constexpr std::string_view kRecordStart = "allium-node 1\nidentity ";

std::optional<IdentityKey> claimed_identity(std::string_view text) {
  IdentityKey identity{};
  if (!text.starts_with(kRecordStart) ||
      !internal::parse_hex(text.substr(kRecordStart.size()).substr(0, 2 * identity.size()),
                           identity)) {
    return std::nullopt;
  }
  return identity;
}

bool has_embedded_signature_line(std::string_view text, std::string_view keyword) {
  const std::string inner = '\n' + std::string(keyword);
  return !text.ends_with('\n') || text.starts_with(keyword) || text.find(inner) != text.npos;
}

NetworkBundle read_bundle(internal::TextReader& in) {
  NetworkBundle bundle;
  in.line("allium-network-bundle 1");
  in.end_line();
  bundle.document.text = in.text_before("signatures");
  in.line("signatures");
  const std::size_t signature_count = in.count(kSignaturesMax);
  in.end_line();
  for (std::size_t i = 0; i < signature_count && in.good(); ++i) {
    AuthoritySignature& signature = bundle.document.signatures.emplace_back();
    in.line("authority");
    in.hex(signature.authority);
    in.hex(signature.signature);
    in.end_line();
  }
  in.line("records");
  const std::size_t record_count = in.count(kRelaysMax);
  in.end_line();
  for (std::size_t i = 0; i < record_count && in.good(); ++i) {
    SignedNodeRecord& record = bundle.records.emplace_back();
    record.text = in.text_before("signature");
    in.line("signature");
    in.hex(record.signature);
    in.end_line();
  }
  return bundle;
}

Result<std::string> read_file(const std::string& path) {
  // A named pipe would be waited for until somebody writes.
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    return fail(Errc::io, "cannot read " + path + ": no regular file");
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff byte_count = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  if (byte_count < 0) {
    return fail(Errc::io, "cannot read " + path + ": " + std::strerror(errno));
  }
  if (static_cast<std::uint64_t>(byte_count) > kBundleBytesMax) {
    return fail(Errc::malformed, path + " is larger than any network bundle");
  }
  std::string text(static_cast<std::size_t>(byte_count), '\0');
  file.seekg(0);
  if (!file.read(text.data(), byte_count)) {
    return fail(Errc::io, "cannot read " + path + " to its end");
  }
  return text;
}

}  // namespace

Result<std::string> serialise(const NetworkBundle& bundle) {
  if (bundle.document.signatures.size() > kSignaturesMax || bundle.records.size() > kRelaysMax ||
      has_embedded_signature_line(bundle.document.text, "signatures")) {
    return fail(Errc::malformed, "the network bundle is beyond its bounds");
  }
  std::string text = "allium-network-bundle 1\n" + bundle.document.text + "signatures " +
                     std::to_string(bundle.document.signatures.size()) + '\n';
  for (std::size_t i = 0; i < bundle.document.signatures.size(); ++i) {
    const AuthoritySignature& signature = bundle.document.signatures[i];
    if (i > 0 && bundle.document.signatures[i - 1].authority >= signature.authority) {
      return fail(Errc::malformed, "the network bundle's signatures are out of order");
    }
    text += "authority " + internal::hex_text(signature.authority) + ' ' +
            internal::hex_text(signature.signature) + '\n';
  }
  text += "records " + std::to_string(bundle.records.size()) + '\n';
  for (std::size_t i = 0; i < bundle.records.size(); ++i) {
    const SignedNodeRecord& record = bundle.records[i];
    if (has_embedded_signature_line(record.text, "signature") ||
        (i > 0 && bundle.records[i - 1].text >= record.text)) {
      return fail(Errc::malformed, "the network bundle's records are out of order");
    }
    text += record.text + "signature " + internal::hex_text(record.signature) + '\n';
  }
  if (text.size() > kBundleBytesMax) {
    return fail(Errc::malformed, "the network bundle is beyond its bounds");
  }
  return text;
}

Result<NetworkBundle> parse_network_bundle(std::string_view text) {
  if (text.size() > kBundleBytesMax) {
    return fail(Errc::malformed, "the network bundle is larger than 8 MiB");
  }
  internal::TextReader in(text, kWhat);
  NetworkBundle bundle = read_bundle(in);
  if (const auto finished = in.finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  const auto canonical = serialise(bundle);
  if (!canonical) {
    return tl::unexpected(canonical.error());
  }
  if (*canonical != text) {
    return internal::not_canonical(kWhat);
  }
  return bundle;
}

Result<NetworkView> NetworkView::verify(const NetworkBundle& bundle, const Authorities& authorities,
                                        std::uint64_t now_s, const KnownNetwork& known) {
  auto document = control::verify(bundle.document, authorities, now_s, known.serial);
  if (!document) {
    return tl::unexpected(document.error());
  }
  NetworkView view;
  view.serial_ = document->serial;
  view.valid_until_s_ = document->valid_until_s;
  std::map<IdentityKey, std::size_t> places;
  for (RelayEntry& entry : document->relays) {
    places.emplace(entry.identity, view.relays_.size());
    RelayInView& relay = view.relays_.emplace_back();
    relay.id = entry.id();
    relay.entry = std::move(entry);
  }
  for (const SignedNodeRecord& signed_record : bundle.records) {
    const auto identity = claimed_identity(signed_record.text);
    const auto place = identity ? places.find(*identity) : places.end();
    if (place == places.end()) {
      ++view.refused_records_;
      continue;
    }
    RelayInView& relay = view.relays_[place->second];
    const auto number = known.record_numbers.find(*identity);
    auto record = control::verify(signed_record, *identity, now_s,
                                  number == known.record_numbers.end() ? 0 : number->second);
    const bool is_newer = record && (!relay.record || relay.record->number < record->number);
    if (!is_newer || record->endpoints != relay.entry.endpoints) {
      ++view.refused_records_;
      continue;
    }
    relay.record = std::move(*record);
  }
  return view;
}

Result<NetworkView> NetworkView::load(const std::string& path, const Authorities& authorities,
                                      std::uint64_t now_s, const KnownNetwork& known) {
  const auto bundle = read_bundle_file(path);
  if (!bundle) {
    return tl::unexpected(bundle.error());
  }
  return verify(*bundle, authorities, now_s, known);
}

Result<NetworkBundle> read_bundle_file(const std::string& path) {
  const auto text = read_file(path);
  if (!text) {
    return tl::unexpected(text.error());
  }
  return parse_network_bundle(*text);
}

const RelayInView* NetworkView::find(std::uint32_t id) const noexcept {
  for (const RelayInView& relay : relays_) {
    if (relay.id == id) {
      return &relay;
    }
  }
  return nullptr;
}

const RelayInView* NetworkView::find(std::string_view name_or_id_prefix) const noexcept {
  const RelayInView* found = nullptr;
  for (const RelayInView& relay : relays_) {
    if (!relay.entry.name.empty() && relay.entry.name == name_or_id_prefix) {
      return &relay;
    }
    std::array<char, 9> id{};
    std::snprintf(id.data(), id.size(), "%08x", relay.id);
    if (!name_or_id_prefix.empty() && std::string_view(id.data()).starts_with(name_or_id_prefix)) {
      if (found != nullptr) {
        found = nullptr;
        break;
      }
      found = &relay;
    }
  }
  return found;
}

KnownNetwork NetworkView::known() const {
  KnownNetwork known;
  known.serial = serial_;
  for (const RelayInView& relay : relays_) {
    if (relay.record) {
      known.record_numbers.emplace(relay.entry.identity, relay.record->number);
    }
  }
  return known;
}

Result<void> write_bundle_file(const std::string& path, const NetworkBundle& bundle, Sync sync) {
  const auto text = serialise(bundle);
  if (!text) {
    return tl::unexpected(text.error());
  }
  return replace_file(path, *text, 0644, sync);
}

Result<IdentityKey> parse_identity_key(std::string_view hex) {
  IdentityKey key{};
  std::string lower(hex);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (!internal::parse_hex(lower, key)) {
    return fail(Errc::malformed, "an authority key is 64 hex digits");
  }
  return key;
}

std::string identity_key_text(const IdentityKey& key) {
  return internal::hex_text(key);
}

}  // namespace allium::control
