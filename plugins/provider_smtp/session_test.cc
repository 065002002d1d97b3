// Transactions: what goes over the wire, and what comes of every way that a server can fail.
#include <algorithm>
#include <atomic>

#include "session_fixture.h"

namespace postern::smtp {
namespace {

using conformance::make_attempt;
using conformance::make_message;
using conformance::send_and_wait;
using sdk::Outcome;
using sdk::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;

const conformance::Written kPlain{{"security", "none"}};
const conformance::Written kStepwise{{"security", "none"}, {"pipelining", "false"}};
const conformance::Written kOneConnection{{"security", "none"}, {"max_connections", "1"}};

bool said(const std::vector<std::string>& commands, const std::string& line) {
  return std::find(commands.begin(), commands.end(), line) != commands.end();
}

TEST_F(SmtpSession, SpeaksTheSameDialogueWithAndWithoutPipelining) {
  for (const conformance::Written& settings : {kPlain, kStepwise}) {
    SmtpPeer& peer = start(SmtpPeer::Options{});
    open(settings);
    for (const Outcome& outcome : send({"a@example.org", "b@example.org"})) {
      EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
      EXPECT_EQ(outcome.enhanced_status, "2.0.0");
      EXPECT_EQ(outcome.provider_message_id, "M1");
    }
    adapter_.reset();
    const auto commands = peer.commands("1 QUIT");
    ASSERT_EQ(commands.size(), 6U);
    EXPECT_EQ(commands[0], "1 EHLO gateway.test");
    EXPECT_TRUE(commands[1].starts_with("1 MAIL FROM:<sender@example.com> SIZE="));
    EXPECT_EQ(commands[2], "1 RCPT TO:<a@example.org>");
    EXPECT_EQ(commands[3], "1 RCPT TO:<b@example.org>");
    EXPECT_EQ(commands[4], "1 DATA");
    EXPECT_EQ(commands[5], "1 QUIT");
  }
}

TEST_F(SmtpSession, SendsTheNullReversePath) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open();
  const auto message = make_message({"a@example.org"});
  message->envelope_sender.clear();
  EXPECT_EQ(send_and_wait(*adapter_, message, seconds{5})[0].verdict, Verdict::accepted);
  EXPECT_EQ(peer.mails(1, seconds{5})[0].sender, "");
}

TEST_F(SmtpSession, AnswersEachRecipientByItsOwnReply) {
  const auto react = [](const Step& step) {
    if (step.line.find("<unknown@") != std::string::npos) {
      return Reaction::say("550 5.1.1 No such user\r\n");
    }
    if (step.line.find("<grey@") != std::string::npos) {
      return Reaction::say("450 4.7.1 Greylisted\r\n");
    }
    return Reaction{};
  };
  for (const conformance::Written& settings : {kPlain, kStepwise}) {
    SmtpPeer& peer = start(react);
    open(settings);
    const auto outcomes = send({"a@x.org", "unknown@x.org", "grey@x.org", "b@x.org"});
    EXPECT_EQ(outcomes[0].verdict, Verdict::accepted);
    EXPECT_EQ(outcomes[1].verdict, Verdict::rejected);
    EXPECT_EQ(outcomes[1].enhanced_status, "5.1.1");
    EXPECT_EQ(outcomes[1].detail, "550 5.1.1 No such user");
    EXPECT_EQ(outcomes[2].verdict, Verdict::deferred);
    EXPECT_EQ(outcomes[3].verdict, Verdict::accepted);
    const auto mails = peer.mails(1, seconds{5});
    ASSERT_EQ(mails.size(), 1U);
    EXPECT_EQ(mails[0].recipients, (std::vector<std::string>{"a@x.org", "b@x.org"}));
    adapter_.reset();
  }
}

TEST_F(SmtpSession, ResetsAfterAFailedTransactionAndKeepsTheConnection) {
  const auto react = [](const Step& step) {
    return step.line.find("<unknown@") != std::string::npos
               ? Reaction::say("550 5.1.1 No such user\r\n")
               : Reaction{};
  };
  for (const conformance::Written& settings : {kPlain, kStepwise}) {
    SmtpPeer& peer = start(react);
    open(settings);
    EXPECT_EQ(send({"unknown@x.org"})[0].verdict, Verdict::rejected);
    EXPECT_EQ(send({"a@x.org"})[0].verdict, Verdict::accepted);
    EXPECT_EQ(send({"a@x.org"})[0].verdict, Verdict::accepted);
    EXPECT_EQ(peer.connections(), 1);
    const auto commands = peer.commands();
    EXPECT_EQ(std::count(commands.begin(), commands.end(), "1 RSET"), 1);
    adapter_.reset();
  }
}

TEST_F(SmtpSession, TellsRefusalsAtEveryStage) {
  struct Row {
    const char* verb;
    const char* reply;
    Verdict verdict;
  };
  const std::vector<Row> rows{
      {"CONNECT", "554 5.3.2 no service\r\n", Verdict::unreachable},
      {"CONNECT", "421 4.7.0 too many connections\r\n", Verdict::throttled},
      {"EHLO", "554 5.7.1 go away\r\n", Verdict::unreachable},
      {"MAIL", "451 4.3.0 later\r\n", Verdict::deferred},
      {"MAIL", "550 5.7.1 sender not allowed\r\n", Verdict::refused},
      {"MAIL", "421 4.3.2 closing\r\n", Verdict::unreachable},
      {"RCPT", "450 4.2.0 later\r\n", Verdict::deferred},
      {"RCPT", "550 5.1.1 unknown\r\n", Verdict::rejected},
      {"RCPT", "421 4.3.2 closing\r\n", Verdict::deferred},
      {"DATA", "451 4.3.0 later\r\n", Verdict::deferred},
      {"DATA", "554 5.7.1 no\r\n", Verdict::rejected},
      {"CONTENT", "452 4.3.1 disk full\r\n", Verdict::deferred},
      {"CONTENT", "552 5.3.4 too big\r\n", Verdict::rejected},
      {"CONTENT", "421 4.3.2 closing\r\n", Verdict::deferred},
  };
  for (const Row& row : rows) {
    for (const conformance::Written& settings : {kPlain, kStepwise}) {
      SmtpPeer& peer = start_with(row.verb, Reaction::say(row.reply));
      open(settings);
      for (const Outcome& outcome : send({"a@x.org", "b@x.org"})) {
        EXPECT_EQ(outcome.verdict, row.verdict) << row.verb << ' ' << row.reply;
        EXPECT_FALSE(outcome.ambiguous) << row.verb << ' ' << row.reply;
        EXPECT_TRUE(std::string{row.reply}.starts_with(outcome.detail)) << outcome.detail;
      }
      EXPECT_TRUE(peer.mails(0, seconds{0}).empty());
      adapter_.reset();
    }
  }
}

TEST_F(SmtpSession, TellsCutsAndSilenceAtEveryStage) {
  for (const char* verb : {"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"}) {
    for (const Reaction& reaction :
         {Reaction::cut(), Reaction::silence(), Reaction::say("rubbish\r\n"),
          Reaction::say(std::string(9000, '2')), Reaction::say_and_cut("250-half a rep")}) {
      start_with(verb, reaction);
      open();
      const auto outcome =
          send_and_wait(*adapter_, make_message({"a@example.org"}), milliseconds{400})[0];
      const bool at_end = std::string{"CONTENT"} == verb;
      EXPECT_EQ(outcome.verdict, at_end ? Verdict::deferred : Verdict::unreachable) << verb;
      EXPECT_EQ(outcome.ambiguous, at_end) << verb;
      EXPECT_FALSE(outcome.detail.empty());
      adapter_.reset();
    }
  }
}

TEST_F(SmtpSession, IsUnreachableWhereNobodyListens) {
  start(SmtpPeer::Options{});
  open();
  peer_.reset();
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::unreachable);
  EXPECT_FALSE(outcome.ambiguous);
  EXPECT_NE(outcome.detail.find("at connect"), std::string::npos) << outcome.detail;
}

