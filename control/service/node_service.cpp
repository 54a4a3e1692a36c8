// SPDX-License-Identifier: Apache-2.0
#include "control/service/node_service.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sodium.h>

#include "control/service/descriptor_shares.hpp"
#include "control/service/encoding.hpp"
#include "control/service/https/https_client.hpp"
#include "control/service/monitor.hpp"
#include "control/service/node_links.hpp"
#include "control/service/omq/omq_message.hpp"
#include "crypto_accel/base/clock.hpp"
#include "crypto_accel/kernel_registry.hpp"

namespace allium::control {
namespace asio = boost::asio;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kVersionText = "2.8.0";
constexpr std::chrono::seconds kTidyInterval{10};
// Of one address block, on their way at once: a request by 16 nodes takes places at each of them.
constexpr std::size_t kOnionsOfAddressMax = 256;
// Signatures of monitor.messages, for each address: a push server asks for many at once, and again every hour.
constexpr TokenBuckets::Settings kMonitorRate{2 * kMonitorRequestsMax, 2'000, 10'000};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

HttpResponse text_response(unsigned status, std::string body) {
  return {status, "text/plain", std::move(body), {}};
}

HttpResponse http_response(const Answer& answer) {
  HttpResponse response;
  response.status = static_cast<unsigned>(answer.status);
  response.content_type = content_type(answer);
  response.body = body_text(answer, Format::json);
  return response;
}

DescriptorShares connection_shares() {
  const OmqLimits omq;
  return share_descriptors(descriptor_limit(),
                           {ServerOptions().connections_max, omq.clients, omq.silent});
}

/// What an answer takes of a bucket beyond its request's token: a large one takes as much of this thread as hundreds of small ones.
std::uint32_t tokens_for(std::size_t answer_bytes) {
  constexpr std::size_t kTokenBytes = 32UL * 1024;
  return static_cast<std::uint32_t>(answer_bytes / kTokenBytes);
}

std::size_t part_of(std::size_t one, std::size_t all_now, std::size_t all_before) {
  return std::max<std::size_t>(1, one * all_now / all_before);
}

void fit_connections(const DescriptorShares& shares, OmqLimits& limits) {
  limits.clients_per_address =
      part_of(limits.clients_per_address, shares.omq_clients, limits.clients);
  limits.silent_per_address = part_of(limits.silent_per_address, shares.omq_silent, limits.silent);
  limits.clients = shares.omq_clients;
  limits.silent = shares.omq_silent;
}

}  // namespace

struct NodeService::State {
  State(asio::io_context& service, storage::MessageStore& message_store,
        const IdentitySecret& secret, NodeServiceOptions node_options, const Random& source)
      : io(service),
        store(message_store),
        identity(secret),
        options(std::move(node_options)),
        random(source),
        membership(secret.public_key()),
        per_address(options.per_address, source),
        per_account(options.per_account, source),
        per_monitor(kMonitorRate, source),
        tidy_timer(service) {
    random(account_key);
  }

  Result<void> open();
  Result<void> open_https();
  void add_omq_commands();
  void add_swarm_commands();
  void on_http(HttpRequest request, const Respond& respond);
  void on_onion_http(const HttpRequest& request, const Respond& respond);
  void on_network_http(const HttpRequest& request, const Respond& respond);
  void on_storage_http(const HttpRequest& request, const Respond& respond);
  void on_storage_omq(const std::string& method, OmqCommand command, const OmqReply& reply);
  void on_monitor_omq(OmqCommand command, const OmqReply& reply);
  std::unique_ptr<Monitor> make_monitor();
  bool may_go_on(const storage::Account& account, Asker asker);
  [[nodiscard]] AddressBlock bucket_of(const storage::Account& account, Asker asker) const;
  void tidy_later();
  std::function<void(std::function<void()>)> poster();

  asio::io_context& io;
  storage::MessageStore& store;
  const IdentitySecret& identity;
  NodeServiceOptions options;
  Random random;
  Membership membership;
  TokenBuckets per_address;
  TokenBuckets per_account;
  TokenBuckets per_monitor;
  std::array<std::uint8_t, crypto_shorthash_KEYBYTES> account_key{};
  asio::steady_timer tidy_timer;
  const DescriptorShares shares = connection_shares();
  std::map<AddressBlock, std::size_t> onions_open;  ///< of clients, without an answer yet
  std::uint64_t rpc_requests = 0;
  std::uint64_t rate_limited = 0;
  std::vector<asio::ip::tcp::endpoint> https_bound;

