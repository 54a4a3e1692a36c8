// SPDX-License-Identifier: Apache-2.0
#include "tools/client/network_files.hpp"

#include <time.h>

#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "control/network/network_view.hpp"
#include "tools/devnet/enter.hpp"
#include "tools/devnet/runtime_directory.hpp"

namespace allium::client {
namespace {

std::uint64_t now_s() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

/// The bundle file, read again for each path; what was seen once is never rolled back.
class BundleFile final : public NetworkSource {
 public:
  BundleFile(std::string path, control::IdentityKey authority)
      : path_(std::move(path)), authorities_{{authority}, 1} {}

  Result<NetworkView> load() override {
    auto verified = control::NetworkView::load(path_, authorities_, now_s(), known_);
    if (!verified) {
      return tl::unexpected(verified.error());
    }
    known_ = verified->known();
    NetworkView view;
    for (const control::RelayInView& relay : verified->relays()) {
      if (!relay.record) {
        continue;
      }
      RelayView& copy = view.relays.emplace_back();
      copy.id = relay.id;
      copy.name = relay.entry.name.empty() ? fmt::format("{:08x}", relay.id) : relay.entry.name;
      copy.endpoint = relay.endpoint();
      copy.identity = relay.entry.identity;
      if (relay.entry.service) {
        copy.service = ServiceView{relay.entry.service->swarm, relay.entry.service->https_port};
      }
      for (const control::OnionKey& key : relay.record->keys) {
        copy.keys.push_back({key.hour, key.public_key});
      }
    }
    return view;
  }

 private:
  std::string path_;
  control::Authorities authorities_;
  control::KnownNetwork known_;
};

}  // namespace

Result<std::unique_ptr<NetworkSource>> open_network(const std::string& network_file,
                                                    const std::string& authority) {
  std::string path = network_file;
  std::string key_text = authority;
  if (path.empty()) {
    const devnet::RuntimeDirectory directory = devnet::runtime_directory();
    if (auto entered = devnet::enter_devnet(); !entered) {
      return tl::unexpected(entered.error());
    }
    path = directory.network();
    std::ifstream file(directory.authority());
    if (!(file >> key_text)) {
      return fail(Errc::not_found, directory.authority() + " cannot be read; restart the devnet");
    }
  }
  auto key = control::parse_identity_key(key_text);
  if (!key) {
    return tl::unexpected(key.error());
  }
  return std::make_unique<BundleFile>(std::move(path), *key);
}

}  // namespace allium::client