TEST_F(SmtpSession, IsUnreachableWhereTheNameDoesNotResolve) {
  start(SmtpPeer::Options{});
  open({{"security", "none"}, {"host", "nowhere.invalid"}});
  EXPECT_EQ(send_one().verdict, Verdict::unreachable);
}

TEST_F(SmtpSession, KeepsTheAnswersGivenBeforeTheConnectionIsCut) {
  start([](const Step& step) {
    if (step.line.find("<unknown@") != std::string::npos) return Reaction::say("550 5.1.1 no\r\n");
    return step.verb == "CONTENT" ? Reaction::cut() : Reaction{};
  });
  open();
  const auto outcomes = send({"unknown@x.org", "a@x.org"});
  EXPECT_EQ(outcomes[0].verdict, Verdict::rejected);
  EXPECT_FALSE(outcomes[0].ambiguous);
  EXPECT_EQ(outcomes[1].verdict, Verdict::deferred);
  EXPECT_TRUE(outcomes[1].ambiguous);
}

TEST_F(SmtpSession, IsNotAmbiguousWhenALargeContentIsCutInTheMiddle) {
  start_with("DATA", Reaction::say_and_cut("354 go on\r\n"));
  open();
  const auto message = make_message({"a@example.org"}, std::string(30'000'000, 'x') + "\r\n");
  const auto outcome = send_and_wait(*adapter_, message, seconds{20})[0];
  EXPECT_NE(outcome.verdict, Verdict::accepted);
  EXPECT_FALSE(outcome.ambiguous) << "the dot never left: " << outcome.detail;
}

