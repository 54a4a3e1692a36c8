// SPDX-License-Identifier: Apache-2.0
#include "control/manage/configuration.hpp"

#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include "control/network/network_view.hpp"
#include "control/service/https/https_client.hpp"
#include "dataplane/onion/endpoint_text.hpp"

#include <toml++/toml.h>

namespace allium::control {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;
/// 1 EiB, more than there is. The store counts somewhat beyond its limit, which must not wrap.
constexpr std::uint64_t kStoreBytesMost = std::uint64_t{1} << 60;
constexpr std::size_t kSocketPathMax = sizeof(sockaddr_un::sun_path) - 1;

/// How many letters have to be changed, added or taken away (Levenshtein).
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < left.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < right.size(); ++j) {
      const std::size_t changed = diagonal + (left[i] == right[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(stop, static_cast<std::size_t>(text.data() + text.size() - stop));
  constexpr std::pair<std::string_view, unsigned> kUnits[] = {
      {"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  for (const auto& [name, shift] : kUnits) {
    if (error == std::errc{} && unit == name &&
        number <= std::numeric_limits<std::uint64_t>::max() >> shift) {
      return number << shift;
    }
  }
  return std::nullopt;
}

/// What a file says goes to a terminal, and ends nowhere before its end.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

/// Remembers the first thing that was wrong, with its line.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  void refuse(const toml::source_region& where, const std::string& reason) {
    if (problem_.empty()) {
      problem_ = name_ + ':' + std::to_string(where.begin.line) + ": " + printable(reason);
    }
  }

  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  std::string name_;
  std::string problem_;
};

/// One table of the file. Keys that were asked for are known; done() refuses all others.
class Section {
 public:
  Section(Reader& reader, const toml::table* table, std::string name)
      : reader_(reader), table_(table), name_(std::move(name)) {}

  Section section(const std::string& key) {
    const toml::node* node = find(key);
    if (node != nullptr && !node->is_table()) {
      reader_.refuse(node->source(), "'" + key + "' is a table: write [" + key + "]");
    }
    return {reader_, node == nullptr ? nullptr : node->as_table(), key};
  }

  void text(const std::string& key, std::string& target) {
    if (const toml::node* node = find(key)) {
      if (const auto* value = node->as_string()) {
        target = value->get();
      } else {
        expect(key, *node, "a text in quotes");
      }
    }
  }

  void flag(const std::string& key, bool& target) {
    if (const toml::node* node = find(key)) {
      if (const auto* value = node->as_boolean()) {
        target = value->get();
      } else {
        expect(key, *node, "true or false");
      }
    }
  }

  template <typename T>
  void number(const std::string& key, T& target, std::int64_t least, std::int64_t most) {
    if (const toml::node* node = find(key)) {
      const auto* value = node->as_integer();
      if (value != nullptr && value->get() >= least && value->get() <= most) {
        target = static_cast<T>(value->get());
      } else {
        expect(key, *node, "a number of " + std::to_string(least) + " to " + std::to_string(most));
      }
    }
  }

  void size(const std::string& key, std::uint64_t& target, std::uint64_t least,
            std::uint64_t most) {
    if (const toml::node* node = find(key)) {
      const auto* value = node->as_string();
      const auto bytes = value == nullptr ? std::nullopt : parse_size(value->get());
      if (bytes && *bytes >= least && *bytes <= most) {
        target = *bytes;
      } else {
        expect(key, *node,
               "a size such as \"10GiB\", at least " + std::to_string(least >> 20) +
                   "MiB, at most " + std::to_string(most >> 40) + "TiB");
      }
    }
  }

  /// A file by reference: "file:PATH", or a path.
  void file(const std::string& key, std::string& target,
            const std::string& expected = "a path that begins with /") {
    const toml::node* node = find(key);
    text(key, target);
    if (node != nullptr && target.starts_with("file:")) {
      target.erase(0, 5);
    }
    if (node != nullptr && node->is_string() && !target.starts_with('/')) {
      expect(key, *node, expected);
    }
    if (target.find('\0') != std::string::npos) {
      refuse(key, "has a NUL character, which no path may have");
    }
  }

  /// A file that is a Unix socket.
  void socket(const std::string& key, std::string& target) {
    file(key, target);
    if (target.size() > kSocketPathMax) {
      refuse(key, "is longer than the " + std::to_string(kSocketPathMax) +
                      " characters that a socket's path may have");
    }
  }

  /// A file too, or an http(s) URL.
  void file_or_url(const std::string& key, std::string& target) {
    const toml::node* node = find(key);
    const auto given = node == nullptr ? std::nullopt : node->value<std::string>();
    if (given && (given->starts_with("http://") || given->starts_with("https://"))) {
      target = *given;
      if (!parse_url(target)) {
        expect(key, *node, "a URL with a host, such as \"https://example.org/network\"");
      }
    } else {
      file(key, target, "a path that begins with /, or an http(s) URL");
    }
  }

  template <typename T>
  void choice(const std::string& key, T& target,
              std::initializer_list<std::pair<std::string_view, T>> choices) {
    const toml::node* node = find(key);
    if (node == nullptr) {
      return;
    }
    const auto* value = node->as_string();
    std::string names;
    for (const auto& [name, choice] : choices) {
      if (value != nullptr && value->get() == name) {
        target = choice;
        return;
      }
      names += (names.empty() ? "\"" : ", \"") + std::string(name) + '"';
    }
    expect(key, *node, "one of " + names);
  }

  /// Calls `read` with each text and its place; it gives false where that is not one.
  template <typename F>
  void list(const std::string& key, const std::string& what, F read) {
    const toml::node* node = find(key);
    if (node == nullptr) {
      return;
    }
    const auto* array = node->as_array();
    if (array == nullptr) {
      expect(key, *node, "a list of " + what);
      return;
    }
    if (array->empty()) {
      refuse(key, "is empty: it should have " + what);
    }
    for (const toml::node& element : *array) {
      const auto* value = element.as_string();
      if (value == nullptr || !read(value->get(), element.source())) {
        expect(key, element, what);
      }
    }
  }

  /// Of a key that is said; `why` goes on where its name ends.
  void refuse(const std::string& key, const std::string& why) {
    if (const toml::node* node = find(key)) {
      refuse(node->source(), "'" + key + "' " + why);
    }
  }

  void refuse(const toml::source_region& where, const std::string& reason) {
    reader_.refuse(where, reason);
  }

  [[nodiscard]] std::uint32_t line_of(const std::string& key) {
    const toml::node* node = find(key);
    return node == nullptr ? 1 : node->source().begin.line;
  }

  void done() {
    if (table_ == nullptr) {
      return;
    }
    for (const auto& [key, node] : *table_) {
      if (known_.contains(std::string(key.str()))) {
        continue;
      }
      const std::string place = name_.empty() ? "" : " in [" + name_ + "]";
      reader_.refuse(key.source(), "unknown key '" + std::string(key.str()) + "'" + place +
                                       suggestion(key.str()));
    }
  }

 private:
  const toml::node* find(const std::string& key) {
    known_.insert(key);
    return table_ == nullptr ? nullptr : table_->get(key);
  }

  void expect(const std::string& key, const toml::node& node, const std::string& what) {
    reader_.refuse(node.source(), "'" + key + "' should be " + what);
  }

  [[nodiscard]] std::string suggestion(std::string_view wrong) const {
    const auto nearest = std::min_element(known_.begin(), known_.end(),
                                          [wrong](const auto& left, const auto& right) {
                                            return distance(left, wrong) < distance(right, wrong);
                                          });
    const bool is_near = nearest != known_.end() && distance(*nearest, wrong) <= 3;
    return is_near ? ": did you mean '" + *nearest + "'?" : "";
  }

  Reader& reader_;
  const toml::table* table_;
  std::string name_;
  std::set<std::string> known_;
};

using Endpoint = boost::asio::ip::tcp::endpoint;

std::optional<Endpoint> read_endpoint(const std::string& text) {
  const std::optional<onion::Endpoint> endpoint = onion::parse_endpoint(text);
  if (!endpoint) {
    return std::nullopt;
  }
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(onion::address_text(endpoint->address), error);
  return error ? std::nullopt : std::optional(Endpoint(address, endpoint->port));
}

/// What alliumd will listen at, of all sections: the kernel gives an address with a port only once.
struct Listened {
  Endpoint endpoint;
  std::string section;
  std::uint32_t line = 1;
};

/// 0.0.0.0 has all other addresses of IPv4, and [::] those of IPv6.
bool overlap(const Endpoint& left, const Endpoint& right) {
  return left.port() == right.port() && left.address().is_v4() == right.address().is_v4() &&
         (left.address() == right.address() || left.address().is_unspecified() ||
          right.address().is_unspecified());
}

/// Why not; empty: it may be listened at.
std::string why_not(const Endpoint& endpoint, const std::vector<Listened>& listened) {
  if (endpoint.port() == 0) {
    return "port 0 is any port: nobody would know which; say one of 1 to 65535";
  }
  const auto there = std::find_if(listened.begin(), listened.end(), [&](const Listened& other) {
    return overlap(endpoint, other.endpoint);
  });
  return there == listened.end() ? ""
                                 : "[" + there->section + "] in line " +
                                       std::to_string(there->line) + " listens there already";
}

void read_listen(Section section, const std::string& name, const std::string& port,
                 std::vector<Listened>& listened) {
  section.list("listen",
               "addresses with a port, such as \"0.0.0.0:" + port + "\" or \"[::]:" + port + "\"",
               [&](const std::string& text, const toml::source_region& where) {
                 const std::optional<Endpoint> endpoint = read_endpoint(text);
                 if (!endpoint) {
                   return false;
                 }
                 if (const std::string why = why_not(*endpoint, listened); !why.empty()) {
                   section.refuse(where, "'listen' " + text + ": " + why);
                 }
                 listened.push_back({*endpoint, name, where.begin.line});
                 return true;
               });
  section.done();
}

void read_listens(Section& root, Configuration& configuration) {
  std::vector<Listened> listened;
  read_listen(root.section("https"), "https", "22021", listened);
  read_listen(root.section("omq"), "omq", "22020", listened);
  for (const Listened& one : listened) {
    (one.section == "omq" ? configuration.omq_listen : configuration.https_listen)
        .push_back(one.endpoint);
  }
}

void read_rate(Section& limits, const std::string& whose, RateSettings& rate) {
  limits.number(whose + "_burst", rate.burst, 1, 1'000'000);
  limits.number(whose + "_per_second", rate.per_second, 1, 1'000'000);
}

void read_authority(Section& network, const toml::source_region& where, const IdentityKey& key,
                    std::vector<IdentityKey>& keys) {
  if (std::find(keys.begin(), keys.end(), key) != keys.end()) {
    network.refuse(where, "'authorities' has this key twice: each authority signs once");
  }
  keys.push_back(key);
}

void read_network(Section network, Configuration& configuration) {
  Authorities& authorities = configuration.authorities;
  network.file_or_url("document", configuration.network_file);
  configuration.lines.document = network.line_of("document");
  network.list("authorities", "Ed25519 keys of 64 hex digits",
               [&](const std::string& text, const toml::source_region& where) {
                 const Result<IdentityKey> key = parse_identity_key(text);
                 if (key) {
                   read_authority(network, where, *key, authorities.keys);
                 }
                 return key.has_value();
               });
  network.number("threshold", authorities.threshold, 1, static_cast<std::int64_t>(kSignaturesMax));
  // Without any authority, that is what is wrong.
  if (!authorities.keys.empty() && authorities.threshold > authorities.keys.size()) {
    network.refuse("threshold", "is more than there are authorities, of which there are " +
                                    std::to_string(authorities.keys.size()));
  }
  network.done();
}

void read_node(Section node, Configuration& configuration) {
  node.file("identity", configuration.identity_file);
  node.file("passphrase", configuration.passphrase_file);
  node.file("data", configuration.data_directory);
  configuration.lines.identity = node.line_of("identity");
  configuration.lines.passphrase = node.line_of("passphrase");
  configuration.lines.data = node.line_of("data");
  node.done();
}

/// alliumd would take the one at which allium-dp is, or the other way round.
void refuse_one_socket_for_two(Section& dataplane, const Configuration& configuration) {
  const std::filesystem::path socket(configuration.dataplane_socket);
  if (!socket.empty() &&
      socket.lexically_normal() ==
          std::filesystem::path(configuration.control_socket).lexically_normal()) {
    dataplane.refuse("socket", "of [dataplane] is that of [control] too: they are two sockets");
  }
}

void read_sections(Section& root, Configuration& configuration) {
  read_node(root.section("node"), configuration);
  read_network(root.section("network"), configuration);
  read_listens(root, configuration);

  Section dataplane = root.section("dataplane");
  dataplane.socket("socket", configuration.dataplane_socket);
  dataplane.number("packets_per_second", configuration.packets_per_second, 1'000, 100'000'000);
  dataplane.number("ipv6_clients", configuration.ipv6_clients_max, 1, 1'000'000);
  dataplane.number("ipv6_clients_per_host", configuration.ipv6_clients_per_host, 0, 1'000'000);
  dataplane.number("ipv6_clients_per_site", configuration.ipv6_clients_per_site, 0, 1'000'000);
  dataplane.done();

  Section storage = root.section("storage");
  storage.size("max_bytes", configuration.store_bytes_max, std::uint64_t{64} << 20,
               kStoreBytesMost);
  storage.done();
  Section limits = root.section("limits");
  read_rate(limits, "address", configuration.per_address);
  read_rate(limits, "account", configuration.per_account);
  limits.done();
  Section onion = root.section("onion");
  onion.flag("exit_to_private_addresses", configuration.may_exit_to_private);
  onion.done();

  Section control = root.section("control");
  control.socket("socket", configuration.control_socket);
  configuration.lines.control_socket = control.line_of("socket");
  refuse_one_socket_for_two(dataplane, configuration);
  control.done();
  Section log = root.section("log");
  log.choice("level", configuration.log_level,
             {{"debug", LogLevel::debug},
              {"info", LogLevel::info},
              {"warn", LogLevel::warn},
              {"error", LogLevel::error}});
  log.choice("format", configuration.log_format,
             {{"key-value", LogFormat::key_value}, {"json", LogFormat::json}});
  log.done();
}

/// What has to be there, and has no line where it is not.
std::string missing(const Configuration& configuration) {
  if (configuration.network_file.empty()) {
    return "[network] needs document = \"/path/of/the/network/file\"";
  }
  if (configuration.authorities.keys.empty()) {
    return "[network] needs authorities = [\"64 hex digits\"]: who signs the network document";
  }
  if (configuration.https_listen.empty() || configuration.omq_listen.empty()) {
    return "[https] and [omq] need listen = [\"0.0.0.0:22021\"] and [\"0.0.0.0:22020\"]";
  }
  return {};
}

}  // namespace

Result<Configuration> parse_configuration(std::string_view text, const std::string& name) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return fail(Errc::malformed, name + ':' + std::to_string(error.source().begin.line) + ": " +
                                     std::string(error.description()));
  }
  Configuration configuration;
  Reader reader(name);
  Section root(reader, &parsed.table(), "");
  int schema = 0;
  root.number("schema", schema, kConfigurationSchema, kConfigurationSchema);
  read_sections(root, configuration);
  root.done();
  if (!reader.problem().empty()) {
    return fail(Errc::malformed, reader.problem());
  }
  if (schema == 0) {
    return fail(Errc::malformed,
                name + ":1: schema = " + std::to_string(kConfigurationSchema) + " is missing");
  }
  if (const std::string what = missing(configuration); !what.empty()) {
    return fail(Errc::malformed, name + ":1: " + what);
  }
  return configuration;
}

Result<Configuration> load_configuration(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return fail(Errc::refused, path + ":1: is a directory");
  }
  // A named pipe would be waited for until somebody writes.
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) {
    return fail(Errc::refused, path + ":1: no regular file");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(errno == ENOENT ? Errc::not_found : Errc::io, path + ":1: " + std::strerror(errno));
  }
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) {
    return fail(Errc::io, path + ":1: cannot be read");
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) {
    return fail(Errc::malformed, path + ":1: longer than 1 MiB");
  }
  return parse_configuration(text, path);
}

}  // namespace allium::control
