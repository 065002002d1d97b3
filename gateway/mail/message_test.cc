#include "mail/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/bytes.h"
#include "mail/sample_drafts.h"

namespace postern::mail {
namespace {

using testing::HasSubstr;
using testing::Not;

Draft simple() {
  Draft draft;
  draft.from = {"Ann", "ann@example.org"};
  draft.to = {{"", "bob@example.net"}};
  draft.subject = "Hello";
  draft.text = "Hi Bob\nbye\n";
  draft.message_id = "<1@example.org>";
  draft.date = 1'769'851'800'000;
  return draft;
}

std::string mime_of(const Draft& draft) {
  return compose(draft).mime;
}

// One header with its continuation lines, without the last CRLF.
std::string field(const std::string& mime, std::string_view name) {
  const std::string start = "\r\n" + std::string(name) + ':';
  const std::size_t at = ("\r\n" + mime).find(start);
  if (at == std::string::npos) return {};
  std::size_t end = mime.find("\r\n", at);
  while (end + 2 < mime.size() && (mime[end + 2] == ' ' || mime[end + 2] == '\t')) {
    end = mime.find("\r\n", end + 2);
  }
  return mime.substr(at, end - at);
}

TEST(Compose, WritesASimpleMailAsItIs) {
  EXPECT_EQ(mime_of(simple()),
            "From: Ann <ann@example.org>\r\n"
            "To: bob@example.net\r\n"
            "Subject: Hello\r\n"
            "Date: Sat, 31 Jan 2026 09:30:00 +0000\r\n"
            "Message-ID: <1@example.org>\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 7bit\r\n"
            "\r\n"
            "Hi Bob\r\nbye\r\n");
}

TEST(Compose, IsDeterministic) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(mime_of(sample_draft(seed)), mime_of(sample_draft(seed)));
  }
}

TEST(Compose, NestsMixedAroundAlternativeAroundRelated) {
  Draft draft = simple();
  draft.html = "<img src=\"cid:logo\">";
  draft.attachments = {{"a.pdf", "application/pdf", "", false, "A"},
                       {"logo.png", "image/png", "logo", true, "B"}};
  const std::string mime = mime_of(draft);
  const auto at = [&](std::string_view what) {
    const std::size_t position = mime.find(what);
    EXPECT_NE(position, std::string::npos) << what;
    return position;
  };
  EXPECT_LT(at("multipart/mixed"), at("multipart/alternative"));
  EXPECT_LT(at("multipart/alternative"), at("text/plain"));
  EXPECT_LT(at("text/plain"), at("multipart/related; type=\"text/html\""));
  EXPECT_LT(at("multipart/related"), at("text/html; charset=utf-8"));
  EXPECT_LT(at("text/html; charset=utf-8"), at("Content-ID: <logo>"));
  EXPECT_LT(at("Content-ID: <logo>"), at("application/pdf"));
}

TEST(Compose, WritesTextEncodingsByTheShorter) {
  Draft draft = simple();
  draft.text = "Grüße, and much ASCII after that, so that quoted-printable is the shorter.";
  EXPECT_THAT(mime_of(draft), HasSubstr("Content-Transfer-Encoding: quoted-printable\r\n"));
  draft.text = "これは日本語です。";
  EXPECT_THAT(mime_of(draft), HasSubstr("Content-Transfer-Encoding: base64\r\n"));
  draft.text = std::string(999, 'x');
  EXPECT_THAT(mime_of(draft), HasSubstr("Content-Transfer-Encoding: quoted-printable\r\n"));
  draft.text = std::string(998, 'x');
  EXPECT_THAT(mime_of(draft), HasSubstr("Content-Transfer-Encoding: 7bit\r\n"));
  draft.text = std::string("nul\0nul", 7);
  EXPECT_THAT(mime_of(draft), Not(HasSubstr("7bit")));
}

TEST(Compose, NamesNobodyWhenOnlyBlindRecipientsExist) {
  Draft draft = simple();
  draft.to.clear();
  EXPECT_EQ(field(mime_of(draft), "To"), "To: undisclosed-recipients:;");
  draft.cc = {{"", "c@example.org"}};
  EXPECT_EQ(field(mime_of(draft), "To"), "");
}

