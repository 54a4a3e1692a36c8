// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/control_server.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "crypto_accel/base/secret.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"

namespace allium::dataplane {
namespace {

using control_port::Message;

constexpr std::size_t kDescriptorsMax = 2;
constexpr std::uint64_t kReplayLinesMax = std::uint64_t{1} << 24;  // 4 GiB in four generations
constexpr std::uint32_t kHandlesMax = 1U << 20;

class Descriptor {
 public:
  explicit Descriptor(int value = -1) noexcept : value_(value) {}

  ~Descriptor() { reset(); }

  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}

  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  void reset() noexcept {
    if (value_ >= 0) {
      close(std::exchange(value_, -1));
    }
  }

  [[nodiscard]] int get() const noexcept { return value_; }

 private:
  int value_;
};

struct Received {
  std::vector<std::uint8_t> bytes;
  std::vector<Descriptor> descriptors;
};

// Nothing: the other side is gone, or there is nothing to read (errno EAGAIN).
std::optional<Received> receive(int connection, std::vector<std::uint8_t>& buffer) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMax * sizeof(int))> control{};
  iovec vector{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t count = recvmsg(connection, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count <= 0) {
    errno = count == 0 ? ECONNRESET : errno;
    return std::nullopt;
  }
  Received received;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    for (std::size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= part->cmsg_len; ++i) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(part) + i * sizeof(int), sizeof value);
      received.descriptors.emplace_back(value);
    }
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    errno = EMSGSIZE;
    return std::nullopt;
  }
  const auto byte_count = static_cast<std::size_t>(count);
  received.bytes.assign(buffer.begin(), buffer.begin() + count);
  wipe(buffer.data(), byte_count);
  return received;
}

/// A shared mapping of a whole memfd.
class Mapping {
 public:
  Mapping() = default;

  ~Mapping() {
    if (!memory_.empty()) {
      munmap(memory_.data(), memory_.size());
    }
  }

  Mapping(Mapping&& other) noexcept : memory_(std::exchange(other.memory_, {})) {}

  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(memory_, other.memory_);
    return *this;
  }

  static Result<Mapping> map(const Descriptor& descriptor, std::size_t byte_count,
                             const char* what) {
    struct stat status {};

    const int seals = fcntl(descriptor.get(), F_GET_SEALS);
    if (fstat(descriptor.get(), &status) != 0 || seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
        static_cast<std::uint64_t>(status.st_size) != byte_count) {
      return fail(Errc::malformed, std::string("the memory of the ") + what +
                                       " must be a memfd of " + std::to_string(byte_count) +
                                       " bytes, sealed against shrinking");
    }
    void* memory = mmap(nullptr, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        descriptor.get(), 0);
    if (memory == MAP_FAILED) {
      return fail(Errc::io, std::string("cannot map the ") + what + ": " + std::strerror(errno));
    }
    Mapping mapping;
    mapping.memory_ = {static_cast<std::byte*>(memory), byte_count};
    return mapping;
  }

  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }

 private:
  std::span<std::byte> memory_;
};

bool fill_address(sockaddr_un& address, const std::string& path) noexcept {
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return false;
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return true;
}

}  // namespace

struct ControlServer::State {
  ControlServerConfig config;
  Engine* engine = nullptr;
  Descriptor listener;
  Descriptor connection;
  bool greeted = false;
  bool owns_path = false;
  std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(control_port::kMessageBytesMax);
  Mapping replay;
  Mapping handles;
  std::uint64_t accepts_from_ms = 0;
  std::optional<control_port::SnapshotBegin> begin;
  std::vector<onion::PeerConfig> peers;
  std::vector<std::uint8_t> unsent_deliveries;

  ~State() {
    if (owns_path) {
      unlink(config.path.c_str());
    }
  }

  void drop_controller() noexcept {
    connection.reset();
    greeted = false;
    begin.reset();
    peers.clear();
  }