  // In the order in which they stand on each other: destroyed from the last.
  std::unique_ptr<OmqEndpoint> omq;
  std::optional<HttpsClient> client;
  std::unique_ptr<NodeLinks> links;
  std::unique_ptr<SwarmPeers> swarm;
  std::unique_ptr<ReplicaFetch> fetch;
  std::unique_ptr<Monitor> monitor;
  std::unique_ptr<StorageRpc> rpc;
  std::unique_ptr<OnionRequests> onion;
  std::unique_ptr<FastLane> fast_lane;
  std::unique_ptr<RecordExchange> records;
  std::optional<HttpsServer> https;
  bool is_started = false;
  std::shared_ptr<bool> is_alive = std::make_shared<bool>(true);
};

std::function<void(std::function<void()>)> NodeService::State::poster() {
  return [&service = io, alive = is_alive](std::function<void()> what) {
    asio::post(service, [alive, what = std::move(what)] {
      if (*alive) {
        what();
      }
    });
  };
}

Result<void> NodeService::State::open() {
  const Result<crypto_accel::KernelSet> kernels = crypto_accel::kernels_from_environment();
  if (!kernels) {
    return tl::unexpected(kernels.error());
  }
  OmqOptions omq_options;
  omq_options.listen = options.omq;
  fit_connections(shares, omq_options.limits);
  auto endpoint =
      OmqEndpoint::open(io, identity.x25519_secret(), omq_options, [this](const X25519Key& key) {
        // Also who is in no swarm: it may have left one, and hands over what it had.
        return membership.nodes()->find_x25519(key) != nullptr;
      });
  if (!endpoint) {
    return tl::unexpected(endpoint.error());
  }
  omq = *std::move(endpoint);
  ClientOptions client_options;
  // What comes from outside goes on to other nodes, with a status and some words around it.
  client_options.answer_body_bytes_max = kOmqMessageBytesMax - 16UL * 1024;
  client_options.user_agent = "Oxen Storage Server/" + std::string(kVersionText);
  if (!options.may_exit_to_private) {
    client_options.may_connect = [](const asio::ip::address& address) {
      return !is_private_address(address);
    };
  }
  auto https_client = HttpsClient::create(io, client_options);
  if (!https_client) {
    return tl::unexpected(https_client.error());
  }
  client.emplace(*std::move(https_client));
  links = std::make_unique<NodeLinks>(io, membership, *omq, *client);
  swarm =
      std::make_unique<SwarmPeers>(SwarmSurroundings{store, membership, *links, unix_ms, poster()});
  fetch = std::make_unique<ReplicaFetch>(
      FetchSurroundings{store, membership, *links, unix_ms, poster(),
                        [this](std::string_view payload, std::function<void(PeerParts)> reply) {
                          swarm->take_data(payload, std::move(reply));
                        },
                        [this](const NodeKey& key) { swarm->given(key); }, options.on_held},
      options.held);
  swarm->on_copy([this](const storage::Account& account, storage::Stamp stored) {
    fetch->given(account, stored);
  });
  swarm->on_answer([this](const NodeKey& key) { fetch->answers(key); });
  swarm->on_kept([this](const NodeKey& key) { fetch->owes(key); });
  monitor = make_monitor();
  rpc = std::make_unique<StorageRpc>(RpcSurroundings{
      store, identity, membership, *swarm, random, unix_ms, poster(),
      [this](const storage::Account& account, const storage::Message& message) {
        monitor->on_stored(account, message, unix_ms());
      },
      [this](const storage::Account& account, Asker asker) { return may_go_on(account, asker); },
      [this](const storage::Account& account) {
        static_cast<void>(per_account.take_block(bucket_of(account, Asker::owner), Clock::now()));
      },
      [this](const storage::Account& account, Asker asker, std::size_t bytes) {
        per_account.charge_block(bucket_of(account, asker), Clock::now(), tokens_for(bytes));
      }});
  onion =
      std::make_unique<OnionRequests>(OnionSurroundings{membership, *rpc, *links, *kernels->x25519,
                                                        *kernels->aead, random, poster()},
                                      identity.x25519_secret());
  fast_lane = std::make_unique<FastLane>(*rpc, [this](control_port::ReturnReply reply) {
    if (options.send_return) {
      options.send_return(std::move(reply));
    }
  });
  records =
      std::make_unique<RecordExchange>(ExchangeSurroundings{membership, *links, random, unix_ms,
                                                            [this] {
                                                              if (options.on_records) {
                                                                options.on_records();
                                                              }
                                                            },
                                                            options.on_time});
  add_omq_commands();
  add_swarm_commands();
  tidy_later();
  return open_https();
}

