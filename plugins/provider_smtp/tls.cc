#include "tls.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <utility>

namespace postern::smtp {
namespace {

bool is_ip_address(const std::string& name) {
  ASN1_OCTET_STRING* const octets = a2i_IPADDRESS(name.c_str());
  if (octets == nullptr) {
    ERR_clear_error();
    return false;
  }
  ASN1_OCTET_STRING_free(octets);
  return true;
}

}  // namespace

sdk::Expected<X509_STORE*, std::string> TrustStores::get(const std::string& ca_file) {
  const auto known = stores_.find(ca_file);
  if (known != stores_.end()) return known->second.get();
  std::unique_ptr<X509_STORE, FreeSsl> store{X509_STORE_new()};
  if (!store) return std::string{"out of memory for the trust store"};
  const bool loaded = ca_file.empty() ? X509_STORE_set_default_paths(store.get()) == 1
                                      : X509_STORE_load_file(store.get(), ca_file.c_str()) == 1;
  ERR_clear_error();
  if (!loaded) {
    return ca_file.empty() ? std::string{"the system's trusted certificates can't be read"}
                           : "ca_file " + ca_file + " can't be read as PEM certificates";
  }
  X509_STORE* const raw = store.get();
  stores_.emplace(ca_file, std::move(store));
  return raw;
}

sdk::Expected<std::unique_ptr<TlsClient>, std::string> TlsClient::make(const Config& config,
                                                                       bool verify,
                                                                       TrustStores& stores) {
  std::unique_ptr<TlsClient> client{new TlsClient{config, verify}};
  client->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = client->context_.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
    return std::string{"TLS can't be set up"};
  }
  if (verify) {
    auto store = stores.get(config.ca_file);
    if (!store) return store.error();
    SSL_CTX_set1_cert_store(context, *store);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  } else {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  }
  SSL_CTX_ctrl(context, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_ex_data(context, 0, client.get());
  SSL_CTX_sess_set_new_cb(context, &TlsClient::remember);
  return client;
}

int TlsClient::remember(SSL* ssl, SSL_SESSION* session) {
  auto* const self = static_cast<TlsClient*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0));
  self->session_.reset(session);
  return 1;  // the reference is ours now
}

bool TlsClient::prepare(SSL* ssl) const {
  const bool address = is_ip_address(name_);
  // The macro for this casts in the old style.
  if (!address && SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                           const_cast<char*>(name_.c_str())) != 1) {
    return false;
  }
  if (verify_) {
    X509_VERIFY_PARAM* const parameters = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int named = address ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name_.c_str())
                              : X509_VERIFY_PARAM_set1_host(parameters, name_.c_str(), 0);
    if (named != 1) return false;
  }
  if (session_) SSL_set_session(ssl, session_.get());
  return true;
}

std::string TlsClient::explain(SSL* ssl, const std::string& error) const {
  const long result = SSL_get_verify_result(ssl);
  if (verify_ && result != X509_V_OK) {
    return "the certificate isn't good for " + name_ + ": " + X509_verify_cert_error_string(result);
  }
  return "the TLS handshake failed: " + error;
}

}  // namespace postern::smtp
