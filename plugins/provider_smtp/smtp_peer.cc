#include "smtp_peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>
#include <utility>

#include "auth.h"

namespace postern::smtp {
namespace {

std::string drained(BIO* bio) {
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_ctrl(bio, BIO_CTRL_INFO, 0, &data));
  std::string out{data, size};
  BIO_free(bio);
  return out;
}

BIO* holding(const std::string& text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string hmac_md5_hex(const std::string& key, const std::string& data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  HMAC(EVP_md5(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), digest.data(), &size);
  std::string out;
  for (unsigned int i = 0; i < size; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

std::string path_of(const std::string& line) {
  const std::size_t open = line.find('<');
  const std::size_t close = line.rfind('>');
  if (open == std::string::npos || close == std::string::npos) return {};
  return line.substr(open + 1, close - open - 1);
}

}  // namespace

Certificate make_certificate(const std::string& dns_name, bool expired) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3L * 86400);
  X509_gmtime_adj(X509_getm_notAfter(certificate), expired ? -86400 : 86400);
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("postern test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  const std::string names = "DNS:" + dns_name;
  for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, names.c_str()},
                                   std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  BIO* const certificate_out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificate_out, certificate);
  BIO* const key_out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(key_out, key, nullptr, nullptr, 0, nullptr, nullptr);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return {drained(certificate_out), drained(key_out)};
}