Result<void> NodeService::State::open_https() {
  ServerOptions server_options;
  server_options.certificate = options.certificate;
  server_options.version = kVersionText;
  server_options.connections_per_address_max = part_of(
      server_options.connections_per_address_max, shares.https, server_options.connections_max);
  server_options.connections_max = shares.https;
  auto server = HttpsServer::create(io, std::move(server_options), random,
                                    [this](HttpRequest request, const Respond& respond) {
                                      on_http(std::move(request), respond);
                                    });
  if (!server) {
    return tl::unexpected(server.error());
  }
  https.emplace(*std::move(server));
  for (const asio::ip::tcp::endpoint& endpoint : options.https) {
    const Result<asio::ip::tcp::endpoint> bound = https->listen(endpoint);
    if (!bound) {
      return tl::unexpected(bound.error());
    }
    https_bound.push_back(*bound);
  }
  return {};
}

// Accounts are anybody's to choose: under a key of ours nobody can choose two that share a bucket.
AddressBlock NodeService::State::bucket_of(const storage::Account& account, Asker asker) const {
  std::array<std::uint8_t, 8> hash;
  crypto_shorthash(hash.data(), account.data(), account.size(), account_key.data());
  return (load_be(hash.data(), hash.size()) & ~std::uint64_t{1}) |
         (asker == Asker::owner ? 1U : 0U);
}

bool NodeService::State::may_go_on(const storage::Account& account, Asker asker) {
  const AddressBlock bucket = bucket_of(account, asker);
  const bool may = asker == Asker::owner ? per_account.has_token(bucket, Clock::now())
                                         : per_account.take_block(bucket, Clock::now());
  rate_limited += may ? 0U : 1U;
  return may;
}

void NodeService::State::tidy_later() {
  tidy_timer.expires_after(kTidyInterval);
  tidy_timer.async_wait([this](const boost::system::error_code& error) {
    if (error) {
      return;
    }
    monitor->expire(unix_ms());
    store.reclaim(unix_ms() - kFreedAfterMs, [](const Result<std::size_t>&) {});
    tidy_later();
  });
}

void NodeService::State::on_http(HttpRequest request, const Respond& respond) {
  const bool is_post = request.method == "POST";
  // Nothing here takes a query; peers pass one by.
  const std::string path = request.target.substr(0, request.target.find('?'));
  if (is_post && path == "/storage_rpc/v1") {
    on_storage_http(request, respond);
  } else if (is_post && path == "/onion_req/v2") {
    on_onion_http(request, respond);
  } else if (is_post && path == "/ping_test/v1") {
    HttpResponse pong_response;
    pong_response.headers = {{"X-Oxen-Snode-Pubkey", to_base64(identity.public_key())}};
    respond(std::move(pong_response));
  } else if (request.method == "GET" && path == "/network/v1") {
    on_network_http(request, respond);
  } else if (request.method == "GET" && path == "/get_stats/v1") {
    respond({200, "application/json", R"({"version":")" + std::string(kVersionText) + "\"}", {}});
  } else {
    respond(text_response(404, lower(request.method) + ' ' + path.substr(0, 256) + " Not Found"));
  }
}

void NodeService::State::on_onion_http(const HttpRequest& request, const Respond& respond) {
  const AddressBlock from = address_block(request.peer);
  std::size_t& open = onions_open[from];
  if (open >= kOnionsOfAddressMax) {
    ++rate_limited;
    respond(text_response(429, "Too Many Requests\n"));
    return;
  }
  ++open;
  onion->from_client(request.body, [this, alive = is_alive, from, respond](OnionAnswer answer) {
    if (*alive) {
      const auto opened = onions_open.find(from);
      if (--opened->second == 0) {
        onions_open.erase(opened);
      }
    }
    respond(text_response(static_cast<unsigned>(answer.status), std::move(answer.body)));
  });
}

void NodeService::State::on_network_http(const HttpRequest& request, const Respond& respond) {
  if (!per_address.take(request.peer, Clock::now())) {
    ++rate_limited;
    respond(text_response(429, "Too Many Requests\n"));
  } else if (const std::string& text = records->bundle_text(); text.empty()) {
    respond(text_response(503, "no network document yet\n"));
  } else {
    respond(text_response(200, text));
  }
}

