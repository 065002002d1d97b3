#include "connection.h"

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cctype>
#include <charconv>
#include <utility>

#include "content.h"

namespace postern::smtp {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using sdk::Outcome;
using sdk::Verdict;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t kChunk = 64 * 1024;             // of one write
constexpr std::size_t kCopiedIntoRecord = 15 * 1024;  // with TLS: one record, one write
constexpr std::chrono::milliseconds kQuitTimeout{5'000};
constexpr std::chrono::milliseconds kAfterWriteError{1'000};
constexpr std::chrono::milliseconds kCancelGrace{1'000};
constexpr std::chrono::milliseconds kQuick{50};

std::string upper(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) > 0x7f; });
}

// Whether the address can stand in a path without ending it: no control characters; spaces and
// angle brackets only in a quoted local part.
bool fits_in_path(std::string_view address) {
  bool quoted = false;
  bool escaped = false;
  for (const char c : address) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (escaped) {
      escaped = false;
    } else if (quoted && c == '\\') {
      escaped = true;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && (c == ' ' || c == '<' || c == '>')) {
      return false;
    }
  }
  return !quoted;
}

Outcome refusal(std::string_view enhanced, std::string_view detail) {
  Outcome outcome;
  outcome.verdict = Verdict::rejected;
  outcome.enhanced_status = std::string{enhanced};
  outcome.detail = std::string{detail};
  return outcome;
}

bool needs_smtputf8(const sdk::OutboundMessage& message) {
  return message.needs_smtputf8 || !is_ascii(message.envelope_sender) ||
         !std::all_of(message.recipients.begin(), message.recipients.end(),
                      [](const std::string& address) { return is_ascii(address); });
}

}  // namespace

Connection::Connection(asio::io_context& io, std::shared_ptr<ConnectionOwner> owner)
    : owner_{std::move(owner)}, config_{owner_->config()}, socket_{io}, timer_{io} {}

// ---------------------------------------------------------------- opening

void Connection::open(sdk::Deadline deadline) {
  limit_ = deadline;
  set_deadline(config_.timeouts.connect);
  owner_->resolve(
      [self = shared_from_this()](const Endpoints& endpoints, const std::string& error) {
        if (self->phase_ != Phase::resolving) return;
        if (endpoints.empty()) {
          self->fail(Fault::lost, "the name can't be resolved: " + error);
          return;
        }
        self->endpoints_ = endpoints;
        self->connect_next({});
      });
}

void Connection::connect_next(std::string last_error) {
  if (next_endpoint_ == endpoints_.size()) {
    fail(Fault::lost, last_error);
    return;
  }
  phase_ = Phase::connecting;
  set_deadline(config_.timeouts.connect);
  const tcp::endpoint& endpoint = endpoints_[next_endpoint_++];
  error_code ignored;
  socket_.close(ignored);
  socket_.async_connect(endpoint, [self = shared_from_this(), this,
                                   attempt = next_endpoint_](const error_code& error) {
    // A timeout may have moved on to the next address already.
    if (phase_ != Phase::connecting || attempt != next_endpoint_) return;
    if (error) {
      connect_next(error.message());
      return;
    }
    error_code no_delay;
    socket_.set_option(tcp::no_delay{true}, no_delay);
    parser_.discard();
    if (config_.security == Security::tls) {
      start_handshake();
      return;
    }
    phase_ = Phase::greeting;
    set_deadline(config_.timeouts.greeting);
    read();
  });
}

void Connection::start_handshake() {
  phase_ = Phase::handshake;
  set_deadline(config_.timeouts.greeting);
  auto client = owner_->tls();
  if (!client) {
    fail(Fault::tls, client.error());
    return;
  }
  tls_client_ = *client;
  SSL* const ssl = SSL_new(tls_client_->context());
  if (ssl == nullptr || !tls_client_->prepare(ssl)) {
    SSL_free(ssl);
    fail(Fault::tls, "TLS can't be set up for " + config_.server_name);
    return;
  }
  tls_.emplace(socket_, ssl);  // owns ssl
  tls_->async_handshake(
      asio::ssl::stream_base::client, [self = shared_from_this(), this](const error_code& error) {
        if (phase_ != Phase::handshake) return;
        if (error) {
          std::string why = tls_client_->explain(tls_->native_handle(), error.message());
          const bool may_fall_back = config_.security == Security::opportunistic &&
                                     (!config_.has_credentials() || config_.allow_plaintext_auth);
          if (!may_fall_back) {
            fail(Fault::tls, std::move(why));
            return;
          }
          owner_->log(sdk::LogLevel::info, "smtp: going on without TLS", std::move(why));
          plaintext_only_ = true;
          next_endpoint_ = 0;
          asio::post(timer_.get_executor(), [self, this] {
            if (phase_ != Phase::handshake) return;
            tls_.reset();
            connect_next({});
          });
          return;
        }
        if (config_.security == Security::tls) {
          phase_ = Phase::greeting;
          set_deadline(config_.timeouts.greeting);
        } else {
          say_ehlo(Phase::ehlo);
        }
        read();
      });
}

