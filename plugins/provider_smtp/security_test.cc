// TLS and AUTH against a server that checks them for real.
#include <algorithm>

#include "session_fixture.h"

namespace postern::smtp {
namespace {

using sdk::Outcome;
using sdk::Validation;
using sdk::Verdict;
using std::chrono::seconds;

const conformance::Written kUser{{"username", "bob"}, {"password", "sesame-4711"}};

class SmtpSecurity : public SmtpSession {
 protected:
  SmtpPeer::Options with_tls(const std::string& name = "localhost", bool expired = false) {
    SmtpPeer::Options options;
    options.starttls = true;
    options.certificate = make_certificate(name, expired);
    options.username = "bob";
    options.password = "sesame-4711";
    options.token = "ya29.token";
    ca_file_ = file_of(options.certificate.certificate_pem);
    return options;
  }
  conformance::Written trusting(conformance::Written more = {}) const {
    conformance::Written settings{{"server_name", "localhost"}, {"ca_file", ca_file_}};
    settings.insert(settings.end(), more.begin(), more.end());
    return settings;
  }
  bool never_sent(const std::string& word) {
    const auto commands = peer_->commands();
    return std::none_of(commands.begin(), commands.end(), [&](const std::string& line) {
      return line.find(word) != std::string::npos;
    });
  }

  std::string ca_file_;
};

TEST_F(SmtpSecurity, EncryptsByStarttlsUnlessToldOtherwise) {
  SmtpPeer& peer = start(with_tls());
  open(trusting());
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
  EXPECT_TRUE(peer.mails(1, seconds{5}).at(0).encrypted);
  const auto commands = peer.commands();
  EXPECT_EQ(std::count(commands.begin(), commands.end(), "1 EHLO gateway.test"), 2);
}

TEST_F(SmtpSecurity, SpeaksImplicitTls) {
  SmtpPeer::Options options = with_tls();
  options.implicit_tls = true;
  SmtpPeer& peer = start(std::move(options));
  open(trusting({{"security", "tls"}}));
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
  EXPECT_TRUE(peer.mails(1, seconds{5}).at(0).encrypted);
}

TEST_F(SmtpSecurity, CarriesALargeMailOverTls) {
  SmtpPeer& peer = start(with_tls());
  open(trusting());
  std::string body;
  while (body.size() < 3'000'000) body += ".a line that begins with a dot\r\n";
  const auto message = conformance::make_message({"a@x.org"}, body);
  const auto outcome = conformance::send_and_wait(*adapter_, message, seconds{20})[0];
  ASSERT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
  EXPECT_TRUE(peer.mails(1, seconds{5}).at(0).content == *message->mime);
}

TEST_F(SmtpSecurity, ReusesAndReplacesEncryptedConnections) {
  SmtpPeer& peer = start(with_tls());
  open(trusting({{"max_messages_per_connection", "2"}}));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.connections(), 3);
}

TEST_F(SmtpSecurity, SendsNothingWhereStarttlsIsNotOffered) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open({});
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::unreachable);
  EXPECT_NE(outcome.detail.find("STARTTLS"), std::string::npos);
  EXPECT_TRUE(never_sent("MAIL"));
  EXPECT_TRUE(peer.mails(0, seconds{0}).empty());
}

TEST_F(SmtpSecurity, RefusesABadCertificate) {
  struct Row {
    const char* name;
    bool expired;
    bool trusted;
  };
  for (const Row& row : {Row{"other.example", false, true}, Row{"localhost", true, true},
                         Row{"localhost", false, false}}) {
    SmtpPeer& peer = start(with_tls(row.name, row.expired));
    if (!row.trusted) file_of(make_certificate("localhost").certificate_pem);
    open(trusting());
    const Outcome outcome = send_one();
    EXPECT_EQ(outcome.verdict, Verdict::unreachable) << row.name;
    EXPECT_FALSE(outcome.ambiguous);
    EXPECT_NE(outcome.detail.find("certificate"), std::string::npos) << outcome.detail;
    EXPECT_TRUE(peer.mails(0, seconds{0}).empty());
    adapter_.reset();
    provider_.reset();
  }
}

