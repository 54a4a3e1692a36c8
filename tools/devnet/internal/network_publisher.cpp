// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/internal/network_publisher.hpp"

#include <cstdio>
#include <fstream>
#include <utility>

#include <boost/json.hpp>

#include "control/network/network_view.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/devnet/internal/system_error.hpp"
#include "tools/devnet/internal/wall_clock.hpp"
#include "tools/devnet/seeded_random.hpp"

namespace allium::devnet {
namespace {

constexpr std::uint64_t kDocumentLifeS = 7 * 86400;
constexpr std::uint64_t kRefreshGapMs = 10000;

control::IdentitySecret make_authority(std::optional<std::uint64_t> seed) {
  SeededRandom seeded(seed.value_or(0), "authority");
  return control::IdentitySecret::generate(seed ? seeded.source() : system_random());
}

}  // namespace

NetworkPublisher::NetworkPublisher(RuntimeDirectory directory, std::optional<std::uint64_t> seed,
                                   std::uint64_t started_ms)
    : directory_(std::move(directory)), authority_(make_authority(seed)), started_ms_(started_ms) {}

Result<void> NetworkPublisher::publish(const NodeSet& nodes) {
  published_ms_ = wall_clock_ms();
  control::NetworkDocument document;
  document.serial = ++serial_;
  document.valid_from_s = onion::seconds_of(started_ms_);
  document.valid_until_s = onion::seconds_of(published_ms_) + kDocumentLifeS;
  const std::vector<control::ServiceEntry> services = service_entries(nodes.size());
  for (const auto& node : nodes) {
    document.relays.push_back(
        {node->identity(), node->name(), node->endpoints(), services[document.relays.size()]});
  }
  auto text = control::serialise(document);
  if (!text) {
    return tl::unexpected(text.error());
  }
  control::NetworkBundle bundle;
  bundle.document.text = std::move(*text);
  control::sign(bundle.document, authority_);
  if (auto written = control::write_bundle_file(directory_.document(), bundle); !written) {
    return written;
  }
  std::ofstream file(directory_.authority());
  file << control::identity_key_text(authority()) << "\n";
  return file ? Result<void>() : system_error(directory_.authority());
}

void NetworkPublisher::renew(const NodeSet& nodes) {
  if (wall_clock_ms() < published_ms_ + kDocumentLifeS * 1000 / 2) {
    return;
  }
  if (auto published = publish(nodes); !published) {
    std::fprintf(stderr, "document not published: %s\n", published.error().text.c_str());
  }
}

void NetworkPublisher::refresh_client_file(const NodeSet& nodes) {
  if (wall_clock_ms() < refreshed_ms_ + kRefreshGapMs) {
    return;
  }
  refreshed_ms_ = wall_clock_ms();
  for (std::size_t tries = 0; tries < nodes.size(); ++tries) {
    Node& node = nodes.at(refresh_from_++ % nodes.size());
    if (node.state() == NodeState::up) {
      static_cast<void>(write_client_file(node));
      return;
    }
  }
}

Result<void> NetworkPublisher::write_client_file(Node& node) {
  const auto answer = node.service().ask("network");
  if (!answer) {
    return tl::unexpected(answer.error());
  }
  const boost::json::value* text = answer->if_contains("bundle");
  if (text == nullptr || !text->is_string() || client_text_ == text->as_string()) {
    return {};
  }
  const auto bundle = control::parse_network_bundle(text->as_string());
  if (!bundle) {
    return tl::unexpected(bundle.error());
  }
  client_text_ = text->as_string();
  return control::write_bundle_file(directory_.network(), *bundle);
}

}  // namespace allium::devnet