bool Connection::say_ehlo(Phase phase) {
  phase_ = phase;
  set_deadline(config_.timeouts.greeting);
  send((phase == Phase::ehlo ? "EHLO " : "HELO ") + config_.ehlo_name);
  return true;
}

void Connection::parse_extensions(const Reply& reply) {
  extensions_ = {};
  std::string_view rest = reply.text;
  const auto next_line = [&] {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return line;
  };
  next_line();  // the server's name
  while (!rest.empty()) {
    const std::string line = upper(next_line());
    const std::string_view view = line;
    const std::string_view keyword = view.substr(0, view.find_first_of(" ="));
    std::string_view value =
        keyword.size() < view.size() ? view.substr(keyword.size() + 1) : std::string_view{};
    if (keyword == "PIPELINING") extensions_.pipelining = config_.pipelining;
    if (keyword == "8BITMIME") extensions_.eight_bit_mime = true;
    if (keyword == "SMTPUTF8") extensions_.smtputf8 = true;
    if (keyword == "STARTTLS") extensions_.starttls = true;
    if (keyword == "SIZE") {
      extensions_.size = true;
      std::from_chars(value.data(), value.data() + value.size(), extensions_.max_size);
    }
    if (keyword == "AUTH") {
      extensions_.auth = true;
      while (!value.empty()) {
        const std::size_t end = value.find(' ');
        const std::string_view name = value.substr(0, end);
        value.remove_prefix(end == std::string_view::npos ? value.size() : end + 1);
        Mechanisms& offered = extensions_.mechanisms;
        if (name == "PLAIN") offered.plain = true;
        if (name == "LOGIN") offered.login = true;
        if (name == "CRAM-MD5") offered.cram_md5 = true;
        if (name == "XOAUTH2") offered.xoauth2 = true;
      }
    }
  }
}

bool Connection::after_ehlo() {
  if (!tls_) {
    if (config_.security == Security::starttls && !extensions_.starttls) {
      fail(Fault::tls, "the server doesn't offer STARTTLS, which `security: starttls` requires");
      return false;
    }
    const bool wanted = config_.security == Security::starttls ||
                        (config_.security == Security::opportunistic && !plaintext_only_);
    if (wanted && extensions_.starttls) {
      phase_ = Phase::starttls;
      set_deadline(config_.timeouts.greeting);
      send("STARTTLS");
      return true;
    }
  }
  return start_auth();
}

bool Connection::start_auth() {
  if (!config_.has_credentials()) {
    become_ready();
    return true;
  }
  if (!tls_ && !config_.allow_plaintext_auth) {
    fail(Fault::auth,
         "the connection isn't encrypted, and allow_plaintext_auth is off: no credentials sent");
    return false;
  }
  if (!extensions_.auth) {
    fail(Fault::auth, "the server doesn't offer AUTH, but credentials are configured");
    return false;
  }
  const auto mechanism = choose_mechanism(config_, extensions_.mechanisms);
  if (!mechanism) {
    fail(Fault::auth, "the server offers no AUTH mechanism that the credentials are fit for");
    return false;
  }
  auth_.emplace(*mechanism, config_);
  phase_ = Phase::auth;
  set_deadline(config_.timeouts.greeting);
  send(auth_->start());
  return true;
}

void Connection::become_ready() {
  phase_ = Phase::ready;
  established_ = true;
  limit_ = sdk::Deadline::max();
  set_deadline(config_.timeouts.idle);
  owner_->ready(shared_from_this());
}

