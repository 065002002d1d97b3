#include "http/connection.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "base/bytes.h"
#include "base/ids.h"

namespace postern::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::chrono::seconds kBusyRetry{2};
constexpr std::size_t kInputBuffer = 64 * 1024;
// Between requests little is read at a time: what one read brings beyond the request waits in the
// connection while the request is answered.
constexpr std::size_t kHeadRead = 16 * 1024;
constexpr int kReadsPerTurn = 8;
constexpr std::size_t kJoinBelow = 16 * 1024;  // larger bodies are not copied behind their head
constexpr milliseconds kLinger{2'000};
constexpr std::size_t kLingerBytes = 1 << 20;
constexpr std::size_t kWriteProgress = 64 * 1024;  // renews the time to take an answer

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

ErrorKind kind_of(int status) {
  switch (status) {
    case 413:
      return ErrorKind::payload_too_large;
    case 500:
      return ErrorKind::internal;
    case 503:
      return ErrorKind::unavailable;
    default:
      return ErrorKind::invalid;
  }
}

}  // namespace

Workbench::Workbench(Application& to, const Clock& time, sdk::Logger& log, const Limits& bounds)
    : application(to),
      clock(time),
      logger(log),
      limits(bounds),
      mailbox(std::make_shared<Mailbox>()),
      input(std::max<std::size_t>(kInputBuffer, bounds.header_bytes + kHeadRead)),
      now(time.monotonic()) {}

Connection::Connection(int fd, std::uint64_t generation, std::string address, Workbench& bench)
    : bench_(bench),
      channel_(fd),
      fd_(fd),
      generation_(generation),
      address_(std::move(address)),
      deadline_(bench.now + bench.limits.first_byte),
      body_claim_(bench.body_bytes) {}

void Connection::on_ready(bool hung_up) {
  if (hung_up) return abandon();
  readable_ = true;
  unread_ = stash_;
  if (channel_.pending()) flush();
  run();
}

void Connection::on_turn() {
  wants_turn_ = false;
  unread_ = stash_;
  run();
}

void Connection::on_answer(ExchangeAddress to, Answer answer) {
  if (to.generation != generation_ || to.question != question_) return;
  if (state_ != State::admitting && state_ != State::handling) return;
  unread_ = stash_;
  apply(std::move(answer));
  run();
}

void Connection::on_tick() {
  if (channel_.pending()) {
    if (channel_.pending_bytes() + kWriteProgress <= write_mark_) {
      write_mark_ = channel_.pending_bytes();
      write_deadline_ = bench_.now + bench_.limits.write;
    }
    if (bench_.now >= write_deadline_) return abandon();
  }
  if (bench_.now < deadline_) return;
  switch (state_) {
    case State::head:
      if (!begun_) return abandon();
      return refuse({408, "The request's head took too long"});
    case State::body:
      return refuse({408, "The request's body took too long"});
    case State::skipping:
    case State::lingering:
      return abandon();
    default:
      return;
  }
}

void Connection::on_drain() {
  if (state_ == State::head && !begun_) abandon();
}

void Connection::turn_away(ErrorKind kind, std::string_view message) {
  refuse({kind, std::string(message), {}, seconds{1}}, 503, true);
}

// One turn: works on unread_, and on what the socket holds, until it must wait for something. What
// is left goes to the stash.
void Connection::run() {
  for (int reads = 0;;) {
    const Step step = advance();
    if (step == Step::wait) break;
    if (step == Step::go_on) continue;
    if (!readable_) break;
    if (++reads > kReadsPerTurn) {  // others have waited long enough
      wants_turn_ = true;
      break;
    }
    if (!receive()) break;
  }
  if (unread_.empty()) {
    if (!stash_.empty()) stash_ = {};
  } else if (unread_.data() >= stash_.data() && unread_.data() < stash_.data() + stash_.size()) {
    stash_.erase(0, static_cast<std::size_t>(unread_.data() - stash_.data()));
  } else {
    stash_.assign(unread_);
  }
  unread_ = {};
}

Connection::Step Connection::advance() {
  switch (state_) {
    case State::head:
      return advance_head();
    case State::body:
    case State::skipping:
      return advance_body();
    case State::lingering:
      dropped_ += unread_.size();
      unread_ = {};
      if (dropped_ > kLingerBytes) abandon();
      return state_ == State::closed ? Step::wait : Step::read_more;
    default:
      return Step::wait;
  }
}

// Reads behind what is unread; false when nothing came.
bool Connection::receive() {
  std::vector<char>& input = bench_.input;
  if (!unread_.empty() && unread_.data() != input.data()) {
    std::memmove(input.data(), unread_.data(), unread_.size());
  }
  const std::size_t held = unread_.size();
  std::size_t room = std::min(input.size() - held, kHeadRead);
  if (state_ == State::body || state_ == State::skipping) {
    if (const auto rest = parser_->remaining()) {
      room = static_cast<std::size_t>(std::min<std::uint64_t>(input.size() - held, *rest));
    }
  } else if (state_ == State::lingering) {
    room = input.size() - held;
  }
  const Channel::Received got = channel_.receive(input.data() + held, room);
  unread_ = {input.data(), held + got.count};
  switch (got.kind) {
    case Channel::Input::bytes:
      return true;
    case Channel::Input::nothing_yet:
      readable_ = false;
      return false;
    case Channel::Input::end:
      readable_ = false;
      input_ended();
      return false;
    case Channel::Input::failed:
      abandon();
      return false;
  }
  return false;
}