TEST(Compose, WritesNamesAsAtomsQuotedStringsOrEncodedWords) {
  const std::pair<std::string, std::string> table[] = {
      {"Ann Public", "Ann Public <ann@example.org>"},
      {"Public, Ann", "\"Public, Ann\" <ann@example.org>"},
      {"Ann Q. Public", "\"Ann Q. Public\" <ann@example.org>"},
      {"A \"B\" \\", "\"A \\\"B\\\" \\\\\" <ann@example.org>"},
      {"Ann ", "\"Ann \" <ann@example.org>"},
      {"Jürgen Groß", "=?UTF-8?B?SsO8cmdlbiBHcm/Dnw==?= <ann@example.org>"},
      {"Jürgen Mustermann", "=?UTF-8?Q?J=C3=BCrgen_Mustermann?= <ann@example.org>"},
      {"王小明", "=?UTF-8?B?546L5bCP5piO?= <ann@example.org>"},
      {"=?UTF-8?Q?a?=", "=?UTF-8?B?PT9VVEYtOD9RP2E/PQ==?= <ann@example.org>"},
      {"=?x", "=?UTF-8?B?PT94?= <ann@example.org>"},
      {"", "ann@example.org"},
  };
  for (const auto& [name, wanted] : table) {
    Draft draft = simple();
    draft.from.name = name;
    EXPECT_EQ(field(mime_of(draft), "From"), "From: " + wanted);
  }
}

TEST(Compose, FoldsAddressListsBetweenMailboxes) {
  Draft draft = simple();
  draft.to.assign(5, {"Some Body", "somebody@example.org"});
  EXPECT_EQ(field(mime_of(draft), "To"),
            "To: Some Body <somebody@example.org>, Some Body <somebody@example.org>,\r\n"
            " Some Body <somebody@example.org>, Some Body <somebody@example.org>,\r\n"
            " Some Body <somebody@example.org>");
}

TEST(Compose, EncodesOnlyTheWordsOfASubjectThatNeedIt) {
  const std::pair<std::string, std::string> table[] = {
      {"Your order", "Subject: Your order"},
      {"", "Subject:"},
      {"Re: Größe L", "Subject: Re: =?UTF-8?B?R3LDtsOfZQ==?= L"},
      {"ä ö", "Subject: =?UTF-8?B?w6Qgw7Y=?="},
      {"ä a ö", "Subject: =?UTF-8?B?w6Q=?= a =?UTF-8?B?w7Y=?="},
      {" x", "Subject: =?UTF-8?Q?_x?="},
      {"a  b", "Subject: a  b"},
      {"a   b", "Subject: =?UTF-8?Q?a___b?="},
  };
  for (const auto& [subject, wanted] : table) {
    Draft draft = simple();
    draft.subject = subject;
    EXPECT_EQ(field(mime_of(draft), "Subject"), wanted);
  }
}

TEST(Compose, KeepsEncodedWordsAt75AndNeverSplitsACharacter) {
  for (const std::string_view unit : {"ä", "中", "👋", "xä中👋", "a中"}) {
    Draft draft = simple();
    draft.subject.clear();
    while (draft.subject.size() < 900) draft.subject += unit;
    const std::string subject = field(mime_of(draft), "Subject");
    std::size_t words = 0;
    for (std::size_t at = subject.find("=?"); at != std::string::npos; ++words) {
      const std::size_t text = at + 10;
      const std::size_t end = subject.find("?=", text);
      ASSERT_NE(end, std::string::npos);
      EXPECT_LE(end + 2 - at, 75U);
      const std::string_view payload = std::string_view(subject).substr(text, end - text);
      std::string decoded;
      if (subject[at + 8] == 'B') {
        decoded = *base64_decode(payload);
      } else {
        for (std::size_t i = 0; i < payload.size(); ++i) {
          if (payload[i] == '=') {
            decoded +=
                static_cast<char>(std::stoi(std::string(payload.substr(i + 1, 2)), nullptr, 16));
            i += 2;
          } else {
            decoded += payload[i];
          }
        }
      }
      EXPECT_TRUE(is_utf8(decoded)) << unit;
      at = subject.find("=?", end + 2);
    }
    EXPECT_GT(words, 10U);
  }
}

TEST(Compose, WritesFileNamesByRfc2231) {
  const std::pair<std::string, std::string> table[] = {
      {"", "attachment"},
      {"a.pdf", "attachment; filename=\"a.pdf\""},
      {"my file.pdf", "attachment; filename=\"my file.pdf\""},
      {"größe.pdf", "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.pdf"},
      {"a\"b.pdf", "attachment; filename*=UTF-8''a%22b.pdf"},
      {std::string(100, 'n'), "attachment;\r\n filename*0=\"" + std::string(63, 'n') +
                                  "\";\r\n filename*1=\"" + std::string(37, 'n') + '"'},
      {"中中中中中中中中中",
       "attachment;\r\n filename*0*=UTF-8''%E4%B8%AD%E4%B8%AD%E4%B8%AD%E4%B8%AD%E4%B8%AD%E4%B8%AD;"
       "\r\n filename*1*=%E4%B8%AD%E4%B8%AD%E4%B8%AD"},
  };
  for (const auto& [name, wanted] : table) {
    Draft draft = simple();
    draft.attachments = {{name, "application/pdf", "", false, "x"}};
    EXPECT_EQ(field(mime_of(draft), "Content-Disposition"), "Content-Disposition: " + wanted);
  }
}