TEST_F(SmtpSession, TakesTheAnswerThatComesBeforeTheContentIsOver) {
  // The peer stops reading after this, so the rest of the content can't leave.
  start_with("DATA", Reaction::say("354 go on\r\n552 5.3.4 enough\r\n"));
  open();
  const auto message = make_message({"a@example.org"}, std::string(30'000'000, 'x') + "\r\n");
  const auto outcome = send_and_wait(*adapter_, message, seconds{20})[0];
  EXPECT_EQ(outcome.verdict, Verdict::rejected) << outcome.detail;
  EXPECT_FALSE(outcome.ambiguous);
}

TEST_F(SmtpSession, SendsNoContentWhereNobodyIsToGetIt) {
  SmtpPeer& peer = start([](const Step& step) {
    if (step.verb == "RCPT") return Reaction::say("550 5.1.1 no\r\n");
    if (step.verb == "DATA") return Reaction::say("354 go on all the same\r\n");
    return Reaction{};
  });
  open();
  EXPECT_EQ(send_one().verdict, Verdict::rejected);
  peer.react({});
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.mails(1, seconds{5}).size(), 1U);
}

TEST_F(SmtpSession, RetriesOnceWhenAPooledConnectionIsFoundDead) {
  for (const char* verb : {"MAIL", "DATA"}) {
    SmtpPeer& peer = start(SmtpPeer::Options{});
    open();
    EXPECT_EQ(send_one().verdict, Verdict::accepted);
    peer.react([verb](const Step& step) {
      return step.connection == 1 && step.verb == verb ? Reaction::cut() : Reaction{};
    });
    const Outcome outcome = send_one();
    EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
    EXPECT_EQ(peer.connections(), 2);
    EXPECT_EQ(peer.mails(2, seconds{5}).size(), 2U);
    adapter_.reset();
  }
}

TEST_F(SmtpSession, RetriesWhenAPooledConnectionSays421) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open();
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  peer.react([](const Step& step) {
    return step.connection == 1 ? Reaction::say_and_cut("421 4.4.2 idle for too long\r\n")
                                : Reaction{};
  });
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(SmtpSession, DoesNotRetryForever) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open();
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  peer.react([](const Step& step) { return step.verb == "MAIL" ? Reaction::cut() : Reaction{}; });
  EXPECT_EQ(send_one().verdict, Verdict::unreachable);
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(SmtpSession, DoesNotRetryOnceTheContentHasLeft) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open();
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  peer.react(
      [](const Step& step) { return step.verb == "CONTENT" ? Reaction::cut() : Reaction{}; });
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::deferred);
  EXPECT_TRUE(outcome.ambiguous);
  EXPECT_EQ(peer.connections(), 1);
}

TEST_F(SmtpSession, QuitsAConnectionThatHasBeenIdle) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open({{"security", "none"}, {"idle_timeout", "100ms"}});
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_TRUE(said(peer.commands("1 QUIT"), "1 QUIT"));
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(SmtpSession, ReplacesAConnectionAfterItsMessages) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open({{"security", "none"}, {"max_messages_per_connection", "2"}});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.connections(), 3);
}

