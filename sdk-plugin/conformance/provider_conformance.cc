#include "provider_conformance.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <set>
#include <stop_token>
#include <thread>

namespace postern::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// A call may be answered so much later than its deadline, by the grace of a loaded machine.
constexpr milliseconds kLate{500};

bool all_are(const std::vector<sdk::Outcome>& outcomes, sdk::Verdict verdict) {
  return std::all_of(outcomes.begin(), outcomes.end(),
                     [&](const sdk::Outcome& outcome) { return outcome.verdict == verdict; });
}

bool any_accepted(const std::vector<sdk::Outcome>& outcomes) {
  return std::any_of(outcomes.begin(), outcomes.end(), [](const sdk::Outcome& outcome) {
    return outcome.verdict == sdk::Verdict::accepted;
  });
}

}  // namespace

void ProviderConformance::SetUp() {
  bench_ = GetParam()();
  auto provider = bench_->plugin().make_provider(host_.services);
  ASSERT_TRUE(provider.ok()) << provider.error();
  provider_ = *std::move(provider);
  auto adapter = provider_->open(bench_->account());
  ASSERT_TRUE(adapter.ok()) << adapter.error();
  adapter_ = *std::move(adapter);
}

void ProviderConformance::TearDown() {
  adapter_.reset();
  provider_.reset();
  bench_.reset();
}

TEST_P(ProviderConformance, DescribesItselfAsAProviderOfThisAbi) {
  const sdk::PluginInfo& plugin = bench_->plugin();
  const sdk::AbiBlock abi = sdk::current_abi();
  EXPECT_EQ(plugin.abi.magic, abi.magic);
  EXPECT_EQ(plugin.abi.abi_number, abi.abi_number);
  EXPECT_EQ(plugin.abi.sanitizer, abi.sanitizer);
  EXPECT_EQ(plugin.kind, sdk::PluginKind::provider);
  EXPECT_FALSE(plugin.name.empty());
  EXPECT_FALSE(plugin.version.empty());
  EXPECT_EQ(plugin.open_storage, nullptr);
  EXPECT_EQ(plugin.open_rate_limit, nullptr);
  std::set<std::string> names;
  for (const sdk::Schema* schema : {&plugin.settings, &plugin.credentials}) {
    for (const sdk::Field& field : *schema) {
      EXPECT_TRUE(names.insert(field.name).second) << field.name << " is there twice";
      EXPECT_EQ(field.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
                std::string::npos)
          << field.name << " is not in lower_snake_case";
      EXPECT_FALSE(field.description.empty()) << field.name << " has no description";
      EXPECT_EQ(field.choices.empty(), field.type != sdk::FieldType::choice) << field.name;
    }
  }
}

TEST_P(ProviderConformance, AnswersEveryRecipientOnceWhenThePeerAccepts) {
  const auto message = make_message({"a@example.org", "b@example.org", "c@example.org"});
  auto [collected, done] = Collected::make();
  adapter().send(message, make_attempt(seconds{20}), std::move(done));
  const auto outcomes = collected->wait(seconds{25});
  ASSERT_TRUE(outcomes.has_value());
  ASSERT_EQ(outcomes->size(), 3U);
  EXPECT_TRUE(all_are(*outcomes, sdk::Verdict::accepted)) << outcomes->front().detail;
  const auto arrived = bench_->arrived(1, seconds{5});
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].sender, message->envelope_sender);
  EXPECT_EQ(arrived[0].recipients, message->recipients);
  adapter().drain(steady_clock::now() + seconds{5});
  EXPECT_EQ(collected->calls(), 1);
}

TEST_P(ProviderConformance, CarriesTheContentUnharmed) {
  std::string body;
  body += ".\r\n..\r\n.leading dot\r\n\r\n";
  body += "German: Grüße, Japanese: 日本語, emoji: 📮\r\n";
  for (int byte = 1; byte < 256; ++byte) {
    if (byte != '\r' && byte != '\n') body += static_cast<char>(byte);
  }
  body += "\r\n" + std::string(900, 'x') + "\r\nlast line\r\n.\r\n";
  const auto message = make_message({"a@example.org"}, body);
  message->needs_8bitmime = true;
  const auto outcomes = send_and_wait(adapter(), message, seconds{20});
  ASSERT_TRUE(all_are(outcomes, sdk::Verdict::accepted)) << outcomes[0].detail;
  const auto arrived = bench_->arrived(1, seconds{5});
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].content, *message->mime);
}