// One connection, on a thread of its own, with blocking calls: stopping shuts the socket down.
class SmtpPeer::Session {
 public:
  Session(SmtpPeer& peer, int fd, int number) : peer_{peer}, fd_{fd}, number_{number} {}
  ~Session() { SSL_free(ssl_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void run() {
    if (peer_.options_.implicit_tls && !handshake()) return;
    if (!answer("CONNECT", "", "220 peer.test ESMTP\r\n")) return;
    std::string line;
    while (read_line(line)) {
      {
        const std::lock_guard lock{peer_.mutex_};
        peer_.commands_.push_back(std::to_string(number_) + " " + line);
        peer_.changed_.notify_all();
      }
      if (!command(line)) return;
    }
  }

 private:
  bool command(const std::string& line) {
    const std::string verb = upper(line.substr(0, line.find(' ')));
    const Options& options = peer_.options_;
    if (verb == "EHLO") return answer(verb, line, greeting());
    if (verb == "HELO") return answer(verb, line, "250 peer.test\r\n");
    if (verb == "STARTTLS" && options.starttls && ssl_ == nullptr) {
      if (!answer(verb, line, "220 go ahead\r\n" + options.injected_after_starttls)) return false;
      return !said_usual_ || handshake();
    }
    if (verb == "AUTH") return authenticate(line);
    if (verb == "MAIL") {
      mail_ = {};
      mail_.sender = path_of(line);
      mail_.parameters = line.substr(line.rfind('>') + 1);
      return answer(verb, line, "250 2.1.0 Ok\r\n");
    }
    if (verb == "RCPT") {
      if (!answer(verb, line, "250 2.1.5 Ok\r\n")) return false;
      if (positive_) mail_.recipients.push_back(path_of(line));
      return true;
    }
    if (verb == "DATA") {
      const bool any = !mail_.recipients.empty();
      if (!answer(verb, line, any ? "354 go on\r\n" : "554 5.5.1 no valid recipients\r\n")) {
        return false;
      }
      return !said_usual_ || !any || content();
    }
    if (verb == "RSET") {
      mail_ = {};
      return answer(verb, line, "250 2.0.0 Ok\r\n");
    }
    if (verb == "QUIT") {
      answer(verb, line, "221 2.0.0 Bye\r\n");
      return false;
    }
    return answer(verb, line, "500 5.5.2 unknown\r\n");
  }

  std::string greeting() const {
    const Options& options = peer_.options_;
    std::vector<std::string> lines{"peer.test"};
    lines.insert(lines.end(), options.extensions.begin(), options.extensions.end());
    if (options.starttls && ssl_ == nullptr) lines.emplace_back("STARTTLS");
    if (!options.auth.empty() && (ssl_ != nullptr || !options.auth_only_encrypted)) {
      lines.push_back("AUTH " + options.auth);
    }
    std::string text;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      text += (i + 1 < lines.size() ? "250-" : "250 ") + lines[i] + "\r\n";
    }
    return text;
  }

  bool content() {
    std::string text;
    std::string line;
    while (true) {
      if (!read_line(line)) return false;
      if (line == ".") break;
      if (line.starts_with('.')) line.erase(0, 1);
      text += line;
      text += "\r\n";
    }
    Mail mail = mail_;
    mail.content = std::move(text);
    mail.connection = number_;
    mail.encrypted = ssl_ != nullptr;
    mail.authenticated = authenticated_;
    mail_ = {};
    const bool open =
        answer("CONTENT", "", "250 2.0.0 Ok: queued as M" + std::to_string(number_) + "\r\n");
    if (positive_) {
      const std::lock_guard lock{peer_.mutex_};
      peer_.mails_.push_back(std::move(mail));
      peer_.changed_.notify_all();
    }
    return open;
  }

  bool authenticate(const std::string& line) {
    const Options& options = peer_.options_;
    const std::size_t space = line.find(' ', 5);
    const std::string mechanism = upper(line.substr(5, space - 5));
    std::string initial = space == std::string::npos ? "" : line.substr(space + 1);
    const bool offered =
        (" " + options.auth + " ").find(" " + mechanism + " ") != std::string::npos;
    if (!offered) return answer("AUTH", line, "504 5.5.4 no such mechanism\r\n");
    const auto ask = [&](const std::string& challenge, std::string& got) {
      return write("334 " + challenge + "\r\n") && read_line(got);
    };
    bool good = false;
    if (mechanism == "PLAIN") {
      if (initial.empty() && !ask("", initial)) return false;
      using namespace std::string_literals;
      good = unbase64(initial) == "\0"s + options.username + "\0"s + options.password;
    } else if (mechanism == "LOGIN") {
      std::string user;
      std::string password;
      if (!ask(base64("Username:"), user) || !ask(base64("Password:"), password)) return false;
      good = unbase64(user) == options.username && unbase64(password) == options.password;
    } else if (mechanism == "CRAM-MD5") {
      const std::string nonce = "<" + std::to_string(number_) + ".1896@peer.test>";
      std::string got;
      if (!ask(base64(nonce), got)) return false;
      good = unbase64(got) == options.username + " " + hmac_md5_hex(options.password, nonce);
    } else if (mechanism == "XOAUTH2") {
      good = unbase64(initial) ==
             "user=" + options.username + "\1auth=Bearer " + options.token + "\1\1";
      std::string empty;
      if (!good && !ask(base64(R"({"status":"401"})"), empty)) return false;
    }
    if (good) authenticated_ = mechanism + " " + options.username;
    return answer("AUTH", line, good ? "235 2.7.0 welcome\r\n" : "535 5.7.8 bad credentials\r\n");
  }

  // Says the usual or what the test wants; false when the session is over.
  bool answer(const std::string& verb, const std::string& line, const std::string& usual) {
    const Reaction reaction = peer_.reaction({verb, line, number_, ssl_ != nullptr});
    said_usual_ = reaction.kind == Reaction::Kind::usual;
    positive_ = false;
    if (reaction.after.count() > 0) {
      std::unique_lock lock{peer_.mutex_};
      if (peer_.changed_.wait_for(lock, reaction.after, [&] { return peer_.stopping_; })) {
        return false;
      }
    }
    switch (reaction.kind) {
      case Reaction::Kind::usual:
        positive_ = usual.starts_with('2');
        return write(usual);
      case Reaction::Kind::say:
        positive_ = reaction.text.starts_with('2');
        return write(reaction.text) && !reaction.then_cut;
      case Reaction::Kind::silence: {
        std::string ignored;
        while (read_line(ignored)) {
        }
        return false;
      }
      case Reaction::Kind::cut:
        return false;
    }
    return false;
  }

  bool handshake() {
    ssl_ = SSL_new(peer_.tls_);
    SSL_set_fd(ssl_, fd_);
    buffer_.clear();
    const bool done = SSL_accept(ssl_) == 1;
    ERR_clear_error();
    return done;
  }

  bool read_line(std::string& line) {
    while (true) {
      const std::size_t end = buffer_.find('\n', at_);
      if (end != std::string::npos) {
        line.assign(buffer_, at_, end - at_);
        if (line.ends_with('\r')) line.pop_back();
        at_ = end + 1;
        return true;
      }
      buffer_.erase(0, at_);
      at_ = 0;
      std::array<char, 16384> bytes;
      const int size = ssl_ != nullptr
                           ? SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                           : static_cast<int>(::recv(fd_, bytes.data(), bytes.size(), 0));
      if (size <= 0) {
        ERR_clear_error();
        return false;
      }
      buffer_.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }

  bool write(const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const int left = static_cast<int>(text.size() - done);
      const int size =
          ssl_ != nullptr
              ? SSL_write(ssl_, text.data() + done, left)
              : static_cast<int>(::send(fd_, text.data() + done, text.size() - done, MSG_NOSIGNAL));
      if (size <= 0) {
        ERR_clear_error();
        return false;
      }
      done += static_cast<std::size_t>(size);
    }
    return true;
  }

  SmtpPeer& peer_;
  const int fd_;
  const int number_;
  SSL* ssl_ = nullptr;
  std::string buffer_;
  std::size_t at_ = 0;
  Mail mail_;
  std::string authenticated_;
  bool said_usual_ = false;
  bool positive_ = false;
};

SmtpPeer::SmtpPeer(Options options) : options_{std::move(options)} {
  if (!options_.certificate.certificate_pem.empty()) {
    tls_ = SSL_CTX_new(TLS_server_method());
    BIO* const certificate_in = holding(options_.certificate.certificate_pem);
    X509* const certificate = PEM_read_bio_X509(certificate_in, nullptr, nullptr, nullptr);
    BIO* const key_in = holding(options_.certificate.private_key_pem);
    EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_in, nullptr, nullptr, nullptr);
    const bool used =
        SSL_CTX_use_certificate(tls_, certificate) == 1 && SSL_CTX_use_PrivateKey(tls_, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificate_in);
    BIO_free(key_in);
    if (!used) throw std::runtime_error("the test certificate can't be used");
  }
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error("the test server can't listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread{[this] { accept_loop(); }};
}

SmtpPeer::~SmtpPeer() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    changed_.notify_all();
  }
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
  SSL_CTX_free(tls_);
}

