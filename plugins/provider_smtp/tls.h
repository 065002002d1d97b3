// TLS of the accounts: 1.2 or newer, trust stores read once, sessions resumed.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>

#include "config.h"
#include "postern/sdk/result.h"

namespace postern::smtp {

struct FreeSsl {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};

// The trusted certificates by file, "" being the system's; shared by the accounts of a provider.
// Of the I/O thread.
class TrustStores {
 public:
  // Reads the file on first use. The error names it.
  sdk::Expected<X509_STORE*, std::string> get(const std::string& ca_file);

 private:
  std::map<std::string, std::unique_ptr<X509_STORE, FreeSsl>> stores_;
};

// One account's settings for TLS and its last session. Of the I/O thread.
class TlsClient {
 public:
  // `verify` false: any certificate will do.
  static sdk::Expected<std::unique_ptr<TlsClient>, std::string> make(const Config& config,
                                                                     bool verify,
                                                                     TrustStores& stores);
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }
  // Names the server in SNI and for verification, and offers the last session.
  bool prepare(SSL* ssl) const;
  // Why a handshake failed, in words for the operator.
  [[nodiscard]] std::string explain(SSL* ssl, const std::string& error) const;

 private:
  TlsClient(const Config& config, bool verify) : name_{config.server_name}, verify_{verify} {}
  static int remember(SSL* ssl, SSL_SESSION* session);

  std::string name_;
  bool verify_;
  std::unique_ptr<SSL_CTX, FreeSsl> context_;
  std::unique_ptr<SSL_SESSION, FreeSsl> session_;
};

}  // namespace postern::smtp
