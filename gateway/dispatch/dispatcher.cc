#include "dispatch/dispatcher.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/ids.h"
#include "base/thread_name.h"
#include "dispatch/outbound.h"
#include "queue/crash_point.h"
#include "routing/routing.h"

namespace postern::dispatch {
namespace {

namespace bj = boost::json;
using queue::CrashPoint;
using queue::crash_point;
using sdk::EventType;
using sdk::MessageStatus;
using std::chrono::milliseconds;

constexpr milliseconds kIdleAccount{300'000};   // an account unused for longer is closed
constexpr milliseconds kFirstPause{1'000};      // of a throttled account that names no delay
constexpr milliseconds kLongestPause{300'000};   // of one that says nothing of its delay
constexpr milliseconds kLongestDelay{3'600'000};  // that a provider's own words can cause
constexpr std::uint32_t kProbeLimit = 20;       // deliveries in memory while an account is probed
constexpr milliseconds kOpenRetry{1'000};       // of an account that storage could not give
constexpr milliseconds kLeaseMargin{2'000};     // of a lease that is left at the start of a call

std::string event_detail(const sdk::Outcome& outcome, const Decision& decision, Action fate,
                         std::optional<UnixMillis> next, const std::string& next_account) {
  bj::object detail;
  detail["verdict"] = name_of(outcome.verdict);
  if (!outcome.enhanced_status.empty()) detail["enhancedStatus"] = outcome.enhanced_status;
  if (!outcome.detail.empty()) detail["detail"] = outcome.detail;
  if (!outcome.provider_message_id.empty()) {
    detail["providerMessageId"] = outcome.provider_message_id;
  }
  if (outcome.ambiguous) detail["ambiguous"] = true;
  const bool final = decision.action == Action::finish || decision.action == Action::fail;
  detail["action"] = name_of(final ? decision.action : fate);
  if (!final && next) detail["nextAttemptAt"] = format_time(*next);
  if (!final && !next_account.empty()) detail["nextProviderId"] = next_account;
  return bj::serialize(detail);
}

bool same_outcome(const sdk::Outcome& a, const sdk::Outcome& b) {
  return a.verdict == b.verdict && a.ambiguous == b.ambiguous &&
         a.enhanced_status == b.enhanced_status && a.detail == b.detail &&
         a.provider_message_id == b.provider_message_id;
}

std::vector<sdk::Outcome> same_for_all(std::size_t count, sdk::Verdict verdict, std::string detail) {
  sdk::Outcome outcome;
  outcome.verdict = verdict;
  outcome.detail = std::move(detail);
  return std::vector<sdk::Outcome>(count, outcome);
}

}  // namespace

Dispatcher::Dispatcher(queue::DeliveryQueue& queue, queue::Committer& committer,
                       resources::Directory& directory, ThreadPool& readers, Accounts& accounts,
                       const Clock& clock, sdk::Logger& logger, telemetry::Metrics& metrics,
                       DispatcherOptions options)
    : queue_(queue),
      committer_(committer),
      directory_(directory),
      readers_(readers),
      accounts_(accounts),
      clock_(clock),
      logger_(logger),
      metrics_(metrics),
      options_(options) {}

Dispatcher::~Dispatcher() { drain(milliseconds{0}); }

void Dispatcher::start() {
  thread_ = std::thread{[this] {
    name_thread("dispatcher");
    run();
  }};
}

template <typename Add>
void Dispatcher::post(Add add) {
  bool notify = false;
  {
    const std::lock_guard lock{mutex_};
    add(inbox_);
    notify = std::exchange(waiting_, false);
  }
  if (notify) changed_.notify_one();
}

void Dispatcher::wake() {
  post([](Inbox& inbox) { inbox.ready = true; });
}

void Dispatcher::organization_changed(const std::string& organization) {
  post([&](Inbox& inbox) { inbox.changed.push_back(organization); });
}

void Dispatcher::drain(milliseconds patience) {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    stop_at_ = clock_.monotonic() + patience;
    waiting_ = false;
  }
  changed_.notify_one();
  thread_.join();
}

void Dispatcher::run() {
  bool drained = false;
  for (;;) {
    Inbox inbox;
    bool stopping = false;
    {
      std::unique_lock lock{mutex_};
      while (inbox_.empty()) {
        if (stopping_ && quiet()) break;
        auto until = next_wake();
        if (stopping_) {
          until = drained && clock_.monotonic() >= stop_at_ ? Time::max() : stop_at_;
        }
        const auto now = clock_.monotonic();
        if (until <= now) break;
        waiting_ = true;
        // A wait of hours at most: steady_clock::max overflows in the conversion.
        changed_.wait_for(lock, std::min<std::chrono::steady_clock::duration>(
                                    until - now, std::chrono::hours{1}));
        waiting_ = false;
        if (stopping_ && !drained && clock_.monotonic() >= stop_at_) break;
      }
      std::swap(inbox, inbox_);
      stopping = stopping_;
      if (stopping && quiet() && inbox.empty()) break;
    }
    process(std::move(inbox));
    if (!stopping) {
      pump();
      continue;
    }
    if (!drained && clock_.monotonic() >= stop_at_) {
      drained = true;
      // The adapters answer what is in flight now; the answers arrive in the inbox.
      for (auto& [name, lane] : lanes_) {
        if (lane.account && lane.in_flight != 0) lane.account->adapter->drain(clock_.monotonic());
      }
      for (auto& account : retired_) account->adapter->drain(clock_.monotonic());
    }
  }
  lanes_.clear();
  retired_.clear();
}

// Nothing is left to wait for. An outcome that storage does not take is waited for no longer than
// the drain: its lease runs out, and the next start takes over.
bool Dispatcher::quiet() const {
  return calls_ == 0 && (unrecorded_ == 0 || clock_.monotonic() >= stop_at_);
}

void Dispatcher::process(Inbox inbox) {
  for (const auto& name : inbox.finished) {
    --lanes_[name].in_flight;
    --unrecorded_;
  }
  for (auto& message : inbox.opened) opened(std::move(message));
  for (const auto& organization : inbox.changed) {
    for (auto& [name, lane] : lanes_) {
      if (lane.organization == organization) lane.stale = true;
    }
  }
  for (auto& call_recorded : inbox.recorded) call(std::move(call_recorded));
  for (auto& answer : inbox.answered) complete(answer.call, std::move(answer.outcomes));
}

Dispatcher::Time Dispatcher::next_wake() const {
  Time next = clock_.monotonic() + kIdleAccount;
  for (const auto& [name, lane] : lanes_) {
    if (lane.blocked) next = std::min(next, lane.blocked_until);
    // One that may be opened at once is opened when it has something ready.
    if (lane.stale && !lane.opening && lane.open_at > clock_.monotonic()) {
      next = std::min(next, lane.open_at);
    }
    if (lane.next_start != Time{} && lane.account && lane.account->rate > 0) {
      if (lane.next_start > clock_.monotonic()) next = std::min(next, lane.next_start);
    }
  }
  return next;
}

// ---- lanes and their accounts ----

void Dispatcher::pump() {
  const auto now = clock_.monotonic();
  for (auto& [name, lane] : lanes_) {
    if (!lane.blocked || lane.blocked_until > now) continue;
    lane.blocked = false;
    // What was wrong with the account may have been mended outside (a file, a plugin's peer).
    if (!lane.account) lane.stale = true;
    const bool probing = lane.breaker.state(now) == CircuitBreaker::State::half_open;
    lane.limited = probing;
    queue_.unblock(name, probing ? kProbeLimit : 0);
  }
  for (const auto& ready : queue_.ready_lanes()) {
    const auto [found, added] = lanes_.try_emplace(ready.lane);
    if (added) {
      found->second.organization = ready.organization;
      found->second.breaker = CircuitBreaker{options_.breaker};
    }
    pump_lane(ready.lane, found->second);
  }
  sweep_lanes();
}

void Dispatcher::pump_lane(const std::string& name, Lane& lane) {
  lane.used_at = clock_.monotonic();
  if (lane.stale && !lane.opening && lane.used_at >= lane.open_at) open(name, lane);
  if (!lane.account && lane.problem.empty()) return;  // it is being opened

  while (!lane.blocked) {
    const auto now = clock_.monotonic();
    std::uint32_t room = lane.account ? lane.account->concurrency : 1;
    if (lane.breaker.state(now) == CircuitBreaker::State::half_open) room = 1;
    if (lane.in_flight >= room) {
      if (lane.breaker.state(now) == CircuitBreaker::State::half_open) give_up_old(name, lane);
      return;
    }
    if (lane.account && lane.account->rate > 0) {
      if (lane.next_start > now) return;
    }
    auto delivery = queue_.take(name);
    if (!delivery) return;
    if (lane.account && lane.account->rate > 0) {
      // Unused time is made up for by at most a second's worth.
      const auto gap = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
          std::chrono::duration<double>(1.0 / lane.account->rate));
      lane.next_start = std::max(lane.next_start, now - std::chrono::seconds{1}) + gap;
    }
    start_attempt(name, lane, std::move(delivery));
  }
}

void Dispatcher::open(const std::string& name, Lane& lane) {
  lane.opening = true;
  lane.stale = false;
  using View = std::shared_ptr<const resources::OrganizationView>;
  const auto answer = [this, name](View view, Result<std::shared_ptr<const OpenAccount>> account) {
    post([&](Inbox& inbox) {
      inbox.opened.push_back({name, std::move(view), std::move(account)});
    });
  };
  directory_.find_organization(
      lane.organization,
      [this, name, answer](Result<View> found) {
        if (!found) return answer(nullptr, found.error());
        if (!*found) {
          return answer(nullptr, Error{ErrorKind::not_found, "the organization is gone", {}, {}});
        }
        // Opening may read files, and this may be the dispatcher's own thread.
        auto job = [this, name, answer, view = *found] {
          answer(view, accounts_.open(view, name));
        };
        if (!readers_.run(job)) job();
      });
}

void Dispatcher::opened(Opened message) {
  Lane& lane = lanes_[message.lane];
  lane.opening = false;
  if (message.view) lane.view = message.view;
  if (!message.account) {
    const Error& error = message.account.error();
    logger_.log(sdk::LogLevel::error, "a provider account can't be used",
                {{"provider_id", message.lane}, {"error", error.message}});
    // Storage that does not answer says nothing of the account: what was open stays in use, and
    // what waits for it goes on waiting.
    if (error.kind == ErrorKind::unavailable) {
      lane.stale = true;
      lane.open_at = clock_.monotonic() + kOpenRetry;
      return;
    }
    if (lane.account) retired_.push_back(std::move(lane.account));
    lane.account = nullptr;
    lane.problem = error.message;
    return;
  }
  lane.problem.clear();
  if (lane.account) retired_.push_back(std::move(lane.account));
  lane.account = *std::move(message.account);
  if (lane.blocked) {
    // New settings deserve a try at once.
    lane.blocked_until = clock_.monotonic();
  }
}

void Dispatcher::sweep_lanes() {
  // A retired account ends here, on this thread, once nothing is in flight through it.
  std::erase_if(retired_, [](const auto& account) { return account.use_count() == 1; });
  const auto now = clock_.monotonic();
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    Lane& lane = it->second;
    const bool idle = lane.in_flight == 0 && !lane.opening && !lane.blocked &&
                      now - lane.used_at > kIdleAccount;
    if (idle && lane.account) retired_.push_back(std::move(lane.account));
    if (idle && lane.limited) queue_.unblock(it->first);
    it = idle ? lanes_.erase(it) : std::next(it);
  }
}

void Dispatcher::block(const std::string& name, Lane& lane, Time until) {
  lane.blocked = true;
  lane.blocked_until = until;
  queue_.block(name, until);
}

// ---- attempts ----

std::shared_ptr<Dispatcher::InFlight> Dispatcher::begin(const std::string& name, Lane& lane,
                                                        std::unique_ptr<queue::Delivery> delivery) {
  auto attempt = std::make_shared<InFlight>();
  attempt->lane = name;
  attempt->account = lane.account;
  attempt->number = delivery->item.attempts + 1;
  attempt->envelope = unfinished(delivery->recipients);
  attempt->attempt_id = uuid_v7(clock_);
  attempt->delivery = std::move(delivery);
  ++lane.in_flight;
  ++calls_;
  metrics_.deliveries_in_flight.set(calls_);
  return attempt;
}

// While an account is probed with one call at a time, the messages that are too old for it don't
// wait for their turn: they fail now, with a reason.
void Dispatcher::give_up_old(const std::string& name, Lane& lane) {
  const UnixMillis oldest = clock_.now() - options_.retry.give_up_after.count();
  while (auto delivery = queue_.take_older(name, oldest)) {
    const auto attempt = begin(name, lane, std::move(delivery));
    complete(attempt, same_for_all(attempt->envelope.size(), sdk::Verdict::unreachable,
                                   "given up: the provider account could not be used for too long"));
  }
}

void Dispatcher::start_attempt(const std::string& name, Lane& lane,
                               std::unique_ptr<queue::Delivery> delivery) {
  auto attempt = begin(name, lane, std::move(delivery));
  queue::Delivery& held = *attempt->delivery;
  if (attempt->envelope.empty()) return complete(attempt, {});
  const auto margin = std::min<milliseconds>(kLeaseMargin, queue_.lease_for() / 4);
  if (held.hold->lost().stop_requested() || held.hold->until() - clock_.monotonic() < margin) {
    // Another gateway may hold it by now; this one must not send it.
    --lane.in_flight;
    --calls_;
    const UnixMillis due = held.item.due;
    return queue_.give_back(std::move(attempt->delivery), due);
  }
  if (!attempt->account) {
    attempt->called = true;
    return complete(attempt, same_for_all(attempt->envelope.size(), sdk::Verdict::refused,
                                          lane.problem));
  }
  const auto& organization = attempt->account->organization->organization;
  if (!organization.hold_unknown_outcomes) return call(std::move(attempt));

  if ((held.taken_over || held.state.ambiguous) && held.message.status == MessageStatus::sending) {
    auto outcomes = same_for_all(attempt->envelope.size(), sdk::Verdict::deferred,
                                 "an earlier attempt was interrupted; its outcome is not known");
    for (auto& outcome : outcomes) outcome.ambiguous = true;
    return complete(attempt, std::move(outcomes));
  }
  // Where unknown outcomes are held, the start of each attempt is durable before the call, so that
  // a crash in between is known to have been one.
  sdk::RenewLease renew;
  renew.queue = sdk::Queue::deliveries;
  renew.id = held.item.id;
  renew.fence = held.hold->fence();
  renew.lease_for = queue_.lease_for();
  sdk::UpdateMessage update;
  update.organization = held.message.organization;
  update.message_id = held.message.id;
  update.status = MessageStatus::sending;
  update.at = clock_.now();
  committer_.submit({{std::move(renew), std::move(update)}},
                    [this, attempt](Result<sdk::UnitResult> result) {
                      const bool stored =
                          result && result->status == sdk::UnitResult::Status::stored;
                      if (!stored) attempt->account = nullptr;
                      post([&](Inbox& inbox) { inbox.recorded.push_back(attempt); });
                    });
}

void Dispatcher::call(std::shared_ptr<InFlight> attempt) {
  queue::Delivery& held = *attempt->delivery;
  if (!attempt->account) {  // its start could not be recorded
    --lanes_[attempt->lane].in_flight;
    --calls_;
    return queue_.give_back(std::move(attempt->delivery), clock_.now() + 1'000);
  }
  if (!held.submission) {
    auto read = submission::reload(*held.body);
    if (!read) {
      logger_.log(sdk::LogLevel::error, "a stored message can't be read; it fails",
                  {{"message_id", held.message.id}, {"error", read.error().message}});
      return complete(attempt, same_for_all(attempt->envelope.size(), sdk::Verdict::rejected,
                                            "the stored message can't be read"));
    }
    held.submission = *std::move(read);
    held.body.reset();
  }
  attempt->traits = traits_of(*held.submission, held.message.test, attempt->envelope.size(),
                              held.state.body_bytes);
  auto message = std::make_shared<const sdk::OutboundMessage>(
      make_outbound(held.message, std::move(*held.submission), held.recipients, attempt->envelope,
                    attempt->account->capabilities.wants_mime));
  held.submission.reset();

  sdk::Attempt details;
  details.id = attempt->attempt_id;
  // One that may have been sent before is no first attempt, whatever was recorded: adapters that
  // recognize a repetition look for it then.
  details.number = attempt->number + (held.taken_over || held.state.ambiguous ? 1 : 0);
  details.deadline = clock_.monotonic() + options_.attempt_timeout;
  details.cancel = held.hold->lost();
  attempt->called = true;
  crash_point(CrashPoint::before_send);
  sdk::ProviderAdapter& adapter = *attempt->account->adapter;
  adapter.send(std::move(message), details,
               [this, attempt = std::move(attempt)](std::vector<sdk::Outcome> outcomes) {
                 crash_point(CrashPoint::after_send);
                 post([&](Inbox& inbox) {
                   inbox.answered.push_back({attempt, std::move(outcomes)});
                 });
               });
}

void Dispatcher::judge_account(const std::string& name, Lane& lane,
                               const std::vector<sdk::Outcome>& outcomes) {
  const auto now = clock_.monotonic();
  const auto is = [](sdk::Verdict verdict) {
    return [verdict](const sdk::Outcome& outcome) { return outcome.verdict == verdict; };
  };
  const bool fault =
      std::all_of(outcomes.begin(), outcomes.end(), [](const sdk::Outcome& outcome) {
        return outcome.verdict == sdk::Verdict::unreachable ||
               outcome.verdict == sdk::Verdict::refused;
      });
  if (fault) {
    lane.breaker.failed(now);
    if (lane.breaker.state(now) == CircuitBreaker::State::open && !lane.blocked) {
      logger_.log(sdk::LogLevel::warning, "a provider account fails at every call; it is paused",
                  {{"provider_id", name},
                   {"error", outcomes.front().detail},
                   {"retry_in", format_duration(std::chrono::ceil<std::chrono::seconds>(
                                    lane.breaker.open_until() - now))}});
      block(name, lane, lane.breaker.open_until());
    }
    return;
  }
  const auto throttled = std::find_if(outcomes.begin(), outcomes.end(), is(sdk::Verdict::throttled));
  if (throttled != outcomes.end()) {
    auto pause = kFirstPause;
    for (std::uint32_t i = 0; i < lane.throttles && pause < kLongestPause; ++i) pause *= 2;
    pause = std::min(pause, kLongestPause);
    if (throttled->retry_after.count() > 0) {
      pause = std::min<milliseconds>(throttled->retry_after, kLongestDelay);
    }
    if (!lane.blocked) {
      ++lane.throttles;
      block(name, lane, now + pause);
    }
    return;
  }
  lane.throttles = 0;
  // An answer that never came says nothing good of the account.
  const bool any_ambiguous = std::any_of(outcomes.begin(), outcomes.end(),
                                         [](const sdk::Outcome& o) { return o.ambiguous; });
  if (any_ambiguous) return;
  lane.breaker.succeeded();
  if (std::exchange(lane.limited, false)) queue_.unblock(name);
}

// Another account that can carry what is left of the message, by the same rules as at accept.
Result<routing::Route> Dispatcher::other_account(InFlight& attempt, const Lane& lane,
                                                 std::uint32_t recipients,
                                                 const std::vector<std::string>& tried) {
  queue::Delivery& held = *attempt.delivery;
  const auto& view = attempt.account ? attempt.account->organization : lane.view;
  if (!attempt.traits && !held.submission && held.body) {
    if (auto read = submission::reload(*held.body)) held.submission = *std::move(read);
  }
  if (!attempt.traits && held.submission) {
    attempt.traits = traits_of(*held.submission, held.message.test, recipients,
                               held.state.body_bytes);
  }
  if (!view || !attempt.traits) {
    return Error{ErrorKind::unavailable, "nothing is known of other accounts", {}, {}};
  }
  routing::Traits traits = *attempt.traits;
  traits.recipients = recipients;
  const bool split = recipients != held.recipients.size();
  return routing::choose(
      *view, traits,
      [&](const std::string& type) -> const sdk::Capabilities* {
        const auto* can = accounts_.capabilities(type);
        return can != nullptr && split && !can->independent_envelope ? nullptr : can;
      },
      tried);
}

void Dispatcher::complete(const std::shared_ptr<InFlight>& attempt,
                          std::vector<sdk::Outcome> outcomes) {
  queue::Delivery& held = *attempt->delivery;
  Lane& lane = lanes_[attempt->lane];
  --calls_;
  ++unrecorded_;
  metrics_.deliveries_in_flight.set(calls_);
  const UnixMillis now = clock_.now();
  const milliseconds age{std::max<std::int64_t>(0, now - held.message.created_at)};

  RetryPolicy policy = options_.retry;
  bool final_delivery = false;
  if (attempt->account) {
    policy.hold_unknown = attempt->account->organization->organization.hold_unknown_outcomes;
    final_delivery = attempt->account->capabilities.final_delivery;
  }

  // Each recipient.
  std::vector<Decision> decisions;
  decisions.reserve(outcomes.size());
  std::vector<std::size_t> pending;  // positions in the envelope
  Action fate = Action::fail_over;
  bool ambiguous = false;
  bool spends_attempt = false;
  std::chrono::seconds retry_after{0};
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const sdk::Outcome& outcome = outcomes[i];
    metrics_.outcome(outcome.verdict, outcome.ambiguous).add();
    const Decision decision = decide(outcome, final_delivery, policy, age);
    decisions.push_back(decision);
    sdk::RecipientRecord& recipient = held.recipients[attempt->envelope[i]];
    recipient.status = decision.status;
    recipient.enhanced_status = outcome.enhanced_status;
    recipient.detail = outcome.detail;
    recipient.provider_message_id = outcome.provider_message_id;
    recipient.updated_at = now;
    if (decision.action == Action::finish || decision.action == Action::fail) continue;
    pending.push_back(i);
    ambiguous = ambiguous || outcome.ambiguous;
    spends_attempt = spends_attempt || decision.spends_attempt;
    retry_after = std::max(retry_after, outcome.retry_after);
    // Hold wins over retry, and retry over failing over: the recipients still waiting go together.
    if (decision.action == Action::hold) fate = Action::hold;
    if (decision.action == Action::retry && fate == Action::fail_over) fate = Action::retry;
  }
  if (attempt->called && !outcomes.empty()) judge_account(attempt->lane, lane, outcomes);

  // The delivery.
  queue::DeliveryState state = held.state;
  std::optional<UnixMillis> due;
  std::string next_account;
  std::string next_type;
  const std::uint32_t attempts = held.item.attempts + (spends_attempt ? 1 : 0);
  if (!pending.empty()) {
    state.ambiguous = state.ambiguous || ambiguous || held.taken_over;
    // What may have been sent once stays with its account.
    if (fate == Action::fail_over && state.ambiguous) fate = Action::retry;
    if (fate == Action::fail_over && !held.message.test) {
      state.tried.push_back(attempt->lane);
      const auto route = other_account(*attempt, lane, static_cast<std::uint32_t>(pending.size()),
                                       state.tried);
      if (route) {
        next_account = route->account;
        next_type = route->provider_type;
      }
    }
    if (fate == Action::hold) {
      state.held = true;
      due = queue::kHeldDue;
    } else if (!next_account.empty()) {
      due = now;
    } else {
      fate = Action::retry;
      state.tried.clear();
      auto wait = ambiguous ? policy.unknown_retry
                            : backoff(policy, std::max(1U, attempts), retry_after, random_unit());
      // A paused account is tried again when its pause is over: no attempt was spent on it.
      if (!spends_attempt) {
        wait = std::max<milliseconds>(
            milliseconds{1}, std::chrono::ceil<milliseconds>(lane.blocked_until - clock_.monotonic()));
      }
      due = now + wait.count();
    }
  }

  // The unit: what holds the fence comes first.
  sdk::Unit unit;
  if (due) {
    sdk::RescheduleWork again;
    again.id = held.item.id;
    again.due = *due;
    again.attempts = attempts;
    again.payload = queue::encode(state);
    if (!next_account.empty()) again.lane = next_account;
    unit.ops.emplace_back(std::move(again));
  } else {
    sdk::FinishWork finish;
    finish.id = held.item.id;
    unit.ops.emplace_back(std::move(finish));
  }
  sdk::UpdateMessage update;
  update.organization = held.message.organization;
  update.message_id = held.message.id;
  update.at = now;
  update.status = message_status(held.recipients);
  if (!next_account.empty()) {
    update.account = next_account;
    update.provider_type = next_type;
  }
  for (const std::size_t i : attempt->envelope) update.recipients.push_back(held.recipients[i]);
  unit.ops.emplace_back(std::move(update));

  // One event for all where all fared alike, else one each.
  const bool alike = std::all_of(outcomes.begin(), outcomes.end(), [&](const sdk::Outcome& outcome) {
    return same_outcome(outcome, outcomes.front());
  });
  const std::size_t events = outcomes.empty() ? 0 : alike ? 1 : outcomes.size();
  for (std::size_t i = 0; i < events; ++i) {
    sdk::EventRecord event;
    event.message_id = held.message.id;
    event.organization = held.message.organization;
    event.recipient = alike && attempt->envelope.size() == held.recipients.size()
                          ? sdk::kAllRecipients
                          : static_cast<std::int32_t>(held.recipients[attempt->envelope[i]].index);
    event.at = now;
    event.account = attempt->lane;
    event.attempt = attempt->number;
    event.detail_json = event_detail(outcomes[i], decisions[i], fate, due, next_account);
    const std::size_t copies =
        alike && attempt->envelope.size() != held.recipients.size() ? attempt->envelope.size() : 1;
    for (std::size_t k = 0; k < copies; ++k) {
      sdk::EventRecord each = event;
      each.id = uuid_v7(clock_);
      each.type = decisions[i].event;
      if (copies > 1) {
        each.recipient = static_cast<std::int32_t>(held.recipients[attempt->envelope[k]].index);
      }
      if (each.type == EventType::delivered) {
        // The final destination took it: it was sent and delivered at once.
        sdk::EventRecord sent = each;
        sent.id = uuid_v7(clock_);
        sent.type = EventType::sent;
        unit.ops.emplace_back(sdk::AppendEvent{std::move(sent)});
        each.id = uuid_v7(clock_);
      }
      unit.ops.emplace_back(sdk::AppendEvent{std::move(each)});
    }
  }

  if (!outcomes.empty()) {
    const sdk::Outcome& shown = outcomes.front();
    const bool good = std::all_of(outcomes.begin(), outcomes.end(), [](const sdk::Outcome& o) {
      return o.verdict == sdk::Verdict::accepted;
    });
    logger_.log(good ? sdk::LogLevel::info : sdk::LogLevel::warning, "attempt",
                {{"message_id", held.message.id},
                 {"provider_id", attempt->lane},
                 {"attempt", std::to_string(attempt->number)},
                 {"recipients", std::to_string(outcomes.size())},
                 {"verdict", std::string{name_of(shown.verdict)}},
                 {"ambiguous", shown.ambiguous ? "true" : "false"},
                 {"enhanced_status", shown.enhanced_status},
                 {"detail", shown.detail},
                 {"left", std::to_string(pending.size())}});
  }

  crash_point(CrashPoint::before_finish);
  // A held delivery is not expected back by time.
  if (due && *due == queue::kHeldDue) due.reset();
  queue_.finish(std::move(attempt->delivery), std::move(unit), due,
                [this, name = attempt->lane](bool) {
                  crash_point(CrashPoint::after_finish);
                  post([&](Inbox& inbox) { inbox.finished.push_back(name); });
                });
}

}  // namespace postern::dispatch
