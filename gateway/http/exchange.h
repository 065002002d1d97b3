// http/exchange.h: how an answer finds its connection again. An application's handle (Admission,
// Reply) holds an ExchangeState: the worker's mailbox and an address made of descriptor,
// generation of the connection and number of the question. It never holds the connection, so it
// may outlive it, and an answer whose address does not match any more is dropped.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "http/application.h"

namespace postern::http {

struct Lost {};  // every copy of the handle went away unanswered
using Answer = std::variant<Admitted, Response, Lost>;

struct ExchangeAddress {
  int fd = -1;
  std::uint64_t generation = 0;  // of the connection: never used twice in a process
  std::uint64_t question = 0;    // counted by the connection
};

struct Envelope {
  ExchangeAddress address;
  Answer answer;
};

// Answers on their way to one worker. Thread-safe. Wakes the worker by an eventfd, written only
// when the box was empty.
class Mailbox {
 public:
  Mailbox();  // throws std::system_error when there is no descriptor left
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  [[nodiscard]] int wake_fd() const { return wake_fd_; }
  void post(Envelope envelope);
  void wake() const;
  // For the worker: resets the eventfd and takes everything.
  void collect(std::vector<Envelope>& into);
  // What is posted from now on is dropped.
  void close();

 private:
  int wake_fd_;
  std::mutex mutex_;
  std::vector<Envelope> envelopes_;
  bool closed_ = false;
};

namespace detail {

class ExchangeState {
 public:
  ExchangeState(std::shared_ptr<Mailbox> mailbox, ExchangeAddress address)
      : mailbox_(std::move(mailbox)), address_(address) {}
  ~ExchangeState();
  ExchangeState(const ExchangeState&) = delete;
  ExchangeState& operator=(const ExchangeState&) = delete;

  // The first one counts. Thread-safe.
  void answer(Answer answer);
  // True, once, when nothing has been answered; then nothing will be.
  bool claim() { return !answered_.exchange(true); }

 private:
  std::shared_ptr<Mailbox> mailbox_;
  ExchangeAddress address_;
  std::atomic<bool> answered_{false};
};

}  // namespace detail

// While it lives, an answer to `state` that is given on this thread lands in answer() at once
// instead of travelling through the mailbox. They don't nest.
class AnswersHere {
 public:
  explicit AnswersHere(const detail::ExchangeState& state);
  ~AnswersHere();
  AnswersHere(const AnswersHere&) = delete;
  AnswersHere& operator=(const AnswersHere&) = delete;
  std::optional<Answer>& answer() { return answer_; }

 private:
  friend class detail::ExchangeState;
  const detail::ExchangeState* state_;
  std::optional<Answer> answer_;
};

}  // namespace postern::http