  // Answers are small and the controller reads; one that does not is cut off.
  void send(const Message& message) {
    std::vector<std::uint8_t> bytes = control_port::encode(message);
    if (::send(connection.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      drop_controller();
    }
  }

  void refuse(std::uint64_t serial, const Error& error) {
    send(control_port::Refused{serial, error.text});
  }

  Result<void> configure(const control_port::Configure& message,
                         const std::vector<Descriptor>& descriptors);

  // Each handler answers whether the message was in order.
  bool handle(const control_port::Hello& message);
  bool begin_snapshot(control_port::SnapshotBegin&& message);
  bool add_peers(control_port::SnapshotPeers&& message);
  bool commit(const control_port::SnapshotCommit& message);
  bool dispatch(Message&& message, const std::vector<Descriptor>& descriptors, bool& shutdown);
};

Result<void> ControlServer::State::configure(const control_port::Configure& message,
                                             const std::vector<Descriptor>& descriptors) {
  if (engine->is_configured()) {
    return {};  // a new controller of a running relay: its sets go on
  }
  const std::uint64_t lines = message.replay_lines;
  if (descriptors.size() != 2 || lines < 64 || lines > kReplayLinesMax ||
      (lines & (lines - 1)) != 0 || message.handles_max < 1 || message.handles_max > kHandlesMax) {
    return fail(Errc::malformed,
                "configure needs two memfds, a power of two of lines and a bound of handles");
  }
  const onion::HandleLimits limits{message.handles_max, message.handles_per_host,
                                   message.handles_per_site};
  auto replay_map =
      Mapping::map(descriptors[0], onion::ReplaySet::bytes_needed(lines), "replay set");
  if (!replay_map) {
    return tl::unexpected(replay_map.error());
  }
  auto handle_map =
      Mapping::map(descriptors[1], onion::HandleTable::bytes_needed(limits), "handle table");
  if (!handle_map) {
    return tl::unexpected(handle_map.error());
  }
  auto accepts = engine->configure(message, {replay_map->memory(), handle_map->memory()});
  if (!accepts) {
    return tl::unexpected(accepts.error());
  }
  replay = std::move(*replay_map);
  handles = std::move(*handle_map);
  accepts_from_ms = *accepts;
  return {};
}

bool ControlServer::State::handle(const control_port::Hello& message) {
  if (greeted || message.version != control_port::kProtocolVersion) {
    return false;
  }
  greeted = true;
  send(config.welcome);
  return true;
}

bool ControlServer::State::begin_snapshot(control_port::SnapshotBegin&& message) {
  if (!engine->is_configured()) {
    return false;
  }
  begin.emplace(std::move(message));
  peers.clear();
  return true;
}

bool ControlServer::State::add_peers(control_port::SnapshotPeers&& message) {
  if (!begin || begin->serial != message.serial ||
      peers.size() + message.peers.size() > begin->peer_count) {
    return false;
  }
  std::move(message.peers.begin(), message.peers.end(), std::back_inserter(peers));
  return true;
}

bool ControlServer::State::commit(const control_port::SnapshotCommit& message) {
  if (!begin || begin->serial != message.serial) {
    return false;
  }
  std::vector<onion::PeerConfig> addresses;
  for (const onion::PeerConfig& peer : peers) {
    onion::PeerConfig& copy = addresses.emplace_back();
    copy.id = peer.id;
    copy.endpoint = peer.endpoint;
  }
  const auto published = engine->publish(*begin, std::move(peers));
  const std::uint64_t serial = begin->serial;
  const onion::Endpoint own = begin->own_endpoint;
  begin.reset();
  peers.clear();
  if (!published) {
    refuse(serial, published.error());
    return true;
  }
  config.on_snapshot(own, addresses, accepts_from_ms);
  send(control_port::Accepted{serial, accepts_from_ms});
  return true;
}

bool ControlServer::State::dispatch(Message&& message, const std::vector<Descriptor>& descriptors,
                                    bool& shutdown) {
  if (const auto* hello = std::get_if<control_port::Hello>(&message)) {
    return handle(*hello);
  }
  if (!greeted) {
    return false;
  }
  if (const auto* configuration = std::get_if<control_port::Configure>(&message)) {
    const auto done = configure(*configuration, descriptors);
    if (done) {
      send(control_port::Accepted{0, accepts_from_ms});
    } else {
      refuse(0, done.error());
    }
    return true;
  }
  if (auto* snapshot = std::get_if<control_port::SnapshotBegin>(&message)) {
    return begin_snapshot(std::move(*snapshot));
  }
  if (auto* chunk = std::get_if<control_port::SnapshotPeers>(&message)) {
    return add_peers(std::move(*chunk));
  }
  if (const auto* end = std::get_if<control_port::SnapshotCommit>(&message)) {
    return commit(*end);
  }
  if (std::holds_alternative<control_port::CountersRequest>(message)) {
    send(engine->counters());
    return true;
  }
  if (const auto* reply = std::get_if<control_port::ReturnReply>(&message)) {
    static_cast<void>(
        engine->reply(*reply));  // a full queue loses the answer, as a full link would
    return true;
  }
  if (const auto* reply = std::get_if<control_port::BlockReply>(&message)) {
    static_cast<void>(engine->reply(*reply));
    return true;
  }
  shutdown = std::holds_alternative<control_port::Shutdown>(message);
  return shutdown;
}

ControlServer::ControlServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

ControlServer::~ControlServer() = default;

Result<std::unique_ptr<ControlServer>> ControlServer::open(ControlServerConfig config,
                                                           Engine& engine) {
  const auto failed = [&](const std::string& why) {
    return fail(Errc::unavailable, "control socket " + config.path + ": " + why);
  };
  auto state = std::make_unique<State>();
  sockaddr_un address{};
  if (!fill_address(address, config.path)) {
    return failed("the path is too long; at most 107 characters");
  }
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  Descriptor probe(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), generic, sizeof address) == 0) {
    return failed("another allium-dp listens there; stop it or choose another path");
  }
  const bool is_refused = errno == ECONNREFUSED;

  struct stat there {};

  if (lstat(config.path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return failed("there is something else of that name; choose another path");
    }
    if (is_refused) {
      unlink(config.path.c_str());  // left behind by a process that was killed
    }
  }
  state->listener = Descriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t old_mask = umask(0177);
  const int code = bind(state->listener.get(), generic, sizeof address);
  umask(old_mask);
  if (code != 0 || listen(state->listener.get(), 4) != 0) {
    return failed(std::string(std::strerror(errno)) + "; does its folder exist?");
  }
  state->owns_path = true;
  state->config = std::move(config);
  state->engine = &engine;
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(state)));
}

