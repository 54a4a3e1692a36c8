// SPDX-License-Identifier: Apache-2.0
#include "control/certificate_file.hpp"

#include <memory>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "control/node/private_file.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {
namespace {

constexpr std::size_t kCertificateBytesMax = 1 << 16;

std::unique_ptr<BIO, decltype(&BIO_free)> reader_of(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

/// OpenSSL would ask the terminal for the password of a key that has one.
int no_password(char* /*buffer*/, int /*size*/, int /*is_written*/, void* /*context*/) {
  return -1;
}

bool is_whole(const CertificatePair& pair) {
  const auto key_text = reader_of(pair.key_pem);
  const auto certificate_text = reader_of(pair.certificate_pem);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(certificate_text.get(), nullptr, no_password, nullptr), X509_free);
  const bool is_pair = key != nullptr && certificate != nullptr &&
                       X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return is_pair;
}

Result<CertificatePair> make(const std::string& path) {
  Result<CertificatePair> made = make_certificate();
  if (!made) {
    return made;
  }
  std::string text;
  text.reserve(made->key_pem.size() + made->certificate_pem.size());
  text.append(made->key_pem).append(made->certificate_pem);
  const Result<void> written = replace_private_file(path, text);
  wipe(text.data(), text.size());
  return written ? std::move(made) : tl::unexpected(written.error());
}

}  // namespace

Result<CertificatePair> load_or_make_certificate(const std::string& path, const EventLog& log) {
  const Result<bool> was_open = make_file_private(path);
  if (!was_open) {
    return was_open.error().code == Errc::not_found ? make(path) : tl::unexpected(was_open.error());
  }
  if (*was_open) {
    log.warn("tls.was_readable",
             {{"file", path},
              {"advice",
               "others could read the key until now; to get a new one, remove the file "
               "and restart alliumd"}});
  }
  Result<std::string> text = read_private_file(path, kCertificateBytesMax);
  if (!text) {
    return tl::unexpected(text.error());
  }
  const std::size_t split = text->find("-----BEGIN CERTIFICATE-----");
  CertificatePair pair;
  pair.key_pem = text->substr(0, split);
  pair.certificate_pem = split == std::string::npos ? "" : text->substr(split);
  wipe(text->data(), text->size());
  if (!is_whole(pair)) {
    return fail(Errc::malformed,
                path + ": no whole key with its certificate; remove it: a new one is made");
  }
  return pair;
}

}  // namespace allium::control