TEST_F(SmtpSession, OpensNoMoreConnectionsThanAllowed) {
  SmtpPeer& peer = start([](const Step& step) {
    return step.verb == "CONTENT" ? Reaction::slow(milliseconds{20}) : Reaction{};
  });
  open({{"security", "none"}, {"max_connections", "3"}});
  std::vector<std::shared_ptr<conformance::Collected>> all;
  for (int i = 0; i < 30; ++i) {
    auto [collected, done] = conformance::Collected::make();
    adapter_->send(make_message({"a@x.org"}), make_attempt(seconds{20}), std::move(done));
    all.push_back(collected);
  }
  for (const auto& collected : all) {
    const auto outcomes = collected->wait(seconds{25});
    ASSERT_TRUE(outcomes.has_value());
    EXPECT_EQ(outcomes->at(0).verdict, Verdict::accepted);
  }
  EXPECT_EQ(peer.connections(), 3);
}

TEST_F(SmtpSession, CarriesOnWithFewerConnectionsWhereTheServerAllowsNoMore) {
  start([](const Step& step) {
    if (step.verb == "CONNECT" && step.connection > 1) {
      return Reaction::say_and_cut("421 4.7.0 too many connections\r\n");
    }
    return Reaction{};
  });
  open();
  ASSERT_EQ(send_one().verdict, Verdict::accepted);
  std::vector<std::shared_ptr<conformance::Collected>> all;
  for (int i = 0; i < 40; ++i) {
    auto [collected, done] = conformance::Collected::make();
    adapter_->send(make_message({"a@x.org"}), make_attempt(seconds{20}), std::move(done));
    all.push_back(collected);
  }
  for (const auto& collected : all) {
    const auto outcomes = collected->wait(seconds{25});
    ASSERT_TRUE(outcomes.has_value());
    EXPECT_EQ(outcomes->at(0).verdict, Verdict::accepted) << outcomes->at(0).detail;
  }
}

TEST_F(SmtpSession, HarmsNoMessageWhoseCommandsFollowedTheContentOfAnother) {
  // With one connection and a backlog, MAIL of the next goes out behind the content of the one
  // before; every third content is cut off.
  std::atomic<int> contents{0};
  SmtpPeer& peer = start([&](const Step& step) {
    return step.verb == "CONTENT" && ++contents % 3 == 0 ? Reaction::cut() : Reaction{};
  });
  open(kOneConnection);
  constexpr std::size_t kMessages = 60;
  std::vector<std::shared_ptr<conformance::Collected>> all;
  for (std::size_t i = 0; i < kMessages; ++i) {
    auto [collected, done] = conformance::Collected::make();
    adapter_->send(make_message({"a" + std::to_string(i) + "@x.org"}), make_attempt(seconds{20}),
                   std::move(done));
    all.push_back(collected);
  }
  std::vector<std::string> accepted;
  std::size_t ambiguous = 0;
  for (std::size_t i = 0; i < kMessages; ++i) {
    const auto outcomes = all[i]->wait(seconds{25});
    ASSERT_TRUE(outcomes.has_value());
    const Outcome& outcome = outcomes->at(0);
    if (outcome.verdict == Verdict::accepted)
      accepted.push_back("a" + std::to_string(i) + "@x.org");
    ambiguous += outcome.ambiguous;
    EXPECT_TRUE(outcome.verdict == Verdict::accepted || outcome.ambiguous) << outcome.detail;
  }
  EXPECT_EQ(ambiguous, kMessages / 3);
  std::vector<std::string> arrived;
  for (const auto& mail : peer.mails(accepted.size(), seconds{5})) {
    arrived.push_back(mail.recipients.at(0));
  }
  std::sort(accepted.begin(), accepted.end());
  std::sort(arrived.begin(), arrived.end());
  EXPECT_EQ(arrived, accepted);
}