TEST_P(ProviderConformance, CarriesFiveMegabytesUnharmed) {
  std::string body;
  for (int line = 0; body.size() < 5'000'000; ++line) {
    body += (line % 7 == 0 ? "." : "") + std::to_string(line) + " of many lines of this mail\r\n";
  }
  const auto message = make_message({"a@example.org"}, body);
  const auto outcomes = send_and_wait(adapter(), message, seconds{40});
  ASSERT_TRUE(all_are(outcomes, sdk::Verdict::accepted)) << outcomes[0].detail;
  const auto arrived = bench_->arrived(1, seconds{5});
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_TRUE(arrived[0].content == *message->mime);
}

TEST_P(ProviderConformance, CarriesUnicodeAddressesWhereItSaysSo) {
  if (!bench_->plugin().capabilities.supports_smtputf8) return;
  const auto message = make_message({"пользователь@example.org"});
  message->needs_smtputf8 = true;
  const auto outcomes = send_and_wait(adapter(), message, seconds{20});
  ASSERT_TRUE(all_are(outcomes, sdk::Verdict::accepted)) << outcomes[0].detail;
  const auto arrived = bench_->arrived(1, seconds{5});
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].recipients, message->recipients);
}

TEST_P(ProviderConformance, LetsNoAddressBreakOutOfTheEnvelope) {
  const auto message =
      make_message({"a@example.org>\r\nRCPT TO:<victim@example.org", "b@example.org"});
  const auto outcomes = send_and_wait(adapter(), message, seconds{20});
  const auto arrived = bench_->arrived(any_accepted(outcomes) ? 1 : 0, seconds{5});
  for (const Arrived& mail : arrived) {
    EXPECT_EQ(std::count(mail.recipients.begin(), mail.recipients.end(), "victim@example.org"), 0);
  }
}

TEST_P(ProviderConformance, AnswersManySendsFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 60;
  std::vector<std::vector<std::shared_ptr<Collected>>> collected(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          auto [one, done] = Collected::make();
          adapter().send(make_message({"a" + std::to_string(i) + "@example.org"}),
                         make_attempt(seconds{30}), std::move(done));
          collected[static_cast<std::size_t>(t)].push_back(std::move(one));
        }
      });
    }
  }
  for (const auto& of_thread : collected) {
    for (const auto& one : of_thread) {
      const auto outcomes = one->wait(seconds{35});
      ASSERT_TRUE(outcomes.has_value());
      ASSERT_TRUE(all_are(*outcomes, sdk::Verdict::accepted)) << outcomes->front().detail;
    }
  }
  adapter().drain(steady_clock::now() + seconds{5});
  EXPECT_EQ(bench_->arrived(kThreads * kEach, seconds{5}).size(), std::size_t{kThreads * kEach});
  for (const auto& of_thread : collected) {
    for (const auto& one : of_thread) EXPECT_EQ(one->calls(), 1);
  }
}

TEST_P(RemoteProviderConformance, AnswersByTheDeadlineWhenThePeerIsSilent) {
  bench_->set_mood(PeerMood::silent);
  const auto start = steady_clock::now();
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{1});
  EXPECT_LE(steady_clock::now() - start, seconds{1} + kLate);
  EXPECT_FALSE(any_accepted(outcomes));
  EXPECT_FALSE(outcomes[0].ambiguous) << "nothing of the mail has left";
}

TEST_P(RemoteProviderConformance, SaysAmbiguousWhenTheEndIsNotAnswered) {
  bench_->set_mood(PeerMood::silent_at_end);
  const auto start = steady_clock::now();
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{1});
  EXPECT_LE(steady_clock::now() - start, seconds{1} + kLate);
  EXPECT_EQ(outcomes[0].verdict, sdk::Verdict::deferred);
  EXPECT_TRUE(outcomes[0].ambiguous);
}