void NodeService::State::on_storage_http(const HttpRequest& request, const Respond& respond) {
  ++rpc_requests;
  if (!per_address.take(request.peer, Clock::now())) {
    ++rate_limited;
    respond(text_response(429, "Too Many Requests\n"));
    return;
  }
  if (!request.header("X-Loki-Long-Poll").empty()) {
    respond(text_response(410, "long polling is no longer supported, client upgrade required"));
    return;
  }
  rpc->call_json(request.body, RpcSource::client,
                 [this, alive = is_alive, peer = request.peer, respond](const Answer& answer) {
                   HttpResponse response = http_response(answer);
                   if (*alive) {
                     per_address.charge(peer, Clock::now(), tokens_for(response.body.size()));
                   }
                   respond(std::move(response));
                 });
}

void NodeService::State::on_storage_omq(const std::string& method, OmqCommand command,
                                        const OmqReply& reply) {
  ++rpc_requests;
  if (!per_address.take(command.address, Clock::now())) {
    ++rate_limited;
    reply({"429", "Too Many Requests"});
    return;
  }
  if (command.parts.size() > 1) {
    reply({"400", "invalid request: expected one part"});
    return;
  }
  rpc->call_params(
      method, command.parts.empty() ? std::string_view() : command.parts.front(), RpcSource::client,
      [this, alive = is_alive, peer = command.address, reply](const Answer& answer, Format format) {
        PeerParts parts = peer_reply(answer, format);
        if (*alive) {
          per_address.charge(peer, Clock::now(), tokens_for(parts.back().size()));
        }
        reply(std::move(parts));
      });
}

void NodeService::State::add_omq_commands() {
  for (const std::string_view name : StorageRpc::methods()) {
    omq->add_command("storage." + std::string(name), OmqAccess::open, OmqForm::request,
                     [this, method = std::string(name)](OmqCommand command, const OmqReply& reply) {
                       on_storage_omq(method, std::move(command), reply);
                     });
  }
  omq->add_command("monitor.messages", OmqAccess::open, OmqForm::request,
                   [this](OmqCommand command, const OmqReply& reply) {
                     on_monitor_omq(std::move(command), reply);
                   });
}

std::unique_ptr<Monitor> NodeService::State::make_monitor() {
  auto made = std::make_unique<Monitor>(MonitorSurroundings{
      store, membership,
      [this](ConnectionNumber connection, std::string payload) {
        omq->send(OmqConnection{connection}, "notify.message", {std::move(payload)});
      },
      poster(),
      [this](const Subscriber& who, std::size_t count) {
        const bool may =
            per_monitor.take_block(who.address, Clock::now(), static_cast<std::uint32_t>(count));
        rate_limited += may ? 0U : 1U;
        return may;
      }});
  omq->set_on_closed([this](OmqConnection connection) {
    monitor->connection_closed(static_cast<ConnectionNumber>(connection));
  });
  return made;
}

void NodeService::State::on_monitor_omq(OmqCommand command, const OmqReply& reply) {
  if (!per_address.take(command.address, Clock::now())) {
    ++rate_limited;
    reply({"429", "Too Many Requests"});
    return;
  }
  std::string request = command.parts.empty() ? std::string() : std::move(command.parts.front());
  const auto connection = static_cast<ConnectionNumber>(command.connection);
  monitor->subscribe(std::move(request), {connection, address_block(command.address)}, unix_ms(),
                     [reply](std::string answer) { reply({std::move(answer)}); });
}

void NodeService::State::add_swarm_commands() {
  const auto add = [this](const std::string& name, OmqHandler handler,
                          OmqPriority priority = OmqPriority::normal) {
    omq->add_command(name, OmqAccess::service_node, OmqForm::request, std::move(handler), priority);
  };
  add("sn.ping", [](const OmqCommand& command, const OmqReply& reply) {
    // Peers of the other kind expect one part.
    reply(command.parts.empty() ? PeerParts{"pong"} : pong());
  });
  add("sn.data", [this](const OmqCommand& command, const OmqReply& reply) {
    swarm->take_data(command.parts.empty() ? std::string_view() : command.parts.front(), reply);
  });
  add("sn.storage_cc", [this](const OmqCommand& command, const OmqReply& reply) {
    if (command.parts.size() != 2) {
      reply({"400", "expected a method and its parameters"});
      return;
    }
    swarm->take_command(*rpc, command.peer, command.parts[0], command.parts[1], reply);
  });
  add("sn.allium_late", [this](const OmqCommand& command, const OmqReply& reply) {
    swarm->take_late(*rpc, command.peer,
                     command.parts.empty() ? std::string_view() : command.parts.front(), reply);
  });
  add("sn.allium_keep", [this](const OmqCommand& command, const OmqReply& reply) {
    swarm->keep_for_others(*rpc, command.peer, command.parts, reply);
  });
  add("sn.allium_fetch", [this](const OmqCommand& command, const OmqReply& reply) {
    fetch->answer(command.peer, command.parts.empty() ? std::string_view() : command.parts.front(),
                  reply);
  });
  add("sn.allium_records", [this](const OmqCommand& command, const OmqReply& reply) {
    records->answer(command.parts.empty() ? std::string_view() : command.parts.front(), reply);
  });
  add(
      "sn.onion_request",
      [this](const OmqCommand& command, const OmqReply& reply) {
        const std::string_view part =
            command.parts.empty() ? std::string_view() : command.parts.front();
        onion->from_node(part, [reply](OnionAnswer answer) {
          reply({std::to_string(static_cast<int>(answer.status)), std::move(answer.body)});
        });
      },
      OmqPriority::low);
}

