// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/tls_context.hpp"

#include <array>
#include <climits>
#include <cstdint>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "control/service/https/internal/openssl_error.hpp"

namespace allium::control {
namespace {

constexpr std::array<unsigned char, 6> kSessionContext = {'a', 'l', 'l', 'i', 'u', 'm'};
constexpr long kSessionSeconds = 4 * 3600;
constexpr const char* kSuites13 =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

bool set_common(SSL_CTX& context) {
  SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Buffers of 16 KiB exist only while a record is half read or half written. A partly written
  // answer continues from wherever its bytes are now.
  SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(&context, 1);
  return SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(&context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(&context, kSuites13) == 1 &&
         SSL_CTX_set1_groups_list(&context, "X25519:P-256") == 1;
}

struct Freed {
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }

  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }

  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};

template <typename T>
using Owned = std::unique_ptr<T, Freed>;

Owned<BIO> reader_of(const std::string& text) {
  return Owned<BIO>(text.size() > INT_MAX
                        ? nullptr
                        : BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

bool use_pair(SSL_CTX& context, const CertificatePair& pair) {
  const Owned<BIO> certificate_text = reader_of(pair.certificate_pem);
  const Owned<BIO> key_text = reader_of(pair.key_pem);
  if (!certificate_text || !key_text) {
    return false;
  }
  const Owned<X509> certificate(
      PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  return certificate && key && SSL_CTX_use_certificate(&context, certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(&context, key.get()) == 1 &&
         SSL_CTX_check_private_key(&context) == 1;
}

}  // namespace

Result<TlsContext> server_context(const CertificatePair& pair) {
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context || !set_common(*context) ||
      SSL_CTX_set_cipher_list(context.get(),
                              "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305") != 1 ||
      SSL_CTX_set_session_id_context(context.get(), kSessionContext.data(),
                                     kSessionContext.size()) != 1 ||
      // One ticket a handshake: clients here use one connection at a time and get a new one on each
      // resumption.
      SSL_CTX_set_num_tickets(context.get(), 1) != 1) {
    return openssl_failed("cannot set up the TLS server");
  }
  // A phone without AES instructions says so by listing ChaCha20 first.
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // Tickets carry the session; a cache here would be memory that strangers fill.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context.get(), kSessionSeconds);
  if (!use_pair(*context, pair)) {
    Error error =
        openssl_failed("cannot use the TLS certificate and key; remove both files to get new ones")
            .value();
    return fail(Errc::malformed, std::move(error.text));
  }
  return context;
}

Result<TlsContext> client_context(Trust trust) {
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  if (!context || !set_common(*context)) {
    return openssl_failed("cannot set up the TLS client");
  }
  // Older service nodes have RSA certificates, so the suites of TLS 1.2 stay OpenSSL's own.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (trust == Trust::system_roots) {
    if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
      return openssl_failed("cannot read the system's root certificates");
    }
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return context;
}

void renew_ticket_keys(SSL_CTX& context, const Random& random) {
  std::array<std::uint8_t, 80> keys{};  // name, HMAC key, AES key: OpenSSL's layout
  random(keys);
  SSL_CTX_set_tlsext_ticket_keys(&context, keys.data(), static_cast<long>(keys.size()));
  OPENSSL_cleanse(keys.data(), keys.size());
}

}  // namespace allium::control
