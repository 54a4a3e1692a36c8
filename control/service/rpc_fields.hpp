// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads the parameters of a storage RPC, spelled as JSON or as bt, by name and type. The first thing that is wrong is kept; whatever
// is read after it counts for nothing. So a method reads all it wants, then asks once.
//
//   Units      times are Unix milliseconds.
//   Ownership  borrows the object.
//   Errors     problem(): the words that follow "invalid request: ".
//   Threads    one at a time.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "control/service/authentication.hpp"
#include "control/service/namespaces.hpp"
#include "control/service/rpc_answer.hpp"

namespace allium::control {

inline constexpr std::size_t kMessageHashChars = 43;
/// Of one request: each costs a look at the store, and perhaps a trace for 30 days.
inline constexpr std::size_t kHashesMax = 1000;

class RpcFields {
 public:
  RpcFields(const boost::json::object& object, Format format) : object_(object), format_(format) {}

  [[nodiscard]] const std::optional<std::string>& problem() const noexcept { return problem_; }

  /// Keeps `text` if it is the first.
  void refuse(std::string text);

  // Absent and null fields are nullopt.
  std::optional<std::string_view> text(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name);
  std::optional<bool> flag(std::string_view name);
  std::optional<std::uint64_t> timestamp(std::string_view name);
  /// May be digits in a string.
  std::optional<std::uint64_t> loose_number(std::string_view name);
  std::optional<Namespace> space(std::string_view name);
  /// A number or "all"; absent: the default namespace.
  Spaces spaces(std::string_view name);
  /// A list, or one alone.
  std::vector<std::string> texts(std::string_view name);
  std::vector<std::uint64_t> timestamps(std::string_view name);
  std::vector<std::int64_t> integers(std::string_view name);
  /// Raw in bt, base64 in JSON.
  std::optional<std::string> data(std::string_view name);

  /// The account in `pubkey`, or `pubKey` where `or_alias`.
  Account account(bool or_alias);
  /// Account and signature, both required; an ed25519 key and a subaccount where they are given.
  Authentication authentication(bool or_alias = false);
  /// Subaccount tokens, at most `count_max`.
  std::vector<Token> tokens(std::string_view name, std::size_t count_max);
  /// `messages`: at least one, each the hash of a message.
  std::vector<std::string> message_hashes();

  /// Refuses where the field is not there.
  template <typename T>
  T required(std::string_view name, std::optional<T> value) {
    if (!value) {
      refuse("Required field '" + std::string(name) + "' missing");
    }
    return value ? *std::move(value) : T{};
  }

  [[nodiscard]] bool has(std::string_view name) const noexcept { return find(name) != nullptr; }

 private:
  [[nodiscard]] const boost::json::value* find(std::string_view name) const noexcept;
  void expect(std::string_view name, std::string_view type);
  std::optional<std::uint64_t> milliseconds(std::string_view name, const boost::json::value& value);
  std::optional<Namespace> space_of(std::string_view name, std::int64_t number);
  std::optional<Token> token_of(std::string_view text) const;
  std::optional<Signature> signature_of(std::string_view text) const;
  void load_ed25519(Authentication& who);
  void load_subaccount(Authentication& who);

  const boost::json::object& object_;
  Format format_;
  std::optional<std::string> problem_;
};

}  // namespace allium::control