TEST_F(SmtpSecurity, TakesAnyCertificateWhenToldTo) {
  start(with_tls("other.example", true));
  open({{"verify_certificate", "false"}});
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
}

TEST_F(SmtpSecurity, NamesACaFileThatCannotBeRead) {
  start(with_tls());
  open({{"ca_file", "/nonexistent/ca.pem"}});
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::unreachable);
  EXPECT_NE(outcome.detail.find("/nonexistent/ca.pem"), std::string::npos) << outcome.detail;
}

TEST_F(SmtpSecurity, DropsPlaintextInjectedBehindTheReplyToStarttls) {
  SmtpPeer::Options options = with_tls();
  options.injected_after_starttls = "250-injected\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n";
  SmtpPeer& peer = start(std::move(options));
  open(trusting());
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
  EXPECT_EQ(outcome.provider_message_id, "M1");
  EXPECT_TRUE(peer.mails(1, seconds{5}).at(0).encrypted);
  EXPECT_NE(host_.logger.text().find("after the reply to STARTTLS"), std::string::npos);
}

TEST_F(SmtpSecurity, OpportunisticEncryptsWhereItCan) {
  SmtpPeer& peer = start(with_tls("other.example", true));
  open({{"security", "opportunistic"}});
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_TRUE(peer.mails(1, seconds{5}).at(0).encrypted);
}

TEST_F(SmtpSecurity, OpportunisticGoesOnInPlaintextWhereItCannot) {
  SmtpPeer& peer = start(SmtpPeer::Options{});
  open({{"security", "opportunistic"}});
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_FALSE(peer.mails(1, seconds{5}).at(0).encrypted);
}

TEST_F(SmtpSecurity, OpportunisticReconnectsWhenTheHandshakeFails) {
  SmtpPeer::Options options = with_tls();
  options.react = [](const Step& step) {
    return step.verb == "STARTTLS" ? Reaction::say_and_cut("220 go ahead\r\n") : Reaction{};
  };
  SmtpPeer& peer = start(std::move(options));
  open({{"security", "opportunistic"}});
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
  EXPECT_EQ(peer.connections(), 2);
}

TEST_F(SmtpSecurity, OpportunisticKeepsCredentialsOffThePlaintext) {
  SmtpPeer::Options options;
  options.auth = "PLAIN LOGIN";
  start(std::move(options));
  open({{"security", "opportunistic"}}, kUser);
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::refused);
  EXPECT_TRUE(never_sent("AUTH"));
}

TEST_F(SmtpSecurity, AuthenticatesByEveryMechanism) {
  struct Row {
    const char* offered;
    const char* chosen;
    const char* used;
  };
  for (const Row& row : {Row{"PLAIN", "auto", "PLAIN bob"}, Row{"LOGIN", "auto", "LOGIN bob"},
                         Row{"PLAIN LOGIN CRAM-MD5", "auto", "CRAM-MD5 bob"},
                         Row{"PLAIN LOGIN CRAM-MD5", "plain", "PLAIN bob"},
                         Row{"PLAIN LOGIN CRAM-MD5", "login", "LOGIN bob"},
                         Row{"PLAIN CRAM-MD5", "cram-md5", "CRAM-MD5 bob"}}) {
    SmtpPeer::Options options = with_tls();
    options.auth = row.offered;
    options.auth_only_encrypted = true;
    SmtpPeer& peer = start(std::move(options));
    open(trusting({{"auth", row.chosen}}), kUser);
    const Outcome outcome = send_one();
    EXPECT_EQ(outcome.verdict, Verdict::accepted) << row.used << ": " << outcome.detail;
    EXPECT_EQ(peer.mails(1, seconds{5}).at(0).authenticated, row.used);
    adapter_.reset();
    provider_.reset();
  }
}