void Connection::input_ended() {
  const bool truncated = (state_ == State::head && begun_) || state_ == State::body;
  if (!truncated) return abandon();
  refuse({400, "The request ended too early"});
}

Connection::Step Connection::advance_head() {
  if (unread_.empty()) {
    if (bench_.draining) abandon();
    return state_ == State::closed ? Step::wait : Step::read_more;
  }
  if (!empty_line_skipped_ && unread_.front() == '\r') {  // RFC 9112 2.2: one is forgiven
    if (unread_.size() < 2) return Step::read_more;
    if (unread_[1] == '\n') {
      unread_.remove_prefix(2);
      empty_line_skipped_ = true;
      return Step::go_on;
    }
  }
  if (!begun_) {
    begun_ = true;
    deadline_ = bench_.now + bench_.limits.head;
  }
  const HeadSize size = find_head(unread_, scanned_, bench_.limits.header_bytes);
  if (!size) {
    refuse(size.error());
    return Step::go_on;
  }
  if (*size == 0) return Step::read_more;
  const std::string_view bytes = unread_.substr(0, *size);
  unread_.remove_prefix(*size);
  begin_request(bytes);
  return Step::go_on;
}

void Connection::begin_request(std::string_view bytes) {
  const auto framing = check_head(bytes, bench_.limits.header_count);
  if (!framing) return refuse(framing.error());
  auto head = std::make_shared<Head>();
  head->method = framing->method;
  head->path = framing->path;
  head->query = framing->query;
  head->client_address = address_;
  head->request_id = "req_" + ulid(bench_.clock);
  head->received = bench_.now;
  head->content_length = framing->content_length;
  head->has_body = framing->chunked || framing->content_length > 0;
  parser_.emplace();
  if (!parser_->read_head(bytes, *framing, *head)) {
    return refuse({400, "Malformed request"});
  }
  http11_ = framing->http11;
  close_after_answer_ = !framing->keep_alive;
  owes_continue_ = framing->expects_continue && head->has_body;
  head_ = std::move(head);
  state_ = State::admitting;
  deadline_ = TimePoint::max();
  if (auto answer = ask(Question::admit)) apply(*std::move(answer));
}

// Asks the application; the answer, if it came at once.
std::optional<Answer> Connection::ask(Question question) {
  auto state = std::make_shared<detail::ExchangeState>(
      bench_.mailbox, ExchangeAddress{fd_, generation_, ++question_});
  AnswersHere here(*state);
  std::string failure;
  try {
    if (question == Question::admit) {
      bench_.application.admit(head_, Admission(state));
    } else {
      bench_.application.handle({head_, parser_->take_body(), std::exchange(admitted_.context, {})},
                                Reply(state));
    }
  } catch (const std::exception& error) {
    failure = error.what();
    if (failure.empty()) failure = "an exception without a message";
  } catch (...) {
    failure = "something that is no std::exception";
  }
  if (!failure.empty()) {
    bench_.logger.log(sdk::LogLevel::error, "a request handler threw",
                      {{"request_id", head_->request_id}, {"error", failure}});
    if (state->claim()) return Lost{};
  }
  state.reset();  // handles that were dropped are lost now, and not by way of the mailbox
  return std::move(here.answer());
}

void Connection::apply(Answer answer) {
  if (auto* response = std::get_if<Response>(&answer)) return respond(std::move(*response));
  auto* accepted = std::get_if<Admitted>(&answer);
  if (accepted != nullptr && state_ == State::admitting) return admitted(std::move(*accepted));
  bench_.logger.log(sdk::LogLevel::error, "a request was left without an answer",
                    {{"request_id", head_->request_id}});
  refuse({ErrorKind::internal, "Something went wrong here", {}, {}}, 500, false);
}

void Connection::admitted(Admitted accepted) {
  admitted_ = std::move(accepted);
  if (!head_->has_body) return hand_over();
  if (head_->content_length > admitted_.body_limit) {
    return refuse({ErrorKind::payload_too_large,
                   "The body is larger than " + std::to_string(admitted_.body_limit) + " bytes",
                   {},
                   {}},
                  413, false);
  }
  parser_->keep_body(admitted_.body_limit);
  state_ = State::body;
  deadline_ = bench_.now + bench_.limits.body;
  if (owes_continue_ && unread_.empty()) transmit(kContinue, {});
  owes_continue_ = false;
}