bool Connection::handle_opening(const Reply& reply) {
  const auto refused = [&](Stage stage) {
    Outcome outcome = outcome_of(stage, reply);
    fail_opening(outcome);
    return false;
  };
  switch (phase_) {
    case Phase::greeting:
      if (!reply.positive()) return refused(Stage::greeting);
      return say_ehlo(Phase::ehlo);
    case Phase::ehlo: {
      if (reply.positive()) {
        parse_extensions(reply);
        return after_ehlo();
      }
      const bool unknown = reply.code == 500 || reply.code == 502 || reply.code == 504;
      const bool bare =
          config_.security == Security::none || config_.security == Security::opportunistic;
      if (unknown && bare && !tls_) return say_ehlo(Phase::helo);
      return refused(Stage::ehlo);
    }
    case Phase::helo:
      if (!reply.positive()) return refused(Stage::ehlo);
      extensions_ = {};
      return start_auth();
    case Phase::starttls:
      if (reply.code == 220) {
        // Whatever came before the handshake was in the clear: anybody may have written it.
        if (parser_.buffered() > 0) {
          owner_->log(sdk::LogLevel::warning, "smtp: plaintext after the reply to STARTTLS dropped",
                      std::to_string(parser_.buffered()) + " octets");
        }
        parser_.discard();
        extensions_ = {};
        start_handshake();
        return false;  // the handshake reads
      }
      if (config_.security == Security::opportunistic && reply.code != 421) return start_auth();
      return refused(Stage::tls);
    case Phase::auth: {
      if (reply.positive()) {
        auth_.reset();
        become_ready();
        return true;
      }
      if (reply.code != 334) return refused(Stage::auth);
      const auto answer = auth_->answer(reply.text);
      if (!answer) {
        fail(Fault::malformed, "AUTH: the server's challenge makes no sense");
        return false;
      }
      set_deadline(config_.timeouts.greeting);
      send(*answer);
      return true;
    }
    default:
      return true;
  }
}

// ---------------------------------------------------------------- reading

void Connection::read() {
  auto handler = [self = shared_from_this()](const error_code& error, std::size_t size) {
    self->on_read(error, size);
  };
  const asio::mutable_buffer room{parser_.room(), parser_.room_size()};
  if (tls_) {
    tls_->async_read_some(room, std::move(handler));
  } else {
    socket_.async_read_some(room, std::move(handler));
  }
}

void Connection::on_read(error_code error, std::size_t size) {
  if (phase_ == Phase::closed) return;
  if (error) {
    std::string why = error == asio::error::eof || error == asio::ssl::error::stream_truncated
                          ? std::string{"the server closed the connection"}
                          : error.message();
    fail(Fault::lost, std::move(why));
    return;
  }
  parser_.commit(size);
  while (true) {
    switch (parser_.next()) {
      case ReplyParser::Status::need_more:
        read();
        return;
      case ReplyParser::Status::malformed:
        fail(Fault::malformed, "the server sent what is no SMTP reply");
        return;
      case ReplyParser::Status::reply:
        if (!handle(parser_.reply())) return;
        if (phase_ == Phase::closed) return;
    }
  }
}

bool Connection::handle(const Reply& reply) {
  switch (phase_) {
    case Phase::transaction:
      return handle_transaction(reply);
    case Phase::ready:  // nothing was asked: "421 idle for too long"
    case Phase::quitting:
      close();
      return false;
    default:
      return handle_opening(reply);
  }
}

// ---------------------------------------------------------------- transactions

bool Connection::refuse_impossible(Job& job) const {
  const sdk::OutboundMessage& message = *job.message;
  const auto all = [&](const Outcome& outcome) {
    job.answer_all(outcome);
    return true;
  };
  if (!fits_in_path(message.envelope_sender)) {
    return all(refusal("5.1.7", "the envelope sender can't be written in a MAIL command"));
  }
  if (needs_smtputf8(message) && !extensions_.smtputf8) {
    return all(refusal("5.6.7", "the message needs SMTPUTF8, which the server doesn't offer"));
  }
  if (message.needs_8bitmime && !extensions_.eight_bit_mime) {
    return all(refusal("5.6.3", "the message needs 8BITMIME, which the server doesn't offer"));
  }
  if (extensions_.max_size > 0 && job.content().size() > extensions_.max_size) {
    return all(refusal("5.3.4", "the message has " + std::to_string(job.content().size()) +
                                    " octets, the server takes " +
                                    std::to_string(extensions_.max_size)));
  }
  std::erase_if(job.unanswered, [&](std::uint32_t index) {
    const std::string& address = message.recipients[index];
    if (!address.empty() && fits_in_path(address)) return false;
    job.outcomes[index] = refusal("5.1.3", "the address can't be written in a RCPT command");
    return true;
  });
  return job.unanswered.empty();
}

