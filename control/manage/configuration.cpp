// SPDX-License-Identifier: Apache-2.0
#include "control/manage/configuration.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include "control/network/network_view.hpp"
#include "dataplane/onion/endpoint_text.hpp"

#include <toml++/toml.h>

namespace allium::control {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;

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

/// Remembers the first thing that was wrong, with its line.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  void refuse(const toml::source_region& where, const std::string& reason) {
    if (problem_.empty()) {
      problem_ = name_ + ':' + std::to_string(where.begin.line) + ": " + reason;
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

  void size(const std::string& key, std::uint64_t& target, std::uint64_t least) {
    if (const toml::node* node = find(key)) {
      const auto* value = node->as_string();
      const auto bytes = value == nullptr ? std::nullopt : parse_size(value->get());
      if (bytes && *bytes >= least) {
        target = *bytes;
      } else {
        expect(key, *node,
               "a size such as \"10GiB\", at least " + std::to_string(least >> 20) + "MiB");
      }
    }
  }

  /// A file by reference: "file:PATH", or a path.
  void file(const std::string& key, std::string& target) {
    const toml::node* node = find(key);
    text(key, target);
    if (node != nullptr && target.starts_with("file:")) {
      target.erase(0, 5);
    }
    if (node != nullptr && node->is_string() && !target.starts_with('/')) {
      expect(key, *node, "a path that begins with /");
    }
  }

  /// A file too, or an http(s) URL.
  void file_or_url(const std::string& key, std::string& target) {
    const toml::node* node = find(key);
    const auto given = node == nullptr ? std::nullopt : node->value<std::string>();
    if (given && (given->starts_with("http://") || given->starts_with("https://"))) {
      target = *given;
    } else {
      file(key, target);
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

  /// Calls `read` with each text; it gives false where that is not one.
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
    for (const toml::node& element : *array) {
      const auto* value = element.as_string();
      if (value == nullptr || !read(value->get())) {
        expect(key, element, what);
      }
    }
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

bool read_endpoint(const std::string& text, std::vector<boost::asio::ip::tcp::endpoint>& target) {
  const std::optional<onion::Endpoint> endpoint = onion::parse_endpoint(text);
  if (!endpoint) {
    return false;
  }
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(onion::address_text(endpoint->address), error);
  target.emplace_back(address, endpoint->port);
  return !error;
}

void read_rate(Section& limits, const std::string& whose, RateSettings& rate) {
  limits.number(whose + "_burst", rate.burst, 1, 1'000'000);
  limits.number(whose + "_per_second", rate.per_second, 1, 1'000'000);
}

void read_network(Section root, Configuration& configuration) {
  root.file_or_url("document", configuration.network_file);
  root.list("authorities", "Ed25519 keys of 64 hex digits", [&](const std::string& text) {
    const Result<IdentityKey> key = parse_identity_key(text);
    if (key) {
      configuration.authorities.keys.push_back(*key);
    }
    return key.has_value();
  });
  root.number("threshold", configuration.authorities.threshold, 1,
              static_cast<std::int64_t>(kSignaturesMax));
  root.done();
}

void read_sections(Section& root, Configuration& configuration) {
  Section node = root.section("node");
  node.file("identity", configuration.identity_file);
  node.file("passphrase", configuration.passphrase_file);
  node.file("data", configuration.data_directory);
  node.done();

  read_network(root.section("network"), configuration);

  Section https = root.section("https");
  https.list(
      "listen", "addresses with a port, such as \"0.0.0.0:22021\" or \"[::]:22021\"",
      [&](const std::string& text) { return read_endpoint(text, configuration.https_listen); });
  https.done();
  Section omq = root.section("omq");
  omq.list("listen", "addresses with a port, such as \"0.0.0.0:22020\" or \"[::]:22020\"",
           [&](const std::string& text) { return read_endpoint(text, configuration.omq_listen); });
  omq.done();

  Section dataplane = root.section("dataplane");
  dataplane.file("socket", configuration.dataplane_socket);
  dataplane.number("packets_per_second", configuration.packets_per_second, 1'000, 100'000'000);
  dataplane.number("ipv6_clients", configuration.ipv6_clients_max, 1, 1'000'000);
  dataplane.number("ipv6_clients_per_host", configuration.ipv6_clients_per_host, 0, 1'000'000);
  dataplane.number("ipv6_clients_per_site", configuration.ipv6_clients_per_site, 0, 1'000'000);
  dataplane.done();

  Section storage = root.section("storage");
  storage.size("max_bytes", configuration.store_bytes_max, std::uint64_t{64} << 20);
  storage.done();
  Section limits = root.section("limits");
  read_rate(limits, "address", configuration.per_address);
  read_rate(limits, "account", configuration.per_account);
  limits.done();
  Section onion = root.section("onion");
  onion.flag("exit_to_private_addresses", configuration.may_exit_to_private);
  onion.done();

  Section control = root.section("control");
  control.file("socket", configuration.control_socket);
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
  if (configuration.authorities.threshold > configuration.authorities.keys.size()) {
    return "[network] threshold is more than there are authorities";
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
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(errno == ENOENT ? Errc::not_found : Errc::io, path + ":1: " + std::strerror(errno));
  }
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.size() > kFileBytesMax) {
    return fail(Errc::malformed, path + ":1: longer than 1 MiB");
  }
  return parse_configuration(text, path);
}

}  // namespace allium::control