int ControlServer::listener() const noexcept {
  return state_->listener.get();
}

int ControlServer::connection() const noexcept {
  return state_->connection.get();
}

void ControlServer::accept_one() noexcept {
  Descriptor arrived(accept4(state_->listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (arrived.get() < 0 || state_->connection.get() >= 0 ||
      getsockopt(arrived.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
      (credentials.uid != geteuid() && credentials.uid != 0)) {
    return;
  }
  state_->connection = std::move(arrived);
}

bool ControlServer::serve() {
  auto received = receive(state_->connection.get(), state_->buffer);
  if (!received) {
    if (errno != EAGAIN && errno != EINTR) {
      state_->drop_controller();
    }
    return true;
  }
  auto message = control_port::decode(received->bytes);
  wipe(received->bytes.data(), received->bytes.size());
  bool shutdown = false;
  if (!message || !state_->dispatch(std::move(*message), received->descriptors, shutdown)) {
    state_->drop_controller();
  }
  return !shutdown;
}

void ControlServer::push_deliveries() {
  while (state_->connection.get() >= 0 && state_->greeted) {
    if (state_->unsent_deliveries.empty()) {
      auto deliveries = state_->engine->take_deliveries(control_port::kDeliveriesPerMessageMax);
      if (deliveries.records.empty()) {
        return;
      }
      state_->unsent_deliveries = control_port::encode(deliveries);
    }
    if (::send(state_->connection.get(), state_->unsent_deliveries.data(),
               state_->unsent_deliveries.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno != EAGAIN) {
        state_->drop_controller();
      }
      return;
    }
    state_->unsent_deliveries.clear();
  }
}

}  // namespace allium::dataplane