Connection::Step Connection::advance_body() {
  const bool skipping = state_ == State::skipping;
  const auto progress = parser_->read_body(unread_);
  body_claim_.resize(parser_->held());
  if (progress == RequestParser::Progress::more && !skipping &&
      bench_.body_bytes > bench_.limits.body_memory) {
    refuse({ErrorKind::unavailable, "Too many large requests at once; try again", {}, kBusyRetry}, 503,
           true);
    return Step::go_on;
  }
  switch (progress) {
    case RequestParser::Progress::complete:
      skipping ? answer_taken() : hand_over();
      return Step::go_on;
    case RequestParser::Progress::more:
      // What is left is a chunk header or trailers that don't end.
      if (unread_.size() <= bench_.limits.header_bytes) return Step::read_more;
      skipping ? end_after_answer() : refuse({400, "A chunk's header is too large"});
      return Step::go_on;
    case RequestParser::Progress::too_large:
      if (skipping) {
        end_after_answer();
      } else {
        close_after_answer_ = true;
        refuse({413, "The body is larger than it may be"});
      }
      return Step::go_on;
    case RequestParser::Progress::malformed:
      skipping ? end_after_answer() : refuse({400, "Malformed chunked body"});
      return Step::go_on;
  }
  return Step::wait;
}

void Connection::hand_over() {
  state_ = State::handling;
  deadline_ = TimePoint::max();
  body_claim_.resize(0);  // the application counts it from here
  if (auto answer = ask(Question::handle)) apply(*std::move(answer));
}

void Connection::refuse(const Fault& fault) {
  refuse({kind_of(fault.status), std::string(fault.message), {}, {}}, fault.status, true);
}

void Connection::refuse(const Error& error, int status, bool close) {
  if (head_ == nullptr) {
    head_ = std::make_shared<Head>();
    head_->client_address = address_;
    head_->request_id = "req_" + ulid(bench_.clock);
    head_->received = bench_.now;
  }
  close_after_answer_ = close_after_answer_ || close;
  Response response;
  try {
    response = bench_.application.refused(*head_, error);
  } catch (...) {
    bench_.logger.log(sdk::LogLevel::error, "wording a refusal threw",
                      {{"request_id", head_->request_id}});
    response = {};
    response.body = R"({"error":{"code":"INTERNAL_ERROR","message":"Something went wrong here",)"
                    R"("request_id":")" +
                    head_->request_id + R"("}})";
  }
  response.status = status;
  respond(std::move(response));
}

void Connection::respond(Response response) {
  const Limits& limits = bench_.limits;
  ++question_;  // whoever still holds a handle to this request comes too late
  if (bench_.draining) close_after_answer_ = true;
  const bool unread_body = parser_ && !parser_->complete();
  if (unread_body) {
    // A client that waits for 100 may or may not send the body now (RFC 9110 10.1.1): no telling
    // where the next request would begin.
    if (owes_continue_ || head_->content_length > limits.drain_bytes) close_after_answer_ = true;
    parser_->drop_body(limits.drain_bytes);
    body_claim_.resize(0);
  }

  AnswerFrame frame;
  frame.request_id = head_->request_id;
  frame.more_headers = &admitted_.response_headers;
  if (close_after_answer_) {
    frame.connection = AnswerFrame::Connection::close;
  } else if (!http11_) {
    frame.connection = AnswerFrame::Connection::keep_alive;
  }
  std::string& out = bench_.output;
  out.clear();
  bench_.answers.append_head(out, response, frame);
  if (head_->method == "HEAD" || status_forbids_body(response.status)) response.body.clear();
  if (response.body.size() < kJoinBelow) {
    out += response.body;
    response.body.clear();
  }
  transmit(out, std::move(response.body));
  if (state_ != State::closed) after_answer();
}

void Connection::after_answer() {
  if (close_after_answer_) return end_after_answer();
  if (parser_ && !parser_->complete()) {
    state_ = State::skipping;
    deadline_ = bench_.now + bench_.limits.body;
    return;
  }
  answer_taken();
}

// The request is over on both sides, unless the client has yet to take the answer.
void Connection::answer_taken() {
  if (!channel_.pending()) return next_request();
  state_ = State::writing;
  deadline_ = TimePoint::max();
}

void Connection::next_request() {
  state_ = State::head;
  deadline_ = bench_.now + bench_.limits.idle;
  begun_ = empty_line_skipped_ = owes_continue_ = false;
  scanned_ = 0;
  parser_.reset();
  head_.reset();
  admitted_ = {};
}

void Connection::end_after_answer() {
  close_after_answer_ = true;
  if (channel_.pending()) {
    state_ = State::writing;
    deadline_ = TimePoint::max();
    return;
  }
  channel_.finish();
  state_ = State::lingering;
  deadline_ = bench_.now + kLinger;
}

void Connection::flush() {
  if (!channel_.flush()) return abandon();
  if (channel_.pending()) return;
  write_deadline_ = TimePoint::max();
  if (state_ != State::writing) return;
  close_after_answer_ ? end_after_answer() : next_request();
}

void Connection::transmit(std::string_view head, std::string body) {
  const bool waiting = channel_.pending();
  if (!channel_.send(head, std::move(body))) return abandon();
  if (channel_.pending() && !waiting) {
    write_mark_ = channel_.pending_bytes();
    write_deadline_ = bench_.now + bench_.limits.write;
  }
}

}  // namespace postern::http