TEST(Compose, CarriesAMessageOnlyWhereItNeedsNoEncoding) {
  Draft draft = simple();
  draft.attachments = {{"m.eml", "message/rfc822", "", false, "Subject: x\n\nbody\n"}};
  EXPECT_THAT(mime_of(draft), HasSubstr("Content-Type: message/rfc822\r\n"
                                        "Content-Transfer-Encoding: 7bit\r\n"));
  EXPECT_THAT(mime_of(draft), HasSubstr("\r\nSubject: x\r\n\r\nbody\r\n"));
  draft.attachments[0].content = "Subject: x\n\nbödy\n";
  EXPECT_THAT(mime_of(draft), Not(HasSubstr("message/rfc822")));
  EXPECT_THAT(mime_of(draft), HasSubstr("Content-Type: application/octet-stream\r\n"
                                        "Content-Transfer-Encoding: base64\r\n"));
}

TEST(Compose, ChoosesBoundariesThatNoPartHolds) {
  Draft draft = simple();
  draft.html = "<p>x</p>";
  const auto boundary_of = [](const std::string& mime) {
    const std::size_t at = mime.find("boundary=\"") + 10;
    return mime.substr(at, mime.find('"', at) - at);
  };
  const std::string first = boundary_of(mime_of(draft));
  draft.text = "--" + first + "\nContent-Type: text/html\n\nforged\n";
  const std::string second = boundary_of(mime_of(draft));
  EXPECT_NE(first, second);
  draft.text += "--" + second + "--\n";
  const std::string mime = mime_of(draft);
  const std::string third = boundary_of(mime);
  std::size_t count = 0;
  for (std::size_t at = mime.find("--" + third); at != std::string::npos;
       at = mime.find("--" + third, at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, 3U);  // two parts and the end
}

TEST(Compose, SaysWhenAHeaderNeedsSmtputf8) {
  Draft draft = simple();
  draft.subject = "Größe";
  draft.to[0].name = "Jürgen";
  EXPECT_FALSE(compose(draft).needs_smtputf8);
  draft.cc = {{"", "jürgen@bücher.example"}};
  const Composed composed = compose(draft);
  EXPECT_TRUE(composed.needs_smtputf8);
  EXPECT_THAT(composed.mime, HasSubstr("Cc: jürgen@bücher.example\r\n"));
}

TEST(Compose, KeepsAsciiValuesOfCustomHeadersVerbatim) {
  Draft draft = simple();
  const std::string url = "<https://example.org/" + std::string(300, 'u') + '>';
  draft.headers = {{"X-A", "one two"},
                   {"X-Encoded", "=?UTF-8?Q?=C3=BC?="},
                   {"List-Archive", url},
                   {"X-Empty", ""},
                   {"X-Utf8", "über uns"}};
  const std::string mime = mime_of(draft);
  EXPECT_EQ(field(mime, "X-A"), "X-A: one two");
  EXPECT_EQ(field(mime, "X-Encoded"), "X-Encoded: =?UTF-8?Q?=C3=BC?=");
  EXPECT_EQ(field(mime, "List-Archive"), "List-Archive: " + url);
  EXPECT_EQ(field(mime, "X-Empty"), "X-Empty:");
  EXPECT_EQ(field(mime, "X-Utf8"), "X-Utf8: =?UTF-8?B?w7xiZXI=?= uns");
}

TEST(Compose, IsWellFormedOnTheWireForEverySample) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const Draft draft = sample_draft(seed);
    ASSERT_EQ(wire_fault(mime_of(draft)), "") << "seed " << seed;
  }
}

// Drafts are validated before they come here; a hole in that must still not let a header in.
TEST(Compose, LetsNoLineBreakOutOfAHeaderValue) {
  const std::string evil = std::string("x\r\nBcc: victim@example.org\r\n\r\nbody\0", 35);
  Draft draft = simple();
  draft.from = {evil, "a" + evil + "@example.org"};
  draft.to = {{evil, "b@example.org" + evil}};
  draft.subject = evil;
  draft.message_id = "<" + evil + ">";
  draft.headers = {{"X-A", evil}, {"X-" + evil, "x"}};
  draft.attachments = {{evil, "text/plain" + evil, evil, true, "x"}};
  const std::string mime = mime_of(draft);
  EXPECT_THAT(mime, Not(HasSubstr("\nBcc:")));
  EXPECT_EQ(wire_fault(mime), "");
}

TEST(MakeMessageId, PutsTheDomainInALabels) {
  EXPECT_EQ(make_message_id("u", "example.org"), "<u@example.org>");
  EXPECT_EQ(make_message_id("u", "bücher.example"), "<u@xn--bcher-kva.example>");
}

