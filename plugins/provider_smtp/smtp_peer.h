// An SMTP server for tests that misbehaves on request: slow, silent, cut off, refusing, lying, with
// good and bad certificates. Verifies AUTH for real. Loopback only.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace postern::smtp {

struct Certificate {
  std::string certificate_pem;  // self-signed, so its own authority
  std::string private_key_pem;
};

// For this DNS name; `expired` since yesterday.
Certificate make_certificate(const std::string& dns_name, bool expired = false);

class SmtpPeer {
 public:
  // What the client has just done: CONNECT, EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, CONTENT,
  // RSET, QUIT or whatever it said.
  struct Step {
    std::string verb;
    std::string line;
    int connection = 0;  // from 1
    bool encrypted = false;
  };
  struct Reaction {
    enum class Kind { usual, say, silence, cut };
    Kind kind = Kind::usual;
    std::string text;  // of say, with its CRLF
    bool then_cut = false;
    std::chrono::milliseconds after{0};

    static Reaction say(std::string text) { return {Kind::say, std::move(text), false, {}}; }
    static Reaction say_and_cut(std::string text) { return {Kind::say, std::move(text), true, {}}; }
    static Reaction silence() { return {Kind::silence, {}, false, {}}; }
    static Reaction cut() { return {Kind::cut, {}, false, {}}; }
    static Reaction slow(std::chrono::milliseconds after) {
      return {Kind::usual, {}, false, after};
    }
  };
  using React = std::function<Reaction(const Step&)>;  // thread-safe

  struct Options {
    bool implicit_tls = false;
    bool starttls = false;
    Certificate certificate;
    std::string injected_after_starttls;  // in the same segment as the 220
    std::vector<std::string> extensions{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10485760"};
    std::string auth;  // "PLAIN LOGIN CRAM-MD5 XOAUTH2", offered in EHLO
    bool auth_only_encrypted = false;
    std::string username;
    std::string password;
    std::string token;
    React react;
  };

  struct Mail {
    std::string sender;
    std::string parameters;  // of MAIL
    std::vector<std::string> recipients;
    std::string content;  // without the doubled dots
    int connection = 0;
    bool encrypted = false;
    std::string authenticated;  // "PLAIN user"
  };

  explicit SmtpPeer(Options options);
  ~SmtpPeer();
  SmtpPeer(const SmtpPeer&) = delete;
  SmtpPeer& operator=(const SmtpPeer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void react(React react);

  // What arrived so far; waits for `count` mails at most for `timeout`.
  std::vector<Mail> mails(std::size_t count, std::chrono::milliseconds timeout);
  // Command lines so far, "1 MAIL FROM:<…>"; waits until one starts with `wanted`, if any.
  std::vector<std::string> commands(const std::string& wanted = {},
                                    std::chrono::milliseconds timeout = std::chrono::seconds{5});
  [[nodiscard]] int connections() const { return connections_; }

 private:
  class Session;

  void accept_loop();
  Reaction reaction(const Step& step);

  Options options_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  SSL_CTX* tls_ = nullptr;
  std::atomic<int> connections_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::set<int> open_;
  std::vector<std::thread> threads_;
  std::vector<Mail> mails_;
  std::vector<std::string> commands_;

  std::thread acceptor_;
};

}  // namespace postern::smtp
