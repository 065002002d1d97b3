// One SMTP session: connect, TLS, AUTH, then one transaction after the other.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth.h"
#include "job.h"
#include "outcome.h"
#include "reply.h"
#include "resolver.h"
#include "tls.h"

namespace postern::smtp {

class Connection;

// What a connection asks of its account. Called on the I/O thread.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;

  [[nodiscard]] virtual const Config& config() const = 0;
  // TLS for a new handshake; the error is for the operator.
  virtual sdk::Expected<TlsClient*, std::string> tls() = 0;
  virtual void resolve(std::function<void(const Endpoints&, const std::string&)> done) = 0;
  virtual void log(sdk::LogLevel level, std::string_view message, std::string detail) = 0;

  // The session is up, or a transaction is over: the connection can begin() another job.
  virtual void ready(const std::shared_ptr<Connection>& connection) = 0;
  // The session could not be opened; nothing was handed over. Then closed() follows.
  virtual void open_failed(Connection& connection, const sdk::Outcome& outcome) = 0;
  // A job comes back unharmed, to be tried again.
  virtual void give_back(JobPtr job, bool connection_was_stale) = 0;
  // Every recipient has its outcome.
  virtual void finish(const JobPtr& job) = 0;
  // A job to send right behind the content of the current one, if that is wise; never one that
  // must be answered before `current`.
  virtual JobPtr take_next(const Job& current) = 0;
  // No more of this connection; called once.
  virtual void closed(const std::shared_ptr<Connection>& connection) = 0;
};

// Of the I/O thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::io_context& io, std::shared_ptr<ConnectionOwner> owner);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Connects and logs in by `deadline`, then calls owner.ready().
  void open(sdk::Deadline deadline);
  // Precondition: ready, no job. Answers through the owner.
  void begin(JobPtr job);
  // Ends the session politely, in the background.
  void quit();
  // Gives up the job, if this connection has it. Where the message may be with the server already,
  // the server gets a second to answer.
  void cancel(const JobPtr& job);
  // Gives up all that it does, at once.
  void abandon(const std::string& why);

  [[nodiscard]] bool can_carry_more() const {
    return config_.max_messages_per_connection == 0 ||
           messages_ < config_.max_messages_per_connection;
  }
  [[nodiscard]] bool established() const { return established_; }
  // True once: when the session has come up.
  bool first_ready() { return !std::exchange(announced_, true); }
  [[nodiscard]] Stage stage() const;

 private:
  enum class Phase : std::uint8_t {
    resolving,
    connecting,
    greeting,
    ehlo,
    helo,
    starttls,
    handshake,
    auth,
    ready,
    transaction,
    quitting,
    closed,
  };
  enum class Step : std::uint8_t { rset, mail, rcpt, data, content };
  enum class Content : std::uint8_t { none, due, writing, written };

  struct Extensions {
    bool pipelining = false;
    bool eight_bit_mime = false;
    bool smtputf8 = false;
    bool starttls = false;
    bool auth = false;
    bool size = false;
    std::uint64_t max_size = 0;  // 0: no limit known
    Mechanisms mechanisms;
  };

  void connect_next(std::string last_error);
  void read();
  void on_read(boost::system::error_code error, std::size_t size);
  // False when the connection is no longer to be read from.
  bool handle(const Reply& reply);
  bool handle_opening(const Reply& reply);
  bool handle_transaction(const Reply& reply);
  void parse_extensions(const Reply& reply);
  bool after_ehlo();
  void start_handshake();
  bool start_auth();
  void become_ready();
  bool say_ehlo(Phase phase);

  // What the message needs and the server lacks; true when every recipient is answered by it.
  bool refuse_impossible(Job& job) const;
  void append_group(const Job& job, std::string& out) const;
  void append_mail(const Job& job, std::string& out) const;
  static void append_rcpt(const Job& job, std::uint32_t recipient, std::string& out);
  void start_transaction(JobPtr job);
  void answer_asked(const sdk::Outcome& outcome);
  void end_transaction();
  void send_content();
  [[nodiscard]] bool end_may_have_left() const;

  void send(std::string_view line);
  void flush();
  void on_written(boost::system::error_code error);

  void set_deadline(std::chrono::milliseconds timeout);
  void arm();
  void on_timer();
  void fail(Fault fault, std::string detail);
  void fail_opening(const sdk::Outcome& outcome);
  void fail_transaction(const sdk::Outcome& outcome, bool stale);
  void close();

  const std::shared_ptr<ConnectionOwner> owner_;
  const Config& config_;
  boost::asio::ip::tcp::socket socket_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  boost::asio::steady_timer timer_;
  sdk::Deadline timer_at_ = sdk::Deadline::max();  // when timer_ fires
  sdk::Deadline deadline_ = sdk::Deadline::max();  // of what is awaited now
  sdk::Deadline limit_ = sdk::Deadline::max();     // of all of it: the attempt's

  Phase phase_ = Phase::resolving;
  bool established_ = false;
  bool announced_ = false;
  Endpoints endpoints_;
  std::size_t next_endpoint_ = 0;
  Extensions extensions_;
  std::optional<AuthExchange> auth_;
  TlsClient* tls_client_ = nullptr;
  bool plaintext_only_ = false;  // opportunistic TLS failed on this connection
  ReplyParser parser_;

  JobPtr job_;
  JobPtr next_;  // its MAIL went out behind the content of job_
  Step step_ = Step::mail;
  bool mail_accepted_ = false;
  std::size_t rcpt_ = 0;                 // replies to RCPT so far
  std::vector<std::uint32_t> accepted_;  // recipients that RCPT took
  std::vector<std::uint32_t> asked_;     // recipients of this transaction
  bool needs_rset_ = false;
  std::uint32_t messages_ = 0;  // transactions begun
  std::chrono::steady_clock::time_point content_sent_at_;
  bool quick_ = false;  // the last content was answered without delay

  std::string pending_;  // to be written next
  std::string writing_bytes_;
  bool writing_ = false;
  JobPtr writing_job_;  // whose content the write that runs refers to
  Content content_ = Content::none;
  std::size_t written_ = 0;      // octets of the write that runs, handed to the system
  std::size_t content_end_ = 0;  // octets of it before the dot
  std::string tail_;
  std::string write_error_;
};

}  // namespace postern::smtp