TEST_P(RemoteProviderConformance, SaysAmbiguousWhenThePeerLeavesAtTheEnd) {
  bench_->set_mood(PeerMood::cut_at_end);
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{10});
  EXPECT_EQ(outcomes[0].verdict, sdk::Verdict::deferred);
  EXPECT_TRUE(outcomes[0].ambiguous);
}

TEST_P(RemoteProviderConformance, IsNotAmbiguousBeforeTheContentLeaves) {
  bench_->set_mood(PeerMood::cut_before_end);
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{10});
  EXPECT_FALSE(any_accepted(outcomes));
  EXPECT_FALSE(outcomes[0].ambiguous);
}

TEST_P(RemoteProviderConformance, WorksAgainOnceThePeerDoes) {
  bench_->set_mood(PeerMood::cut_before_end);
  EXPECT_FALSE(
      any_accepted(send_and_wait(adapter(), make_message({"a@example.org"}), seconds{10})));
  bench_->set_mood(PeerMood::accepting);
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{10});
  EXPECT_TRUE(all_are(outcomes, sdk::Verdict::accepted)) << outcomes[0].detail;
}

TEST_P(RemoteProviderConformance, GivesUpWhenCanceled) {
  bench_->set_mood(PeerMood::silent);
  std::stop_source source;
  auto [collected, done] = Collected::make();
  adapter().send(make_message({"a@example.org"}), make_attempt(seconds{20}, source.get_token()),
                 std::move(done));
  source.request_stop();
  const auto outcomes = collected->wait(seconds{5});
  ASSERT_TRUE(outcomes.has_value()) << "canceling should not wait for the deadline";
  EXPECT_FALSE(any_accepted(*outcomes));
}

TEST_P(ProviderConformance, SendsNothingThatWasCanceledBefore) {
  std::stop_source source;
  source.request_stop();
  auto [collected, done] = Collected::make();
  adapter().send(make_message({"a@example.org"}), make_attempt(seconds{20}, source.get_token()),
                 std::move(done));
  const auto outcomes = collected->wait(seconds{5});
  ASSERT_TRUE(outcomes.has_value());
  EXPECT_FALSE(any_accepted(*outcomes));
  EXPECT_TRUE(bench_->arrived(0, seconds{0}).empty());
}

TEST_P(ProviderConformance, DrainWaitsForWhatIsInFlight) {
  std::vector<std::shared_ptr<Collected>> all;
  for (int i = 0; i < 50; ++i) {
    auto [collected, done] = Collected::make();
    adapter().send(make_message({"a@example.org"}), make_attempt(seconds{30}), std::move(done));
    all.push_back(std::move(collected));
  }
  adapter().drain(steady_clock::now() + seconds{20});
  for (const auto& collected : all) {
    const auto outcomes = collected->wait(seconds{0});
    ASSERT_TRUE(outcomes.has_value()) << "drain() has returned, and a callback has not run";
    EXPECT_TRUE(all_are(*outcomes, sdk::Verdict::accepted)) << outcomes->front().detail;
  }
}

TEST_P(RemoteProviderConformance, DrainAnswersDeferredAtItsDeadline) {
  bench_->set_mood(PeerMood::silent_at_end);
  auto [collected, done] = Collected::make();
  adapter().send(make_message({"a@example.org"}), make_attempt(seconds{60}), std::move(done));
  const auto start = steady_clock::now();
  adapter().drain(start + seconds{1});
  EXPECT_LE(steady_clock::now() - start, seconds{1} + kLate);
  const auto outcomes = collected->wait(seconds{0});
  ASSERT_TRUE(outcomes.has_value());
  EXPECT_EQ(outcomes->front().verdict, sdk::Verdict::deferred);
  bench_->set_mood(PeerMood::accepting);
  EXPECT_EQ(collected->calls(), 1);
}

TEST_P(ProviderConformance, RefusesNewWorkAfterDrain) {
  adapter().drain(steady_clock::now() + seconds{1});
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{5});
  EXPECT_FALSE(any_accepted(outcomes));
  EXPECT_FALSE(outcomes[0].ambiguous);
  EXPECT_NE(validate_and_wait(adapter(), seconds{5}).result, sdk::Validation::Result::valid);
  EXPECT_TRUE(bench_->arrived(0, seconds{0}).empty());
}