void Connection::append_mail(const Job& job, std::string& out) const {
  const sdk::OutboundMessage& message = *job.message;
  out += "MAIL FROM:<";
  out += message.envelope_sender;
  out += '>';
  if (extensions_.size) {
    out += " SIZE=";
    out += std::to_string(message.mime->size());
  }
  if (message.needs_8bitmime || (extensions_.smtputf8 && needs_smtputf8(message))) {
    if (extensions_.eight_bit_mime) out += " BODY=8BITMIME";
  }
  if (needs_smtputf8(message)) out += " SMTPUTF8";
  out += "\r\n";
}

void Connection::append_rcpt(const Job& job, std::uint32_t recipient, std::string& out) {
  out += "RCPT TO:<";
  out += job.message->recipients[recipient];
  out += ">\r\n";
}

void Connection::append_group(const Job& job, std::string& out) const {
  append_mail(job, out);
  for (const std::uint32_t recipient : job.unanswered) append_rcpt(job, recipient, out);
  out += "DATA\r\n";
}

void Connection::start_transaction(JobPtr job) {
  phase_ = Phase::transaction;
  ++messages_;
  job_ = std::move(job);
  limit_ = job_->deadline;
  asked_ = job_->unanswered;
  accepted_.clear();
  rcpt_ = 0;
  mail_accepted_ = false;
  content_ = Content::none;
  step_ = needs_rset_ ? Step::rset : Step::mail;
  set_deadline(config_.timeouts.mail);
}

void Connection::begin(JobPtr job) {
  if (refuse_impossible(*job)) {
    owner_->finish(job);
    owner_->ready(shared_from_this());
    return;
  }
  start_transaction(std::move(job));
  if (needs_rset_) pending_ += "RSET\r\n";
  if (extensions_.pipelining) {
    append_group(*job_, pending_);
  } else if (!needs_rset_) {
    append_mail(*job_, pending_);
  }
  flush();
}

void Connection::answer_asked(const Outcome& outcome) {
  job_->answer_all(outcome);
}

bool Connection::handle_transaction(const Reply& reply) {
  const bool step_by_step = !extensions_.pipelining;
  if (reply.code == 421 && !(step_ == Step::rcpt && !mail_accepted_)) {
    // The server closes the channel; what was not answered has this answer.
    fail_transaction(outcome_of(stage(), reply), messages_ > 1 && step_ != Step::content);
    return false;
  }
  if (reply.intermediate() && step_ != Step::data) {
    fail(Fault::malformed, "a reply out of place: " + describe(reply));
    return false;
  }
  switch (step_) {
    case Step::rset:
      if (!reply.positive()) {
        fail(Fault::malformed, "RSET was refused: " + describe(reply));
        return false;
      }
      needs_rset_ = false;
      step_ = Step::mail;
      set_deadline(config_.timeouts.mail);
      if (step_by_step) {
        append_mail(*job_, pending_);
        flush();
      }
      return true;
    case Step::mail:
      mail_accepted_ = reply.positive();
      if (!mail_accepted_) {
        answer_asked(outcome_of(Stage::mail, reply));
        if (step_by_step) {
          end_transaction();
          return true;
        }
      }
      needs_rset_ = mail_accepted_;
      step_ = Step::rcpt;
      set_deadline(config_.timeouts.rcpt);
      if (step_by_step) {
        append_rcpt(*job_, asked_[0], pending_);
        flush();
      }
      return true;
    case Step::rcpt: {
      const std::uint32_t recipient = asked_[rcpt_++];
      if (mail_accepted_ && reply.positive()) accepted_.push_back(recipient);
      if (mail_accepted_ && !reply.positive()) {
        job_->outcomes[recipient] = outcome_of(Stage::rcpt, reply);
        std::erase(job_->unanswered, recipient);
      }
      if (rcpt_ < asked_.size()) {
        set_deadline(config_.timeouts.rcpt);
        if (step_by_step) {
          append_rcpt(*job_, asked_[rcpt_], pending_);
          flush();
        }
        return true;
      }
      if (step_by_step && accepted_.empty()) {
        end_transaction();
        return true;
      }
      step_ = Step::data;
      set_deadline(config_.timeouts.data_initiation);
      if (step_by_step) send("DATA");
      return true;
    }
    case Step::data:
      if (reply.code == 354) {
        if (!accepted_.empty()) {
          send_content();
          return true;
        }
        // The server waits for a mail that nobody is to get. A dot would send an empty one.
        fail_transaction({}, false);
        return false;
      }
      if (reply.code < 400) {
        fail(Fault::malformed, "a reply out of place: " + describe(reply));
        return false;
      }
      if (!job_->unanswered.empty()) answer_asked(outcome_of(Stage::data, reply));
      end_transaction();
      return true;
    case Step::content: {
      const bool early = content_ != Content::written;
      if (early && reply.positive() && !end_may_have_left()) {
        fail(Fault::malformed, "the server took the content before it was sent");
        return false;
      }
      if (early && !reply.positive()) {
        // The rest of the content would be taken for commands.
        fail_transaction(outcome_of(Stage::content, reply), false);
        return false;
      }
      needs_rset_ = false;
      quick_ = steady_clock::now() - content_sent_at_ < kQuick;
      answer_asked(outcome_of(Stage::content, reply));
      end_transaction();
      return true;
    }
  }
  return true;
}

