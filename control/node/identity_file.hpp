// SPDX-License-Identifier: Apache-2.0
#pragma once

// A node's identity on disk: the 32-byte Ed25519 seed, sealed by a passphrase or, where there is none, open to whoever
// may read the file.
//
//   Ownership  values; seeds and passphrases are wiped.
//   Errors     Errc::not_found, Errc::io (the file), Errc::malformed (no identity file), Errc::refused (no regular file;
//              others may read it; it exists already), Errc::bad_signature (wrong passphrase). No text has anything of the key.
//   Threads    reentrant.
//   Cost       sealing and opening take about a second and 256 MiB on purpose (Argon2id).
//   Limits     passphrases of kPassphraseBytesMax.

#include <cstddef>
#include <optional>
#include <string>

#include "control/network/ed25519.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {

inline constexpr std::size_t kPassphraseBytesMax = 1024;

using Seed = Secret<32>;

class Passphrase {
 public:
  Passphrase() = default;

  explicit Passphrase(std::string text) : text_(std::move(text)) {}

  Passphrase(Passphrase&&) noexcept = default;
  Passphrase& operator=(Passphrase&&) noexcept = default;
  Passphrase(const Passphrase&) = delete;
  Passphrase& operator=(const Passphrase&) = delete;
  ~Passphrase();

  /// The first line of a file.
  [[nodiscard]] static Result<Passphrase> read(const std::string& path);

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

/// Creates the file, mode 0600, and its directory is synced: when this returns, the identity survives a power cut. Refuses to
/// replace one. No passphrase: the seed is not sealed.
[[nodiscard]] Result<void> write_identity_file(const std::string& path, const Seed& seed,
                                               const Passphrase* passphrase, const Random& random);

/// Puts a new identity in the place of one that is there, which stays beside it as `path`.oldN. Where `path` is a symbolic link, it is
/// the file there that is meant, and the link stays. At every instant `path` is there and
/// whole, and a crash loses neither. Gives the name that the old one has now. Errc::refused where `path`.new is there: another
/// rotation is under way or was interrupted.
[[nodiscard]] Result<std::string> rotate_identity_file(const std::string& path, const Seed& seed,
                                                       const Passphrase* passphrase,
                                                       const Random& random);

/// The same text, not sealed, in memory that has a descriptor (to close by the caller): for a child process that reads it as
/// /proc/self/fd/N, so that no disk has it.
[[nodiscard]] Result<int> identity_in_memory(const Seed& seed);

struct IdentityFile {
  Seed seed;
  bool is_sealed = false;
};

/// `passphrase` may be null where the file is not sealed.
[[nodiscard]] Result<IdentityFile> read_identity_file(const std::string& path,
                                                      const Passphrase* passphrase);

/// Whether a passphrase is needed; errors as above, and no second of work.
[[nodiscard]] Result<bool> is_identity_sealed(const std::string& path);

/// 64 hex digits, or the 128 of libsodium's (and oxend's) secret keys, whose second half must be the public key.
[[nodiscard]] Result<Seed> parse_seed(std::string_view hex);

}  // namespace allium::control