Result<std::unique_ptr<NodeService>> NodeService::open(asio::io_context& io,
                                                       storage::MessageStore& store,
                                                       const IdentitySecret& identity,
                                                       NodeServiceOptions options,
                                                       const Random& random) {
  auto state = std::make_unique<State>(io, store, identity, std::move(options), random);
  if (const Result<void> opened = state->open(); !opened) {
    return tl::unexpected(opened.error());
  }
  return std::unique_ptr<NodeService>(new NodeService(std::move(state)));
}

NodeService::NodeService(std::unique_ptr<State> state) : state_(std::move(state)) {}

NodeService::~NodeService() {
  *state_->is_alive = false;
}

void NodeService::update_network(const RegistryState& network) {
  // What the last process saw counts as well: others may have its accounts since.
  const std::shared_ptr<const ServiceNodes> before = state_->fetch->network();
  state_->membership.update(network.nodes, network.height);
  const bool was_started = std::exchange(state_->is_started, true);
  if (!was_started) {
    state_->swarm->start(*state_->rpc);
  }
  if (before != nullptr) {
    state_->swarm->membership_changed(*before, state_->fetch->own_key());
  }
  state_->fetch->membership_changed();
  if (network.document) {
    state_->records->set_document(network.document, network.signed_document);
    if (!was_started) {
      state_->records->start();
    }
  }
}

bool NodeService::knows_last_network() const noexcept {
  return state_->fetch->network() != nullptr;
}

void NodeService::remember_records(std::vector<SignedNodeRecord> records) {
  state_->records->remember(std::move(records));
}

void NodeService::publish_record(const SignedNodeRecord& own) {
  state_->records->publish(own);
}

const RecordBook& NodeService::records() const noexcept {
  return state_->records->book();
}

const std::string& NodeService::network_bundle() {
  return state_->records->bundle_text();
}

void NodeService::deliver(const std::vector<control_port::DeliveryRecord>& records) {
  for (const control_port::DeliveryRecord& record : records) {
    state_->fast_lane->deliver(record);
  }
}

StorageRpc& NodeService::rpc() noexcept {
  return *state_->rpc;
}

const std::vector<asio::ip::tcp::endpoint>& NodeService::https_endpoints() const noexcept {
  return state_->https_bound;
}

const std::vector<asio::ip::tcp::endpoint>& NodeService::omq_endpoints() const noexcept {
  return state_->omq->listening();
}

NodeServiceStatus NodeService::status() const {
  NodeServiceStatus status;
  status.is_ready = state_->membership.is_ready();
  status.swarm = state_->membership.own_swarm();
  const std::vector<NodeKey> others = state_->swarm->others();
  status.members = status.swarm == kNoSwarm ? 0 : others.size() + 1;
  status.members_dead = static_cast<std::size_t>(
      std::count_if(others.begin(), others.end(),
                    [this](const NodeKey& key) { return state_->swarm->is_dead(key); }));
  status.members_behind = static_cast<std::size_t>(
      std::count_if(others.begin(), others.end(),
                    [this](const NodeKey& key) { return state_->swarm->is_behind(key); }));
  status.rpc_requests = state_->rpc_requests;
  status.rate_limited = state_->rate_limited;
  status.subscriptions = state_->monitor->subscriptions();
  status.store = state_->store.status();
  status.onion = state_->onion->counters();
  status.swarm_counters = state_->swarm->counters();
  status.fetch = state_->fetch->counters();
  status.https = state_->https->counters();
  status.omq = state_->omq->counters();
  status.fast_lane = state_->fast_lane->counters();
  status.records = state_->records->counters();
  return status;
}

}  // namespace allium::control