TEST(CheckCustomHeader, SortsNamesAndValuesByTheRules) {
  struct Row {
    std::string name;
    std::string value;
    std::string code;  // empty: allowed
  };
  const Row table[] = {
      {"X-Campaign", "summer", ""},
      {"X-Campaign", "größe 👋", ""},
      {"X-Campaign", "", ""},
      {"X-Campaign", "a\tb", ""},
      {"References", "<a@b> <c@d>", ""},
      {"In-Reply-To", "<a@b>", ""},
      {"List-Id", "x <y.z>", ""},
      {"Precedence", "bulk", ""},
      {"Auto-Submitted", "auto-generated", ""},
      {"Fromage", "brie", ""},
      {"X-From", "x", ""},
      {"From", "a@b", "reserved_header"},
      {"FROM", "a@b", "reserved_header"},
      {"to", "a@b", "reserved_header"},
      {"Cc", "a@b", "reserved_header"},
      {"bCC", "a@b", "reserved_header"},
      {"Sender", "a@b", "reserved_header"},
      {"Reply-To", "a@b", "reserved_header"},
      {"Subject", "x", "reserved_header"},
      {"Date", "x", "reserved_header"},
      {"Message-ID", "<a@b>", "reserved_header"},
      {"MIME-Version", "1.0", "reserved_header"},
      {"Content-Type", "text/plain", "reserved_header"},
      {"content-anything", "x", "reserved_header"},
      {"DKIM-Signature", "x", "reserved_header"},
      {"Received", "x", "reserved_header"},
      {"Received-SPF", "x", "reserved_header"},
      {"Return-Path", "<>", "reserved_header"},
      {"Resent-From", "a@b", "reserved_header"},
      {"Resent-Message-ID", "<a@b>", "reserved_header"},
      {"ARC-Seal", "x", "reserved_header"},
      {"List-Unsubscribe", "<x>", "reserved_header"},
      {"List-Unsubscribe-Post", "x", "reserved_header"},
      {"Authentication-Results", "x", "reserved_header"},
      {"Delivered-To", "x", "reserved_header"},
      {"X-Postern-Id", "x", "reserved_header"},
      {"", "x", "invalid_header"},
      {"X A", "x", "invalid_header"},
      {"X-A:", "x", "invalid_header"},
      {"X-\xC3\xA4", "x", "invalid_header"},
      {"X-A\r\nBcc", "x", "invalid_header"},
      {"From ", "x", "invalid_header"},
      {std::string(77, 'n'), "x", "invalid_header"},
      {std::string(76, 'n'), "x", ""},
      {"X-A", "x\r\nBcc: y@z", "invalid_header"},
      {"X-A", "x\n", "invalid_header"},
      {"X-A", "x\r", "invalid_header"},
      {"X-A", std::string("x\0y", 3), "invalid_header"},
      {"X-A", "x\x7F", "invalid_header"},
      {"X-A", "\xFF", "invalid_header"},
  };
  for (const Row& row : table) {
    const auto result = check_custom_header(row.name, row.value);
    EXPECT_EQ(result.ok() ? "" : result.error().issues.at(0).code, row.code)
        << row.name << ": " << row.value;
  }
}

TEST(IsContentType, KnowsRfc2045) {
  for (const char* good :
       {"text/plain", "TEXT/html; charset=utf-8", "application/vnd.ms-excel+xml",
        "text/plain;charset=\"utf-8\"", "text/calendar; method=REQUEST; charset=utf-8",
        "a/b; c=\"d\\\"e; f\"", "message/rfc822", "text/plain ; a=b"}) {
    EXPECT_TRUE(is_content_type(good)) << good;
  }
  for (const char* bad :
       {"", "text", "text/", "/plain", "text/plain/x", "text plain", "text/plain;", "text/plain; a",
        "text/plain; a=", "text/plain; a=\"b", "text/plain; a=b c", "multipart/mixed",
        "MULTIPART/related; boundary=x", "text/plain\r\nBcc: a@b", "text/plain; a=\"b\r\nc\"",
        "text/pl\xC3\xA4in", "te(x)t/plain", "text/plain; a=b; ;"}) {
    EXPECT_FALSE(is_content_type(bad)) << bad;
  }
  EXPECT_FALSE(is_content_type("text/plain; a=" + std::string(512, 'x')));
}

TEST(IsContentId, TakesWhatFitsInAngleBrackets) {
  EXPECT_TRUE(is_content_id("logo"));
  EXPECT_TRUE(is_content_id("logo.1@example.org"));
  for (const char* bad : {"", "a b", "<a>", "a\r\nb", "\xC3\xA4"}) EXPECT_FALSE(is_content_id(bad));
  EXPECT_TRUE(is_content_id(std::string(200, 'c')));
  EXPECT_FALSE(is_content_id(std::string(201, 'c')));
}

}  // namespace
}  // namespace postern::mail