TEST_F(SmtpSession, DeclaresSizeAndRefusesWhatIsTooBigForTheServer) {
  SmtpPeer::Options options;
  options.extensions = {"PIPELINING", "SIZE 1000"};
  SmtpPeer& peer = start(std::move(options));
  open();
  const auto message = make_message({"a@x.org", "b@x.org"}, std::string(2000, 'x') + "\r\n");
  for (const Outcome& outcome : send_and_wait(*adapter_, message, seconds{5})) {
    EXPECT_EQ(outcome.verdict, Verdict::rejected);
    EXPECT_EQ(outcome.enhanced_status, "5.3.4");
  }
  const auto small = make_message({"a@x.org"});
  EXPECT_EQ(send_and_wait(*adapter_, small, seconds{5})[0].verdict, Verdict::accepted);
  const auto mails = peer.mails(1, seconds{5});
  ASSERT_EQ(mails.size(), 1U);
  EXPECT_EQ(mails[0].parameters, " SIZE=" + std::to_string(small->mime->size()));
}

TEST_F(SmtpSession, RefusesWhatNeedsAnExtensionThatIsNotThere) {
  SmtpPeer::Options options;
  options.extensions = {"PIPELINING"};
  SmtpPeer& peer = start(std::move(options));
  open();
  const auto utf8 = make_message({"дима@x.org"});
  EXPECT_EQ(send_and_wait(*adapter_, utf8, seconds{5})[0].enhanced_status, "5.6.7");
  const auto eight_bit = make_message({"a@x.org"}, "Grüße\r\n");
  eight_bit->needs_8bitmime = true;
  const Outcome outcome = send_and_wait(*adapter_, eight_bit, seconds{5})[0];
  EXPECT_EQ(outcome.verdict, Verdict::rejected);
  EXPECT_EQ(outcome.enhanced_status, "5.6.3");
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.mails(1, seconds{5}).size(), 1U);
}

TEST_F(SmtpSession, AsksForSmtputf8And8bitmimeOnlyWhenNeeded) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open();
  ASSERT_EQ(send_one().verdict, Verdict::accepted);
  ASSERT_EQ(send({"дима@x.org"})[0].verdict, Verdict::accepted);
  const auto mails = peer.mails(2, seconds{5});
  EXPECT_EQ(mails[0].parameters.find("BODY"), std::string::npos);
  EXPECT_EQ(mails[0].parameters.find("SMTPUTF8"), std::string::npos);
  EXPECT_NE(mails[1].parameters.find(" SMTPUTF8"), std::string::npos);
  EXPECT_EQ(mails[1].recipients[0], "дима@x.org");
}

TEST_F(SmtpSession, FallsBackToHeloForAnAncientServer) {
  SmtpPeer& peer = start_with("EHLO", Reaction::say("502 5.5.2 what?\r\n"));
  open();
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_TRUE(said(peer.commands(), "1 HELO gateway.test"));
}

TEST_F(SmtpSession, CancelsWithoutWaitingForTheDeadline) {
  for (const char* verb : {"CONNECT", "RCPT", "CONTENT"}) {
    SmtpPeer& peer = start_with(verb, Reaction::silence());
    open();
    std::stop_source source;
    auto [collected, done] = conformance::Collected::make();
    adapter_->send(make_message({"a@x.org"}), make_attempt(seconds{60}, source.get_token()),
                   std::move(done));
    if (std::string{verb} != "CONNECT") peer.commands("1 DATA");
    source.request_stop();
    const auto outcomes = collected->wait(seconds{10});
    ASSERT_TRUE(outcomes.has_value()) << verb;
    EXPECT_EQ(outcomes->at(0).verdict, Verdict::deferred) << verb;
    if (std::string{verb} != "CONTENT") {
      EXPECT_FALSE(outcomes->at(0).ambiguous) << verb;
    }
    adapter_.reset();
  }
}

TEST_F(SmtpSession, ASlowAccountHoldsUpNoOther) {
  start_with("CONTENT", Reaction::silence());
  open();
  auto [slow, done] = conformance::Collected::make();
  adapter_->send(make_message({"a@x.org"}), make_attempt(seconds{60}), std::move(done));
  peer_->commands("1 DATA");
  SmtpPeer quick{SmtpPeer::Options{}};
  auto other = try_open({{"security", "none"}, {"port", std::to_string(quick.port())}});
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(send_and_wait(**other, make_message({"b@x.org"}), seconds{5})[0].verdict,
            Verdict::accepted);
  EXPECT_EQ(slow->calls(), 0);
}

}  // namespace
}  // namespace postern::smtp
