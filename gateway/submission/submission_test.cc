#include "submission/submission.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "submission/json.h"

namespace postern::submission {
namespace {

constexpr const char* kWhole = R"({
  "from": "Shop <shop@example.com>",
  "to": ["ann@example.net", "Bob <bob@example.net>"],
  "cc": "carl@example.net", "bcc": ["dora@example.net"], "replyTo": "help@example.com",
  "subject": "Grüße 🎉", "html": "<p>Hi</p>", "text": "Hi",
  "attachments": [
    {"filename": "a.txt", "content": "aGVsbG8=", "contentType": "text/plain"},
    {"filename": "logo.png", "content": "AAEC", "contentType": "image/png", "contentId": "logo"}],
  "headers": {"X-Campaign": "spring"}, "tags": ["receipt", "receipt"],
  "metadata": {"order": "17"}, "stream": "bulk",
  "providerId": "01900000-0000-7000-8000-00000000000A"})";

std::vector<Issue> issues_of(std::string_view json, SubmissionLimits limits = {}) {
  const auto parsed = parse(json, limits);
  return parsed ? std::vector<Issue>{} : parsed.error().issues;
}

bool has(const std::vector<Issue>& issues, std::string_view path, std::string_view code) {
  return std::any_of(issues.begin(), issues.end(), [&](const Issue& issue) {
    return issue.path == path && issue.code == code;
  });
}

// A valid body with one field replaced.
std::string with(std::string_view field, std::string_view value) {
  std::string out = R"({"from":"a@example.com","subject":"s","text":"t")";
  if (field != "to") out += R"(,"to":"b@example.com")";
  if (field == "from" || field == "subject" || field == "text") {
    out = R"({"to":"b@example.com")";
    if (field != "from") out += R"(,"from":"a@example.com")";
    if (field != "subject") out += R"(,"subject":"s")";
    if (field != "text") out += R"(,"text":"t")";
  }
  return out + ",\"" + std::string{field} + "\":" + std::string{value} + "}";
}

TEST(Submission, ReadsEveryField) {
  const auto parsed = parse(kWhole, {});
  ASSERT_TRUE(parsed) << parsed.error().issues.front().path;
  EXPECT_EQ(parsed->from.name, "Shop");
  ASSERT_EQ(parsed->to.size(), 2U);
  EXPECT_EQ(parsed->to[1].address, "bob@example.net");
  EXPECT_EQ(parsed->cc.size(), 1U);
  EXPECT_EQ(parsed->bcc.size(), 1U);
  EXPECT_EQ(parsed->reply_to.size(), 1U);
  EXPECT_EQ(parsed->subject, "Grüße 🎉");
  ASSERT_EQ(parsed->attachments.size(), 2U);
  EXPECT_EQ(parsed->attachments[0].content, "hello");
  EXPECT_FALSE(parsed->attachments[0].is_inline);
  EXPECT_TRUE(parsed->attachments[1].is_inline) << "a content id makes a part of the HTML";
  EXPECT_EQ(parsed->tags, std::vector<std::string>{"receipt"});
  EXPECT_EQ(parsed->metadata.front().second, "17");
  EXPECT_EQ(parsed->stream, "bulk");
  EXPECT_EQ(parsed->provider_id, "01900000-0000-7000-8000-00000000000a");
}

TEST(Submission, ReportsEveryIssueAtOnceWithItsPath) {
  const auto issues = issues_of(R"({
    "to": ["good@example.com", "bad", 5], "from": "also bad", "subject": "a\r\nBcc: x@y.z",
    "attachments": [{"filename": "x", "content": "$$$"}, {"filename": "y"}],
    "headers": {"From": "me", "X-Ok": "v\r\nEvil: 1"}, "tags": [""], "metadata": {"n": 5},
    "stream": "fast", "providerId": "x", "repply_to": "a@b.c"})");
  EXPECT_TRUE(has(issues, "to[1]", "invalid_recipient"));
  EXPECT_TRUE(has(issues, "to[2]", "invalid_type"));
  EXPECT_TRUE(has(issues, "from", "invalid_sender"));
  EXPECT_TRUE(has(issues, "subject", "invalid_subject"));
  EXPECT_TRUE(has(issues, "attachments[0].content", "invalid_base64"));
  EXPECT_TRUE(has(issues, "attachments[1].content", "required"));
  EXPECT_TRUE(has(issues, "headers.From", "reserved_header"));
  EXPECT_TRUE(has(issues, "headers.X-Ok", "invalid_header"));
  EXPECT_TRUE(has(issues, "tags[0]", "invalid_tag"));
  EXPECT_TRUE(has(issues, "metadata.n", "invalid_type"));
  EXPECT_TRUE(has(issues, "stream", "invalid_stream"));
  EXPECT_TRUE(has(issues, "providerId", "invalid_uuid"));
  EXPECT_TRUE(has(issues, "repply_to", "unknown_field"));
  EXPECT_TRUE(has(issues, "text", "required"));
}