void Connection::send_content() {
  if (writing_job_) {
    fail(Fault::malformed, "the server is out of step");
    return;
  }
  // A cancel that came while its commands followed another's content takes effect here, where nothing
  // was handed over yet.
  if (job_->stop.stop_requested() || steady_clock::now() >= job_->deadline) {
    fail(Fault::canceled, "canceled");
    return;
  }
  Job& job = *job_;
  if (!job.checked) {
    if (!is_transparent(*job.message->mime)) job.transparent = make_transparent(*job.message->mime);
    job.checked = true;
  }
  step_ = Step::content;
  content_ = Content::due;
  content_sent_at_ = steady_clock::now();
  set_deadline(config_.timeouts.data_block);
  tail_ = end_of_data(job.content());
  // RFC 2920 3.1: the content may be the first of a group, so the next message need not wait for
  // the answer to this one.
  if (extensions_.pipelining && quick_ && can_carry_more()) {
    next_ = owner_->take_next(job);
    if (next_ && refuse_impossible(*next_)) {
      owner_->finish(next_);
      next_.reset();
    }
    if (next_) append_group(*next_, tail_);
  }
  flush();
}

void Connection::end_transaction() {
  const JobPtr done = std::move(job_);
  job_.reset();
  content_ = Content::none;
  if (next_) {
    start_transaction(std::move(next_));
    next_.reset();
    owner_->finish(done);
    return;
  }
  phase_ = Phase::ready;
  limit_ = sdk::Deadline::max();
  set_deadline(config_.timeouts.idle);
  owner_->finish(done);
  if (phase_ == Phase::ready) owner_->ready(shared_from_this());
}

bool Connection::end_may_have_left() const {
  switch (content_) {
    case Content::none:
    case Content::due:
      return false;
    case Content::writing:
      // A write that has failed, or runs, may have handed over as much as it was given.
      return written_ + (write_error_.empty() || tls_ ? kChunk : 0) > content_end_;
    case Content::written:
      return true;
  }
  return true;
}

// ---------------------------------------------------------------- writing

void Connection::send(std::string_view line) {
  pending_ += line;
  pending_ += "\r\n";
  flush();
}

void Connection::flush() {
  if (writing_ || !write_error_.empty()) return;
  if (pending_.empty() && content_ != Content::due) return;
  writing_ = true;
  written_ = 0;
  writing_bytes_.clear();
  std::swap(writing_bytes_, pending_);
  std::array<asio::const_buffer, 3> buffers;
  if (content_ == Content::due) {
    content_ = Content::writing;
    writing_job_ = job_;
    const std::string_view content = job_->content();
    content_end_ = writing_bytes_.size() + content.size();
    if (tls_ && content.size() <= kCopiedIntoRecord) {
      writing_bytes_ += content;
      writing_bytes_ += tail_;
    } else {
      buffers[1] = asio::buffer(content);
      buffers[2] = asio::buffer(tail_);
    }
  }
  buffers[0] = asio::buffer(writing_bytes_);
  auto progress = [self = shared_from_this()](const error_code& error, std::size_t size) {
    if (size > self->written_ && self->content_ == Content::writing) {
      self->set_deadline(self->config_.timeouts.data_block);
    }
    self->written_ = size;
    return error ? std::size_t{0} : kChunk;
  };
  auto handler = [self = shared_from_this()](const error_code& error, std::size_t) {
    self->on_written(error);
  };
  if (tls_) {
    asio::async_write(*tls_, buffers, std::move(progress), std::move(handler));
  } else {
    asio::async_write(socket_, buffers, std::move(progress), std::move(handler));
  }
}

