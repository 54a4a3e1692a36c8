// SPDX-License-Identifier: Apache-2.0
#include "control/node/identity_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <sodium.h>

#include "control/network/durable_file.hpp"
#include "control/node/private_file.hpp"

namespace allium::control {
namespace {

// Text of two lines: what it is, then "seed HEX", or "sealed SALT NONCE CIPHERTEXT" in hex: Argon2id (RFC 9106) with the two
// costs below makes a key for XChaCha20-Poly1305, and the first line is authenticated with it.
constexpr std::string_view kFirstLine = "allium-identity 1\n";
constexpr unsigned long long kArgonPasses = 3;
constexpr std::size_t kArgonBytes = std::size_t{256} << 20;
constexpr std::size_t kFileBytesMax = 1024;
constexpr int kOldIdentitiesMax = 1000;

using Salt = std::array<std::uint8_t, crypto_pwhash_SALTBYTES>;
using Nonce = std::array<std::uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>;
using Sealed = std::array<std::uint8_t, 32 + crypto_aead_xchacha20poly1305_ietf_ABYTES>;

tl::unexpected<Error> file_error(const std::string& path, int error) {
  return fail(error == ENOENT ? Errc::not_found : Errc::io, path + ": " + std::strerror(error));
}

void append_hex(std::string& text, Bytes bytes) {
  const std::size_t begin = text.size();
  text.resize(begin + bytes.size() * 2 + 1);
  sodium_bin2hex(text.data() + begin, text.size() - begin, bytes.data(), bytes.size());
  text.pop_back();
}

std::string hex(Bytes bytes) {
  std::string text;
  append_hex(text, bytes);
  return text;
}

bool from_hex(std::string_view text, MutableBytes target) {
  std::size_t count = 0;
  return text.size() == target.size() * 2 &&
         sodium_hex2bin(target.data(), target.size(), text.data(), text.size(), nullptr, &count,
                        nullptr) == 0 &&
         count == target.size();
}

Result<Secret<32>> sealing_key(const Passphrase& passphrase, const Salt& salt) {
  Secret<32> key;
  if (crypto_pwhash(key.data(), 32, passphrase.text().data(), passphrase.text().size(), salt.data(),
                    kArgonPasses, kArgonBytes, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return fail(Errc::unavailable,
                "not enough memory to open a sealed identity: 256 MiB are needed");
  }
  return key;
}

Bytes first_line() {
  return {reinterpret_cast<const std::uint8_t*>(kFirstLine.data()), kFirstLine.size()};
}

Result<std::string> sealed_line(const Seed& seed, const Passphrase& passphrase,
                                const Random& random) {
  Salt salt;
  Nonce nonce;
  Sealed sealed;
  random(salt);
  random(nonce);
  const Result<Secret<32>> key = sealing_key(passphrase, salt);
  if (!key) {
    return tl::unexpected(key.error());
  }
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, seed.data(), 32,
                                             first_line().data(), first_line().size(), nullptr,
                                             nonce.data(), key->data());
  return "sealed " + hex(salt) + ' ' + hex(nonce) + ' ' + hex(sealed) + '\n';
}

Result<Seed> open_sealed(std::string_view words, const Passphrase& passphrase) {
  Salt salt;
  Nonce nonce;
  Sealed sealed;
  const std::size_t second = salt.size() * 2 + 1;
  const std::size_t third = second + nonce.size() * 2 + 1;
  if (words.size() != third + sealed.size() * 2 || words[second - 1] != ' ' ||
      words[third - 1] != ' ' || !from_hex(words.substr(0, second - 1), salt) ||
      !from_hex(words.substr(second, nonce.size() * 2), nonce) ||
      !from_hex(words.substr(third), sealed)) {
    return fail(Errc::malformed, "the sealed identity is damaged: restore it from a backup");
  }
  const Result<Secret<32>> key = sealing_key(passphrase, salt);
  if (!key) {
    return tl::unexpected(key.error());
  }
  Seed seed;
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          seed.data(), nullptr, nullptr, sealed.data(), sealed.size(), first_line().data(),
          first_line().size(), nonce.data(), key->data()) != 0) {
    return fail(Errc::bad_signature, "the passphrase does not open this identity");
  }
  return seed;
}