TEST_F(SmtpSecurity, AuthenticatesByXoauth2) {
  SmtpPeer::Options options = with_tls();
  options.auth = "PLAIN XOAUTH2";
  SmtpPeer& peer = start(std::move(options));
  open(trusting(), {{"username", "bob"}, {"access_token", "ya29.token"}});
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.mails(1, seconds{5}).at(0).authenticated, "XOAUTH2 bob");
}

TEST_F(SmtpSecurity, IsRefusedWithWrongCredentialsAndTellsNoSecret) {
  for (const char* mechanism : {"plain", "login", "cram-md5"}) {
    SmtpPeer::Options options = with_tls();
    options.auth = "PLAIN LOGIN CRAM-MD5";
    start(std::move(options));
    open(trusting({{"auth", mechanism}}), {{"username", "bob"}, {"password", "wrong-secret"}});
    const Outcome outcome = send_one();
    EXPECT_EQ(outcome.verdict, Verdict::refused) << mechanism;
    EXPECT_EQ(outcome.enhanced_status, "5.7.8");
    const Validation validation = conformance::validate_and_wait(*adapter_, seconds{5});
    EXPECT_EQ(validation.result, Validation::Result::invalid_credentials);
    for (const std::string& text : {outcome.detail, validation.detail, host_.logger.text()}) {
      EXPECT_EQ(text.find("wrong-secret"), std::string::npos);
    }
    adapter_.reset();
    provider_.reset();
  }
}

TEST_F(SmtpSecurity, IsRefusedWithAnExpiredToken) {
  SmtpPeer::Options options = with_tls();
  options.auth = "XOAUTH2";
  start(std::move(options));
  open(trusting(), {{"username", "bob"}, {"access_token", "expired"}});
  const Outcome outcome = send_one();
  EXPECT_EQ(outcome.verdict, Verdict::refused);
  EXPECT_EQ(outcome.detail, "535 5.7.8 bad credentials");
}

TEST_F(SmtpSecurity, IsRefusedWhereNoMechanismFits) {
  for (const char* offered : {"", "GSSAPI NTLM", "XOAUTH2"}) {
    SmtpPeer::Options options = with_tls();
    options.auth = offered;
    start(std::move(options));
    open(trusting(), kUser);
    EXPECT_EQ(send_one().verdict, Verdict::refused) << offered;
    EXPECT_TRUE(never_sent("AUTH")) << offered;
    adapter_.reset();
    provider_.reset();
  }
}

TEST_F(SmtpSecurity, SendsCredentialsInPlaintextOnlyWhenAllowed) {
  SmtpPeer::Options options;
  options.auth = "PLAIN";
  options.username = "bob";
  options.password = "sesame-4711";
  SmtpPeer& peer = start(std::move(options));
  EXPECT_FALSE(try_open({{"security", "none"}}, kUser).ok());
  open({{"security", "none"}, {"allow_plaintext_auth", "true"}}, kUser);
  EXPECT_EQ(send_one().verdict, Verdict::accepted);
  EXPECT_EQ(peer.mails(1, seconds{5}).at(0).authenticated, "PLAIN bob");
}

TEST_F(SmtpSecurity, ValidatesGoodCredentialsAndQuits) {
  SmtpPeer::Options options = with_tls();
  options.auth = "PLAIN";
  SmtpPeer& peer = start(std::move(options));
  open(trusting(), kUser);
  EXPECT_EQ(conformance::validate_and_wait(*adapter_, seconds{5}).result,
            Validation::Result::valid);
  const auto commands = peer.commands("1 QUIT");
  EXPECT_EQ(commands.back(), "1 QUIT");
  EXPECT_TRUE(never_sent("MAIL"));
}

}  // namespace
}  // namespace postern::smtp