void Connection::on_written(error_code error) {
  writing_ = false;
  const JobPtr whose = std::move(writing_job_);
  writing_job_.reset();
  if (phase_ == Phase::closed) return;
  if (error) {
    // The server may have said why before it closed: reading goes on for a moment.
    write_error_ = error.message();
    set_deadline(kAfterWriteError);
    return;
  }
  if (content_ == Content::writing && whose == job_) {
    content_ = Content::written;
    content_sent_at_ = steady_clock::now();
    set_deadline(config_.timeouts.data_termination);
  }
  flush();
}

// ---------------------------------------------------------------- time and failure

Stage Connection::stage() const {
  switch (phase_) {
    case Phase::resolving:
    case Phase::connecting:
      return Stage::connect;
    case Phase::greeting:
      return Stage::greeting;
    case Phase::ehlo:
    case Phase::helo:
      return Stage::ehlo;
    case Phase::starttls:
    case Phase::handshake:
      return Stage::tls;
    case Phase::auth:
      return Stage::auth;
    default:
      break;
  }
  switch (step_) {
    case Step::rset:
    case Step::mail:
      return Stage::mail;
    case Step::rcpt:
      return Stage::rcpt;
    case Step::data:
      return Stage::data;
    case Step::content:
      return Stage::content;
  }
  return Stage::mail;
}

void Connection::set_deadline(std::chrono::milliseconds timeout) {
  deadline_ = std::min(limit_, steady_clock::now() + timeout);
  arm();
}

// The timer is set anew only when it would fire too late; what fires early is set again then.
void Connection::arm() {
  if (deadline_ >= timer_at_) return;
  timer_at_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (error || self->phase_ == Phase::closed) return;
    self->timer_at_ = sdk::Deadline::max();
    self->on_timer();
  });
}

void Connection::on_timer() {
  if (steady_clock::now() < deadline_) {
    arm();
    return;
  }
  if (phase_ == Phase::ready) {
    quit();
    return;
  }
  if (!write_error_.empty()) {
    fail(Fault::lost, write_error_);
    return;
  }
  if (phase_ == Phase::connecting && steady_clock::now() < limit_) {
    connect_next("connecting timed out");
    return;
  }
  fail(Fault::timeout, "no answer in time");
}

void Connection::fail(Fault fault, std::string detail) {
  if (phase_ == Phase::closed) return;
  if (phase_ == Phase::ready || phase_ == Phase::quitting) {
    close();
    return;
  }
  const Stage at = stage();
  std::string words = config_.host + ":" + std::to_string(config_.port) + ", at " +
                      std::string{name_of(at)} + ": " + detail;
  const Outcome outcome = outcome_of(at, fault, end_may_have_left(), printable(words));
  if (phase_ == Phase::transaction) {
    fail_transaction(outcome, fault == Fault::lost && messages_ > 1 && at < Stage::content);
  } else {
    fail_opening(outcome);
  }
}

void Connection::fail_opening(const Outcome& outcome) {
  owner_->open_failed(*this, outcome);
  close();
}

void Connection::fail_transaction(const Outcome& outcome, bool stale) {
  const JobPtr job = std::move(job_);
  const JobPtr next = std::move(next_);
  job_.reset();
  next_.reset();
  close();
  // In this order, so that both keep their places in the queue.
  if (next) owner_->give_back(next, false);
  if (stale && !job->retried && !job->unanswered.empty()) {
    job->retried = true;
    owner_->give_back(job, true);
    return;
  }
  job->answer_all(outcome);
  owner_->finish(job);
}

void Connection::cancel(const JobPtr& job) {
  if (next_ == job) {
    // Its commands are on the way. The answer to the message before it must not be lost for it.
    return;
  }
  if (job_ != job || phase_ != Phase::transaction) return;
  if (step_ == Step::content && end_may_have_left()) {
    limit_ = std::min(limit_, steady_clock::now() + kCancelGrace);
    deadline_ = std::min(deadline_, limit_);
    arm();
    return;
  }
  fail(Fault::canceled, "canceled");
}

void Connection::abandon(const std::string& why) {
  if (phase_ == Phase::ready) {
    quit();
    return;
  }
  fail(Fault::canceled, why);
}

void Connection::quit() {
  if (phase_ != Phase::ready) return;
  phase_ = Phase::quitting;
  limit_ = sdk::Deadline::max();
  set_deadline(kQuitTimeout);
  send("QUIT");
  owner_->closed(shared_from_this());
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  const bool told = phase_ == Phase::quitting;
  phase_ = Phase::closed;
  error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
  if (!told) owner_->closed(shared_from_this());
}

}  // namespace postern::smtp