/// In one piece of memory, so that who wipes the text has wiped the seed.
std::string unsealed_text(const Seed& seed) {
  std::string text;
  text.reserve(kFileBytesMax);
  text += kFirstLine;
  text += "seed ";
  append_hex(text, seed.bytes());
  text += '\n';
  return text;
}

Result<std::string> text_of(const Seed& seed, const Passphrase* passphrase, const Random& random) {
  if (passphrase == nullptr) {
    return unsealed_text(seed);
  }
  return sealed_line(seed, *passphrase, random).map([](const std::string& line) {
    return std::string(kFirstLine) + line;
  });
}

/// The file is on the disk, its name perhaps not yet.
Result<void> create_identity(const std::string& path, const Seed& seed,
                             const Passphrase* passphrase, const Random& random) {
  Result<std::string> text = text_of(seed, passphrase, random);
  if (!text) {
    return tl::unexpected(text.error());
  }
  Result<void> created = create_private_file(path, *text);
  wipe(text->data(), text->size());
  return created;
}

/// Gives a file a second name, under the first number that is free.
Result<std::string> link_old(const std::string& path) {
  for (int number = 1; number <= kOldIdentitiesMax; ++number) {
    std::string name = path + ".old" + std::to_string(number);
    if (link(path.c_str(), name.c_str()) == 0) {
      return name;
    }
    if (errno != EEXIST) {
      return file_error(name, errno);
    }
  }
  return fail(Errc::full, path + ": too many old identities are beside it: move some away");
}

/// The file itself. A rename to a symbolic link would replace the link, and leave the old identity where the link led.
Result<std::string> without_links(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) {
    return path;
  }
  const std::filesystem::path file = std::filesystem::canonical(path, error);
  return error ? Result<std::string>(file_error(path, error.value())) : file.string();
}

/// Replaces `path` by `draft`; what was there has a name of its own on the disk before.
Result<std::string> replace_and_keep(const std::string& draft, const std::string& path) {
  Result<std::string> kept = link_old(path);
  if (!kept) {
    return kept;
  }
  Result<void> synced = sync_directory_of(path);
  if (synced && std::rename(draft.c_str(), path.c_str()) != 0) {
    synced = file_error(path, errno);
  }
  if (!synced) {
    unlink(kept->c_str());
    return tl::unexpected(synced.error());
  }
  return kept;
}

/// What a file says, before a passphrase.
struct Parsed {
  IdentityFile identity;    ///< its seed is there where it is not sealed
  std::string_view sealed;  ///< of the text
};

Result<Parsed> parse(const std::string& path, std::string_view rest) {
  Parsed parsed;
  if (rest.starts_with(kFirstLine) && rest.ends_with('\n')) {
    rest.remove_prefix(kFirstLine.size());
    rest.remove_suffix(1);
    if (rest.starts_with("seed ") && from_hex(rest.substr(5), parsed.identity.seed.bytes())) {
      return parsed;
    }
    if (rest.starts_with("sealed ")) {
      parsed.identity.is_sealed = true;
      parsed.sealed = rest.substr(7);
      return parsed;
    }
  }
  return fail(Errc::malformed, path + ": this is no identity file");
}

Result<void> unseal(const std::string& path, const Passphrase* passphrase, Parsed& parsed) {
  if (!parsed.identity.is_sealed) {
    return {};
  }
  if (passphrase == nullptr) {
    return fail(Errc::refused,
                path +
                    ": it is sealed: its passphrase is missing (allium: --passphrase-file FILE; "
                    "alliumd: [node] passphrase = \"FILE\")");
  }
  Result<Seed> seed = open_sealed(parsed.sealed, *passphrase);
  if (!seed) {
    return fail(seed.error().code, path + ": " + seed.error().text);
  }
  parsed.identity.seed = *std::move(seed);
  return {};
}

}  // namespace

Passphrase::~Passphrase() {
  // A short text that was moved away still lies in this object, beyond its size.
  text_.resize(text_.capacity());
  wipe(text_.data(), text_.size());
}

