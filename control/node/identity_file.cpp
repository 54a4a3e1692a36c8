// SPDX-License-Identifier: Apache-2.0
#include "control/node/identity_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <sodium.h>

namespace allium::control {
namespace {

// Text of two lines: what it is, then "seed HEX", or "sealed SALT NONCE CIPHERTEXT" in hex: Argon2id (RFC 9106) with the two
// costs below makes a key for XChaCha20-Poly1305, and the first line is authenticated with it.
constexpr std::string_view kFirstLine = "allium-identity 1\n";
constexpr unsigned long long kArgonPasses = 3;
constexpr std::size_t kArgonBytes = std::size_t{256} << 20;
constexpr std::size_t kFileBytesMax = 1024;

using Salt = std::array<std::uint8_t, crypto_pwhash_SALTBYTES>;
using Nonce = std::array<std::uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>;
using Sealed = std::array<std::uint8_t, 32 + crypto_aead_xchacha20poly1305_ietf_ABYTES>;

tl::unexpected<Error> file_error(const std::string& path, int error) {
  return fail(error == ENOENT ? Errc::not_found : Errc::io, path + ": " + std::strerror(error));
}

std::string hex(Bytes bytes) {
  std::string text(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
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

/// Closes what it holds.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}

  ~Descriptor() {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

/// At most `bytes_max`; refuses where others may read it.
Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));

  struct stat about {};

  if (file.get() < 0 || fstat(file.get(), &about) != 0) {
    return file_error(path, errno);
  }
  if (!S_ISREG(about.st_mode) || (about.st_mode & 077) != 0) {
    return fail(Errc::refused, path + ": others may read it; say: chmod 600 " + path);
  }
  std::string text(bytes_max + 1, '\0');
  const ssize_t count = read(file.get(), text.data(), text.size());
  if (count < 0) {
    return file_error(path, errno);
  }
  if (static_cast<std::size_t>(count) > bytes_max) {
    return fail(Errc::malformed, path + ": too long");
  }
  text.resize(static_cast<std::size_t>(count));
  return text;
}

Result<void> sync_directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  const Descriptor opened(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || fsync(opened.get()) != 0) {
    return file_error(directory, errno);
  }
  return {};
}

}  // namespace

Passphrase::~Passphrase() {
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
  std::string line = "seed " + hex(seed.bytes()) + '\n';
  if (passphrase != nullptr) {
    wipe(line.data(), line.size());
    Result<std::string> sealed = sealed_line(seed, *passphrase, random);
    if (!sealed) {
      return tl::unexpected(sealed.error());
    }
    line = *std::move(sealed);
  }
  std::string text = std::string(kFirstLine) + line;
  wipe(line.data(), line.size());
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0) {
    const int error = errno;
    wipe(text.data(), text.size());
    return error == EEXIST
               ? fail(Errc::refused, path + ": there is an identity already; move it away first")
               : file_error(path, error);
  }
  const bool is_written =
      write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      fsync(file.get()) == 0;
  const int error = errno;
  wipe(text.data(), text.size());
  if (!is_written) {
    unlink(path.c_str());
    return file_error(path, error);
  }
  return sync_directory_of(path);
}

Result<int> identity_in_memory(const Seed& seed) {
  std::string text = std::string(kFirstLine) + "seed " + hex(seed.bytes()) + '\n';
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
  IdentityFile identity;
  std::string_view rest = *text;
  Result<void> read = fail(Errc::malformed, path + ": this is no identity file");
  if (rest.starts_with(kFirstLine) && rest.ends_with('\n')) {
    rest.remove_prefix(kFirstLine.size());
    rest.remove_suffix(1);
    if (rest.starts_with("seed ") && from_hex(rest.substr(5), identity.seed.bytes())) {
      read = {};
    } else if (rest.starts_with("sealed ")) {
      identity.is_sealed = true;
      Result<Seed> seed = passphrase == nullptr
                              ? fail(Errc::refused, path + ": it is sealed: a passphrase is needed")
                              : open_sealed(rest.substr(7), *passphrase);
      if (seed) {
        identity.seed = *std::move(seed);
        read = {};
      } else {
        read = tl::unexpected(seed.error());
      }
    }
  }
  wipe(text->data(), text->size());
  if (!read) {
    return tl::unexpected(read.error());
  }
  return identity;
}

Result<Seed> parse_seed(std::string_view hex_text) {
  Seed seed;
  if (from_hex(hex_text, seed.bytes())) {
    return seed;
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
  return seed;
}

}  // namespace allium::control
