#include "dispatch/outbound.h"

#include <gtest/gtest.h>

namespace postern::dispatch {
namespace {

submission::Submission three_recipients() {
  submission::Submission s;
  s.from = {"Shop", "shop@example.com"};
  s.to = {{"Ann", "ann@example.net"}, {"", "bob@example.net"}};
  s.cc = {{"", "carl@example.net"}};
  s.bcc = {{"", "dora@example.net"}, {"", "ann@EXAMPLE.net"}};
  s.subject = "Hello";
  s.text = "Hi";
  return s;
}

sdk::MessageRecord record() {
  sdk::MessageRecord message;
  message.id = "id";
  message.message_id_header = "<id@example.com>";
  message.created_at = 1'750'000'000'000;
  return message;
}

TEST(Recipients, AreOneForEachAddressInOrder) {
  const auto recipients = recipients_of(three_recipients(), 1);
  ASSERT_EQ(recipients.size(), 4U) << "an address that stands twice gets the mail once";
  EXPECT_EQ(recipients[3].address, "dora@example.net");
  EXPECT_EQ(recipients[3].role, sdk::RecipientRole::bcc);
  EXPECT_EQ(recipients[3].index, 3U);
}

TEST(Outbound, NeverShowsABlindRecipient) {
  const auto submission = three_recipients();
  const auto recipients = recipients_of(submission, 1);
  auto copy = submission;
  const auto out =
      make_outbound(record(), std::move(copy), recipients, unfinished(recipients), true);
  EXPECT_EQ(out.recipients.size(), 4U);
  EXPECT_EQ(out.mime->find("dora"), std::string::npos);
  EXPECT_NE(out.mime->find("carl@example.net"), std::string::npos);
  EXPECT_EQ(out.bcc.front().address, "dora@example.net");
}

TEST(Outbound, ShowsAllAddresseesOnARetryForOneOfThem) {
  auto recipients = recipients_of(three_recipients(), 1);
  recipients[0].status = sdk::MessageStatus::sent;
  recipients[2].status = sdk::MessageStatus::bounced;
  recipients[3].status = sdk::MessageStatus::sent;
  const auto out =
      make_outbound(record(), three_recipients(), recipients, unfinished(recipients), true);
  EXPECT_EQ(out.recipients, std::vector<std::string>{"bob@example.net"});
  EXPECT_NE(out.mime->find("ann@example.net"), std::string::npos);
}

TEST(Outbound, LeavesSuppressedRecipientsOutOfEnvelopeAndHeaders) {
  auto recipients = recipients_of(three_recipients(), 1);
  recipients[0].status = sdk::MessageStatus::suppressed;
  const auto out =
      make_outbound(record(), three_recipients(), recipients, unfinished(recipients), true);
  EXPECT_EQ(out.mime->find("ann@"), std::string::npos);
  EXPECT_EQ(out.recipients.size(), 3U);
  EXPECT_EQ(out.bcc.size(), 1U) << "suppressed is suppressed, in whatever case it was written";
}

}  // namespace
}  // namespace postern::dispatch
