#include "maildir.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace postern::maildir {
namespace {

namespace fs = std::filesystem;
using sdk::Outcome;
using sdk::Verdict;

sdk::OutboundMessage mail(std::string id = "01890000-0000-7000-8000-000000000001") {
  sdk::OutboundMessage message;
  message.id = std::move(id);
  message.envelope_sender = "sender@example.com";
  message.recipients = {"a@example.org", "b@example.org"};
  message.mime = std::make_shared<const std::string>("Subject: x\r\n\r\nline one\r\n.\r\nlast\r\n");
  return message;
}

class MaildirDelivery : public ::testing::Test {
 protected:
  MaildirDelivery() {
    std::string pattern = (fs::temp_directory_path() / "postern-maildir-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    root_ = pattern;
    options_.path = (root_ / "outbox").string();
  }
  ~MaildirDelivery() override { fs::remove_all(root_); }

  std::vector<fs::path> files(const char* folder) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator{fs::path{options_.path} / folder}) {
      found.push_back(entry.path());
    }
    return found;
  }

  fs::path root_;
  Options options_;
};

TEST_F(MaildirDelivery, WritesOneFileWithTheEnvelopeInFront) {
  const Outcome outcome = deliver(options_, mail(), false);
  ASSERT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
  ASSERT_EQ(files("new").size(), 1U);
  EXPECT_TRUE(files("tmp").empty());
  EXPECT_EQ(files("new")[0].filename(), outcome.provider_message_id);
  std::ifstream in{files("new")[0], std::ios::binary};
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(),
            "Return-Path: <sender@example.com>\nDelivered-To: a@example.org\n"
            "Delivered-To: b@example.org\nSubject: x\n\nline one\n.\nlast\n");
}

TEST_F(MaildirDelivery, KeepsTheMailPrivate) {
  ASSERT_EQ(deliver(options_, mail(), false).verdict, Verdict::accepted);
  struct stat status {};
  ASSERT_EQ(::stat(files("new")[0].c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat(options_.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(MaildirDelivery, DeliversARetriedMessageOnce) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(deliver(options_, mail(), i > 0).verdict, Verdict::accepted);
  }
  EXPECT_EQ(files("new").size(), 1U);
  EXPECT_TRUE(files("tmp").empty());
}

TEST_F(MaildirDelivery, DeliversARetriedMessageOnceThoughAReaderHasMovedIt) {
  ASSERT_EQ(deliver(options_, mail(), false).verdict, Verdict::accepted);
  const fs::path delivered = files("new")[0];
  fs::rename(delivered,
             fs::path{options_.path} / "cur" / (delivered.filename().string() + ":2,FRS"));
  EXPECT_EQ(deliver(options_, mail(), true).verdict, Verdict::accepted);
  EXPECT_TRUE(files("new").empty());
}

TEST_F(MaildirDelivery, TellsMessagesAndRecipientsApart) {
  sdk::OutboundMessage other = mail();
  other.recipients = {"a@example.org"};
  sdk::OutboundMessage joined = mail();
  joined.recipients = {"a@example.orgb@example.org"};
  for (const auto& message :
       {mail(), mail("01890000-0000-7000-8000-000000000002"), other, joined}) {
    EXPECT_EQ(deliver(options_, message, false).verdict, Verdict::accepted);
  }
  EXPECT_EQ(files("new").size(), 4U);
}

TEST_F(MaildirDelivery, KeepsStrangeIdsInsideTheFolder) {
  for (const char* id : {"../../escape", "", "a/b", "x:2,S"}) {
    const Outcome outcome = deliver(options_, mail(id), false);
    ASSERT_EQ(outcome.verdict, Verdict::accepted) << outcome.detail;
    EXPECT_EQ(outcome.provider_message_id.find_first_of("/:"), std::string::npos);
  }
  EXPECT_EQ(files("new").size(), 4U);
}

TEST_F(MaildirDelivery, LetsNoAddressAddAHeader) {
  sdk::OutboundMessage message = mail();
  message.recipients = {"a@example.org\r\nX-Injected: yes"};
  EXPECT_EQ(file_content(message).find("\nX-Injected"), std::string::npos);
}

TEST_F(MaildirDelivery, IsRefusedWhereTheParentIsMissing) {
  options_.path = (root_ / "missing" / "outbox").string();
  const Outcome outcome = deliver(options_, mail(), false);
  EXPECT_EQ(outcome.verdict, Verdict::refused);
  EXPECT_NE(outcome.detail.find(options_.path), std::string::npos) << outcome.detail;
  EXPECT_NE(check(options_), "");
}

TEST_F(MaildirDelivery, IsRefusedWhereAFileIsInTheWay) {
  std::ofstream{options_.path} << "not a folder";
  EXPECT_EQ(deliver(options_, mail(), false).verdict, Verdict::refused);
}

TEST_F(MaildirDelivery, LeavesNothingBehindWhereNewCannotBeWritten) {
  ASSERT_EQ(check(options_), "");
  fs::remove(fs::path{options_.path} / "new");
  std::ofstream{options_.path + "/new"} << "in the way";
  EXPECT_NE(deliver(options_, mail(), false).verdict, Verdict::accepted);
  EXPECT_TRUE(files("tmp").empty());
}

TEST(MaildirOutcome, EveryErrorHasTheVerdictOfTheTable) {
  const std::vector<std::pair<int, Verdict>> rows{
      {ENOSPC, Verdict::deferred}, {EDQUOT, Verdict::deferred}, {EIO, Verdict::deferred},
      {EMFILE, Verdict::deferred}, {EACCES, Verdict::refused},  {EPERM, Verdict::refused},
      {EROFS, Verdict::refused},   {ENOENT, Verdict::refused},  {ENOTDIR, Verdict::refused},
  };
  for (const auto& [error, verdict] : rows) {
    const Outcome outcome = outcome_of_errno(error, "write x");
    EXPECT_EQ(static_cast<int>(outcome.verdict), static_cast<int>(verdict)) << error;
    EXPECT_FALSE(outcome.ambiguous);
    EXPECT_TRUE(outcome.detail.starts_with("write x: ")) << outcome.detail;
  }
}

TEST(MaildirOutcome, AFullDiskIsDeferredAndNamed) {
  const Outcome outcome = outcome_of_errno(ENOSPC, "write /outbox/tmp/x");
  EXPECT_EQ(outcome.enhanced_status, "4.3.1");
  EXPECT_NE(outcome.detail.find("No space left"), std::string::npos);
}

}  // namespace
}  // namespace postern::maildir