TEST(Submission, SaysWhatAnUnknownFieldMayHaveMeant) {
  const auto issues = issues_of(with("reply_to", "\"a@example.com\""));
  ASSERT_EQ(issues.size(), 1U);
  EXPECT_NE(issues[0].message.find("replyTo"), std::string::npos);
}

TEST(Submission, RequiresSenderRecipientSubjectAndContent) {
  const auto issues = issues_of("{}");
  for (const char* field : {"from", "to", "subject", "text"}) {
    EXPECT_TRUE(has(issues, field, "required")) << field;
  }
  EXPECT_TRUE(has(issues_of(with("to", "[]")), "to", "required"));
}

TEST(Submission, BoundsWhatOneMessageMayCarry) {
  EXPECT_TRUE(has(issues_of(with("subject", "\"" + std::string(999, 'x') + "\"")), "subject", "too_long"));
  EXPECT_TRUE(issues_of(with("subject", "\"" + std::string(998, 'x') + "\"")).empty());
  EXPECT_TRUE(has(issues_of(with("tags", R"(["1","2","3","4","5","6","7","8","9","10","11"])")), "tags",
                  "too_many"));
  EXPECT_TRUE(has(issues_of(with("metadata", "{\"k\":\"" + std::string(16'384, 'x') + "\"}")), "metadata",
                  "too_large"));
  SubmissionLimits limits;
  limits.attachment_bytes = 4;
  EXPECT_TRUE(has(issues_of(with("attachments", R"([{"filename":"a","content":"aGVsbG8="}])"), limits),
                  "attachments", "attachments_too_large"));
  limits.recipients = 2;
  EXPECT_TRUE(has(issues_of(with("to", R"(["a@b.c","d@e.f","g@h.i"])"), limits), "to",
                  "too_many_recipients"));
}

TEST(Submission, RefusesWhatIsNotServedRatherThanDroppingIt) {
  const auto parsed = parse(with("sendAt", "\"2030-01-01T00:00:00Z\""), {});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind, ErrorKind::impossible);
  EXPECT_EQ(parsed.error().issues.front().code, "capability_unsupported");
}

TEST(Submission, TakesNullForAbsent) { EXPECT_TRUE(issues_of(with("cc", "null")).empty()); }

TEST(Submission, ReloadsWhatWasAccepted) {
  const auto again = reload(kWhole);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attachments[1].content, std::string("\0\1\2", 3));
}

TEST(Json, NamesLineAndColumnOfWhatIsMalformed) {
  const auto parsed = json::parse("{\n  \"a\": 1,\n  oops\n}");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
  EXPECT_NE(parsed.error().message.find("line 3, column 3"), std::string::npos) << parsed.error().message;
}

TEST(Json, RefusesAKeyThatStandsTwiceInOneObjectAndOnlyThere) {
  const auto parsed = json::parse(R"({"a":{"b":1,"c":[{"b":2}],"b":3}})");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().issues.front().path, "b");
  EXPECT_EQ(parsed.error().issues.front().code, "duplicate_field");
  EXPECT_TRUE(json::parse(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})"));
}

TEST(Json, RefusesTrailingTextDeepNestingAndBadUtf8) {
  EXPECT_FALSE(json::parse("{} x"));
  EXPECT_FALSE(json::parse(std::string(1'000, '[')));
  EXPECT_FALSE(json::parse("\"\xff\""));
  EXPECT_FALSE(json::parse(""));
  EXPECT_TRUE(json::parse(" {\"a\": [1]} \n"));
}

}  // namespace
}  // namespace postern::submission
