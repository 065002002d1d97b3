#include "cli/send.h"

#include <gmock/gmock.h>

#include <boost/json/parse.hpp>

#include "cli/scratch_test.h"

namespace postern::cli {
namespace {

using ::testing::HasSubstr;

TEST(Compose, WritesEveryFlagAsTheFieldOfTheApi) {
  const Scratch scratch;
  Compose message;
  message.from = "Me <me@example.com>";
  message.to = {"a@example.net", "b@example.net"};
  message.cc = {"c@example.net"};
  message.bcc = {"d@example.net"};
  message.reply_to = {"r@example.com"};
  message.subject = "Gr\xc3\xbc\xc3\x9f Gott";
  message.has_text = true;
  message.text = "one\ntwo";
  message.has_html = true;
  message.html = "<p>\"hi\"</p>";
  message.attachments = {scratch.write("a.PDF", std::string{"\0\xff", 2})};
  message.headers = {"X-One:  a: b "};
  message.tags = {"t1", "t2"};
  message.metadata = {"order=1=2", "empty="};
  message.stream = "bulk";
  message.provider_id = "0190";
  const auto body = compose(message);
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(boost::json::parse(*body), boost::json::parse(R"({
    "from": "Me <me@example.com>", "to": ["a@example.net", "b@example.net"],
    "cc": ["c@example.net"], "bcc": ["d@example.net"], "replyTo": ["r@example.com"],
    "subject": "Grüß Gott", "text": "one\ntwo", "html": "<p>\"hi\"</p>",
    "attachments": [{"filename": "a.PDF", "content": "AP8=", "contentType": "application/pdf"}],
    "headers": {"X-One": "a: b"}, "tags": ["t1", "t2"],
    "metadata": {"order": "1=2", "empty": ""}, "stream": "bulk", "providerId": "0190"})"));
}

TEST(Compose, LeavesOutWhatWasNotGiven) {
  Compose message;
  message.from = "a@example.com";
  message.to = {"b@example.net"};
  message.subject = "s";
  message.has_text = true;
  const auto body = compose(message);
  ASSERT_TRUE(body);
  EXPECT_EQ(
      boost::json::parse(*body),
      boost::json::parse(
          R"({"from": "a@example.com", "to": ["b@example.net"], "subject": "s", "text": ""})"));
}

TEST(Compose, NamesTheFlagThatIsWrong) {
  const Scratch scratch;
  struct Case {
    void (*spoil)(Compose&);
    const char* says;
  };
  const Case cases[] = {
      {[](Compose& m) { m.headers = {"no colon"}; }, "--header 'no colon'"},
      {[](Compose& m) { m.headers = {": empty"}; }, "--header ': empty'"},
      {[](Compose& m) {
         m.headers = {"X-A: 1", "X-A: 2"};
       },
       "'X-A' is given twice"},
      {[](Compose& m) { m.metadata = {"novalue"}; }, "--metadata 'novalue'"},
      {[](Compose& m) {
         m.metadata = {"a=1", "a=2"};
       },
       "'a' is given twice"},
      {[](Compose& m) { m.attachments = {"does/not/exist"}; }, "--attach: does/not/exist"},
      {[](Compose& m) { m.subject = "\xff"; }, "UTF-8"},
  };
  for (const auto& each : cases) {
    Compose message;
    message.from = "a@example.com";
    message.to = {"b@example.net"};
    message.has_text = true;
    each.spoil(message);
    const auto body = compose(message);
    ASSERT_FALSE(body) << each.says;
    EXPECT_THAT(body.error().message, HasSubstr(each.says));
  }
}

TEST(ContentType, GoesByTheEndingInAnyCase) {
  EXPECT_EQ(content_type_of("a.b.PNG"), "image/png");
  EXPECT_EQ(content_type_of("png"), "application/octet-stream");
  EXPECT_EQ(content_type_of("a.unknown"), "application/octet-stream");
}

}  // namespace
}  // namespace postern::cli
