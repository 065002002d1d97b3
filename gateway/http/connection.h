// http/connection.h: one client's connection, from its first byte to its end. A state machine over
// a Channel: it is told what happened (the socket is ready, an answer came, time passed) and never
// waits. Knows nothing of epoll or Pistache; lives on one worker thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/answer.h"
#include "http/application.h"
#include "http/channel.h"
#include "http/exchange.h"
#include "http/framing.h"
#include "http/parser.h"
#include "http/server.h"

namespace postern::http {

// What the connections of one worker share, so that an idle one holds almost nothing.
struct Workbench {
  Workbench(Application& to, const Clock& time, sdk::Logger& log, const Limits& bounds);

  Application& application;
  const Clock& clock;
  sdk::Logger& logger;
  const Limits limits;
  const std::shared_ptr<Mailbox> mailbox;
  AnswerWriter answers;
  std::vector<char> input;                    // of the connection whose turn it is
  std::string output;                         // an answer being assembled
  std::chrono::steady_clock::time_point now;  // of this turn of the worker
  std::uint64_t body_bytes = 0;               // of all bodies that are being read
  bool draining = false;                      // answers carry Connection: close
};

// A connection's part of Workbench::body_bytes; gives itself back.
class BodyClaim {
 public:
  explicit BodyClaim(std::uint64_t& all) : all_(&all) {}
  ~BodyClaim() { resize(0); }
  BodyClaim(BodyClaim&& other) noexcept
      : all_(other.all_), bytes_(std::exchange(other.bytes_, 0)) {}
  BodyClaim& operator=(BodyClaim&&) = delete;
  BodyClaim(const BodyClaim&) = delete;
  BodyClaim& operator=(const BodyClaim&) = delete;

  void resize(std::uint64_t bytes) {
    *all_ += bytes;
    *all_ -= std::exchange(bytes_, bytes);
  }

 private:
  std::uint64_t* all_;
  std::uint64_t bytes_ = 0;
};

class Connection {
 public:
  // `generation` is never used twice in a process. `bench` outlives the connection.
  Connection(int fd, std::uint64_t generation, std::string address, Workbench& bench);

  // The socket became ready since it was last said (edge-triggered). `hung_up`: the client is gone
  // in both directions.
  void on_ready(bool hung_up);
  // To be called when wants_turn() was true, after others had theirs.
  void on_turn();
  void on_answer(ExchangeAddress to, Answer answer);
  // Looks at the deadlines. Called now and then.
  void on_tick();
  // The server stops: an idle connection closes.
  void on_drain();
  // Refuses a connection before anything was read: answers and closes.
  void turn_away(ErrorKind kind, std::string_view message);
  // Closes without a word.
  void abandon() { state_ = State::closed; }

  [[nodiscard]] bool closed() const { return state_ == State::closed; }
  [[nodiscard]] bool wants_write() const { return channel_.pending(); }
  [[nodiscard]] bool wants_turn() const { return wants_turn_; }
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  enum class State : std::uint8_t {
    head,       // between requests, or reading a head
    admitting,  // the application has been asked
    body,
    handling,   // the application has been asked
    skipping,   // answered; the rest of the refused body is read and dropped
    writing,    // answered; the client has yet to take it
    lingering,  // answered and shut; what still comes is dropped, so that no RST eats the answer
    closed,
  };
  enum class Step : std::uint8_t { go_on, read_more, wait };
  using TimePoint = std::chrono::steady_clock::time_point;

  void run();
  Step advance();
  bool receive();
  void input_ended();

  Step advance_head();
  Step advance_body();
  void begin_request(std::string_view bytes);
  void admitted(Admitted admitted);
  void hand_over();
  void next_request();

  enum class Question : std::uint8_t { admit, handle };
  std::optional<Answer> ask(Question question);
  void apply(Answer answer);

  // Each gives the client its one answer to the current request.
  void respond(Response response);
  void refuse(const Fault& fault);
  void refuse(const Error& error, int status, bool close);
  void after_answer();
  void answer_taken();
  void end_after_answer();
  void flush();
  void transmit(std::string_view head, std::string body);

  Workbench& bench_;
  Channel channel_;
  const int fd_;
  const std::uint64_t generation_;
  const std::string address_;

  State state_ = State::head;
  TimePoint deadline_;  // of the state
  TimePoint write_deadline_ = TimePoint::max();
  std::size_t write_mark_ = 0;  // bytes pending when write_deadline_ was set
  bool readable_ = false;       // not read until nothing was left, since on_ready
  bool wants_turn_ = false;
  bool close_after_answer_ = false;
  std::string stash_;        // input that waits between turns
  std::string_view unread_;  // during a turn: input not yet consumed
  std::size_t dropped_ = 0;  // while lingering

  // Of the current request.
  bool begun_ = false;  // its first byte is there
  bool empty_line_skipped_ = false;
  bool owes_continue_ = false;  // the client waits for 100 before it sends the body
  bool http11_ = true;
  std::size_t scanned_ = 0;
  std::uint64_t question_ = 0;
  std::optional<RequestParser> parser_;
  std::shared_ptr<Head> head_;
  Admitted admitted_;
  BodyClaim body_claim_;
};

}  // namespace postern::http