TEST_P(ProviderConformance, DrainRacesWithSendsWithoutLosingAnAnswer) {
  std::vector<std::shared_ptr<Collected>> all;
  std::promise<void> started;
  {
    std::jthread sender{[&] {
      for (int i = 0; i < 200; ++i) {
        auto [collected, done] = Collected::make();
        adapter().send(make_message({"a@example.org"}), make_attempt(seconds{30}), std::move(done));
        all.push_back(std::move(collected));
        if (i == 20) started.set_value();
      }
    }};
    started.get_future().wait();
    adapter().drain(steady_clock::now() + seconds{10});
  }
  for (const auto& collected : all) {
    ASSERT_TRUE(collected->wait(seconds{0}).has_value());
    EXPECT_EQ(collected->calls(), 1);
  }
}

TEST_P(ProviderConformance, SurvivesACompletionThatThrows) {
  std::promise<void> called;
  adapter().send(make_message({"a@example.org"}), make_attempt(seconds{20}),
                 [&](const std::vector<sdk::Outcome>& /*outcomes*/) {
                   called.set_value();
                   throw std::runtime_error("the host's mistake");
                 });
  ASSERT_EQ(called.get_future().wait_for(seconds{25}), std::future_status::ready);
  const auto outcomes = send_and_wait(adapter(), make_message({"a@example.org"}), seconds{20});
  EXPECT_TRUE(all_are(outcomes, sdk::Verdict::accepted)) << outcomes[0].detail;
}

TEST_P(ProviderConformance, AnswersWhatACompletionSends) {
  std::promise<std::vector<sdk::Outcome>> second;
  adapter().send(make_message({"a@example.org"}), make_attempt(seconds{20}),
                 [&](const std::vector<sdk::Outcome>& /*outcomes*/) {
                   adapter().send(make_message({"b@example.org"}), make_attempt(seconds{20}),
                                  [&](std::vector<sdk::Outcome> outcomes) {
                                    second.set_value(std::move(outcomes));
                                  });
                 });
  auto answer = second.get_future();
  ASSERT_EQ(answer.wait_for(seconds{25}), std::future_status::ready);
  EXPECT_TRUE(all_are(answer.get(), sdk::Verdict::accepted));
}

TEST_P(ProviderConformance, ValidateSendsNoMail) {
  const sdk::Validation validation = validate_and_wait(adapter(), seconds{20});
  EXPECT_EQ(validation.result, sdk::Validation::Result::valid) << validation.detail;
  adapter().drain(steady_clock::now() + seconds{5});
  EXPECT_TRUE(bench_->arrived(0, seconds{0}).empty());
}

TEST_P(RemoteProviderConformance, ValidateAnswersByTheDeadlineWhenThePeerIsSilent) {
  bench_->set_mood(PeerMood::silent);
  const auto start = steady_clock::now();
  const sdk::Validation validation = validate_and_wait(adapter(), seconds{1});
  EXPECT_LE(steady_clock::now() - start, seconds{1} + kLate);
  EXPECT_EQ(validation.result, sdk::Validation::Result::unreachable);
  EXPECT_FALSE(validation.detail.empty());
}

TEST_P(ProviderConformance, AnswersEventsThatItCannotVerify) {
  auto request = std::make_shared<sdk::HookRequest>();
  request->method = "POST";
  request->path = "/hooks/x";
  request->body = "{\"event\":\"bounce\"}";
  std::promise<sdk::HookResult> answer;
  adapter().verify_event(request, steady_clock::now() + seconds{5},
                         [&](sdk::HookResult result) { answer.set_value(std::move(result)); });
  auto future = answer.get_future();
  ASSERT_EQ(future.wait_for(seconds{10}), std::future_status::ready);
  const sdk::HookResult result = future.get();
  EXPECT_NE(result.status, sdk::HookResult::Status::verified);
  EXPECT_TRUE(result.events.empty());
  EXPECT_FALSE(result.detail.empty());
  if (!bench_->plugin().capabilities.sends_events) {
    EXPECT_EQ(result.status, sdk::HookResult::Status::ignored);
  }
}

}  // namespace postern::conformance
