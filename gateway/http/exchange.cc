#include "http/exchange.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace postern::http {
namespace {

thread_local AnswersHere* answers_here = nullptr;

}  // namespace

Mailbox::Mailbox() : wake_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Mailbox::~Mailbox() {
  ::close(wake_fd_);
}

void Mailbox::wake() const {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the worker is awake.
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

void Mailbox::post(Envelope envelope) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    envelopes_.push_back(std::move(envelope));
    if (envelopes_.size() > 1) return;
  }
  wake();
}

void Mailbox::collect(std::vector<Envelope>& into) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_fd_, &count, sizeof count);
  const std::lock_guard lock(mutex_);
  into.swap(envelopes_);
}

void Mailbox::close() {
  std::vector<Envelope> dropped;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  dropped.swap(envelopes_);
}

AnswersHere::AnswersHere(const detail::ExchangeState& state) : state_(&state) {
  answers_here = this;
}

AnswersHere::~AnswersHere() {
  answers_here = nullptr;
}

namespace detail {

ExchangeState::~ExchangeState() {
  if (!answered_.load()) answer(Lost{});
}

void ExchangeState::answer(Answer answer) {
  if (!claim()) return;
  if (answers_here != nullptr && answers_here->state_ == this) {
    answers_here->answer_ = std::move(answer);
    return;
  }
  mailbox_->post({address_, std::move(answer)});
}

}  // namespace detail

void Admission::accept(Admitted admitted) const {
  state_->answer(std::move(admitted));
}
void Admission::refuse(Response response) const {
  state_->answer(std::move(response));
}
void Reply::send(Response response) const {
  state_->answer(std::move(response));
}

}  // namespace postern::http