Result<Passphrase> Passphrase::read(const std::string& path) {
  Result<std::string> text = read_private_file(path, kPassphraseBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  Passphrase passphrase(text->substr(0, text->find('\n')));
  wipe(text->data(), text->size());
  if (passphrase.text().empty()) {
    return fail(Errc::malformed, path + ": the passphrase is empty");
  }
  return passphrase;
}

Result<void> write_identity_file(const std::string& path, const Seed& seed,
                                 const Passphrase* passphrase, const Random& random) {
  const Result<void> created = create_identity(path, seed, passphrase, random);
  if (!created && created.error().code == Errc::refused) {
    return fail(Errc::refused, path + ": there is an identity already; move it away first");
  }
  return created ? sync_directory_of(path) : created;
}

Result<std::string> rotate_identity_file(const std::string& name, const Seed& seed,
                                         const Passphrase* passphrase, const Random& random) {
  const Result<std::string> resolved = without_links(name);
  if (!resolved) {
    return resolved;
  }
  const std::string& path = *resolved;
  const std::string draft = path + ".new";
  const Result<void> created = create_identity(draft, seed, passphrase, random);
  if (!created && created.error().code == Errc::refused) {
    return fail(Errc::refused, draft +
                                   ": another rotation is under way or was interrupted; if none "
                                   "is, remove this file: nobody uses it");
  }
  if (!created) {
    return tl::unexpected(created.error());
  }
  Result<std::string> kept = replace_and_keep(draft, path);
  if (!kept) {
    unlink(draft.c_str());
    return kept;
  }
  if (const Result<void> synced = sync_directory_of(path); !synced) {
    return fail(synced.error().code, synced.error().text +
                                         "; the new identity is in place and the old one is " +
                                         *kept + ", but a power cut may undo it: look at the disk");
  }
  return kept;
}

Result<int> identity_in_memory(const Seed& seed) {
  std::string text = unsealed_text(seed);
  const int memory = memfd_create("allium-identity", MFD_CLOEXEC);
  const bool is_written =
      memory >= 0 && fchmod(memory, 0600) == 0 &&
      write(memory, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  wipe(text.data(), text.size());
  if (!is_written) {
    if (memory >= 0) {
      close(memory);
    }
    return file_error("memory for an identity", error);
  }
  return memory;
}

Result<IdentityFile> read_identity_file(const std::string& path, const Passphrase* passphrase) {
  Result<std::string> text = read_private_file(path, kFileBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  Result<Parsed> parsed = parse(path, *text);
  const Result<void> opened =
      parsed ? unseal(path, passphrase, *parsed) : tl::unexpected(parsed.error());
  wipe(text->data(), text->size());
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  return std::move(parsed->identity);
}

Result<bool> is_identity_sealed(const std::string& path) {
  Result<std::string> text = read_private_file(path, kFileBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const Result<Parsed> parsed = parse(path, *text);
  wipe(text->data(), text->size());
  return parsed.map([](const Parsed& found) { return found.identity.is_sealed; });
}

Result<Seed> parse_seed(std::string_view hex_text) {
  const auto unless_zero = [](Seed seed) -> Result<Seed> {
    if (sodium_is_zero(seed.data(), 32) == 1) {
      return fail(Errc::malformed,
                  "a seed of zeros is nobody's secret: 'allium key init' makes one");
    }
    return seed;
  };
  Seed seed;
  if (from_hex(hex_text, seed.bytes())) {
    return unless_zero(std::move(seed));
  }
  Secret<64> secret;
  if (!from_hex(hex_text, secret.bytes())) {
    return fail(Errc::malformed, "expected 64 or 128 hex digits");
  }
  std::memcpy(seed.data(), secret.data(), 32);
  const IdentitySecret identity = IdentitySecret::from_seed(seed);
  if (std::memcmp(identity.public_key().data(), secret.data() + 32, 32) != 0) {
    return fail(Errc::malformed, "the second half is not the public key of the first");
  }
  return unless_zero(std::move(seed));
}

}  // namespace allium::control
