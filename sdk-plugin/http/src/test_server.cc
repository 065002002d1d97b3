#include "test_server.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace postern::sdk_http {

struct TestServer::TlsState {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  std::string certificate;

  // Signs itself, for the name of the loopback address.
  TlsState() {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -60);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key);
    X509_NAME* name = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
    X509_set_issuer_name(made, name);
    for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, "IP:127.0.0.1"},
                                     std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
      X509_add_ext(made, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(made, key, EVP_sha256());
    SSL_CTX_use_certificate(context, made);
    SSL_CTX_use_PrivateKey(context, key);
    BIO* memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, made);
    char* text = nullptr;
    const long bytes = BIO_get_mem_data(memory, &text);
    certificate.assign(text, static_cast<std::size_t>(bytes));
    BIO_free(memory);
    X509_free(made);
    EVP_PKEY_free(key);
  }
  ~TlsState() { SSL_CTX_free(context); }
};

class TestServer::Connection {
 public:
  Connection(int fd, SSL_CTX* context) : fd_(fd) {
    if (context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd);
    ready_ = SSL_accept(ssl_) == 1;
  }
  ~Connection() { SSL_free(ssl_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  bool fill() {  // false: the peer is gone
    char bytes[16384];
    const auto got = ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof bytes)
                                     : static_cast<int>(::recv(fd_, bytes, sizeof bytes, 0));
    if (got <= 0) return false;
    buffer.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  bool write(std::string_view text) {
    while (!text.empty()) {
      const auto put = ssl_ != nullptr
                           ? SSL_write(ssl_, text.data(), static_cast<int>(text.size()))
                           : static_cast<int>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
      if (put <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(put));
    }
    return true;
  }
  void wait_for_close() {
    while (fill()) buffer.clear();
  }
  std::string buffer;

 private:
  int fd_;
  SSL* ssl_ = nullptr;
  bool ready_ = true;
};

TestServer::TestServer(Tls tls) {
  if (tls == Tls::on) {
    tls_ = std::make_unique<TlsState>();
    certificate_ = tls_->certificate;
  }
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, generic, sizeof address) != 0 ||
      ::listen(listener_, 64) != 0 || ::getsockname(listener_, generic, &bytes) != 0) {
    throw std::runtime_error("test server");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

TestServer::~TestServer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  changed_.notify_all();
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

std::string TestServer::url(const std::string& path) const {
  return (tls_ ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_) + path;
}

void TestServer::release() {
  const std::lock_guard lock(mutex_);
  released_ = true;
  changed_.notify_all();
}

bool TestServer::wait_for_requests(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds{20}, [&] { return requests_ >= count; });
}

std::size_t TestServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}
std::size_t TestServer::most_at_once() const {
  const std::lock_guard lock(mutex_);
  return most_at_once_;
}
std::size_t TestServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

void TestServer::accept_all() {
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);  // for the connections' threads too
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex_);
    if (fd < 0 || ending_) {
      if (fd >= 0) ::close(fd);
      if (ending_) return;
      continue;
    }
    ++connections_;
    open_.insert(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void TestServer::serve(int fd) {
  {
    Connection connection(fd, tls_ ? tls_->context : nullptr);
    bool go_on = connection.ready();
    while (go_on) {
      std::size_t end = 0;
      while ((end = connection.buffer.find("\r\n\r\n")) == std::string::npos) {
        if (!connection.fill()) break;
      }
      if (end == std::string::npos) break;
      const std::string head = connection.buffer.substr(0, end + 4);
      connection.buffer.erase(0, end + 4);
      const auto path_at = head.find(' ') + 1;
      const std::string path = head.substr(path_at, head.find(' ', path_at) - path_at);
      if (path == "/cut-early") break;
      std::size_t length = 0;
      if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
        length = std::stoul(head.substr(at + 16));
      }
      while (connection.buffer.size() < length && connection.fill()) {
      }
      if (connection.buffer.size() < length) break;
      const std::string body = connection.buffer.substr(0, length);
      connection.buffer.erase(0, length);
      {
        const std::lock_guard lock(mutex_);
        ++requests_;
        most_at_once_ = std::max(most_at_once_, ++now_);
        changed_.notify_all();
      }
      go_on = answer(connection, head, path, body);
      const std::lock_guard lock(mutex_);
      --now_;
    }
  }
  const std::lock_guard lock(mutex_);
  open_.erase(fd);
  ::close(fd);
}

bool TestServer::answer(Connection& connection, const std::string& head, const std::string& path,
                        const std::string& body) {
  const auto reply = [&](const std::string& status, const std::string& content,
                         const std::string& more = "") {
    return connection.write("HTTP/1.1 " + status + "\r\n" + more +
                            "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n" +
                            (head.starts_with("HEAD") ? "" : content));
  };
  if (path == "/echo") return reply("200 OK", head + body, "X-Mixed-Case:  Value \r\n");
  if (path.starts_with("/status/")) {
    return reply(path.substr(8) + " Some Status", "words", "Location: /echo\r\n");
  }
  if (path == "/empty") return connection.write("HTTP/1.1 204 No Content\r\n\r\n");
  if (path == "/silent") {
    connection.wait_for_close();
    return false;
  }
  if (path == "/cut-before") return false;
  if (path == "/cut-in-head") {
    connection.write("HTTP/1.1 200 OK\r\nContent-Le");
    return false;
  }
  if (path == "/cut-in-body") {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    return false;
  }
  if (path == "/stall") {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    connection.wait_for_close();
    return false;
  }
  if (path.starts_with("/big/")) {
    return reply("200 OK", std::string(std::stoul(path.substr(5)), 'x'));
  }
  if (path == "/big-head") {
    connection.write("HTTP/1.1 200 OK\r\n");
    while (connection.write("X-Filler: " + std::string(8000, 'f') + "\r\n")) {
    }
    return false;
  }
  if (path == "/interim") {
    connection.write("HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n");
    return reply("200 OK", "late");
  }
  if (path == "/wait") {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return released_ || ending_; });
    lock.unlock();
    return reply("200 OK", "waited");
  }
  return reply("404 Not Found", "");
}

}  // namespace postern::sdk_http