void SmtpPeer::accept_loop() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock{mutex_};
    if (stopping_) {
      ::close(fd);
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    open_.insert(fd);
    const int number = ++connections_;
    threads_.emplace_back([this, fd, number] {
      // Of this thread alone: the plugin under test has to look after itself.
      sigset_t broken_pipe;
      ::sigemptyset(&broken_pipe);
      ::sigaddset(&broken_pipe, SIGPIPE);
      ::pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
      Session{*this, fd, number}.run();
      const std::lock_guard session_lock{mutex_};
      open_.erase(fd);
      ::close(fd);
    });
  }
}

void SmtpPeer::react(React react) {
  const std::lock_guard lock{mutex_};
  options_.react = std::move(react);
}

SmtpPeer::Reaction SmtpPeer::reaction(const Step& step) {
  React react;
  {
    const std::lock_guard lock{mutex_};
    react = options_.react;
  }
  return react ? react(step) : Reaction{};
}

std::vector<SmtpPeer::Mail> SmtpPeer::mails(std::size_t count, std::chrono::milliseconds timeout) {
  std::unique_lock lock{mutex_};
  changed_.wait_for(lock, timeout, [&] { return mails_.size() >= count; });
  return mails_;
}

std::vector<std::string> SmtpPeer::commands(const std::string& wanted,
                                            std::chrono::milliseconds timeout) {
  std::unique_lock lock{mutex_};
  if (!wanted.empty()) {
    changed_.wait_for(lock, timeout, [&] {
      return std::any_of(commands_.begin(), commands_.end(),
                         [&](const std::string& line) { return line.starts_with(wanted); });
    });
  }
  return commands_;
}

}  // namespace postern::smtp
